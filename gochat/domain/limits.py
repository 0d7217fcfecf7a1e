"""A token bucket as a value: how much may be done how fast."""

from __future__ import annotations

import math

#: Sums of fractions fall short of a whole token by rounding; who waited as told must not be refused for that.
_WHOLE = 1 - 1e-9


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
        # A wall clock may be set back; time then stands still for the bucket instead of running backwards.
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

    def give_back(self) -> None:
        """Return a token that was taken for something that turned out to need none."""
        self._tokens = min(self.burst, self._tokens + 1)

    def full(self, now_ms: int) -> bool:
        """Whether forgetting this bucket would change nothing."""
        return not self.rate or self._tokens + max(0, now_ms - self._at_ms) * self.rate / 1000 >= self.burst
