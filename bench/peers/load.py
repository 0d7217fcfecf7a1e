"""The loads on a peer: one writer to a room, and pairs.

They are closed loops, as gochat's own: a message goes out when an earlier one is settled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.histogram import Histogram
from bench.load.outcome import Supply
from bench.peers.client import Member


class Room:
    """`members[0]` writes, with `window` messages in flight. `strict`: the next message waits until everybody has
    the last one."""

    def __init__(
        self, members: Sequence[Member], say: Callable[[int], bytes], *, acks: bool, copy: bool, window: int
    ) -> None:
        """`say` makes the bytes of a message; `acks`: an ack settles it, else the writer's own copy; `copy`: whether
        there is one."""
        self.writer, *self.listeners = members
        self.receivers = len(members) if copy else len(members) - 1
        self.window = window
        self.strict = False
        self.sent = 0
        self.delivered = 0
        self._say = say
        self._acks = acks
        self._copy = copy
        self._supply: Supply
        self._latency: Histogram
        self._timed = 0
        self._timed_at = 0
        self._behind = 0

    @property
    def settled(self) -> int:
        return self.writer.inbox.acked if self._acks else self.writer.inbox.delivered

    def readers(self) -> Mapping[Member, Callable[[], None]]:
        return {self.writer: self._answered, **{member: self._reader(member) for member in self.listeners}}

    def begin(self, supply: Supply, latency: Histogram) -> None:
        self._supply, self._latency = supply, latency
        self._refill()

    def complete(self) -> bool:
        return self.settled == self.sent and self.delivered == self.sent * self.receivers

    def owed(self) -> str:
        late = [member.name for member in self.listeners if member.inbox.delivered < self.sent]
        return f"{self.sent - self.settled} to the writer, and some to {len(late)} others {late[:3]}, of {self.sent}"

    def _reader(self, member: Member) -> Callable[[], None]:
        inbox, receive, passed = member.inbox, member.receive, self._passed

        def readable() -> None:
            before = inbox.delivered
            receive()
            passed(before, inbox.delivered)
            if self.strict and self.complete():
                self._refill()

        return readable

    def _answered(self) -> None:
        inbox = self.writer.inbox
        before = inbox.delivered
        self.writer.receive()
        if self._copy:
            self._passed(before, inbox.delivered)
        if not self.strict or self.complete():
            self._refill()

    def _passed(self, before: int, after: int) -> None:
        """A member has more of the messages."""
        self.delivered += after - before
        if before < self._timed <= after:
            self._behind -= 1
            if not self._behind:
                self._latency.record(time.perf_counter_ns() - self._timed_at)

    def _refill(self) -> None:
        now = time.perf_counter_ns()
        count = self._supply.take(self.window - (self.sent - self.settled), now)
        if count <= 0:
            return
        numbers = range(self.sent + 1, self.sent + count + 1)
        self.sent += count
        if not self._behind:
            self._timed, self._timed_at, self._behind = self.sent, now, self.receivers
        self.writer.send(b"".join(map(self._say, numbers)))


class Pairs:
    """In each pair the first writes to the second, with `window` messages in flight; settled is what was delivered,
    and acked where the protocol has acks."""

    def __init__(self, pairs: Sequence[tuple[Member, Member]], say: Callable[[str, int], bytes], *, acks: bool) -> None:
        self.window = 1
        self.sent = 0
        self.settled = 0
        self.listeners = [reader for _, reader in pairs]
        self.say = say
        self.acks = acks
        self.supply: Supply
        self.latency: Histogram
        self._pairs = [_Pair(self, writer, reader) for writer, reader in pairs]

    def readers(self) -> Mapping[Member, Callable[[], None]]:
        return {member: reader for pair in self._pairs for member, reader in pair.readers()}

    def begin(self, supply: Supply, latency: Histogram) -> None:
        self.supply, self.latency = supply, latency
        for pair in self._pairs:
            pair.refill(time.perf_counter_ns())

    def complete(self) -> bool:
        return self.settled == self.sent

    def owed(self) -> str:
        return f"{self.sent - self.settled} deliveries or acks of {self.sent}"


class _Pair:
    __slots__ = ("_load", "_reader", "_sent", "_settled", "_times", "_writer")

    def __init__(self, load: Pairs, writer: Member, reader: Member) -> None:
        self._load = load
        self._writer = writer
        self._reader = reader
        self._sent = 0
        self._settled = 0
        self._times = [0]

    def readers(self) -> list[tuple[Member, Callable[[], None]]]:
        return [(self._writer, self._answered), (self._reader, self._delivered)]

    def refill(self, now: int) -> None:
        load = self._load
        count = load.supply.take(load.window - (self._sent - self._settled), now)
        if count <= 0:
            return
        to, say = self._reader.name, load.say
        data = b"".join([say(to, number) for number in range(self._sent + 1, self._sent + count + 1)])
        self._sent += count
        self._times += [now] * count
        load.sent += count
        self._writer.send(data)

    def _answered(self) -> None:
        self._writer.receive()
        self._settle()

    def _delivered(self) -> None:
        self._reader.receive()
        self._settle()

    def _settle(self) -> None:
        load, delivered = self._load, self._reader.inbox.delivered
        done = min(delivered, self._writer.inbox.acked) if load.acks else delivered
        if done == self._settled:
            return
        now = time.perf_counter_ns()
        for number in range(self._settled + 1, done + 1):
            load.latency.record(now - self._times[number])
        load.settled += done - self._settled
        self._settled = done
        self.refill(now)
