"""How long a load runs, and what it measured."""

from __future__ import annotations

from typing import NamedTuple

from bench.histogram import Histogram


class Length(NamedTuple):
    """When a load stops sending: after `seconds`, or, if that is set, after `messages` in all. Nothing received for
    `patience_s` while something is owed: it is lost."""

    seconds: float
    messages: int | None = None
    patience_s: float = 10.0

    def warm_up(self) -> Length:
        """A tenth of it."""
        messages = None if self.messages is None else self.messages // 10 + 1
        return self._replace(seconds=self.seconds / 10, messages=messages)


class Supply:
    """Says how many messages may still be sent."""

    __slots__ = ("_left", "_stop")

    def __init__(self, length: Length, began: int) -> None:
        self._left = length.messages
        self._stop = began + int(length.seconds * 1e9)

    def take(self, wanted: int, now: int) -> int:
        """How many of the `wanted` messages are to be sent at `now` (nanoseconds)."""
        if self._left is None:
            return wanted if now < self._stop else 0
        granted = min(wanted, self._left)
        self._left -= granted
        return granted


class Outcome(NamedTuple):
    """One stretch of load, from the first send until everything owed was there."""

    messages: int
    seconds: float
    cpu_s: float
    """CPU time of the generator in that stretch."""
    latency: Histogram
    """Nanoseconds."""
