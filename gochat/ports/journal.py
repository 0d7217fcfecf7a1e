"""The port of the journal, which records facts and tells what other nodes recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from gochat.domain.facts import AnyFact
from gochat.domain.record import Recorded, RoomRecord
from gochat.domain.side_records import AnySideRecord, AnyStanding
from gochat.errors import StoreError


class Committed(msgspec.Struct, frozen=True, gc=False):
    """A batch is durable: it survives power loss."""

    commit: int
    """Number of the transaction; later transactions have greater numbers. A welcome read at `commit` n holds
    every fact of transactions up to n and none of a later one."""
    facts: Sequence[AnyFact] = ()
    """The facts as they are recorded, in their order. A journal that alone decides hands back the very objects that it
    was given. In a cluster facts of other nodes may have come first: then these have other seqs and times than those
    that were decided, and whoever decided them takes these."""
    room_pk: int = 0
    """The room's number, where the record that was appended to has none yet."""
    side_records: Sequence[AnySideRecord] = ()
    """The side records as they are recorded, where the facts are not those that were given."""


class DuplicateKeys(msgspec.Struct, frozen=True):
    """Nothing of the batch was recorded: these (sender, key) are recorded already. Answer those with what is recorded,
    and decide the rest again."""

    found: dict[tuple[str, str], Recorded]


class Overtaken(msgspec.Struct, frozen=True):
    """Nothing of the batch was recorded: the room is not what it was when the batch was decided, since another node's
    facts came first. They were told by now (`Journal.listen`): decide all of it again; it may be refused. A journal
    that alone decides never says so."""


AppendResult: TypeAlias = Committed | DuplicateKeys | Overtaken | StoreError
"""The outcome of a batch. A StoreError: nothing of it is recorded, or with `unknown` it may be."""
OnRecorded: TypeAlias = Callable[[AppendResult], None]
"""Is told the outcome of a batch, in the loop's own thread. An exception from it is logged and goes no further."""


class ForeignBatch(msgspec.Struct, frozen=True, gc=False):
    """A batch of one room that another node decided, and that is durable here by now."""

    room: str
    commit: int
    """The number of this node's own transaction, as in Committed."""
    facts: Sequence[AnyFact]
    """As they are recorded. May be empty, and so may be the others."""
    side_records: Sequence[AnySideRecord] = ()
    hidden: Mapping[int, str] = {}
    """Seqs of facts of a private room that the named one of its two users does not hear."""
    room_pk: int = 0
    """The room's number."""
    raises_guard: bool = True
    """Whether it changes what decisions read: members, roles, settings, sanctions, a relation."""


OnStanding: TypeAlias = Callable[[AnyStanding], None]
"""Is told of a suspension, its end, or a revocation, in the loop's own thread."""
OnForeign: TypeAlias = Callable[[ForeignBatch], bool | None]
"""Is told a batch, in the loop's own thread. True: somebody here may hear of it, and the next ones are read at once. An
exception from it is logged and goes no further."""


class Journal(Protocol):
    """The write side of the store. Everything of one `append` is recorded in one transaction or not at all."""

    @property
    def problem(self) -> str | None:
        """Why the last commit failed; None when it did not."""

    @property
    def behind(self) -> str | None:
        """Why what is read here may be long out of date: nobody is to be signed in, no request of REST carried out, and
        nothing is appended; None where it is not. A journal that alone decides is never behind."""

    @property
    def epoch(self) -> str:
        """Names the log of every room in this store; changes only when the log was rolled back."""

    async def load(self, room: str) -> RoomRecord:
        """The room as its facts made it; with `head` 0 if it has none. Batches of other nodes that it holds have been
        told (`listen`) when this returns. Raises StoreError."""

    def listen(self, heard: OnForeign) -> None:
        """Have `heard` called once for each batch that another node decided, as soon as it is durable here. Calls for
        one room come in the order in which its batches were recorded, and `done` of this node's own batches has its
        place in that order. To be called once, before the first `load`. A journal that alone decides has nothing to
        tell."""

    def enforce(self, stood: OnStanding) -> None:
        """Have `stood` called for each suspension and revocation, of this node's and of others, as soon as it is
        durable here and before `append_side_records` returns: in the order in which they are recorded, so that the
        last one holds. To be called once."""

    def coming(self, room: str) -> bool:
        """Whether batches of other nodes may be durable here that are still to be told: then whoever reads the room up
        to its head is told facts again that were read."""

    async def barrier(self, rooms: Collection[str] | None = None) -> None:
        """Return when everything is recorded here and told that any node had acknowledged in these rooms (None: in
        all) before the call, so that whoever was acknowledged elsewhere finds it here. At once, where the journal alone
        decides. Raises NotCurrent where something is known to be acknowledged and is not here yet, and StoreError
        where that can't be found out now."""

    def append(
        self,
        record: RoomRecord,
        facts: Sequence[AnyFact],
        side_records: Sequence[AnySideRecord],
        done: OnRecorded,
        hidden: Mapping[int, str] = {},
        expected: Mapping[int, int] = {},
    ) -> None:
        """Record `facts`, whose seqs follow the room's head without a gap, and everything that is derived from them:
        memberships, heads, read positions of senders, reactions, present bodies; and the `side_records`, whose relation
        changes follow those of the relation without a gap. Either may be empty. `record` names the room and its
        `room_pk`, and is not changed. `hidden` and `expected` are for other nodes (cluster/entry.py): seqs of facts
        that one of the two users of a private room does not hear; and conditions, the seq of an edit or a deletion with
        that of the fact that must have given its message the present body.

        The call never waits. `done` is called once, in the loop's thread and never before `append` has returned: with
        Committed, when everything is durable; with DuplicateKeys or Overtaken, when nothing is recorded and the
        caller decides again; or with a StoreError, when nothing is recorded or, if its `unknown` is set, may be, and
        the caller loads the room again. Many rooms' batches share one transaction (group commit).

        Raises StoreError when the store is closing or the journal is behind, and Full when too many batches wait: then
        nothing is recorded, `done` is never called, and the room goes on with what it knows.
        """

    async def append_side_records(self, side_records: Sequence[AnySideRecord], *, room: str = "") -> None:
        """Record what no room's turn decides: reports that are closed, suspensions and revocations, the audit log. All
        of them are durable when it returns, or none is. `room` names the room that they are about, so that they are
        ordered with its facts; "" where they are about the site. Raises StoreError: nothing is recorded, or with
        `unknown` it may be. Raises Full when too many batches wait: nothing is recorded."""

    def note_read(self, record: RoomRecord, user: str, seq: int) -> None:
        """Raise the user's read position to `seq`, durable within 1 s. Never waits; keeps the maximum."""

    def note_got(self, record: RoomRecord, user: str, seq: int) -> None:
        """The room's facts have come to a device of the user's, up to `seq`. Otherwise as `note_read`."""

    def note_user(self, user: str, *, name: str | None = None, last_seen: int | None = None) -> None:
        """Keep the user's shown name or the time last seen, durable within 1 s. Never waits."""

    async def flush_notes(self) -> None:
        """Return when everything noted before the call is durable; else as `flush_positions`."""

    async def flush_positions(self) -> None:
        """Return when the positions noted before the call, read and got, are durable, so that a reading shows them. If
        the commit that should take them fails, they wait for the next, and this returns all the same."""
