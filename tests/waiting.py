"""Waiting for what no event tells. A test that would wait for ever fails instead, and says where."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import trio

#: Far more than anything takes on a machine that is busy.
PATIENCE_S: Final = 60.0


async def until(
    holds: Callable[[], object], look: Callable[[], object] | None = None, *, pause_s: float | None = None
) -> None:
    """Return once it holds. Others run meanwhile: after each of their turns, or after each pause, `look` is called. The
    wall's clock judges, whichever one the test has: a clock that jumps stands still while anything can run."""
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > ends:
            raise TimeoutError(f"this did not come true in {PATIENCE_S:.0f} s")
        if pause_s is None:
            await trio.lowlevel.checkpoint()
        else:
            await trio.sleep(pause_s)
        if look is not None:
            look()
