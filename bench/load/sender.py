"""One user who writes to one room: builds the messages, and checks every ack and fact that comes back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from bench.faults import Fault
from bench.load.client import Client
from bench.load.frames import NO_FACTS, Bodies, Log, Seen, decode, describe
from bench.load.stream import Stream
from bench.rulebook import Sentences


class Sender:
    """`sent`, `acked` and `log.seen` count messages; the first message is number 1. The socket is non-blocking."""

    __slots__ = (
        "_bodies",
        "_head",
        "_keys",
        "_open",
        "_series",
        "_stream",
        "_unsent",
        "acked",
        "client",
        "log",
        "sent",
        "times",
    )

    def __init__(
        self, client: Client, to: str, log: Log, bodies: Bodies | Sentences, *, keys: bool, series: str = ""
    ) -> None:
        """`series` goes before the number in each key, where an earlier load had the same user and room."""
        self.client = client
        self.log = log
        self.sent = 0
        self.acked = 0
        self.times = [0]
        """For when message n was planned, in an open loop; else when it was handed to the kernel. Nanoseconds of
        `time.perf_counter_ns`."""
        self._bodies = bodies
        self._keys = keys
        self._series = series
        self._head = f'"to":"{to}","body":"'
        self._open: set[int] = set()
        self._stream = Stream(client)
        self._unsent = b""

    def send(self, count: int, now: int, planned: Sequence[int] | None = None) -> None:
        """Send the next `count` messages in one piece. Bytes that the kernel does not take go with the next ones."""
        frame, body, head = self.client.wire.frame, self._bodies.json, self._head
        series = self._series
        numbers = range(self.sent + 1, self.sent + count + 1)
        pieces = [self._unsent]
        for number in numbers:
            tail = f'","key":"{series}{number}"}}' if self._keys else '"}'
            pieces.append(frame(f'{{"type":"send","id":{number},{head}{body(number)}{tail}'.encode()))
        self._open.update(numbers)
        self.times += planned or [now] * count
        self.sent += count
        self._unsent = b"".join(pieces)
        self._flush()

    def receive(self) -> None:
        """Take what the server sent: acks, the room's facts, and events of no interest here."""
        for frame in self.frames():
            if frame.type == "ack":
                self._ack(frame)
            elif frame.type not in NO_FACTS:
                self.log.check(frame, self.client.name)

    def frames(self) -> list[Seen]:
        """The frames that the server sent, unchecked."""
        frames = [decode(payload, self.client.name) for payload in self._stream.read()]
        self._flush()
        return frames

    def complete(self) -> bool:
        """Whether the sender's own copies of the facts are there."""
        return self.log.seen == self.sent

    def settle(self, number: int | None) -> None:
        """The message is answered. Raises Fault unless it was open."""
        if number not in self._open:
            raise Fault(f"{self.client.name}: an answer to id {number}, which is not open")
        self._open.remove(number)
        self.acked += 1

    def _ack(self, frame: Seen) -> None:
        self.settle(frame.id)
        if frame.id is not None and frame.seq != self.log.seq(frame.id):
            expected = self.log.seq(frame.id)
            raise Fault(f"{self.client.name}: seq {expected} expected for id {frame.id}, got {describe(frame)}")

    def _flush(self) -> None:
        if self._unsent:
            # Not taken: the server reads no further for now, and its next words are when to try again.
            with suppress(BlockingIOError):
                self._unsent = self._unsent[self.client.sock.send(self._unsent) :]
