"""A live session as rooms see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from gochat.actors.broadcaster import QueuedSession
from gochat.actors.fact_batch import FactBatch
from gochat.protocol.codec import Codec

V = TypeVar("V")


class Outgoing(Protocol):
    """A session's outbox, as rooms see it."""

    def try_send(self, data: bytes) -> bool:
        """Whole frames to the peer, or False: the outbox is full and nothing was taken."""


class Subscriber(QueuedSession, Protocol):
    """A live session, as rooms see it."""

    @property
    def outbox(self) -> Outgoing: ...

    codec: Codec
    device: str | None
    since: int
    """Number of the last transaction that its welcome holds."""
    user: str
    watching: tuple[str, ...]
    """The users whose presence it was told of."""
    catching_up: bool
    """Whether any room's facts need to be asked for with `takes`."""
    window: int
    """How many of its requests may be unsettled now; set by the user's actor."""

    def pump(self) -> None:
        """The window is larger now: carry out what waits, as far as may be."""

    def takes(self, fact_batch: FactBatch) -> bool:
        """Whether the facts are for this session now; if not, the session sees to it that it gets them in time."""

    def offer(self, data: bytes) -> bool:
        """Queue whole frames, to leave with the next `flush`. False: the outbox is full and nothing was taken."""

    def send_best_effort(self, data: bytes) -> None:
        """Send whole frames; they are dropped when the outbox is over half full."""

    def lag(self, room: str, head: int) -> None:
        """Facts of the room up to seq `head` were left out: tell the peer as soon as there is space. A session whose
        welcome is being read may be told of groups that it turns out not to hear."""

    def close(self, number: int, reason: str) -> None:
        """Close in order, with a number of errors.CLOSES."""

    def ended(self) -> None:
        """It is over: out of all tables."""

    def entered(self, fact_batch: FactBatch) -> None:
        """Its user is in the room from the first of these facts on."""

    def left(self, fact_batch: FactBatch) -> None:
        """Its user is no longer in the room after the last of these facts."""


def send_best_effort(sessions: Iterable[Subscriber], frame: msgspec.Struct) -> None:
    """An event that may be lost (typing, read, presence)."""
    encoded: dict[Codec, bytes] = {}
    for session in sessions:
        data = encoded.get(session.codec)
        if data is None:
            data = encoded[session.codec] = session.codec.encode(frame)
        session.send_best_effort(data)


def drop(table: dict[str, dict[Subscriber, V]], key: str, session: Subscriber) -> None:
    """Take a session out of a table, and the row with the last one."""
    row = table.get(key)
    if row is not None:
        row.pop(session, None)
        if not row:
            del table[key]
