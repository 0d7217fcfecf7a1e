"""A node that has no part in the traffic reads the log less often, the longer the less, within bounds."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster.naps import LEAST_S, MOST_S, Naps


async def test_a_nap_grows_with_the_quiet_up_to_a_bound(autojump_clock: MockClock) -> None:
    naps = Naps()
    naps.concern()
    assert naps.next_s() == 0, "somebody here may wait for what comes next"
    assert naps.next_s() == LEAST_S
    await trio.sleep(0.2)
    assert naps.next_s() == pytest.approx(0.01)
    await trio.sleep(10)
    assert naps.next_s() == MOST_S


async def test_whatever_concerns_the_node_ends_the_quiet(autojump_clock: MockClock) -> None:
    naps = Naps()
    assert naps.next_s() == MOST_S, "nothing has concerned this node yet"
    naps.concern()
    assert [naps.next_s(), naps.next_s()] == [0, LEAST_S]
