"""A log-linear histogram: 32 sub-buckets an octave, so a value is known to 1/32 (3 %) at any size.

Values are integers of any one unit (the harness records nanoseconds). Recording costs a few operations on small
integers, histograms of several processes or turns are merged by adding, and percentiles are never averaged.
"""

from __future__ import annotations

from collections.abc import Mapping

_SUB = 32
_SUB_BITS = 5
_LARGEST = (1 << 48) - 1  # 78 hours in nanoseconds; greater values count as this one.


def _index(value: int) -> int:
    shift = value.bit_length() - _SUB_BITS - 1
    return value if shift <= 0 else (shift << _SUB_BITS) + (value >> shift)


def _upper(index: int) -> int:
    """The greatest value that falls into the bucket."""
    shift = index // _SUB - 1
    if shift <= 0:
        return index
    return ((index - (shift << _SUB_BITS) + 1) << shift) - 1


class Histogram:
    """Counts of values >= 0."""

    __slots__ = ("_counts", "count", "largest")

    def __init__(self) -> None:
        self._counts = [0] * (_index(_LARGEST) + 1)
        self.count = 0
        self.largest = 0

    def record(self, value: int, count: int = 1) -> None:
        if value > self.largest:
            self.largest = value
        self._counts[_index(value) if value < _LARGEST else -1] += count
        self.count += count

    def add(self, other: Histogram) -> None:
        """Add what another histogram holds."""
        counts = self._counts
        for index, count in enumerate(other._counts):
            if count:
                counts[index] += count
        self.count += other.count
        self.largest = max(self.largest, other.largest)

    def merge(self, buckets: Mapping[int, int]) -> None:
        """Add what another histogram's `buckets` hold; as if its values had been recorded here."""
        for value, count in buckets.items():
            self.record(value, count)

    def percentile(self, percent: float) -> int:
        """The least bucket edge that at least `percent` of the values do not exceed: at most 1/32 too great, never
        too small. 0 where nothing was recorded; 100 is the exact maximum."""
        wanted = self.count * percent / 100
        below = 0
        for edge, count in self.buckets().items():
            below += count
            if below >= wanted:
                return edge
        return self.largest

    def mean(self) -> float:
        """At most 1/32 too great; 0 where nothing was recorded."""
        return sum(edge * count for edge, count in self.buckets().items()) / self.count if self.count else 0.0

    def buckets(self) -> dict[int, int]:
        """The count of each bucket that holds something, by its upper edge, ascending. The last edge is the greatest
        value itself."""
        found = {_upper(index): count for index, count in enumerate(self._counts) if count}
        if found:
            _, count = found.popitem()
            found[self.largest] = count
        return found
