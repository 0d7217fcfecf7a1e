"""One task that sends out the facts that large rooms have queued for their listeners.

A send costs the kernel some 20 us, whatever it holds. Were each room to send by itself, a user of five busy rooms would
cost five sends where one holds it all. So a large room only queues; a session that has something queued stands here in
line, once, and everything that comes until its turn leaves with it. The busier the node, the more a send holds.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import trio

log = logging.getLogger(__name__)


class QueuedSession(Protocol):
    """A session that was offered something."""

    user: str
    send_queue: SendQueue | None
    """Where it stands in line."""

    def flush(self) -> None:
        """Send what is queued, as far as the kernel takes it."""

    def abort(self) -> None:
        """End the session at once: its state can't be trusted."""


class SendQueue:
    """Sessions in the order they came, each once."""

    __slots__ = ("_marks", "_served", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[QueuedSession] = deque()
        self._served = 0
        self._marks: deque[tuple[int, Callable[[], None]]] = deque()

    def add(self, session: QueuedSession) -> None:
        """Let it leave after all who stand here."""
        session.send_queue = self
        self.waiting.append(session)

    def on_drained(self, callback: Callable[[], None]) -> None:
        """Call it once all who stand here now have been served."""
        if self.waiting:
            self._marks.append((self._served + len(self.waiting), callback))
        else:
            callback()

    def serve(self, most: int) -> None:
        waiting = self.waiting
        for _ in range(min(most, len(waiting))):
            session = waiting.popleft()
            self._served += 1
            if session.send_queue is not self:
                continue  # It went over to the other line.
            session.send_queue = None
            try:
                session.flush()
            except Exception:
                # One session's fault must not keep what the others wait for.
                log.exception("what was queued for %s could not be sent", session.user)
                session.abort()
        while self._marks and self._marks[0][0] <= self._served:
            _, callback = self._marks.popleft()
            callback()


class Broadcaster:
    """Two lines: one for facts that a few hundred hear, and one for facts that thousands hear, which take long and
    which others shall not wait for. Each is served a slice at a time.

    `run` must be running. A session that sends sooner for another reason, an ack say, takes all that is queued along;
    its place in line is then for the bytes that come next."""

    def __init__(self, slice_: int) -> None:
        """`slice_`: sends between two checkpoints."""
        self._slice = slice_
        self.short = SendQueue()
        self.long = SendQueue()
        self._work = trio.Event()

    def wake(self) -> None:
        """Somebody stands in line."""
        self._work.set()

    def on_drained(self, send_queue: SendQueue, callback: Callable[[], None]) -> None:
        """Call it once all sessions in the queue have been served: those of the short one were left there."""
        if send_queue is self.long:
            send_queue.on_drained(partial(self.short.on_drained, callback))
        else:
            send_queue.on_drained(callback)

    async def run(self) -> None:
        short, long = self.short, self.long
        while True:
            if short.waiting or long.waiting:
                await trio.lowlevel.checkpoint()
            else:
                self._work = trio.Event()
                await self._work.wait()
            short.serve(self._slice)
            long.serve(self._slice)
