"""What waits for slow readers fits into one bound, and the largest give way first."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gochat.session.slow import LEAST_BYTES, level, spread

MOST = 1 << 20


@dataclass
class Box:
    size: int
    limit: int = MOST
    writing: bool = True


@given(st.lists(st.integers(0, MOST), max_size=50), st.integers(50 * LEAST_BYTES, 1 << 27))
def test_what_waits_cannot_grow_past_the_bound(sizes: list[int], total: int) -> None:
    limit = level(sizes, total, MOST)
    assert LEAST_BYTES <= limit <= MOST
    if sum(sizes) <= total and limit < MOST:
        assert sum(max(size, limit) for size in sizes if size > limit) + sum(s for s in sizes if s <= limit) <= total


def test_those_who_hold_most_lag_first_and_are_let_again() -> None:
    small, large = [Box(1000) for _ in range(100)], [Box(900_000) for _ in range(10)]
    idle = Box(0, writing=False)
    limited = spread([*small, *large, idle], 8 << 20, MOST, [])
    assert all(box.size > box.limit for box in large), "they take nothing more"
    assert all(box.size < box.limit for box in small)
    assert idle.limit == MOST
    for box in large:
        box.size = 0
    assert spread([*small, *large[:1]], 8 << 20, MOST, [*limited]) != limited
    assert spread([], 8 << 20, MOST, limited) == []
    assert all(box.limit == MOST for box in (*small, *large))
