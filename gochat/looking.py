"""Moments at which tasks of a node look at something now and then, so that they wake up together.

Each waking of an idle process costs some 0.2 ms of CPU, which is more than most looks take.
"""

from __future__ import annotations

import math


def next_look(now: float, every_s: float) -> float:
    """The next multiple of `every_s` after `now`, on the same clock: trio's."""
    at = (math.floor(now / every_s) + 1) * every_s
    # A multiple of a fraction like 0.7 is rounded, and divided by it again may fall short of what it was.
    return at if at > now else at + every_s
