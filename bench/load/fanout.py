"""One sender, all members of a room listening: closed loop with a window that acks settle, or open loop.

Every round of epoll reads what is there on every socket before the next messages go out, so the members are at
most a few windows behind the sender: what is measured is delivery, not the depth of the kernel's buffers. The members
may be spread over processes; one of these has the sender too, the board tells the others of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

from bench.faults import Gone
from bench.histogram import Histogram
from bench.load.book import Book
from bench.load.client import Client
from bench.load.loop import Load
from bench.load.outcome import Supply
from bench.load.sender import Sender
from bench.load.shared import Board
from bench.load.tape import Tape

_VIEW = memoryview(bytearray(262_144))


class Fanout(Load):
    """A load. `sender`, if it is in this process, is a member too; `clients` are the other members here."""

    def __init__(
        self, sender: Sender | None, clients: Sequence[Client], tape: Tape, window: int, board: Board | None = None
    ) -> None:
        self.sender = sender
        self.listeners = clients
        self.tape = tape
        self.received = 0
        """Bytes, over all listeners."""
        self._window = window
        self._members = [_Listener(client, self) for client in clients]
        self._board = board or Board()
        self._rng = random.Random(1)
        self._supply: Supply
        self._deliver: Histogram
        self._last: Histogram
        self._book: Book
        self._stretch = 0
        self.mark = 0
        """The tape's offset at which the message ends that is being timed; one at a time."""
        self._behind = 0
        self._timed = 0

    @property
    def sent(self) -> int:  # type: ignore[override]
        return self.sender.sent if self.sender else 0

    @property
    def delivered(self) -> int:  # type: ignore[override]
        """From the bytes that came: exact once all are level."""
        delivered = self.tape.messages * self.received // (len(self.tape.bytes) or 1)
        return delivered + (self.sender.log.seen if self.sender else 0)

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        members = {member.client: member.readable for member in self._members}
        return {self.sender.client: self._answered, **members} if self.sender else members

    def begin(self, supply: Supply, book: Book) -> None:
        self._supply, self._book = supply, book
        self._deliver, self._last = book["deliver"], book["last"]
        self._window = supply.window or self._window
        self._stretch += 1
        self._refill()

    def wake(self, now: int) -> int | None:
        if self.sender is None:
            return None
        planned = self._supply.due(now)
        if planned:
            self._send(len(planned), now, planned)
            for at in planned:
                self._book["late"].record(time.perf_counter_ns() - at)
        return self._supply.next

    def complete(self) -> bool:
        sent = self._all_sent()
        return (
            sent is not None
            and self.tape.messages == sent * bool(self._members)
            and self.received == len(self.tape.bytes) * len(self._members)
        )

    def owed(self) -> str:
        end = len(self.tape.bytes)
        late = [member.client.name for member in self._members if member.at < end]
        mine = ""
        if self.sender:
            sent, acked, seen = self.sender.sent, self.sender.acked, self.sender.log.seen
            mine = (
                f"{sent - acked} acks, {sent - seen} facts to the sender, {sent - self.tape.messages} to all others, "
            )
        return f"{mine}and some to {len(late)} of them {late[:3]}"

    def in_flight(self) -> bool:
        """Whether a message is sent that not everybody here has."""
        unindexed_rooms = self.received < len(self.tape.bytes) * len(self._members) or self.tape.messages < self.sent
        return bool(unindexed_rooms and self._members) or (self.sender is not None and not self.sender.complete())

    def watch(self, news: int) -> None:
        """The tape grew by whole messages: time one of them, unless another is being timed."""
        if self._behind:
            return
        # Any of them, not always the last: those before it waited longer.
        back = self._rng.randrange(news)
        self.mark, self._timed = self.tape.passed_by(back), self.tape.messages - back
        self._behind = len(self._members)

    def passed(self) -> None:
        """A member's stream passed the mark."""
        self._behind -= 1
        took = time.perf_counter_ns() - self._board.time(self._timed)
        self._deliver.record(took)
        if not self._behind:
            self._last.record(took)

    def _all_sent(self) -> int | None:
        """How many messages there are in all, once no more will be sent and the sender has what it is owed."""
        sender = self.sender
        if sender is None:
            return self._board.finished(self._stretch)
        if self._supply.next is not None or sender.acked != sender.sent or not sender.complete():
            return None
        self._board.finish(self._stretch, sender.sent)
        return sender.sent

    def _answered(self) -> None:
        assert self.sender is not None
        before = self.sender.acked
        self.sender.receive()
        now, acks, times = time.perf_counter_ns(), self._book["ack"], self.sender.times
        for number in range(before + 1, self.sender.acked + 1):
            acks.record(now - times[number])
        self._refill()

    def _refill(self) -> None:
        if self.sender is None:
            return
        now = time.perf_counter_ns()
        count = self._supply.take(self._window - (self.sender.sent - self.sender.acked), now)
        if count:
            self._send(count, now, None)

    def _send(self, count: int, now: int, planned: Sequence[int] | None) -> None:
        assert self.sender is not None
        first = self.sender.sent + 1
        for number, at in enumerate(planned or [now] * count, first):
            self._board.plan(number, at)
        self.sender.send(count, now, planned)


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
        try:
            size = self._receive(_VIEW)
        except BlockingIOError:
            return  # A part of a reply over nng.
        if not size:
            raise Gone(f"{self.client.name}: the server closed the connection")
        load, at = self._load, self.at
        piece = _VIEW[:size]
        if not self._matches(piece, at):
            before = load.tape.messages
            if load.tape.take(self.client.name, at, bytes(piece)):
                load.watch(load.tape.messages - before)
        self.at = end = at + size
        load.received += size
        if at < load.mark <= end:
            load.passed()
