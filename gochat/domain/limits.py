"""How much may be done how fast, as values: a token bucket, and a window that slides."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from gochat.domain.jumps import Jumps

#: Sums of fractions fall short of a whole token by rounding; who waited as told must not be refused for that.
_WHOLE = 1 - 1e-9


class UserLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one user may do, over all sessions and over REST. A rate of 0 is no limit."""

    messages_per_s: float = 0.0
    message_burst: int = 1
    refusals_per_s: float = 0.0
    """Requests that are refused, or had been carried out before."""
    refusal_burst: int = 1
    reads_per_s: float = 0.0
    """Requests that change no room."""
    read_burst: int = 1
    window: int = 128
    """Requests that each session may have unsettled."""
    sessions: int = 20
    asks_a_day: int = 20
    """Strangers whom the user may ask within 24 hours."""
    adds_a_day: int = 0
    """Users whom one may add to groups within 24 hours without being their contact; 0: any number."""


class TokenBucket:
    """`rate` tokens a second flow in, at most `burst` are kept. A rate of 0 never refuses."""

    __slots__ = ("_at_ms", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at_ms = 0

    def take(self, now_ms: int) -> int:
        """Take one token and return 0, or take none and return after how many milliseconds there will be one."""
        if not self.rate:
            return 0
        # Should the clock be set back, time stands still for the bucket instead of running backwards.
        elapsed_ms = now_ms - self._at_ms
        self._at_ms = now_ms
        tokens = self._tokens
        if elapsed_ms > 0:
            tokens += elapsed_ms * self.rate / 1000
            if tokens > self.burst:
                tokens = self.burst
        if tokens >= _WHOLE:
            self._tokens = tokens - 1 if tokens > 1 else 0.0
            return 0
        self._tokens = tokens
        return max(1, math.ceil((1 - tokens) * 1000 / self.rate))

    def take_some(self, now_ms: int, most: int) -> None:
        """As so many calls of `take` at one moment, without their answers."""
        if self.rate:
            tokens = self.left(now_ms)
            whole = min(most, math.floor(tokens + 1 - _WHOLE))
            self._tokens = max(0.0, tokens - whole) if whole > 0 else tokens
            self._at_ms = now_ms

    def spend(self, now_ms: int, tokens: int, debt_s: float) -> float:
        """Take tokens whether they are there or not, and return how many are left: below 0 it is a debt, of what flows
        in within `debt_s` at most."""
        self._tokens = max(self.left(now_ms) - tokens, -self.rate * debt_s)
        self._at_ms = now_ms
        return self._tokens

    def left(self, now_ms: int) -> float:
        """How many tokens there are; without a rate, always all."""
        if not self.rate:
            return self.burst
        return min(self.burst, self._tokens + max(0, now_ms - self._at_ms) * self.rate / 1000)

    def give_back(self) -> None:
        """Return a token that was taken for something that turned out to need none."""
        self._tokens = min(self.burst, self._tokens + 1)

    def full(self, now_ms: int) -> bool:
        """Whether forgetting this bucket would change nothing."""
        return not self.rate or self._tokens + max(0, now_ms - self._at_ms) * self.rate / 1000 >= self.burst


class SlidingWindow:
    """At most `most` times within any `period_ms`. It must be told once what happened before it was made."""

    __slots__ = ("_at_ms", "_jumps", "_offset", "known", "most", "period_ms")

    def __init__(self, most: int, period_ms: int, jumps: Jumps | None = None) -> None:
        """With `jumps` it slides as it should where the clock that it is told is set."""
        self._jumps = jumps
        self._offset = jumps.offset if jumps is not None else 0
        self.most = most
        self.period_ms = period_ms
        self.known = False
        """Whether it has been told."""
        self._at_ms: deque[int] = deque()

    def learn(self, earlier_ms: Iterable[int]) -> None:
        """Take what happened before, in order; only the first telling counts."""
        if not self.known:
            self._follow()
            moved = self._jumps.moved if self._jumps is not None else int
            self._at_ms.extendleft(reversed([moved(at_ms) for at_ms in earlier_ms]))
            self.known = True

    def wait(self, now_ms: int, times: int = 1) -> int:
        """0 if it may happen now so many times, else after how many milliseconds; `period_ms` where it never may."""
        self._follow()
        while self._at_ms and self._at_ms[0] <= now_ms - self.period_ms:
            self._at_ms.popleft()
        over = len(self._at_ms) + times - self.most
        if over <= 0:
            return 0
        if over > len(self._at_ms):
            return self.period_ms
        return self._at_ms[min(over, times) - 1] + self.period_ms - now_ms

    def take(self, now_ms: int, times: int = 1) -> None:
        """It happens."""
        self._follow()
        if self._jumps is not None:
            self._jumps.note(now_ms)
        self._at_ms.extend([now_ms] * times)

    def give_back(self, times: int = 1) -> None:
        """The latest did not happen after all."""
        for _ in range(min(times, len(self._at_ms))):
            self._at_ms.pop()

    def _follow(self) -> None:
        """Move what is kept along with the clock."""
        if self._jumps is not None and self._jumps.offset != self._offset:
            by, self._offset = self._jumps.offset - self._offset, self._jumps.offset
            self._at_ms = deque(at_ms + by for at_ms in self._at_ms)
