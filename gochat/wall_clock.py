"""The time of day. A duration is measured by trio's clock instead, which no step of this one moves."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Milliseconds since the epoch, UTC; the clock may be set, so two readings may go back."""
    return time.time_ns() // 1_000_000
