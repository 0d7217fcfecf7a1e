from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gochat.client.backoff import FIRST_S, LEAST_S, MOST_S, STEADY_S, Backoff


def test_delays_double_up_to_the_most() -> None:
    backoff = Backoff(roll=lambda: 1.0)
    delays = [backoff.delay_s(0) for _ in range(9)]
    assert delays == [FIRST_S, 1, 2, 4, 8, 16, MOST_S, MOST_S, MOST_S]


def test_a_connection_that_held_ends_the_series() -> None:
    backoff = Backoff(roll=lambda: 1.0)
    for _ in range(5):
        backoff.delay_s(STEADY_S / 2)
    assert backoff.delay_s(STEADY_S) == FIRST_S


def test_what_the_server_asks_for_is_kept_without_jitter() -> None:
    backoff = Backoff(roll=lambda: 0.0)
    assert backoff.delay_s(100, asked_ms=700) == 0.7
    assert backoff.delay_s(0, asked_ms=10**9) == MOST_S


@given(st.lists(st.floats(0, 20)), st.floats(0, 1))
def test_delays_are_bounded(lives: list[float], roll: float) -> None:
    backoff = Backoff(roll=lambda: roll)
    for lived_s in lives:
        assert LEAST_S <= backoff.delay_s(lived_s) <= MOST_S


def test_delays_are_spread() -> None:
    assert len({Backoff().delay_s(0) for _ in range(20)}) > 10
