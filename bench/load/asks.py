"""Clients that ask, each again when it has its answer: closed loop, one request in flight each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.faults import Fault
from bench.histogram import Histogram
from bench.load.book import Book
from bench.load.client import Client
from bench.load.frames import decode, describe
from bench.load.loop import Load
from bench.load.outcome import Supply
from bench.load.stream import Stream

#: The request with this id, of this client.
Request = Callable[[Client, int], bytes]


class Asks(Load):
    """A load. A stretch's `window` says how many of the clients ask. An answer is a frame with the request's id; those
    without one are events of no interest here."""

    def __init__(self, clients: Sequence[Client], request: Request, answer: str) -> None:
        """`answer` is the type of every answer."""
        self.request = request
        self.answer = answer
        self.sent = 0
        self.answered = 0
        self.supply: Supply
        self.latency: Histogram
        self._askers = [_Asker(client, self) for client in clients]

    @property
    def delivered(self) -> int:  # type: ignore[override]
        return self.answered

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        return {asker.client: asker.readable for asker in self._askers}

    def begin(self, supply: Supply, book: Book) -> None:
        self.supply, self.latency = supply, book["ack"]
        for asker in self._askers[: supply.window or None]:
            asker.ask(time.perf_counter_ns())

    def complete(self) -> bool:
        return self.answered == self.sent

    def owed(self) -> str:
        return f"{self.sent - self.answered} answers"


class _Asker:
    __slots__ = ("_asked", "_load", "_number", "_stream", "client")

    def __init__(self, client: Client, load: Asks) -> None:
        self.client = client
        self._load = load
        self._number = 0
        self._asked = 0
        self._stream = Stream(client)

    def ask(self, now: int) -> None:
        load = self._load
        if load.supply.take(1, now):
            self._number += 1
            self._asked = now
            load.sent += 1
            self.client.sock.send(self.client.wire.frame(load.request(self.client, self._number)))

    def readable(self) -> None:
        for payload in self._stream.read():
            frame = decode(payload, self.client.name)
            if frame.id is None and frame.type != "error":
                continue
            if (frame.id, frame.type) != (self._number, self._load.answer):
                raise Fault(f"{self.client.name}: {self._load.answer} {self._number} expected, got {describe(frame)}")
            now = time.perf_counter_ns()
            self._load.answered += 1
            self._load.latency.record(now - self._asked)
            self.ask(now)
