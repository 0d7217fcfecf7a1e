"""Measures what a call costs, so that a machine that is busy with something else does not change the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu_s(call: Callable[[], object], times: int = 3) -> float:
    """Seconds of processor time that the call takes in its own thread: the least of a few tries."""
    took = []
    for _ in range(times):
        begun = time.thread_time()
        call()
        took.append(time.thread_time() - begun)
    return min(took)
