"""The two things that a cluster's nodes share, and their promises in words: a log that orders, a bulletin that tells.

Each has two implementations, on Redis or Valkey (`redis_log.py`, `redis_bulletin.py`) and in memory with faults as data
(`memory.py`), which pass the same suites in tests/contracts/.

A call that raises ServerAway, and an append that ends in "unknown", say nothing about what was asked: it may have been
done, it may not, and it may still be done later, by bytes that lie in a dead connection's buffers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from gochat.errors import GochatError

#: Partitions of a cluster's log. Fixed when a cluster is made: a room stays in its partition.
PARTITIONS: Final = 16
#: Bounds of one batch that is appended or put back.
MOST_ENTRIES: Final = 64
MOST_BYTES: Final = 1 << 20
#: No position has greater numbers: the nodes' databases end at twice as much.
MOST_NUMBER: Final = 1 << 62
#: Terms count in steps of so much, and the rest of each is random: two servers that were both sealed after the same
#: term, as happens when the first of them is lost and comes back, have different terms all the same.
TERM_STEP: Final = 1_000_000
#: A repair begins the term of a ballot that is at most so many after the one of the log's last term: one more for each
#: time that a node has answered another server since.
LEAP: Final = 10_000


class ServerAway(GochatError):
    """The server did not answer in time, or answered with an error, whichever it was. The connection is dropped; the
    next call makes another one. The caller looks at the fences and asks again."""


class Refused(ServerAway):
    """The server answered that it takes no writes now, whatever they are: it has no memory left, can't write to its
    disk, or lacks replicas. Nothing was done. The text says which it is, and the way out."""


class Unreadable(ServerAway):
    """The server answered with something that no node has written, as it will do again until somebody sees to it."""


class Position(NamedTuple):
    """The place of an entry in its partition. Of two positions the later one is the greater one."""

    term: int
    """Grows with each repair; see TERM_STEP."""
    n: int
    """1, 2, 3, ... without a gap, through all terms."""


#: Before the first entry of a partition.
START: Final = Position(0, 0)


class Element(NamedTuple):
    """An entry where it stands. Without `data` it is the marker that a term begins with."""

    position: Position
    data: bytes


class Fence(NamedTuple):
    """Says who may append to a partition: nodes that know its term, to the server that it was sealed on."""

    server: str
    """The server's replication id: another one once it was demoted, even if it is promoted again."""
    term: int


class Fences(NamedTuple):
    """The servers that answer, and the fences that they hold. A partition is in order where its fence names the very
    server that answers for it."""

    servers: Mapping[int, str]
    """Of each partition that was asked for. With a plain server all are the same; in a Redis Cluster each is the
    primary of the partition's slot."""
    by_partition: Mapping[int, Fence]
    """Partitions without a fence, or without entries, are left out: the server has lost them, or never had any."""


class Batch(NamedTuple):
    """Entries for one partition, under the term of its fence."""

    partition: int
    term: int
    entries: Sequence[bytes]
    """At most MOST_ENTRIES of MOST_BYTES together; none is empty."""


Refusal: TypeAlias = Literal["fenced", "lost", "unknown"]
"""Why a batch was not appended. "fenced": its term is not that of the fence, or the fence is another server's. "lost":
the partition's entries are gone; so is its fence now. "unknown": see the module."""
PutBack: TypeAlias = Literal["done", "sealed", "other", "not_next"]
"""The outcome of putting entries back. "sealed": the partition has been repaired meanwhile. "other": the server is not
the one that was meant. "not_next": they do not follow the last entry there."""
Unsealed: TypeAlias = Literal["other", "wait", "short", "moved"]
"""Why a partition was not sealed. "wait": too few nodes have answered. "short": one of the answers is longer than the
log, or the log has a term of the ballot already. "moved": the log's end is not the one that was meant."""


class Log(Protocol):
    """Partitions whose entries are in the same order for everybody. It orders, and forgets: nodes keep what they read,
    and put it back where the server has lost it.

    Calls may be made at once from several tasks. One task at a time appends, and one reads. A call that is cancelled
    may be carried out all the same. Where nothing else is said, calls raise ServerAway.
    """

    @property
    def reasons(self) -> Mapping[int, str]:
        """By partition, why its latest batch ended in "unknown", where it did."""

    async def create(self, partition: int) -> Fence | None:
        """Begin a partition with the marker of its first term, at n = 1. None: it has entries or a fence already, and
        stays as it is."""

    async def append(self, batches: Sequence[Batch]) -> list[Position | Refusal]:
        """For each batch the position of its last entry; the others stand right before it. Several batches travel
        together, each of another partition. Never raises ServerAway: all that is not known is "unknown".

        Raises ValueError where a batch is empty or over its bounds; then nothing was sent."""

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        """When this has returned, no call about one of these partitions is answered by another server than the one
        named for it any more, by whichever connection: it raises ServerAway instead. Replaces what an earlier call
        asked for. None: any server may answer again. Calls about other partitions that are under way may raise
        ServerAway as well."""

    async def read(self, after: Mapping[int, Position], limit: int, *, wait: bool = True) -> dict[int, list[Element]]:
        """Wait until there is something after one of the positions, for some seconds at most. By partition what comes
        after its position, in order; empty where nothing came. At most `limit` elements each, and none after the one
        with which they have MOST_BYTES together; there may be fewer than the log has. Without `wait` it returns at
        once, and may be called while another reading waits.

        Elements that were trimmed are left out: the first one's n tells of the gap. Where partitions have several
        servers, a reading that waits may leave to the next one what another of them has already."""

    @property
    def leaves_more(self) -> bool:
        """Whether a bound, in elements or bytes, may have kept the latest reading that waited, or one before it, from
        bringing all that the log had."""

    async def ends(self, partitions: Collection[int]) -> dict[int, Position]:
        """The last position of each partition that has entries. Everything that was acknowledged to anybody before the
        call stands at or before it, as long as the fences are in order."""

    async def begins(self, partitions: Collection[int]) -> dict[int, Position]:
        """The first position that is kept of each partition that has entries."""

    async def fences(self, partitions: Collection[int]) -> Fences:
        """The fences as they are now."""

    async def fenced_ends(self, partitions: Collection[int]) -> tuple[Fences, dict[int, Position], Fences]:
        """The fences, then the ends, then the fences again, each as of a moment of its own."""

    async def put_back(
        self, partition: int, server: str, previous: Position | None, elements: Sequence[Element]
    ) -> PutBack:
        """Give history back to a server that has lost it, at the positions that it had. `previous`: the last position
        there, None where there is none. All of the elements are put back, or none is.

        Raises ValueError where the elements have gaps among them, do not follow `previous`, or are over the bounds of
        a batch."""

    async def offer(self, partition: int, server: str, instance: str, end: Position, ballot: int) -> int:
        """Answer a repair: the node has recorded the partition up to `end`, all of that stands on this server, and the
        node takes part in no ballot before this one any more, on whatever server. Counts for OFFER_LIFE_S by the
        server's clock. Returns the highest ballot that any node has offered here; answers in lower ones do not count.
        0: the server is not the one that is meant."""

    async def withdraw(self, partition: int, server: str, instance: str) -> None:
        """Take an answer back. Once this has returned it does not count."""

    async def seal(
        self,
        partition: int,
        server: str,
        need: int,
        counting: Collection[str] | None = None,
        end: Position | None = None,
    ) -> Fence | Unsealed:
        """End a repair: begin the term of the ballot with its marker, and set the fence, if `need` of the answers
        count, and nothing that was ever offered is missing. Answers of the instances in `counting` count, with None
        those of all. `end`: where the log ended when the caller saw who counts; None: wherever it does. A partition
        that is sealed on this server already keeps its fence, which is returned."""

    async def end_term(self, partition: int, fence: Fence) -> bool:
        """Take the fence away: nothing more is appended before the partition is repaired, which every node notices.
        False: it is not this server's fence, or no longer."""

    async def drop(self, partition: int, server: str, end: Position) -> bool:
        """Delete the whole log of a partition that is not in order, and ends with an entry which is nobody's: the nodes
        put back what they have. False, and nothing is done, where the server is another one, the partition is sealed or
        its end is elsewhere by now."""

    async def trim(self, partition: int, before: Position, keep: int, cap: int) -> int:
        """Drop entries before a position that every node has recorded, but keep at least the last `keep`, and drop
        whatever is over `cap`. How many were dropped. Works on a server that is full. At least one entry stays."""


#: How long the answer to a repair counts.
OFFER_LIFE_S: Final = 3.0


class Member(NamedTuple):
    """A node's latest sign of life."""

    instance: str
    """Names the node's folder, for life."""
    boot: str
    """Names one start of it."""
    age_ms: int
    """Since the beat, by the server's clock; or until it, where that clock was put back."""
    info: bytes
    """All that the node tells of itself."""


class Subscription(Protocol):
    """The messages of some channels, from when the subscription was made until it breaks."""

    async def receive(self) -> list[tuple[str, bytes]]:
        """Wait for messages: channel and content of all that have come, in their order. Raises ServerAway once the
        subscription is broken, as it is after a waiting that was cancelled: messages may have been missed, and no more
        will come. The caller subscribes anew, and then looks at the things that the messages tell of."""


class Bulletin(Protocol):
    """News of the cluster that need no order and may be lost. Calls raise ServerAway."""

    @property
    def server(self) -> str | None:
        """The server that answered `members` last, by the id that fences name; None before. Where another one answers
        than the last time, subscriptions break: they may be at the other server still."""

    def renew(self) -> None:
        """Have all connections made anew, to the server that is named now. Calls that are under way may raise
        ServerAway, and subscriptions break."""

    async def beat(self, instance: str, boot: str, info: bytes, *, take: bool = False) -> bool:
        """Tell that the node lives. False: the place is another boot's, which this one must not disturb. With `take` a
        boot that has not beaten for BEAT_LIFE_S is replaced. The other boot may be an earlier one of this very node:
        a server that went back to older data tells of it. A place that the server has lost belongs to the first that
        beats. Neither name has a space in it."""

    async def members(self) -> list[Member]:
        """All nodes that have beaten and not left, by instance, whatever the age of their beats."""

    async def leave(self, instance: str, boot: str) -> None:
        """The node stops. Does nothing where the place is another boot's."""

    async def hold(self, name: str, holder: str, life_s: float) -> bool:
        """Take a lease, or keep it: for so long from now, by the server's clock, nobody else has it. False: somebody
        else has it. A server that has lost its data, or took another's place without the latest of it, may give the
        lease to a second holder while the first goes on: whatever is done under one must bear being done twice."""

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back. Does nothing where it is not this holder's."""

    async def now(self) -> int:
        """The server's clock, Unix time in milliseconds."""

    async def publish(self, channel: str, message: bytes) -> None:
        """Tell all who have subscribed to the channel, on any node."""

    def subscribe(self, channels: Sequence[str]) -> AbstractAsyncContextManager[Subscription]:
        """Hear of what is published to any of these channels after the block was entered."""


#: After how long without a beat a node counts as gone.
BEAT_LIFE_S: Final = 2.0


def keeps_to(servers: Mapping[int, str] | None, server: str) -> bool:
    """Whether one server that holds all partitions may answer: see Log.keep_to."""
    return not servers or all(only == server for only in servers.values())


def check_batch(entries: Sequence[bytes]) -> None:
    """Raises ValueError where a batch may not be appended."""
    if not entries or not all(entries):
        raise ValueError("a batch has entries, and none of them is empty")
    _check_bounds(len(entries), sum(map(len, entries)))


def check_put_back(previous: Position | None, elements: Sequence[Element]) -> None:
    """Raises ValueError where elements may not be put back together."""
    if not elements:
        raise ValueError("nothing is to be put back")
    before = previous
    for element in elements:
        if before is not None and (element.position.n != before.n + 1 or element.position.term < before.term):
            raise ValueError(f"{element.position} does not follow {before}")
        before = element.position
    _check_bounds(len(elements), sum(len(element.data) for element in elements))


def _check_bounds(entries: int, size: int) -> None:
    if entries > MOST_ENTRIES or size > MOST_BYTES:
        raise ValueError(f"{entries} entries of {size} bytes: at most {MOST_ENTRIES} of {MOST_BYTES}")


def ballot_of(term: int) -> int:
    """The ballot in which a term was begun: what the term counts beside its chance."""
    return term // TERM_STEP


def term_of(ballot: int, salt: int) -> int:
    """The term that a ballot begins; `salt` is random, from 0 up to below TERM_STEP."""
    return ballot * TERM_STEP + salt
