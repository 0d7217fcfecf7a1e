"""A room's facts on their way out to its listeners: one batch after the other, and a bound on how many."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Protocol

from gochat.actors.broadcaster import SendQueue
from gochat.actors.fact_batch import FactBatch
from gochat.actors.live import Live
from gochat.actors.supervisor import Spec, Supervisor

#: Batches of a room that are on their way out. Commands that come then wait and are the next batch, so that writers
#: do not run ahead of readers. With 2 of them messages of a busy community came a fifth later, with 32 no sooner.
MOST = 8
#: And so many bytes, or a little more: every listener's outbox holds them.
MOST_BYTES = 256 * 1024
#: Facts of other nodes can't be held back. With so many batches waiting, listeners read them in the log.
MOST_WAITING = 4 * MOST


class DeliveringRoom(Protocol):
    """The room whose facts are delivered."""

    address: str
    delivered: int
    """The last seq whose delivery has begun."""
    held: bool
    """Whether the room takes no turn: what it recorded would only wait for what is delivered before, and with it the
    writers would run ahead of the readers without bound."""

    def release(self) -> None:
        """Take turns again."""

    def let_catch_up(self) -> None:
        """A delivery crashed too often: listeners have to read the log up to `delivered`."""


class Deliveries:
    """Those of one room, which is held while there are too many of them."""

    __slots__ = ("_bytes", "_leaving", "_live", "_room", "_supervisor", "_waiting")

    def __init__(self, room: DeliveringRoom, live: Live, supervisor: Supervisor) -> None:
        self._room = room
        self._live = live
        self._supervisor = supervisor
        self._waiting: deque[FactBatch] = deque()
        self._leaving = 0
        """Batches that were given, and still stand in line to leave."""
        self._bytes = 0
        """And their size."""

    def __bool__(self) -> bool:
        return bool(self._waiting or self._leaving)

    @property
    def over_limit(self) -> bool:
        return len(self._waiting) + self._leaving >= MOST or self._bytes >= MOST_BYTES

    def add(self, fact_batch: FactBatch) -> None:
        """Deliver it after those before it."""
        room = self._room
        if not self._waiting and not self._live.is_large(room.address):
            room.delivered = fact_batch.last
            self._let_leave(fact_batch, self._live.deliver_now(fact_batch))
        else:
            if len(self._waiting) >= MOST_WAITING:
                self._drop_waiting(fact_batch)
            self._waiting.append(fact_batch)
            if len(self._waiting) == 1:
                name = f"deliver {room.address}"
                self._supervisor.start(Spec(name, self._deliver, "temporary", self._crashed))
        if self.over_limit:
            room.held = True
        elif room.held:
            room.release()  # Most of what waited was dropped just now.

    async def _deliver(self) -> None:
        while self._waiting:
            fact_batch = self._waiting[0]
            # It may be behind: a batch that was kept when later ones were dropped.
            self._room.delivered = max(self._room.delivered, fact_batch.last)
            self._let_leave(fact_batch, await self._live.deliver(fact_batch))
            if self._room.delivered > fact_batch.last:
                self._lag_newcomers(fact_batch)
            self._waiting.popleft()
            if self.over_limit:
                self._room.held = True

    def _drop_waiting(self, latest: FactBatch) -> None:
        """All but the one under way, and but those by which users come or go, which is told to their sessions."""
        first, *others = self._waiting
        kept = [each for each in others if each.added or each.removed is None or each.removed]
        self._waiting = deque([first, *kept])
        self._room.delivered = latest.last
        self._room.let_catch_up()

    def _lag_newcomers(self, fact_batch: FactBatch) -> None:
        """Later batches were dropped, perhaps before these users came: their sessions have not been told."""
        for user in fact_batch.added:
            for session in self._live.users.get(user, ()):
                session.lag(self._room.address, self._room.delivered)

    def _let_leave(self, fact_batch: FactBatch, send_queue: SendQueue) -> None:
        size = fact_batch.size
        self._leaving += 1
        self._bytes += size
        self._live.broadcaster.on_drained(send_queue, partial(self._has_left, size))

    def _has_left(self, size: int) -> None:
        self._leaving -= 1
        self._bytes -= size
        self._release()

    def _crashed(self) -> None:
        self._room.delivered = self._waiting[-1].last
        self._waiting.clear()
        self._room.let_catch_up()
        self._release()

    def _release(self) -> None:
        if self._room.held and not self.over_limit:
            self._room.release()
