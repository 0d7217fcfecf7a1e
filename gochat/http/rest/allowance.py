"""How much each user may read: one token bucket a user, over all tokens and connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gochat.domain.limits import TokenBucket
from gochat.errors import Denied
from gochat.http.rest.refused import Refused

#: Buckets kept; more, and the full ones are forgotten, then those that were made first.
MOST_USERS: Final = 10_000


class Allowance:
    def __init__(
        self, per_s: float, burst: int, now_ms: Callable[[], int], most_users: int = MOST_USERS, *,
        told: str = "too many reads at once", rule: str = "reads_per_s",
    ) -> None:  # fmt: skip
        """What is refused says `told`, and names the `rule`."""
        self._told = told
        self._rule = rule
        self._per_s = per_s
        self._burst = burst
        self._now_ms = now_ms
        self._most_users = most_users
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, user: str) -> None:
        """Raises Refused when the user has read too much."""
        now_ms = self._now_ms()
        bucket = self._buckets.get(user)
        if bucket is None:
            if len(self._buckets) >= self._most_users:
                self._forget(now_ms)
            bucket = self._buckets[user] = TokenBucket(self._per_s, self._burst)
        wait_ms = bucket.take(now_ms)
        if wait_ms:
            raise Refused(Denied("rate_limited", self._told, retry_after_ms=wait_ms, rule=self._rule))

    def _forget(self, now_ms: int) -> None:
        self._buckets = {user: bucket for user, bucket in self._buckets.items() if not bucket.full(now_ms)}
        for user in list(self._buckets)[: max(0, len(self._buckets) - self._most_users // 2)]:
            del self._buckets[user]
