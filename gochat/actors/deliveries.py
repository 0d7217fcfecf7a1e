"""What a room tells its listeners, on its way out: one stretch after the other, and a bound on how many."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import trio

from gochat.actors.flusher import Line
from gochat.actors.live import Live, Stretch
from gochat.actors.supervisor import Spec, Supervisor

#: Stretches of a room that are on their way out. What comes then waits and is the next batch, so that writers do not
#: run ahead of readers. With 2 of them messages of a busy community came a fifth later, with 32 no sooner.
MOST = 8
#: And so many bytes, or a little more: every listener's outbox holds them.
MOST_BYTES = 256 * 1024


class Deliveries:
    """`less` is called whenever there is one less, unless somebody awaits `catch_up`; `given_up` after one that crashed
    too often: whoever listens has to read the log up to `delivered`."""

    __slots__ = (
        "_bytes", "_caught_up", "_given_up", "_leaving", "_less", "_live", "_room", "_supervisor", "_waiting",
        "delivered",
    )  # fmt: skip

    def __init__(
        self, room: str, live: Live, supervisor: Supervisor, less: Callable[[], None], given_up: Callable[[], None]
    ) -> None:
        self._room = room
        self._live = live
        self._supervisor = supervisor
        self._less = less
        self._given_up = given_up
        self._waiting: deque[Stretch] = deque()
        self._leaving = 0
        """Stretches that were given, and still stand in line to leave."""
        self._bytes = 0
        """And their size."""
        self._caught_up: trio.Event | None = None
        """Set when there is one less; made by who waits for it."""
        self.delivered = -1
        """The last seq whose delivery has begun."""

    def __bool__(self) -> bool:
        return bool(self._waiting or self._leaving)

    @property
    def behind(self) -> bool:
        """Whether the next turn waits: what it recorded would only wait for what is delivered before, and with it the
        writers would run ahead of the readers without bound."""
        return len(self._waiting) + self._leaving >= MOST or self._bytes >= MOST_BYTES

    async def catch_up(self) -> None:
        """Return when it is not behind."""
        while self.behind:
            self._caught_up = trio.Event()
            await self._caught_up.wait()

    def add(self, stretch: Stretch) -> None:
        """Deliver it after those before it."""
        if not self._waiting and not self._live.is_large(self._room):
            self.delivered = stretch.last
            self._let_leave(stretch, self._live.deliver_now(stretch))
            return
        self._waiting.append(stretch)
        if len(self._waiting) == 1:
            self._supervisor.start(Spec(f"deliver {self._room}", self._deliver, "temporary", self._crashed))

    async def _deliver(self) -> None:
        while self._waiting:
            stretch = self._waiting[0]
            self.delivered = stretch.last
            self._let_leave(stretch, await self._live.deliver(stretch))
            self._waiting.popleft()

    def _let_leave(self, stretch: Stretch, line: Line) -> None:
        size = stretch.size
        self._leaving += 1
        self._bytes += size
        self._live.flusher.when_left(line, partial(self._has_left, size))

    def _has_left(self, size: int) -> None:
        self._leaving -= 1
        self._bytes -= size
        self._one_less()

    def _crashed(self) -> None:
        self.delivered = self._waiting[-1].last
        self._waiting.clear()
        self._given_up()
        self._one_less()

    def _one_less(self) -> None:
        if self._caught_up is not None:
            self._caught_up.set()
            self._caught_up = None
        else:
            self._less()
