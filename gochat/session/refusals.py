"""The log of sign-ins that were refused: where from and why, but never so many lines that one peer fills the disk."""

from __future__ import annotations

import logging
import time

from gochat.domain.limits import TokenBucket

log = logging.getLogger(__name__)

#: Lines a second in the long run, and at once.
LINES_PER_S = 1.0
LINES_AT_ONCE = 20


class Refusals:
    """One for a node."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(LINES_PER_S, LINES_AT_ONCE)
        self._left_out = 0

    def tell(self, peer: str, transport: str, reason: str) -> None:
        """A line, or where there were too many just now a count in the next one."""
        if self._bucket.take(time.monotonic_ns() // 1_000_000):
            self._left_out += 1
            return
        more = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        log.info("sign-in refused: %s", reason, extra={"peer": peer, "transport": transport, **more})
