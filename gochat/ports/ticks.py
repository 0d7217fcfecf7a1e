"""The port of the scheduler's ticks."""

from __future__ import annotations

from typing import Protocol


class Runnable(Protocol):
    """An entry of a turn queue."""

    def run_turn(self) -> None:
        """Do what is to be done now. Must neither wait nor raise."""


class TurnQueue(Protocol):
    """Says when the next tick of the scheduler has come, so that what one tick brings is done together."""

    def add(self, entry: Runnable) -> None:
        """Give the entry one turn with the next tick, in the loop's thread; never before `add` has returned. Entries
        have their turns in the order they came. An entry that is added twice has two turns."""
