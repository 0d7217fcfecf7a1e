"""The faults of a server in memory, as data: a test or a simulation draws them, keeps them, and plays them again.

Each is something that Redis, the network between, or an operator was seen to do.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`node` is the one that it strikes, None all of them."""

    node: str | None = None


class ReplyLost(Fault, frozen=True, kw_only=True):
    """The next calls are carried out, and their callers never hear of it."""

    calls: int = 1


class Late(Fault, frozen=True, kw_only=True):
    """The next calls are carried out after `delay_s`, long after their callers gave them up: bytes of a connection
    that is dead for one side alone."""

    calls: int = 1
    delay_s: float = 3.0


class RequestLost(Fault, frozen=True, kw_only=True):
    """The next calls never reach the server."""

    calls: int = 1


class Unreachable(Fault, frozen=True, kw_only=True):
    """No call reaches the server, until Mended."""


class Mended(Fault, frozen=True, kw_only=True):
    """Ends Unreachable."""


class Slow(Fault, frozen=True, kw_only=True):
    """Every call takes `delay_s` from now on; 0 ends it."""

    delay_s: float = 0.0


class Full(Fault, frozen=True, kw_only=True):
    """The server has no memory left, or has some again: whatever would need some is refused."""

    on: bool = True


class TailLost(Fault, frozen=True, kw_only=True):
    """The primary dies. Its replica, which lacks the last entries of each partition, takes its place. With none
    missing it is a failover in order."""

    entries: int = 1


class EverythingLost(Fault, frozen=True, kw_only=True):
    """The data is gone. `restarted`: with the process, so that connections break and the server has a new id. Without,
    somebody gave FLUSHALL: the id stays, and connections notice nothing."""

    restarted: bool = False


class Dumped(Fault, frozen=True, kw_only=True):
    """The server writes what it has to its disk."""


class Restored(Fault, frozen=True, kw_only=True):
    """The server is restarted with what the last Dumped wrote, however long ago; without one, with nothing."""


class StreamLost(Fault, frozen=True, kw_only=True):
    """One partition's entries were deleted, or evicted."""

    partition: int


class TwoPrimaries(Fault, frozen=True, kw_only=True):
    """As TailLost, but the old primary lives on: nodes that are connected to it stay there until a call of theirs
    fails."""

    entries: int = 1


class Flipped(Fault, frozen=True, kw_only=True):
    """The sentinels name an old primary again, the oldest that lives; the new one lives on too."""


class OldGone(Fault, frozen=True, kw_only=True):
    """Primaries that lived on after a failover die."""


class Promoted(Fault, frozen=True, kw_only=True):
    """The primary was demoted, took over another's data, which lacks the last entries of each partition, and was
    promoted again, all under living connections: the same process with another id."""

    entries: int = 0


class Unsubscribed(Fault, frozen=True, kw_only=True):
    """Subscriptions break, as those of readers that are too slow do."""


class ClockSet(Fault, frozen=True, kw_only=True):
    """The server's clock is set: so far ahead of what it would be."""

    ahead_ms: int = 0


AnyFault: TypeAlias = (
    ReplyLost
    | Late
    | RequestLost
    | Unreachable
    | Mended
    | Slow
    | Full
    | TailLost
    | EverythingLost
    | Dumped
    | Restored
    | StreamLost
    | TwoPrimaries
    | Flipped
    | OldGone
    | Promoted
    | Unsubscribed
    | ClockSet
)
