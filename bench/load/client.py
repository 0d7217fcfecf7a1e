"""Signing in: blocking sockets in waves, since what comes before the load needs no speed of its own.

A wave's connections are opened together and their answers read together, so that the server's round trips overlap.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

import msgspec

from bench.faults import Fault, Gone
from bench.load.frames import Seen, Welcome, decode, decode_welcome
from bench.load.requests import RequestSocket
from bench.load.wire import NNG, Wire
from bench.tokens import Issuer, TokenFile

_PATIENCE_S = 20.0
_ALIVE_S = 8.0
_WAVE = 50  # Well below any sensible cap on connections that have not signed in.


class Address(NamedTuple):
    """Where a server listens and in which framing."""

    host: str
    port: int
    wire: Wire
    path: str = "/v1/ws"
    protocol: str = "gochat.v1.json"

    def upgrade(self) -> bytes:
        """The request that opens a WebSocket."""
        protocol = f"Sec-WebSocket-Protocol: {self.protocol}\r\n" if self.protocol else ""
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: Z29jaGF0LWJlbmNoLWtleQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{protocol}\r\n"
        ).encode()


class Client:
    """One connection. Blocking until `unblock`, which the load calls before it takes the socket over."""

    __slots__ = ("_payloads", "_rest", "name", "sock", "wire")

    def __init__(self, address: Address, name: str, buffer: int = 0) -> None:
        """`buffer`: how many bytes the kernel takes for one who does not read; 0 leaves that to the kernel."""
        self.name = name
        self.wire = address.wire
        self.sock = RequestSocket() if self.wire is NNG else socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE_S)
        if buffer:
            # Before it connects: the peer is told then, and a window that shrinks later makes packets be dropped.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        try:
            self.sock.connect((address.host, address.port))
        except OSError as error:
            self.sock.close()
            raise Gone(f"{name}: {address.host}:{address.port}: {error}") from None
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._payloads: deque[bytes] = deque()

    def write(self, **frame: Any) -> None:
        self.sock.sendall(self.wire.frame(msgspec.json.encode(frame)))

    def payload(self) -> bytes:
        """The next frame. Raises Fault when the server closes or says nothing for 20 s."""
        while not self._payloads:
            payloads, used = self.wire.split(self._rest)
            self._payloads.extend(payloads)
            self._rest = self._rest[used:]
            if not payloads:
                self._rest += self._receive()
        return self._payloads.popleft()

    def replies(self, count: int) -> list[Seen]:
        """So many replies, which may overtake each other; events are passed over. An error is a Fault."""
        found: list[Seen] = []
        while len(found) < count:
            frame = decode(self.payload(), self.name)
            if frame.type == "error":
                raise Fault(f"{self.name}: {frame.code}: {frame.message}")
            if frame.id is not None:
                found.append(frame)
        return found

    def upgraded(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._receive()
        head, self._rest = head.split(b"\r\n\r\n", 1)
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ")[1:2] != ["101"]:
            raise Fault(f"{self.name}: the upgrade was answered {status!r}")

    def unblock(self) -> None:
        """Make the socket non-blocking. Raises Fault if something came that nobody asked for."""
        if self._payloads or self._rest:
            raise Fault(f"{self.name}: unexpected before the load began: {(*self._payloads, self._rest)!r:.200}")
        self.sock.setblocking(False)

    def say_alive(self) -> None:
        """Say that the client lives, where the server wants to know. Only for one that has nothing half sent."""
        if self.wire.alive:
            self.sock.send(self.wire.alive)

    def close(self) -> None:
        self.sock.close()

    def _receive(self) -> bytes:
        try:
            data = self.sock.recv(65_536)
        except TimeoutError:
            raise Fault(f"{self.name}: the server said nothing for {_PATIENCE_S:.0f} s") from None
        except OSError as error:
            raise Gone(f"{self.name}: {error}") from None
        if not data:
            raise Gone(f"{self.name}: the server closed the connection")
        return data


@contextmanager
def connected(address: Address, names: Sequence[str]) -> Iterator[list[Client]]:
    """Connections, upgraded where the transport asks for it, with nothing said on them; closed at the end."""
    with ExitStack() as stack:
        clients: list[Client] = []
        for wave in _waves(names):
            clients += _open(address, wave, stack)
        yield clients


@contextmanager
def signed_in(
    address: Address, issuer: Issuer | TokenFile, names: Sequence[str], buffer: int = 0
) -> Iterator[list[tuple[Client, Welcome]]]:
    """One connection a user, with its `welcome`; closed at the end. The token goes with `hello` on every transport."""
    with ExitStack() as stack:
        signed: list[tuple[Client, Welcome]] = []
        spoke = time.monotonic()
        for wave in _waves(names):
            if time.monotonic() - spoke > _ALIVE_S:
                # Thousands take longer than the server waits until it asks whether the first ones live.
                spoke = time.monotonic()
                for client, _ in signed:
                    client.say_alive()
            clients = _open(address, wave, stack, buffer)
            for client in clients:
                client.write(type="hello", id=0, token=issuer.token(client.name), client="bench")
            signed += [(client, decode_welcome(client.payload(), client.name)) for client in clients]
        yield signed


def _open(address: Address, names: Sequence[str], stack: ExitStack, buffer: int = 0) -> list[Client]:
    clients = [stack.enter_context(closing(Client(address, name, buffer))) for name in names]
    if address.wire.name == "ws":
        for client in clients:
            client.sock.sendall(address.upgrade())
        for client in clients:
            client.upgraded()
    return clients


def _waves(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _WAVE):
        yield names[start : start + _WAVE]
