"""How long to wait before the next attempt to connect: exponential, with full jitter, bounded.

Full jitter spreads the clients of a restarted server over the whole interval instead of sending them back in waves.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

#: The first attempt comes after at most this long, each further one after at most twice the time before it,
FIRST_S: Final = 0.5
#: but never after more than this.
MOST_S: Final = 30.0
#: Not even jitter gives a delay below this, so that a server that drops each connection at once is not hammered.
LEAST_S: Final = 0.05
#: A connection that held this long ends the series of failures.
STEADY_S: Final = 10.0


class Backoff:
    """`roll` gives the share of the interval that is waited, 0..1."""

    __slots__ = ("_failures", "_roll")

    def __init__(self, roll: Callable[[], float] = random.random) -> None:
        self._failures = 0
        self._roll = roll

    def delay_s(self, lived_s: float, asked_ms: int | None = None) -> float:
        """Seconds to wait now that a connection ended (or was never made: `lived_s` 0). `asked_ms` is the delay
        that the server asked for; it gives each client another one, so that no jitter is added."""
        if lived_s >= STEADY_S:
            self._failures = 0
        if asked_ms is not None:
            return min(max(asked_ms / 1000, LEAST_S), MOST_S)
        most = min(MOST_S, FIRST_S * (1 << min(self._failures, 16)))
        self._failures += 1
        return max(LEAST_S, most * self._roll())
