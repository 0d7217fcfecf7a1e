"""How long a load runs, what it may send when, and what it measured."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bench.load.book import Book

#: How far the day's quietest and busiest hour are from the mean.
_SWING = 0.6


class Length(NamedTuple):
    """When a load stops sending: after `seconds`, or, if that is set, after `messages` in all. Nothing received for
    `patience_s` while something is owed: it is lost."""

    seconds: float
    messages: int | None = None
    patience_s: float = 10.0
    rate: float = 0.0
    """Open loop: so many a second, at planned times, however the server fares. 0: closed loop."""
    shape: str = "even"
    """Of the planned times: "even", "poisson", or "day": poisson with a quiet night and a busy evening."""
    window: int = 0
    """Closed loop: how many in flight; 0: what the load was made with."""
    seed: int = 0
    whole: bool = False
    """One process sends it all, and the others only listen."""

    def warm_up(self) -> Length:
        """A tenth of it."""
        messages = None if self.messages is None else self.messages // 10 + 1
        shape = "poisson" if self.shape == "day" else self.shape
        return self._replace(seconds=self.seconds / 10, messages=messages, shape=shape, seed=self.seed + 1)

    def share(self, index: int, count: int) -> Length:
        """One process' part of it, of `count`."""
        if self.whole:
            return self
        messages = None if self.messages is None else (self.messages + count - 1 - index) // count
        return self._replace(rate=self.rate / count, messages=messages, seed=self.seed * 1000 + index)


class Supply:
    """Says how many messages may still be sent, or, in an open loop, for when the next are planned. Times are
    nanoseconds of the clock in which `began` is given."""

    __slots__ = ("_left", "_planned", "_stop", "began", "length", "next", "open", "window")

    def __init__(self, length: Length, began: int) -> None:
        self.length = length
        self.began = began
        self._left = length.messages
        self._stop = began + int(length.seconds * 1e9)
        self.open = length.rate > 0
        self.window = length.window
        self.next: int | None = None
        """When the next message is planned; None: no more, or closed loop."""
        self._planned = _planned(length, began) if self.open else iter(())
        self._advance()

    def take(self, wanted: int, now: int) -> int:
        """Closed loop: how many of the `wanted` messages are to be sent at `now`."""
        if self.open:
            return 0
        if self._left is None:
            return wanted if now < self._stop else 0
        granted = min(wanted, self._left)
        self._left -= granted
        return granted

    def due(self, now: int) -> list[int]:
        """Open loop: the planned times up to `now` that were not given yet."""
        times: list[int] = []
        while self.next is not None and self.next <= now:
            times.append(self.next)
            self._advance()
        return times

    def spent(self, now: int) -> bool:
        """Whether nothing more is to be sent."""
        if self.open:
            return self.next is None
        return now >= self._stop if self._left is None else not self._left

    def _advance(self) -> None:
        self.next = next(self._planned, None)


def _planned(length: Length, began: int) -> Iterator[int]:
    rng = random.Random(length.seed)
    at, number = 0.0, 0
    day_long = length.shape == "day" and length.seconds > 0
    most = math.inf if length.messages is None else length.messages
    while number < most:
        if length.shape == "even":
            at = number / length.rate
        else:
            day = 1 - _SWING * math.cos(2 * math.pi * at / length.seconds) if day_long else 1.0
            at += rng.expovariate(length.rate * day)
        if length.messages is None and at >= length.seconds:
            return
        number += 1
        yield began + int(at * 1e9)


class Outcome(NamedTuple):
    """One stretch of load, from the first send until everything owed was there."""

    messages: int
    seconds: float
    cpu_s: float
    """CPU time of the generator in that stretch: of the process that took most, or of all on the cores they have,
    whichever is the greater share."""
    book: Book
    deliveries: int = 0
    timeline: tuple[tuple[int, int], ...] = ()
    """(nanoseconds since the begin, deliveries or what else is counted until then)."""
    counts: Mapping[str, int] = MappingProxyType({})
    """Other counts, by name."""
    processes: int = 1
    waited_s: float = 0.0
    """How long the generator was ready to run and another program had its core."""

    @property
    def generator_cpu(self) -> float:
        """The share of the time in which it could have its core."""
        return self.cpu_s / max(self.seconds - self.waited_s, self.cpu_s, 1e-9)
