"""A session's place in the rooms where it does not simply hear what happens: still reading the log, or lagging.

A room is *apart* while its facts must not be given to the session as they come. A place says what the session will do
instead, so that it gets each fact once: it reads the log up to what the room has begun to deliver, and is then live.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

#: Facts of one room that are replayed at most, and of all rooms in one `hello` (protocol.md, "resume").
REPLAY_ROOM, REPLAY_ALL = 500, 5000


class Lagging(msgspec.Struct, gc=False):
    """Facts were left out. Nothing comes until the client resumes."""

    told: bool = False
    until: int | None = None
    """Where the user's time in the room ended: the head that is told."""


class Replaying(msgspec.Struct, gc=False):
    """The log is being read to the peer; `after` is the last seq that went out."""

    after: int
    until: int | None = None
    """Where the user's time in the room ended: the last fact to be told."""


class From(msgspec.Struct, gc=False):
    """Live, but a delivery that is still under way may bring facts below `seq`, which went out already."""

    seq: int


Place: TypeAlias = Lagging | Replaying | From


class Notice(NamedTuple):
    """What happened to the session's user while its welcome was being read. Told afterwards, if it is news by then."""

    kind: str
    """"facts" (of a DM), "entered" or "left" (a group)."""
    room: str
    seq: int
    commit: int


def place_after(head: int, seq: int, budget: int, until: int | None = None) -> Replaying | Lagging:
    """How a client that holds `seq` of a room comes up to `head`; `until` is that where the user's time there ended."""
    missing = head - seq
    return Replaying(seq, until) if missing <= min(REPLAY_ROOM, budget) else Lagging(until=until)
