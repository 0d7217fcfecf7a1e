"""Bounds the work that a user may cause without a message to anybody: requests that are refused, repeats, and reads.

A user whose bucket is empty is not answered `rate_limited`: an answer costs as much as the refusal it stands for. The
user's sessions are left unread until the bucket allows the next request, as they are past the window. So nothing is
lost, replies stay as they are, and a flood takes its sender's own time. It costs a good message nothing: what is turned
down is the session's `window`, which is looked at anyway.
"""

from __future__ import annotations

import random
from typing import Final, Protocol

import msgspec
import trio

from gochat.domain.limits import TokenBucket
from gochat.session.clock import TimerWheel

#: A sign-in counts as so many reads: the welcome is put together from several.
SIGN_IN: Final = 10
#: For how long a user waits at most once the flood has ended, whatever was under way.
DEBT_S: Final = 2.0
#: So many users are kept before any of them is forgotten.
KEPT: Final = 1_000


class Held(Protocol):
    """A session, as far as this goes."""

    window: int

    def pump(self) -> None: ...


class Rates(msgspec.Struct, frozen=True):
    """How much each user may cost, a second and at once; a rate of 0: no limit. `window` is a session's."""

    refusals_per_s: float = 0.0
    refusal_burst: int = 1
    reads_per_s: float = 0.0
    read_burst: int = 1
    window: int = 128


class Quota:
    """One user's, over all sessions and over REST."""

    __slots__ = ("_rates", "_reads", "_refusals", "_sessions", "_timed", "_timer_wheel", "slowed", "window")

    def __init__(self, rates: Rates, timer_wheel: TimerWheel, slowed: set[Quota]) -> None:
        """While the user is slowed down, it is in `slowed`."""
        self.slowed = slowed
        self._rates = rates
        self._timer_wheel = timer_wheel
        self._sessions: dict[Held, None] = {}
        self._refusals = TokenBucket(rates.refusals_per_s, rates.refusal_burst)
        self._reads = TokenBucket(rates.reads_per_s, rates.read_burst)
        self._timed = False
        """Whether the wheel has an entry that will turn the window up again."""
        self.window = rates.window
        """How many requests each of the user's sessions may have unsettled now: 0 while a bucket is empty, and 1 from
        when half of the refusals are spent until all are there again, so that what is in flight can't overdraw the
        bucket by much."""

    @property
    def held(self) -> bool:
        """Whether nothing of the user is carried out now."""
        return self.window == 0

    def join(self, session: Held) -> None:
        """From now on the session's window is the user's."""
        self._sessions[session] = None
        session.window = self.window

    def leave(self, session: Held) -> None:
        self._sessions.pop(session, None)

    def refused(self) -> None:
        """A request was refused, or had been carried out before."""
        self._spend(self._refusals, 1)

    def read(self, times: int = 1) -> None:
        """A request that changes no room."""
        self._spend(self._reads, times)

    def idle(self) -> bool:
        """Whether forgetting it would change nothing."""
        now = _now_ms()
        return not self._sessions and not self._timed and self._refusals.full(now) and self._reads.full(now)

    def _spend(self, bucket: TokenBucket, times: int) -> None:
        if bucket.rate and bucket.spend(_now_ms(), times, DEBT_S) * 2 < bucket.burst:
            self._set_window()

    def _set_window(self) -> bool:
        """As the buckets have it. True if it is smaller than usual."""
        now, rates = _now_ms(), self._rates
        refusals, reads = self._refusals.left(now), self._reads.left(now)
        if refusals < 1 or reads < 1:
            window = 0
        elif refusals < rates.refusal_burst / (2 if self.window > 1 else 1):
            window = min(1, rates.window)
        else:
            window = rates.window
        if window != self.window:
            self.window = window
            for session in self._sessions:
                session.window = window
        if window == rates.window:
            return False
        if not self._timed:
            self._timed = True
            self.slowed.add(self)
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
        if self.window < self._rates.window:
            return now
        self._timed = False
        self.slowed.discard(self)
        return None


class Quotas:
    """Those of all users. Users who are not connected and owe nothing are forgotten when they are as many as
    the others."""

    def __init__(self, rates: Rates, timer_wheel: TimerWheel) -> None:
        self._rates = rates
        self._timer_wheel = timer_wheel
        self._users: dict[str, Quota] = {}
        self._most = KEPT
        self.slowed: set[Quota] = set()
        """Those of users who have cost too much just now."""
        self.nobody = Quota(Rates(window=rates.window), timer_wheel, self.slowed)
        """For sessions that have not signed in: any mistake closes them."""

    def __len__(self) -> int:
        return len(self._users)

    def of(self, user: str) -> Quota:
        quota = self._users.get(user)
        if quota is None:
            if len(self._users) >= self._most:
                self._users = {name: kept for name, kept in self._users.items() if not kept.idle()}
                self._most = max(KEPT, 2 * len(self._users))
            quota = self._users[user] = Quota(self._rates, self._timer_wheel, self.slowed)
        return quota


def _now_ms() -> int:
    """On trio's clock, which no step of the wall clock moves."""
    return int(trio.current_time() * 1000)
