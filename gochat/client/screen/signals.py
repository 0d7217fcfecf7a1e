"""A wake-up for several tasks that loses none: each says which one it has seen."""

from __future__ import annotations

import trio


class Signal:
    def __init__(self) -> None:
        self._count = 0
        self._event = trio.Event()

    def set(self) -> None:
        self._count += 1
        self._event.set()
        self._event = trio.Event()

    async def wait(self, seen: int) -> int:
        """Return at once if it was set since `seen`, else when it is; the number to wait with next. -1 has seen
        none."""
        if seen < 0:
            return self._count
        while self._count == seen:
            await self._event.wait()
        return self._count
