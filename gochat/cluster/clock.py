"""Finds a clock that is wrong: nodes compare theirs with the server's, and with those that other nodes' beats tell.

A node whose clock differs would date messages wrongly, and end mutes and tokens too early or too late. The server's
clock is one among the others: where all nodes differ from it alike, it is the server's that is wrong, and they go on.

That is found out some seconds late. A clock that was set forward would have dated messages by then, and a room's times
never go back. So a node also compares its clock with a steady one whenever it is about to date anything, and dates
nothing after a leap until the others have been asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from typing import Final

import trio

from gochat.cluster.ports import Bulletin

#: A node whose clock is further off does not serve.
MOST_OFF_MS: Final = 5_000
#: How long a node must find its clock off before it stops serving. When the server's clock is set, nodes that have
#: looked and nodes that have not differ for a moment: until each has beaten twice.
PATIENCE_S: Final = 2.0
#: An answer that took longer says too little.
_SLOW_MS: Final = 1_000


class Clock:
    """This node's clock, as compared with the server's."""

    def __init__(self, bulletin: Bulletin, now_ms: Callable[[], int]) -> None:
        self._bulletin = bulletin
        self._now_ms = now_ms
        self.ahead_ms = 0
        """How far it is ahead of the server's, as of the last look."""
        self._looked: float | None = None
        """How far it was ahead of the steady clock then, in milliseconds."""
        self._trusted: float | None = None
        """The same as of the last look after which nobody found it wrong."""
        self._off_ms = 0
        """How far it was ahead of most others, where that was too far for PATIENCE_S, and by a later look too."""
        self._looks = 0
        self._found_off: tuple[int, float] | None = None
        """The look by which it was first found too far off, as it still is, and when that was, on trio's clock."""

    @property
    def has_looked(self) -> bool:
        """Whether anything is known of it."""
        return self._looked is not None

    async def look(self) -> bool:
        """Whether the answer came soon enough to tell anything. Raises ServerAway."""
        before = self._now_ms()
        server = await self._bulletin.now()
        after = self._now_ms()
        if not 0 <= after - before <= _SLOW_MS:
            return False
        self.ahead_ms = (before + after) // 2 - server
        self._looks += 1
        self._looked = self._ahead_of_steady_ms()
        return True

    def trust(self) -> None:
        """The clock is right, as it was at the last look."""
        self._trusted = self._looked

    def leap(self) -> str | None:
        """Why nothing is to be dated now, where the clock has been set forward since it was last found to be right.
        A clock that was set back does no harm before that is found: no time in a room is before the last one."""
        if self._trusted is None:
            return None
        by_ms = self._ahead_of_steady_ms() - self._trusted
        if by_ms <= MOST_OFF_MS:
            return None
        return f"this node's clock was set forward by {by_ms / 1000:,.0f} s, and is yet to be compared with the others'"

    def common_ms(self) -> int:
        """The time by most nodes' clocks: by this one, unless it has been set since it was last found to be right, or
        was never found to be. For what other nodes compare with times of their own, and nobody keeps."""
        if self._trusted is None:
            return self._now_ms() - self._off_ms
        by_ms = self._ahead_of_steady_ms() - self._trusted
        return self._now_ms() - (round(by_ms) if abs(by_ms) > MOST_OFF_MS else 0)

    def _ahead_of_steady_ms(self) -> float:
        return self._now_ms() - trio.current_time() * 1000

    @property
    def agrees(self) -> bool:
        """Whether it is the server's, as of the last look."""
        return abs(self.ahead_ms) <= MOST_OFF_MS

    def is_in_doubt(self, others: Iterable[int]) -> bool:
        """Whether another node finds the server's clock elsewhere than this one did: a clock may have been set since
        this one's last look. `others`: see `problem`."""
        return any(abs(ahead - self.ahead_ms) > MOST_OFF_MS for ahead in others)

    def problem(self, others: Iterable[int]) -> str | None:
        """Why this node must not serve. `others`: how far the clocks of the other nodes that live are ahead of the
        server's. A node without others differs from none."""
        ahead = list(others)
        if not ahead:
            return None
        off = round(self.ahead_ms - median([self.ahead_ms, *ahead, 0]))
        if abs(off) <= MOST_OFF_MS:
            self._off_ms, self._found_off = 0, None
            return None
        # Where the server's clock was set between two nodes' looks, each seems off to the other until both have looked
        # again, and told.
        now = trio.current_time()
        look, since = self._found_off = self._found_off or (self._looks, now)
        if self._looks > look and now - since >= PATIENCE_S:
            self._off_ms = off
        return f"this node's clock is {abs(off) / 1000:,.0f} s {'ahead of' if off > 0 else 'behind'} the others'"
