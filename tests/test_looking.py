"""Tasks that look at something now and then wake up together."""

from __future__ import annotations

from gochat.looking import next_look


def test_looks_that_began_at_other_times_come_together() -> None:
    assert next_look(7.1, 0.5) == next_look(7.4, 0.5) == next_look(7.0, 0.5) == 7.5


def test_those_that_are_rarer_come_with_those_that_are_not() -> None:
    often = {next_look(now / 8, 0.25) for now in range(80)}
    assert {next_look(now / 8, 1.0) for now in range(72)} < often


def test_one_that_is_due_has_been() -> None:
    assert next_look(7.5, 0.5) == 8.0
