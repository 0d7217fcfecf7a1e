"""An outbox without a socket: frames wait until the peer's side takes them.

It keeps what `connections.Outbox` promises. A peer that takes nothing is what a full kernel buffer is to a socket: what
waits counts among what waits for slow readers, and is bounded as theirs is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from gochat.transports.outbox import WaitingBytes


class PulledOutbox:
    """A connections.Outbox. Chunks are whole frames, of which one may hold several."""

    __slots__ = (
        "_arrived",
        "_chunks",
        "_on_blocked",
        "_on_space",
        "_waiting",
        "broken",
        "closed",
        "limit",
        "progress_at",
        "size",
    )

    def __init__(self, limit: int, waiting: WaitingBytes | None = None) -> None:
        """`waiting` is shared by all outboxes of a node."""
        self.limit = limit
        self.size = 0
        self.broken = False
        self.closed = False
        """Whether nothing more is taken in; what waits may still be taken."""
        self.progress_at = 0.0
        self._chunks: deque[bytes] = deque()
        self._waiting = waiting or WaitingBytes()
        self._arrived: trio.Event | None = None
        self._on_space: Callable[[], None] | None = None
        self._on_blocked: Callable[[], None] | None = None

    @property
    def writing(self) -> bool:
        return self.size > 0

    @property
    def crowded(self) -> bool:
        return self.size * 2 > self.limit

    def when_space(self, callback: Callable[[], None] | None) -> None:
        self._on_space = callback

    def when_blocked(self, callback: Callable[[], None] | None) -> None:
        self._on_blocked = callback

    def try_send(self, data: bytes) -> bool:
        if not self.offer(data):
            return False
        self.flush()
        return True

    def offer(self, data: bytes) -> bool:
        if self.size and self.size + len(data) > self.limit:
            return False
        self.put(data)
        return True

    def put(self, data: bytes) -> None:
        if not self.broken and not self.closed:
            self._chunks.append(data)
            self._grew(len(data))

    def reply(self, data: bytes) -> None:
        self.put(data)

    def flush(self) -> None:
        """Wake the taker: what waits may be taken from now on."""
        if self._arrived is not None and self.size:
            self._wake()

    def discard(self) -> None:
        """The peer is gone: what waits is dropped, and nothing that is sent later is kept."""
        if self.broken:
            return
        self.broken = True
        self._chunks.clear()
        self._waiting.add(-self.size)
        self.size = 0
        self.close()
        if self._on_space is not None:
            self._on_space()

    def close(self) -> None:
        """Nothing more comes."""
        self.closed = True
        self._wake()

    async def wait(self) -> None:
        """Return when there is something to take, or nothing will come any more. For one task at a time."""
        if not self.size and not self.closed:
            self._arrived = trio.Event()
            await self._arrived.wait()

    def take(self) -> bytes:
        """All that waits, in order."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._shrank(len(data))
        return data

    def _grew(self, count: int) -> None:
        before = self.size
        self.size += count
        self._waiting.add(count)
        if not before:
            self.progress_at = trio.current_time()
            if self._on_blocked is not None:
                self._on_blocked()

    def _shrank(self, count: int) -> None:
        self.size -= count
        self._waiting.add(-count)
        self.progress_at = trio.current_time()
        if self._on_space is not None and self.size * 2 <= self.limit:
            self._on_space()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None
