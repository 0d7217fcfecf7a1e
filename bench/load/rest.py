"""A user who writes by POST /v1/messages, one message at a time on a connection that is kept."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from bench.faults import Fault, Gone
from bench.load.client import Client
from bench.load.frames import Bodies, Log
from bench.load.wire import LINES
from bench.rulebook import Sentences

_PATIENCE_S = 20.0


class View(msgspec.Struct):
    """A message as REST shows it; its id is another thing than a frame's."""

    seq: int


_views = msgspec.json.Decoder(View)


class HttpClient(Client):
    """A connection to the REST interface; nothing is said on it yet."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self.name = name
        self.wire = LINES._replace(alive=b"")
        self.sock = socket.create_connection((host, port), timeout=_PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = f"{host}:{port}"

    def unblock(self) -> None:
        self.sock.setblocking(False)


class RestSender:
    """Has what a Sender has. It hears no facts: only the answers to its requests."""

    def __init__(
        self,
        client: HttpClient,
        to: str,
        log: Log,
        bodies: Bodies | Sentences,
        *,
        token: str,
        keys: bool,
        series: str = "",
    ) -> None:
        self.client = client
        self.log = log
        self.sent = 0
        self.acked = 0
        self.times = [0]
        self._bodies = bodies
        self._keys = keys
        self._series = series
        self._to = to
        self._head = (
            f"POST /v1/messages HTTP/1.1\r\nHost: {client.host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._data = b""
        self._unsent = b""
        self._posted = 0

    def send(self, count: int, now: int, planned: Sequence[int] | None = None) -> None:
        """Plan the next `count` messages; each is posted when the one before it is answered."""
        self.sent += count
        self.times += planned or [now] * count
        self._post()

    def receive(self) -> None:
        """Take what the server sent. Raises Fault unless it is 201 with the seq that must come."""
        data = self.client.sock.recv(65_536)
        if not data:
            raise Gone(f"{self.client.name}: the server closed the connection")
        self._data += data
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if end and len(rest) >= (size := _length(head)):
            self._data = rest[size:]
            self._answer(head, rest[:size])
        self._flush()

    def complete(self) -> bool:
        return True

    def _answer(self, head: bytes, body: bytes) -> None:
        number, who = self.acked + 1, self.client.name
        if number != self._posted or not head.startswith(b"HTTP/1.1 201 "):
            said = head.split(b"\r\n")[0].decode("latin-1")
            raise Fault(f"{who}: message {number} was answered {said!r} {body[:200]!r}")
        try:
            view = _views.decode(body)
        except msgspec.DecodeError as error:
            raise Fault(f"{who}: not a message ({error}): {body[:200]!r}") from None
        if view.seq != self.log.seq(number):
            raise Fault(f"{who}: seq {self.log.seq(number)} expected for message {number}, got {view.seq}")
        self.acked = number
        self._post()

    def _post(self) -> None:
        if self._posted == self.sent or self._posted > self.acked:
            return
        self._posted = number = self._posted + 1
        body = f'{{"to":"{self._to}","body":"{self._bodies.json(number)}"}}'.encode()
        key = f"Idempotency-Key: {self._series}{number}\r\n" if self._keys else ""
        self._unsent += f"{self._head}{key}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._flush()

    def _flush(self) -> None:
        if self._unsent:
            with suppress(BlockingIOError):
                self._unsent = self._unsent[self.client.sock.send(self._unsent) :]


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
