"""Tasks that look at something now and then wake up together."""

from __future__ import annotations

from gochat.looking import next_look


def test_looks_that_began_at_other_times_come_together() -> None:
    assert next_look(7.1, 0.5) == next_look(7.4, 0.5) == next_look(7.0, 0.5) == 7.5


def test_those_that_are_rarer_come_with_those_that_are_not() -> None:
    often = {next_look(now / 8, 0.25) for now in range(80)}
    assert {next_look(now / 8, 1.0) for now in range(72)} < often


def test_time_goes_on_whatever_is_rounded() -> None:
    for every_s in (0.1, 0.3, 0.7, 1 / 3):
        now = 0.0
        for _ in range(1_000):
            now, before = next_look(now, every_s), now
            assert before < now <= before + 1.001 * every_s


def test_one_that_is_due_has_been() -> None:
    assert next_look(7.5, 0.5) == 8.0
