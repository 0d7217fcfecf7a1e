"""One sender, all members of a room listening: closed loop with a window that acks settle.

Every round of epoll reads what is there on every socket before the next messages go out, so the members are at
most a few windows behind the sender: what is measured is delivery, not the depth of the kernel's buffers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.faults import Gone
from bench.histogram import Histogram
from bench.load.client import Client
from bench.load.outcome import Supply
from bench.load.sender import Sender
from bench.load.tape import Tape

_VIEW = memoryview(bytearray(262_144))


class Fanout:
    """A load. `sender` is a member too; `clients` are the other members."""

    def __init__(self, sender: Sender, clients: Sequence[Client], tape: Tape, window: int) -> None:
        self.sender = sender
        self.listeners = clients
        self.tape = tape
        self.received = 0
        """Bytes, over all listeners."""
        self._window = window
        self._members = [_Listener(client, self) for client in clients]
        self._supply: Supply
        self._latency: Histogram
        self.mark = 0
        """The tape's offset at which the message ends that is being timed; one at a time, the newest there was."""
        self._behind = 0
        self._timed = 0

    @property
    def sent(self) -> int:
        return self.sender.sent

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        return {self.sender.client: self._answered, **{member.client: member.readable for member in self._members}}

    def begin(self, supply: Supply, latency: Histogram) -> None:
        self._supply, self._latency = supply, latency
        self._refill()

    def complete(self) -> bool:
        sent = self.sender.sent
        return (
            self.sender.acked == sent
            and self.sender.log.seen == sent
            and self.tape.messages == sent
            and self.received == len(self.tape.bytes) * len(self._members)
        )

    def owed(self) -> str:
        sent, end = self.sender.sent, len(self.tape.bytes)
        late = [member.client.name for member in self._members if member.at < end]
        return (
            f"{sent - self.sender.acked} acks, {sent - self.sender.log.seen} facts to the sender, "
            f"{sent - self.tape.messages} to all others, and some to {len(late)} of them {late[:3]}"
        )

    def watch(self) -> None:
        """The tape grew by whole messages: time its last one, unless another is being timed."""
        if not self._behind:
            self.mark, self._behind, self._timed = self.tape.whole, len(self._members), self.tape.messages

    def passed(self) -> None:
        """A member's stream passed the mark."""
        self._behind -= 1
        if not self._behind:
            self._latency.record(time.perf_counter_ns() - self.sender.times[self._timed])

    def _answered(self) -> None:
        self.sender.receive()
        self._refill()

    def _refill(self) -> None:
        now = time.perf_counter_ns()
        count = self._supply.take(self._window - (self.sender.sent - self.sender.acked), now)
        if count:
            self.sender.send(count, now)


class _Listener:
    """A member who only listens: `readable` is where the generator spends its time."""

    __slots__ = ("_load", "_matches", "_receive", "at", "client")

    def __init__(self, client: Client, load: Fanout) -> None:
        self.client = client
        self.at = 0
        """How far the member has the tape."""
        self._load = load
        self._receive = client.sock.recv_into
        self._matches = load.tape.bytes.startswith

    def readable(self) -> None:
        size = self._receive(_VIEW)
        if not size:
            raise Gone(f"{self.client.name}: the server closed the connection")
        load, at = self._load, self.at
        piece = _VIEW[:size]
        if not self._matches(piece, at) and load.tape.take(self.client.name, at, bytes(piece)):
            load.watch()
        self.at = end = at + size
        load.received += size
        if at < load.mark <= end:
            load.passed()
