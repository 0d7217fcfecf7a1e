"""Pairs of users: in each, one writes to the other with a window; a message is settled when it is acked at the one
and delivered at the other. Closed loop; each pair goes on as soon as it may, whatever the others do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.histogram import Histogram
from bench.load.client import Client
from bench.load.frames import NO_FACTS, Log, decode
from bench.load.outcome import Supply
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


class Pairs:
    """A load. `window`, messages in flight in each pair, may be changed between stretches. A pair without a
    receiver talks to an echo."""

    def __init__(self, pairs: Sequence[tuple[Sender, Receiver | None]], window: int) -> None:
        self.window = window
        self.sent = 0
        self.settled = 0
        self.listeners = [receiver.client for _, receiver in pairs if receiver]
        self.supply: Supply
        self.latency: Histogram
        self._pairs = [_Pair(self, sender, receiver) for sender, receiver in pairs]

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        readers: dict[Client, Callable[[], None]] = {}
        for pair in self._pairs:
            if pair.receiver:
                readers[pair.sender.client] = pair.answered
                readers[pair.receiver.client] = pair.delivered
            else:
                readers[pair.sender.client] = pair.echoed
        return readers

    def begin(self, supply: Supply, latency: Histogram) -> None:
        self.supply, self.latency = supply, latency
        for pair in self._pairs:
            pair.refill(time.perf_counter_ns())

    def complete(self) -> bool:
        return self.settled == self.sent and all(pair.complete() for pair in self._pairs)

    def owed(self) -> str:
        late = [pair.sender.client.name for pair in self._pairs if not pair.complete()]
        return f"{self.sent - self.settled} acks or deliveries, in the pairs of {len(late)} senders {late[:3]}"


class _Pair:
    __slots__ = ("_load", "_settled", "receiver", "sender")

    def __init__(self, load: Pairs, sender: Sender, receiver: Receiver | None) -> None:
        self.sender = sender
        self.receiver = receiver
        self._load = load
        self._settled = 0

    def answered(self) -> None:
        self.sender.receive()
        self._settle()

    def delivered(self) -> None:
        assert self.receiver is not None
        self.receiver.receive()
        self._settle()

    def echoed(self) -> None:
        for frame in self.sender.frames():
            self.sender.settle(frame.id)
        self._settle()

    def refill(self, now: int) -> None:
        count = self._load.supply.take(self._load.window - (self.sender.sent - self._settled), now)
        if count:
            self._load.sent += count
            self.sender.send(count, now)

    def complete(self) -> bool:
        """Whether everything is there, the sender's own copies of the facts too."""
        sent = self.sender.sent
        return self._settled == sent and (self.receiver is None or self.sender.log.seen == sent)

    def _settle(self) -> None:
        sender, receiver = self.sender, self.receiver
        done = sender.acked if receiver is None else min(sender.acked, receiver.log.seen)
        if done == self._settled:
            return
        now = time.perf_counter_ns()
        record, times = self._load.latency.record, sender.times
        for number in range(self._settled + 1, done + 1):
            record(now - times[number])
        self._load.settled += done - self._settled
        self._settled = done
        self.refill(now)
