"""A big room at a planned rate, and beside it pairs who write as fast as they may: what the one does to the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.load.book import Book
from bench.load.client import Client
from bench.load.fanout import Fanout
from bench.load.loop import Load
from bench.load.outcome import Supply
from bench.load.pairs import Pairs


class Beside(Load):
    """`fanout` has the plan; `pairs` are in a closed loop for the same time. Counts are those of the big room."""

    def __init__(self, fanout: Fanout, pairs: Pairs) -> None:
        self._fanout = fanout
        self._pairs = pairs
        self._book: Book
        self.listeners = [*fanout.listeners, *pairs.listeners]

    @property
    def sent(self) -> int:  # type: ignore[override]
        return self._fanout.sent

    @property
    def delivered(self) -> int:  # type: ignore[override]
        return self._fanout.delivered

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        return {**self._fanout.readers(), **self._pairs.readers()}

    def begin(self, supply: Supply, book: Book) -> None:
        self._book, own = book, Book()
        self._fanout.begin(supply, book)
        closed = supply.length._replace(rate=0.0, messages=None, window=1)
        self._pairs.begin(Supply(closed, supply.began), own)

    def wake(self, now: int) -> int | None:
        due = self._fanout.wake(now)
        self._pairs.acks = self._book["ack, meanwhile" if self._fanout.in_flight() else "ack, others"]
        return due

    def complete(self) -> bool:
        return self._pairs.complete() and self._fanout.complete()

    def owed(self) -> str:
        return f"to the big room {self._fanout.owed()}; to the pairs {self._pairs.owed()}"

    def counts(self) -> dict[str, int]:
        return {"beside": self._pairs.settled}
