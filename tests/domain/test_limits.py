from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain.limits import SlidingWindow, TokenBucket


def test_one_a_second_with_a_burst_of_one() -> None:
    bucket = TokenBucket(1.0, 1)
    assert bucket.take(1_000_000) == 0
    assert bucket.take(1_000_000) == 1000
    assert bucket.take(1_000_400) == 600
    assert bucket.take(1_001_000) == 0


def test_a_token_that_was_not_due_comes_back() -> None:
    bucket = TokenBucket(1.0, 1)
    bucket.take(5_000)
    bucket.give_back()
    assert bucket.take(5_000) == 0


def test_no_rate_is_no_limit() -> None:
    bucket = TokenBucket(0, 1)
    assert not any(bucket.take(0) for _ in range(100))


def test_a_clock_that_is_set_back_neither_gives_nor_takes() -> None:
    bucket = TokenBucket(1.0, 1)
    bucket.take(10_000)
    assert bucket.take(0) == 1000
    assert bucket.take(1_000) == 0


@given(st.lists(st.integers(0, 3000), max_size=50), st.integers(1, 5))
def test_never_more_than_the_rate_and_the_burst(steps: list[int], burst: int) -> None:
    bucket, now, taken = TokenBucket(2.0, burst), 1_000_000, 0
    begin = now
    for step in steps:
        now += step
        wait = bucket.take(now)
        taken += wait == 0
        assert taken <= burst + (now - begin) * 2 / 1000 + 1e-6
        if wait:
            twin = TokenBucket(2.0, burst)
            twin._tokens, twin._at_ms = bucket._tokens, bucket._at_ms
            assert twin.take(now + wait) == 0, "the hint is true"


@given(st.lists(st.tuples(st.integers(-1_000, 3_000), st.integers(1, 9)), max_size=30), st.integers(1, 5))
def test_some_are_taken_as_one_by_one(steps: list[tuple[int, int]], burst: int) -> None:
    one, other, now = TokenBucket(0.7, burst), TokenBucket(0.7, burst), 1_000_000
    for step, most in steps:
        now += step
        for _ in range(most):
            one.take(now)
        other.take_some(now, most)
        assert other.left(now) == pytest.approx(one.left(now), abs=1e-6)


def test_a_debt_stays_one_when_some_are_taken() -> None:
    bucket = TokenBucket(1.0, 1)
    bucket.spend(1_000, 4, 10.0)
    bucket.take_some(1_000, 3)
    assert bucket.left(1_000) == -3


def test_a_window_takes_several_at_once_or_none() -> None:
    window = SlidingWindow(5, 1000)
    window.learn([100, 200])
    assert window.wait(500, 3) == 0
    window.take(500, 3)
    assert window.wait(500) == 600, "the first one ends"
    assert window.wait(500, 2) == 700, "the second one, too"
    assert window.wait(500, 3) == 1000
    assert window.wait(500, 6) == 1000, "it never may: as long as can be told"
    window.give_back(3)
    assert window.wait(500, 3) == 0
