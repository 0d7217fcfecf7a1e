"""Pairs of users: in each, one writes to the other; a message is settled when it is acked at the one and delivered at
the other. Closed loop with a window, where each pair goes on as soon as it may, whatever the others do; or open loop,
where the pairs take turns at the planned times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.histogram import Histogram
from bench.load.book import Book
from bench.load.client import Client
from bench.load.frames import NO_FACTS, Log, decode
from bench.load.loop import Load
from bench.load.outcome import Supply
from bench.load.rest import RestSender
from bench.load.sender import Sender
from bench.load.stream import Stream


class Receiver:
    """The other end of a pair: `log` says what must come."""

    __slots__ = ("_stream", "client", "log")

    def __init__(self, client: Client, log: Log) -> None:
        self.client = client
        self.log = log
        self._stream = Stream(client)

    def receive(self) -> None:
        for payload in self._stream.read():
            frame = decode(payload, self.client.name)
            if frame.type not in NO_FACTS:
                self.log.check(frame, self.client.name)


class Pairs(Load):
    """A load. `window`, messages in flight in each pair, is the stretch's if that has one. A pair without a receiver
    talks to an echo."""

    def __init__(self, pairs: Sequence[tuple[Sender | RestSender, Receiver | None]], window: int) -> None:
        self.window = window
        self.sent = 0
        self.settled = 0
        self.listeners = [receiver.client for _, receiver in pairs if receiver]
        self.supply: Supply
        self.acks: Histogram
        self.deliveries: Histogram
        self.latency: Histogram
        self._pairs = [_Pair(self, sender, receiver) for sender, receiver in pairs]
        self._turn = 0

    @property
    def delivered(self) -> int:  # type: ignore[override]
        return self.settled

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        readers: dict[Client, Callable[[], None]] = {}
        for pair in self._pairs:
            if pair.receiver:
                readers[pair.sender.client] = pair.answered
                readers[pair.receiver.client] = pair.delivered
            else:
                readers[pair.sender.client] = pair.echoed
        return readers

    def begin(self, supply: Supply, book: Book) -> None:
        self.supply, self.latency = supply, book["settled"]
        self.window = supply.window or self.window
        if supply.open:
            self._late = book["late"]
        # An echo is no ack and no delivery.
        if any(pair.receiver for pair in self._pairs):
            self.acks, self.deliveries = book["ack"], book["deliver"]
        for pair in self._pairs:
            pair.refill(time.perf_counter_ns())

    def wake(self, now: int) -> int | None:
        planned = self.supply.due(now)
        for at in planned:
            self._pairs[self._turn].send(1, now, [at])
            self._turn = (self._turn + 1) % len(self._pairs)
            self._late.record(time.perf_counter_ns() - at)
        return self.supply.next

    def complete(self) -> bool:
        return self.settled == self.sent and self.supply.next is None and all(pair.complete() for pair in self._pairs)

    def owed(self) -> str:
        late = [pair.sender.client.name for pair in self._pairs if not pair.complete()]
        return f"{self.sent - self.settled} acks or deliveries, in the pairs of {len(late)} senders {late[:3]}"


class _Pair:
    __slots__ = ("_load", "_settled", "receiver", "sender")

    def __init__(self, load: Pairs, sender: Sender | RestSender, receiver: Receiver | None) -> None:
        self.sender = sender
        self.receiver = receiver
        self._load = load
        self._settled = 0

    def answered(self) -> None:
        before = self.sender.acked
        self.sender.receive()
        if self.sender.acked > before:
            self._record(self._load.acks, before, self.sender.acked)
        self._settle()

    def delivered(self) -> None:
        assert self.receiver is not None
        before = self.receiver.log.seen
        self.receiver.receive()
        self._record(self._load.deliveries, before, self.receiver.log.seen)
        self._settle()

    def echoed(self) -> None:
        assert isinstance(self.sender, Sender)
        for frame in self.sender.frames():
            self.sender.settle(frame.id)
        self._settle()

    def send(self, count: int, now: int, planned: Sequence[int] | None = None) -> None:
        self._load.sent += count
        self.sender.send(count, now, planned)

    def refill(self, now: int) -> None:
        count = self._load.supply.take(self._load.window - (self.sender.sent - self._settled), now)
        if count:
            self.send(count, now)

    def complete(self) -> bool:
        """Whether everything is there, the sender's own copies of the facts too."""
        sent = self.sender.sent
        return self._settled == sent and (self.receiver is None or self.sender.complete())

    def _record(self, latency: Histogram, begin: int, end: int) -> None:
        """Of messages above `begin` up to `end`, which came just now. Acks are counted in order: in one room they
        come so."""
        now, times = time.perf_counter_ns(), self.sender.times
        for number in range(begin + 1, end + 1):
            latency.record(now - times[number])

    def _settle(self) -> None:
        sender, receiver = self.sender, self.receiver
        done = sender.acked if receiver is None else min(sender.acked, receiver.log.seen)
        if done == self._settled:
            return
        self._record(self._load.latency, self._settled, done)
        self._load.settled += done - self._settled
        self._settled = done
        self.refill(time.perf_counter_ns())
