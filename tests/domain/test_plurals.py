"""Counts as people read them."""

from __future__ import annotations

import pytest

from gochat.domain.plurals import counted


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 messages"),
        (1, "1 message"),
        (2, "2 messages"),
        (1_000, "1,000 messages"),
        (1_234_567, "1,234,567 messages"),
    ],
)
def test_a_noun_follows_its_count(count: int, told: str) -> None:
    assert counted(count, "message") == told


def test_a_plural_of_its_own_is_used_for_all_but_one() -> None:
    assert [counted(count, "entry", "entries") for count in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
