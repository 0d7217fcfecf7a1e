"""Numbers that the processes of a load share: written by one, read by all. On Linux they also share the clock."""

from __future__ import annotations

import mmap


def shared(count: int) -> memoryview:
    """So many 64-bit integers, all 0, shared with the processes that are forked afterwards. One writer each."""
    return memoryview(mmap.mmap(-1, 8 * max(1, count))).cast("q")


class Board:
    """News from the process with the sender to the processes that only listen."""

    _RING = 1 << 20

    def __init__(self) -> None:
        self._numbers = shared(2)
        self._times = shared(self._RING)

    def time(self, number: int) -> int:
        """For when the message was planned."""
        return self._times[number % self._RING]

    def plan(self, number: int, at: int) -> None:
        self._times[number % self._RING] = at

    def finish(self, stretch: int, sent: int) -> None:
        """Nothing more is sent in this stretch; so many messages were sent in all."""
        self._numbers[1] = sent
        self._numbers[0] = stretch

    def finished(self, stretch: int) -> int | None:
        """How many messages were sent in all, once the stretch has ended."""
        return self._numbers[1] if self._numbers[0] >= stretch else None
