"""A peer: a server that can be started, and the bytes that its protocol wants and gives.

The load must cost less than the servers, so nobody parses what comes: every body holds its message's number and a
mark that stands nowhere else, an inbox counts marks, and the last number must equal the count. One message that is
lost or repeated shows in the next read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.faults import Fault
from bench.server import Cores

BODY = 100  # Characters of every message.
#: With spaces around it: glued to the number and a word it would be read as a word in disguise by gochat's rules.
MARK = b" =bench= "
_DIGITS = 8
_FILLER = (b"The quick brown fox jumps over the lazy dog and " * 3)[: BODY - _DIGITS - len(MARK)]
#: Longer than any mark, and than a number and its mark: what may stand on both sides of the border of two reads.
_KEPT = 24


def body(number: int) -> bytes:
    """The text of message `number` (1..99,999,999): plain ASCII without anything that a protocol escapes."""
    return b"%08d" % number + MARK + _FILLER


class Step(NamedTuple):
    """One step of signing in: what the client says, and the pattern that shows that it was answered."""

    say: bytes
    until: re.Pattern[bytes]


def step(say: bytes, until: bytes) -> Step:
    return Step(say, re.compile(until, re.DOTALL))


class Running(NamedTuple):
    """A server that accepts connections on 127.0.0.1. `pid` is the process whose CPU time counts."""

    pid: int
    port: int


class Settings(NamedTuple):
    """The facts about a peer that the results page tells."""

    stored: str
    """The part of a message that is on a disk when it is acked or delivered."""
    settled: str
    """The event that settles a message in a room; 1:1 it is always delivery, and the ack too where there is one."""
    setup: str
    """The settings that differ from its defaults, in a line."""


class Inbox(Protocol):
    """The messages and acks that one connection received. Sans I/O."""

    delivered: int
    """Messages, over the connection's life. Their numbers must be dense."""
    acked: int
    """Of the messages that the connection sent."""

    def take(self, piece: bytes) -> bytes:
        """Count what is in the next bytes; what is to be answered to them. Raises Fault for a wrong number."""


class Peer(Protocol):
    """One server. `members[0]` of a room is the writer."""

    name: str
    """On the command line and on the page."""
    settings: Settings
    room_copy: bool
    """Whether the writer gets a copy of his own from a room."""
    room_acks: bool
    """Whether an ack settles a message to a room; if not, the writer's own copy does."""
    direct_acks: bool
    """Whether a message to one user is acked beside being delivered."""

    def missing(self) -> str | None:
        """Why the peer can't be run here; None if it can."""

    def version(self) -> str: ...

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        """Run it with all of its data in `folder`. Raises Broken if it does not start."""

    def greeting(self, user: str, room: str | None) -> Sequence[Step]:
        """Signs in, and joins the room if one is named."""

    def to_room(self, room: str, number: int) -> bytes:
        """Message `number` to a room, as the client sends it."""

    def to_user(self, user: str, number: int) -> bytes: ...

    def inbox(self) -> Inbox: ...


class Marks:
    """An inbox that counts marks, and the acks where `ack` is one. `ack` stands once in every ack, and nowhere else."""

    __slots__ = ("_ack", "_rest", "acked", "delivered")

    def __init__(self, ack: bytes = b"") -> None:
        if len(ack) > _KEPT:
            raise ValueError(f"an ack's mark has at most {_KEPT} bytes")
        self.delivered = 0
        self.acked = 0
        self._ack = ack
        self._rest = b""

    def take(self, piece: bytes) -> bytes:
        rest = len(self._rest)
        data = self._rest + piece
        # A mark that ends within the rest was counted before.
        count = data.count(MARK, max(0, rest - len(MARK) + 1))
        if count:
            self.delivered += count
            at = data.rfind(MARK)
            check(data[max(0, at - _DIGITS) : at], self.delivered)
        if self._ack:
            self.acked += data.count(self._ack, max(0, rest - len(self._ack) + 1))
        self._rest = data[-_KEPT:]
        return b""


def check(digits: bytes, count: int) -> None:
    """Raises Fault unless the newest message's number is the count of messages."""
    if not digits.isdigit() or int(digits) != count:
        raise Fault(f"message {count} expected, got number {digits!r}: lost, repeated or swapped")
