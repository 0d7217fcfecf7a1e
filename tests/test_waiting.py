"""A test gets the thing that it waits for, or fails."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests import waiting
from tests.waiting import until


@pytest.mark.parametrize("pause_s", [None, 0.01])
async def test_it_is_looked_at_after_each_turn_of_the_others(
    autojump_clock: MockClock, nursery: trio.Nursery, pause_s: float | None
) -> None:
    done, seen = [0], []

    async def work() -> None:
        while True:
            done[0] += 1
            if pause_s is None:
                await trio.lowlevel.checkpoint()
            else:
                await trio.sleep(0.04)

    nursery.start_soon(work)
    await until(lambda: done[0] >= 9, lambda: seen.append(done[0]), pause_s=pause_s)
    nursery.cancel_scope.cancel()
    # In a tick either of the two may be the first.
    assert len(set(seen)) >= 4 and seen == sorted(seen)


@pytest.mark.parametrize("pause_s", [None, 0.01])
async def test_what_never_holds_fails_whatever_the_clock(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, pause_s: float | None
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.01)
    with pytest.raises(TimeoutError):
        await until(lambda: False, pause_s=pause_s)
