"""A wall clock that is set moves no deadline: a ban for an hour lasts an hour.

Ends of mutes, bans, suspensions and declines are kept as times of the wall clock, as they are shown and stored. When
that clock is found to have been set, those in memory are moved along with it. Times in the store stay as they are:
after a restart the stored time counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: The clocks may drift apart by so much, in milliseconds, before that is a jump: NTP slews what is less, or steps it.
JUMP_MS: Final = 1_000
#: Times kept that were made after a jump; past it the oldest are taken for ones from before.
MOST_MADE: Final = 10_000


class Jumps:
    """Compares the wall clock with a steady one whenever the time is asked for. One for a node."""

    __slots__ = ("_base", "_made", "_steady_ns", "_wall_ns", "offset")

    def __init__(self, wall_ns: Callable[[], int], steady_ns: Callable[[], int]) -> None:
        """Both in nanoseconds. `steady_ns` is moved by nobody; where it begins does not matter."""
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._base = (wall_ns() - steady_ns()) // 1_000_000
        self._made: dict[int, int] = {}
        """The offset when a time was made, if it was not 0."""
        self.offset = 0
        """By how much the wall clock has been set forward since the start, in milliseconds."""

    def now_ms(self) -> int:
        """The wall clock's time."""
        wall_ns = self._wall_ns()
        offset = (wall_ns - self._steady_ns()) // 1_000_000 - self._base
        if not -JUMP_MS < offset - self.offset < JUMP_MS:
            self.offset = offset
        return wall_ns // 1_000_000

    def steady_ms(self) -> int:
        """The steady clock's time, for what is measured and neither shown nor stored."""
        return self._steady_ns() // 1_000_000

    def note(self, *times: int | None) -> None:
        """These times stand on the wall clock as it is set now."""
        if not self.offset:
            return
        for time in times:
            if time is not None:
                self._made.pop(time, None)
                self._made[time] = self.offset
        while len(self._made) > MOST_MADE:
            del self._made[next(iter(self._made))]

    def moved(self, time: int) -> int:
        """Where a time that was stored stands on the wall clock as it is set now."""
        return time + self.offset - self._made.get(time, 0)
