"""Bounds the work that a user may cause without a message to anybody: requests that are refused, repeats, and reads.

A user whose bucket is empty is not answered `rate_limited`: an answer costs as much as the refusal it stands for. The
user's sessions are left unread until the bucket allows the next request, as they are past the window. So nothing is
lost, replies stay as they are, and a flood takes its sender's own time. It costs a good message nothing: what is turned
down is the session's `window`, which is looked at anyway.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final, Protocol

import trio

from gochat.actors.timer_wheel import TimerWheel
from gochat.domain.limits import TokenBucket, UserLimits
from gochat.metrics import Counts

#: A sign-in counts as so many reads: the welcome is put together from several.
SIGN_IN: Final = 10
#: For how long a user waits at most once the flood has ended, whatever was under way.
DEBT_S: Final = 2.0


class Held(Protocol):
    """A session, as far as this goes."""

    window: int

    def pump(self) -> None: ...


class Quota:
    """The quota of one user, over all sessions and over REST."""

    __slots__ = ("_counts", "_limits", "_reads", "_refusals", "_sessions", "_timed", "_timer_wheel", "window")

    def __init__(self, limits: UserLimits, timer_wheel: TimerWheel, counts: Counts, sessions: Collection[Held]) -> None:
        """`sessions` are the user's, and change meanwhile. While the user waits, `counts.slowed` is one more."""
        self._limits = limits
        self._timer_wheel = timer_wheel
        self._counts = counts
        self._sessions = sessions
        self._refusals = TokenBucket(limits.refusals_per_s, limits.refusal_burst)
        self._reads = TokenBucket(limits.reads_per_s, limits.read_burst)
        self._timed = False
        """Whether the wheel has an entry that will turn the window up again."""
        self.window = limits.window
        """How many requests each of the user's sessions may have unsettled now: 0 while a bucket is empty, and 1 from
        when half of the refusals are spent until all are there again, so that what is in flight can't overdraw the
        bucket by much."""

    @property
    def held(self) -> bool:
        """Whether nothing of the user is carried out now."""
        return self.window == 0

    def refused(self) -> None:
        """A request was refused, or had been carried out before."""
        self._spend(self._refusals, 1)

    def read(self, times: int = 1) -> None:
        """A request that changes no room."""
        self._spend(self._reads, times)

    def idle(self) -> bool:
        """Whether forgetting it would change nothing."""
        now = _now_ms()
        return not self._timed and self._refusals.full(now) and self._reads.full(now)

    def _spend(self, bucket: TokenBucket, times: int) -> None:
        if bucket.rate and bucket.spend(_now_ms(), times, DEBT_S) * 2 < bucket.burst:
            self._set_window()

    def _set_window(self) -> bool:
        """As the buckets have it. True if it is smaller than usual."""
        now, limits = _now_ms(), self._limits
        refusals, reads = self._refusals.left(now), self._reads.left(now)
        if refusals < 1 or reads < 1:
            window = 0
        elif refusals < limits.refusal_burst / (2 if self.window > 1 else 1):
            window = min(1, limits.window)
        else:
            window = limits.window
        if window != self.window:
            self.window = window
            for session in self._sessions:
                session.window = window
        if window == limits.window:
            return False
        if not self._timed:
            self._timed = True
            self._counts.slowed += 1
            self._timer_wheel.add(self, trio.current_time())
        return True

    def check(self, now: float) -> float | None:
        """Turn the window up as far as may be, and let the sessions go on, whichever comes first."""
        self._set_window()
        if self.window:
            sessions = list(self._sessions)
            random.shuffle(sessions)
            for session in sessions:
                session.pump()
        if self.window < self._limits.window:
            return now
        self._timed = False
        self._counts.slowed -= 1
        return None


def _now_ms() -> int:
    """On trio's clock, which no step of the wall clock moves."""
    return int(trio.current_time() * 1000)
