"""Planned times: an open loop counts from the plan, whatever the load and the server do meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.histogram import Histogram
from bench.load.book import Book
from bench.load.client import Client
from bench.load.loop import Driver, Load
from bench.load.outcome import Length, Supply
from bench.load.timer import Timer

SECOND = 1_000_000_000


def planned(length: Length) -> list[int]:
    return Supply(length, 5 * SECOND).due(1 << 62)


def test_even_times_are_evenly_spaced_from_the_begin() -> None:
    times = planned(Length(2.0, rate=4.0))
    assert [at - 5 * SECOND for at in times] == [number * SECOND // 4 for number in range(8)]


@pytest.mark.parametrize("shape", ["poisson", "day"])
def test_random_times_have_the_rate_and_are_the_same_for_the_same_seed(shape: str) -> None:
    length = Length(100.0, rate=50.0, shape=shape, seed=3)
    times = planned(length)
    assert times == sorted(times) == planned(length)
    assert times != planned(length._replace(seed=4))
    assert len(times) == pytest.approx(5000, rel=0.1)
    assert 5 * SECOND < times[0]
    assert times[-1] < 105 * SECOND


def test_a_day_is_quiet_at_its_ends_and_busy_at_noon() -> None:
    times = planned(Length(100.0, rate=100.0, shape="day"))
    night, noon = (sum(low <= (at / SECOND - 5) < low + 20 for at in times) for low in (0, 40))
    assert noon > 2.5 * night


@given(st.floats(1, 1000), st.integers(1, 8))
def test_the_shares_of_several_processes_make_the_whole(rate: float, processes: int) -> None:
    length = Length(1.0, messages=100, rate=rate)
    shares = [length.share(index, processes) for index in range(processes)]
    assert sum(share.rate for share in shares) == pytest.approx(rate)
    assert sum(share.messages or 0 for share in shares) == 100
    assert len({share.seed for share in shares}) == processes


def test_what_one_process_sends_alone_is_not_shared() -> None:
    length = Length(1.0, rate=10.0, whole=True)
    assert length.share(1, 2) == length


def test_a_plan_is_given_once_and_says_when_the_next_is_due() -> None:
    supply = Supply(Length(1.0, rate=4.0), 0)
    assert supply.due(SECOND // 4) == [0, SECOND // 4]
    assert (supply.due(SECOND // 4), supply.next, supply.take(5, 0)) == ([], SECOND // 2, 0)
    supply.due(SECOND)
    assert supply.next is None


class Stalled(Load):
    """Everything planned is done at once, but for a stall once, in which nothing is done."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._done: Histogram
        self._supply: Supply

    def begin(self, supply: Supply, book: Book) -> None:
        self._supply, self._done = supply, book["done"]

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        return {}

    def wake(self, now: int) -> int | None:
        for at in self._supply.due(now):
            if self.sent == 20:
                time.sleep(self._stall_s)
            self.sent += 1
            self._done.record(time.perf_counter_ns() - at)
        return self._supply.next

    def complete(self) -> bool:
        return self._supply.next is None

    def owed(self) -> str:
        return "what is planned"


def test_a_stall_is_in_the_latency_of_all_that_was_planned_meanwhile() -> None:
    with closing(Driver(Stalled(0.2))) as driver:
        outcome = driver.drive(Length(1.0, rate=200.0))
    # 200 ms at 200 a second: 40 had to wait, half of them 100 ms and more. A closed loop would have seen one.
    late = sum(count for edge, count in outcome.book["done"].buckets().items() if edge > 90_000_000)
    assert outcome.messages == 200
    assert 15 <= late < 100


def test_the_timer_wakes_epoll_when_it_is_due_and_not_before() -> None:
    with closing(Timer()) as timer:
        now = time.perf_counter_ns()
        timer.set(now + 3_000_000, now)
        while True:
            try:
                os.read(timer.fd, 8)
                break
            except BlockingIOError:
                continue
        assert time.perf_counter_ns() - now >= 3_000_000
