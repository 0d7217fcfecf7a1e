"""The entries that are asked for follow the sizes that were seen."""

from __future__ import annotations

from gochat.cluster.ports import MOST_BYTES, Element, Position
from gochat.cluster.read_size import FIRST, ReadSize


def entries(count: int, size: int = 100) -> list[Element]:
    return [Element(Position(1, n), b"x" * size) for n in range(1, count + 1)]


def test_more_are_asked_for_while_all_come_and_take_little() -> None:
    size = ReadSize()
    size.learn([entries(1), entries(FIRST - 1)], FIRST, is_cut=False)
    assert size.count == FIRST, "the server had no more"
    size.learn([entries(1), entries(FIRST)], FIRST, is_cut=False)
    assert size.count == 2 * FIRST
    size.learn([entries(FIRST)], FIRST, is_cut=False)
    assert size.count == 2 * FIRST, "the caller wanted no more"
    size.learn([entries(2 * FIRST, MOST_BYTES // (3 * FIRST))], 2 * FIRST, is_cut=False)
    assert size.count == 2 * FIRST, "twice as many would be too long"
    size.learn([entries(2 * FIRST), entries(2, MOST_BYTES // 2)], 2 * FIRST, is_cut=False)
    assert size.count == 2 * FIRST, "so it would of another stream"


def test_fewer_are_asked_for_where_a_reply_was_too_long_and_one_at_least() -> None:
    size = ReadSize()
    size.learn([entries(FIRST), entries(20, MOST_BYTES // 20)], FIRST, is_cut=True)
    assert size.count == 10
    for _ in range(2):
        size.learn([entries(1, MOST_BYTES)], 10, is_cut=True)
        assert size.count == 1
    size.learn([entries(1)], 1, is_cut=False)
    assert size.count == 2


def test_fewer_are_asked_for_where_all_of_a_reply_that_was_too_long_was_known() -> None:
    size = ReadSize()
    size.learn([], FIRST, is_cut=True)
    assert size.count == FIRST // 2
