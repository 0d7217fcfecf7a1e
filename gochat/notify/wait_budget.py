"""How long a user's devices may keep the workers of a channel waiting. Pure: the clock comes in.

A push service is whatever host a user names. One that answers slowly, or not at all, holds a worker each time for as
long as the channel's time-out; a few such users would hold them all. So the waiting is the user's own to spend.
"""

from __future__ import annotations

from typing import Final

#: A send this short costs nothing, in seconds.
FREE_S: Final = 1.0
#: The waiting that a user may have caused in one go, and how many seconds it takes to forget one second of it.
MOST_S: Final = 15.0
FORGET_S: Final = 600.0
#: How long it takes until a user past that is tried again.
PAUSE_MS: Final = 600_000
#: Users that are kept in memory, 200 bytes each. Past it the user whose last slow send is the longest ago is forgotten.
MOST_USERS: Final = 10_000


class WaitBudget:
    """Of each user the seconds of waiting that are not forgotten yet."""

    def __init__(self, most: int = MOST_USERS) -> None:
        self._most = most
        self._waited: dict[str, tuple[float, float]] = {}
        """How much, and when that was so."""

    def has(self, user: str, now: float) -> bool:
        """Whether something may be sent to the user's devices now."""
        return self._left(user, now) < MOST_S

    def took(self, user: str, seconds: float, now: float) -> None:
        """A send has ended that took so long."""
        if seconds <= FREE_S:
            return
        waited = self._left(user, now) + seconds
        self._waited.pop(user, None)
        if len(self._waited) >= self._most:
            del self._waited[next(iter(self._waited))]
        self._waited[user] = waited, now

    def _left(self, user: str, now: float) -> float:
        waited, at = self._waited.get(user, (0.0, now))
        return max(0.0, waited - (now - at) / FORGET_S)
