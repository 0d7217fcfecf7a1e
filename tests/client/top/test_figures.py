"""Rates come out of two overviews, or not at all."""

from __future__ import annotations

import pytest

from gochat.client.top import figures
from tests.client.top.build import counted, overview

MESSAGES = "gochat_messages_recorded_total"


def test_a_rate_is_told_where_there_are_two_overviews_of_one_run() -> None:
    one, two = counted(0, **{MESSAGES: 10}), counted(4, **{MESSAGES: 30})
    assert figures.per_second(one, two, MESSAGES) == 5
    assert figures.per_second(None, two, MESSAGES) is None
    assert figures.per_second(two, one, MESSAGES) is None, "of the same moment or an earlier one"
    assert figures.per_second(two, counted(8, **{MESSAGES: 1}), MESSAGES) is None, "the node began anew"
    assert figures.per_second(one, overview(4), MESSAGES) is None, "it is not told"
    assert figures.per_second(overview(0), two, MESSAGES) == 7.5, "a label that came meanwhile was 0 before"
    assert figures.rates(one, two) == {"messages_per_s": 5.0}


def test_labels_are_added_up_or_looked_at_one_by_one() -> None:
    one = overview(0, metrics={"refused": {"a": 1.0, "b": 2.0}})
    two = overview(2, metrics={"refused": {"a": 5.0, "b": 2.0}})
    assert figures.value(two, "refused") == 7
    assert figures.value(two, "refused", "a") == 5
    assert figures.value(two, "refused", "c") is None
    assert figures.per_second(one, two, "refused") == 2
    assert figures.per_second(one, two, "refused", "b") == 0


def test_a_commit_has_its_mean_time_where_there_was_one() -> None:
    def at(ts_s: float, number: float, seconds: float) -> object:
        return counted(ts_s, gochat_commit_seconds_count=number, gochat_commit_seconds_sum=seconds)

    one, two = at(0, 10, 1.0), at(1, 14, 1.02)
    assert figures.commit_ms(one, two) == pytest.approx(5.0)  # type: ignore[arg-type]
    assert figures.commit_ms(two, at(2, 14, 1.02)) is None  # type: ignore[arg-type]


def test_numbers_as_they_are_written() -> None:
    assert [figures.rate(number) for number in (None, 0, 0.25, 7, 1234.5)] == ["-", "0", "0.2", "7.0", "1,234"]
    assert [figures.size(number) for number in (None, 17, 2048, 3 << 20, 5 << 40)] == [
        "-",
        "17 B",
        "2.0 KB",
        "3.0 MB",
        "5.0 TB",
    ]
    assert figures.count(1_234_567) == "1,234,567"
