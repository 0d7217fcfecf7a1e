"""The histogram: what a percentile promises, and that merging is recording."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.histogram import Histogram

VALUES = st.lists(st.integers(0, 1 << 45), min_size=1, max_size=50)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(VALUES, st.sampled_from([0.0, 50.0, 90.0, 99.0, 100.0]))
def test_a_percentile_is_never_too_small_and_at_most_a_32nd_too_great(values: list[int], percent: float) -> None:
    rank = max(1, -(-len(values) * percent // 100))
    exact = sorted(values)[int(rank) - 1]
    assert exact <= filled(values).percentile(percent) <= exact + exact / 32


@given(VALUES, VALUES)
def test_merging_is_recording_both(left: list[int], right: list[int]) -> None:
    merged = filled(left)
    merged.merge(filled(right).buckets())
    both = filled(left + right)
    assert merged.buckets() == both.buckets()
    assert (merged.count, merged.largest) == (both.count, both.largest)


@given(VALUES)
def test_the_mean_is_never_too_small_and_at_most_a_32nd_too_great(values: list[int]) -> None:
    exact = sum(values) / len(values)
    assert exact <= filled(values).mean() * (1 + 1e-12) <= exact * (1 + 1 / 32) * (1 + 2e-12)


def test_small_values_are_exact() -> None:
    assert filled(list(range(64))).buckets() == dict.fromkeys(range(64), 1)


def test_a_value_beyond_the_range_still_counts_and_is_the_maximum() -> None:
    histogram = filled([1 << 60])
    assert (histogram.count, histogram.percentile(100), len(histogram.buckets())) == (1, 1 << 60, 1)


def test_without_values_there_are_only_zeros() -> None:
    assert (Histogram().percentile(99), Histogram().mean(), Histogram().buckets()) == (0, 0, {})
