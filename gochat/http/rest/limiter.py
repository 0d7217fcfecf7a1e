"""Token buckets by address, over all tokens and connections. Those of users are their actors'."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gochat.domain.limits import TokenBucket
from gochat.errors import Denied
from gochat.http.rest.refused import Refused

#: Buckets that are kept. Past that the full ones are forgotten, then those that were made first.
MAX_KEYS: Final = 10_000


def steady_ms() -> int:
    """Milliseconds by a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


class Limiter:
    """One bucket for each key: `per_s` tokens a second flow in, at most `burst` are kept; 0 `per_s` never refuses."""

    def __init__(
        self,
        per_s: float,
        burst: int,
        now_ms: Callable[[], int],
        max_keys: int = MAX_KEYS,
        *,
        refusal: str = "too many attempts from this address",
        rule: str = "calls_per_s",
    ) -> None:
        """A request that finds no token is refused with the text `refusal`, in the name of `rule`."""
        self._per_s = per_s
        self._burst = burst
        self._now_ms = now_ms
        self._max_keys = max_keys
        self._refusal = refusal
        self._rule = rule
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str) -> None:
        """Take a token. Raises Refused where there is none."""
        now_ms = self._now_ms()
        wait_ms = self._bucket(key, now_ms).take(now_ms)
        if wait_ms:
            raise Refused(Denied("rate_limited", self._refusal, retry_after_ms=wait_ms, rule=self._rule))

    def charge(self, key: str, max_debt_s: float) -> None:
        """Take a token whether there is one or not. The debt flows in within `max_debt_s` at most."""
        now_ms = self._now_ms()
        self._bucket(key, now_ms).spend(now_ms, 1, max_debt_s)

    def debt_s(self, key: str) -> float:
        """Seconds until the key's debt has flowed in; 0 where it owes nothing."""
        bucket = self._buckets.get(key)
        return 0.0 if bucket is None or not self._per_s else max(0.0, -bucket.left(self._now_ms()) / self._per_s)

    def _bucket(self, key: str, now_ms: int) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._max_keys:
                self._forget(now_ms)
            bucket = self._buckets[key] = TokenBucket(self._per_s, self._burst)
        return bucket

    def _forget(self, now_ms: int) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.full(now_ms)}
        for key in list(self._buckets)[: max(0, len(self._buckets) - self._max_keys // 2)]:
            del self._buckets[key]
