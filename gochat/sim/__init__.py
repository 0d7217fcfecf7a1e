"""Whole nodes in one loop, on a clock that jumps from one event to the next, with every choice drawn from one seed.

`world.play` runs a plan and judges it from outside; the same plan gives the same run, byte for byte.
"""

from gochat.sim.drawing import draw
from gochat.sim.plan import Plan
from gochat.sim.shrink import shrink
from gochat.sim.world import Outcome, play

__all__ = ["Outcome", "Plan", "draw", "play", "shrink"]
