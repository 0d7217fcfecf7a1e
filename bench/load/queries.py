"""Clients who ask for data, one request in flight each: closed loop."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from bench.faults import Fault
from bench.load.book import Book
from bench.load.client import Client
from bench.load.frames import NO_FACTS, Seen, decode, describe
from bench.load.loop import Load
from bench.load.outcome import Supply
from bench.load.stream import Stream


class Query(Protocol):
    def ask(self, rng: random.Random) -> dict[str, object]:
        """The next request's fields, without `id`."""

    def check(self, asked: Mapping[str, object], payload: bytes, who: str) -> int:
        """How many entries the answer holds. Raises Fault if it is not what was asked for."""


class Queries(Load):
    """`sent` counts requests, `delivered` the entries of their answers."""

    def __init__(self, clients: Sequence[Client], query: Query, latency: str, seed: int) -> None:
        self.sent = 0
        self.delivered = 0
        self.answered = 0
        self.latency = latency
        self.query = query
        self.rng = random.Random(seed)
        self.supply: Supply
        self.book: Book
        self._askers = [_Asker(self, client) for client in clients]

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        return {viewer.client: viewer.readable for viewer in self._askers}

    def begin(self, supply: Supply, book: Book) -> None:
        self.supply, self.book = supply, book
        for viewer in self._askers:
            viewer.ask()

    def complete(self) -> bool:
        return self.answered == self.sent

    def owed(self) -> str:
        names = [viewer.client.name for viewer in self._askers if viewer.asked]
        return f"answers to {len(names)} users {names[:3]}"


class _Asker:
    def __init__(self, load: Queries, client: Client) -> None:
        self.client = client
        self.asked: dict[str, object] = {}
        self._load = load
        self._stream = Stream(client)
        self._at = 0
        self._number = 0

    def ask(self) -> None:
        load, self._at = self._load, time.perf_counter_ns()
        if not load.supply.take(1, self._at):
            return
        self._number += 1
        load.sent += 1
        self.asked = {**load.query.ask(load.rng), "id": self._number}
        with suppress(BlockingIOError):  # Then the server does not read, and the silence is noticed.
            self.client.sock.send(self.client.wire.frame(msgspec.json.encode(self.asked)))

    def readable(self) -> None:
        for payload in self._stream.read():
            frame: Seen = decode(payload, self.client.name)
            if frame.id is None and frame.type in NO_FACTS:
                continue
            if frame.id != self._number or not self.asked:
                raise Fault(f"{self.client.name}: nothing like it was asked for: {describe(frame)}")
            load = self._load
            load.book[load.latency].record(time.perf_counter_ns() - self._at)
            load.delivered += load.query.check(self.asked, payload, self.client.name)
            load.answered += 1
            self.asked = {}
            self.ask()
