"""The seam between the store and the cluster: how a node's database follows the cluster's log.

The cluster reads the log and says what an entry means (`Certifier`); the store records the entry and applies it, in one
transaction, and tells the cluster what the entry meant where it stands (`ReplicaStore`). Neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from gochat.domain.facts import AnyFact
from gochat.domain.record import Recorded, RoomRecord, Target
from gochat.domain.relationship import Relation
from gochat.domain.side_records import AnySideRecord

Place: TypeAlias = tuple[int, int]
"""Where an entry stands in its partition: term and n (cluster/ports.py, Position)."""
Piece: TypeAlias = tuple[Place, bytes]
"""An entry where it stands (cluster/ports.py, Element)."""


class RoomView(Protocol):
    """A room, as far as certification must know it."""

    @property
    def head(self) -> int: ...

    @property
    def ts(self) -> int: ...

    @property
    def guard(self) -> int:
        """The n of the last entry that raised it."""


class RoomState(NamedTuple):
    """The same as a value."""

    head: int = 0
    ts: int = 0
    guard: int = 0


NO_FACTS: Final = RoomState()


class Replica(Protocol):
    """A partition's state just before the entry that is certified: all entries before it are applied, none after.

    Nothing here may ask a clock, a setting, or anything that another partition's entries change.
    """

    def counter(self, instance: str, boot: str) -> int:
        """The greatest counter that was read of the producer; 0 where there was none in the last HORIZON entries."""

    def is_forgotten(self, instance: str) -> bool:
        """Whether the node was put out of the cluster for good."""

    def room(self, room: str) -> RoomView:
        """As it is now; it may change with the next entry. Like NO_FACTS where nothing has happened."""

    def recorded(self, room: str, sender: str, key: str) -> Recorded | None:
        """Where a key is recorded."""

    def target(self, room: str, seq: int) -> Target | None:
        """The message at a seq; None where there is none, or another fact."""

    def reacted(self, room: str, seq: int, user: str, emoji: str) -> bool:
        """Whether the user's last word on the message with this emoji was "on"."""

    def relation(self, room: str) -> Relation | None:
        """Of a private room, with the number of messages that wait."""


# ---------------------------------------------------------------------------------------------- what entries bring


class ReadUpTo(msgspec.Struct, frozen=True, gc=False):
    """The user has read the room up to a seq."""

    room: str
    user: str
    seq: int


class GotUpTo(msgspec.Struct, frozen=True, gc=False):
    """The room's facts have come to a device of the user's, up to a seq."""

    room: str
    user: str
    seq: int


class UserNoted(msgspec.Struct, frozen=True, gc=False):
    """The name that is shown for the user, and when the user was last seen; None: as before."""

    user: str
    name: str | None = None
    last_seen: int | None = None


class NodeIs(msgspec.Struct, frozen=True, gc=False):
    """A node counts when a partition is repaired ("here"), does so no more ("away"), or never will again
    ("forgotten"): nothing that it appends afterwards holds."""

    instance: str
    state: Literal["here", "away", "forgotten"]


class EpochIs(msgspec.Struct, frozen=True, gc=False):
    """The cluster's epoch from here on. Another one than before: the log may have lost something that was told, and
    clients start anew."""

    epoch: str
    before: str | None = None
    """It holds only where this was the cluster's epoch; None: where it had none."""


Noted: TypeAlias = ReadUpTo | GotUpTo | UserNoted
AnyNews: TypeAlias = AnySideRecord | Noted | NodeIs | EpochIs
"""All that an entry may bring beside facts."""


# ---------------------------------------------------------------------------------------------- the two sides


class Ruling(Protocol):
    """The verdict of certification on an entry, as far as the store goes. A value."""

    @property
    def producer(self) -> tuple[str, str, int] | None:
        """Instance, boot, counter; None where there is no entry, or it stands in the log before."""

    @property
    def stop(self) -> str | None:
        """Why neither this entry nor any after it can be recorded; None where they can."""

    @property
    def room(self) -> str:
        """The room of the facts and records; "" where it is about none."""

    @property
    def facts(self) -> Sequence[AnyFact]:
        """As they are recorded. Empty where nothing is, and so are the others."""

    @property
    def side_records(self) -> Sequence[AnySideRecord]: ...

    @property
    def noted(self) -> Sequence[Noted | NodeIs | EpochIs]: ...

    @property
    def hidden(self) -> Mapping[int, str]: ...

    @property
    def raises_guard(self) -> bool: ...


R = TypeVar("R", bound=Ruling)


class Certifier(Protocol[R]):
    """Says what entries mean. Called in the store's thread; pure."""

    def judge(self, data: bytes, n: int, partition: int, replica: Replica) -> R:
        """The meaning of the bytes at `n`, where `replica` holds all before."""

    def refused(self, ruling: R) -> R:
        """The same entry, where the database can take nothing of it: only a fault in gochat makes one."""

    def next_hash(self, before: bytes, data: bytes, ruling: R) -> bytes:
        """The hash of the partition's history with this entry."""

    def room_number(self, k: int, partition: int) -> int:
        """The number of the partition's room that is created as the `k`th, from 1."""

    def record_numbers(self, n: int, partition: int, count: int) -> Sequence[int]:
        """The ids of reports and audit entries that the entry at `n` brings."""


class Applied(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """An entry that is recorded, and what it came to be."""

    place: Place
    ruling: R
    room_pk: int
    """The room's number; 0 where there is no room."""
    hash: bytes
    """Of the partition's history up to here."""


class Cycle(NamedTuple, Generic[R]):
    """The entries that one transaction recorded and applied."""

    commit: int
    applied: Mapping[int, Sequence[Applied[R]]]
    """By partition, in order."""
    stopped: Mapping[int, str]
    """Partitions in which an entry could not be recorded, and why."""


class Answer(NamedTuple):
    """This node's latest answer to a repair of a partition."""

    server: str
    ballot: int
    """No term of an earlier ballot is this node's any more."""


class Followed(NamedTuple):
    """How far a database follows the log."""

    ends: Mapping[int, Place]
    """By partition the last place that is recorded and applied; those without any are left out."""
    hashes: Mapping[int, bytes]
    nodes: Mapping[int, Mapping[str, str]]
    """By partition the state of each node that was ever heard of: see NodeIs."""
    epoch: str | None
    """The cluster's, once the log has told it."""
    own_epoch: str
    """The database's own."""
    answers: Mapping[int, Answer]
    """By partition: see `keep_answers`."""


class ReplicaStore(Protocol):
    """The database of a node of a cluster: nothing is written to its logs but by `follow`. Calls raise StoreError."""

    async def followed(self) -> Followed:
        """How far the database follows the log now."""

    async def follow(self, certifier: Certifier[R], news: Mapping[int, Sequence[Piece]]) -> Cycle[R]:
        """Record entries that come right after the ends, by partition, and apply them: in one transaction, which
        survives power loss when this returns. Where it raised, the same may be asked again, whatever came of it."""

    async def keep_answers(self, answers: Mapping[int, Answer]) -> None:
        """Keep, by partition, the answers that this node is about to give in a repair, in place of those before. They
        survive power loss when this returns."""

    async def after(self, partition: int, place: Place | None, limit: int) -> list[Piece]:
        """The entries that are kept after a place, in order; with None, from the oldest of them. Ends before one that
        the disk has changed; raises Damaged where that is the first."""

    async def term_at(self, partition: int, n: int) -> int | None:
        """The term of the entry at `n`; None where that is not kept. Raises Damaged where the disk has changed it, or
        one that was read together with it."""

    async def trim(self, partition: int, before: int) -> int:
        """Let go of the entries before the `n`; the latest some thousands stay all the same, and so may some that were
        read together with one that stays. The `n` of the oldest that is kept; 0 where none is."""

    async def load(self, room: str, partition: int) -> tuple[RoomRecord | None, int]:
        """The room as its facts made it, None where it has none; and the n of the partition at that moment."""

    async def gone(self, room: str) -> frozenset[str]:
        """Those of a private room's users who were deleted."""
