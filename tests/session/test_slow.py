"""The bytes that wait for slow readers fit into one bound, and the largest queues give way first."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gochat.session.slow import LEAST_BYTES, STEP, Spreader, water_level
from gochat.transports.outbox import WaitingBytes

MOST = 1 << 20


@dataclass
class Box:
    size: int
    limit: int = MOST
    writing: bool = True


@given(st.lists(st.integers(0, MOST), max_size=50), st.integers(50 * LEAST_BYTES, 1 << 27))
def test_what_waits_cannot_grow_past_the_bound(sizes: list[int], total: int) -> None:
    limit = water_level(sizes, total, MOST)
    assert LEAST_BYTES <= limit <= MOST
    if sum(sizes) <= total and limit < MOST:
        assert sum(max(size, limit) for size in sizes if size > limit) + sum(s for s in sizes if s <= limit) <= total


def test_those_who_hold_most_lag_first_and_are_let_again() -> None:
    small, large = [Box(1000) for _ in range(100)], [Box(900_000) for _ in range(10)]
    idle, waiting = Box(0, writing=False), WaitingBytes()
    boxes = [*small, *large, idle]
    spreader = Spreader(waiting, lambda: boxes, 8 << 20, MOST)
    waiting.add(sum(box.size for box in boxes))
    assert all(box.size > box.limit for box in large), "they take nothing more"
    assert all(box.size < box.limit for box in small)
    assert idle.limit == MOST
    for box in large:
        waiting.add(-box.size)
        box.size, box.writing = 0, False
    spreader.spread()
    assert all(box.limit == MOST for box in boxes)


@given(st.lists(st.tuples(st.integers(0, 399), st.integers(1, 4_000)), max_size=2_000), st.integers(1, 40))
def test_senders_who_keep_to_the_limits_never_pass_the_bound(sends: list[tuple[int, int]], many: int) -> None:
    """Readers that read nothing, each frame offered as a room offers it, newcomers at any time."""
    total, boxes, waiting = 4 << 20, [Box(0, writing=False) for _ in range(400)], WaitingBytes()
    Spreader(waiting, lambda: boxes, total, MOST)
    for number, size in sends * many:
        box = boxes[number]
        if not box.writing or box.size + size <= box.limit:
            box.writing = True
            box.size += size
            waiting.add(size)
            assert waiting.size <= total + total // STEP + size
