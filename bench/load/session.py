"""A sign-in, and what follows, on a non-blocking socket: for loads that connect while others are served."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from bench.faults import Fault, Gone
from bench.load.client import Address, Client
from bench.load.frames import Welcome, decode_welcome
from bench.load.loop import Poll

_READ = 65_536

Resume: TypeAlias = Mapping[str, Mapping[str, Any]]


class Session:
    """One connection of one user. `on_welcome` is called once, `on_frames` with what comes after."""

    __slots__ = (
        "_address",
        "_hello",
        "_on_frames",
        "_on_welcome",
        "_poll",
        "_rest",
        "_state",
        "_unsent",
        "began",
        "name",
        "sock",
        "wire",
    )

    def __init__(
        self,
        address: Address,
        name: str,
        poll: Poll,
        on_welcome: Callable[[Welcome], None],
        on_frames: Callable[[list[bytes]], None],
    ) -> None:
        self.name = name
        self.wire = address.wire
        self.sock: socket.socket | None = None
        self.began = 0
        """When it began to connect, in nanoseconds of `time.perf_counter_ns`."""
        self._address = address
        self._poll = poll
        self._on_welcome = on_welcome
        self._on_frames = on_frames
        self._hello = b""
        self._rest = b""
        self._unsent = b""
        self._state: Callable[[], None] = self._connected

    def adopt(self, client: Client) -> None:
        """Take over a connection that was made and signed in by other means."""
        client.unblock()
        self.sock = client.sock
        self._state = self._live
        self._poll.add(self.sock, self._readable)

    def connect(self, token: str, resume: Resume) -> None:
        self.began = time.perf_counter_ns()
        hello = {"type": "hello", "id": 0, "token": token, "client": "bench", "resume": resume}
        self._hello = self.wire.frame(msgspec.json.encode(hello))
        self._rest = self._unsent = b""
        self._state = self._connected
        self.sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex((self._address.host, self._address.port))
        self._poll.add(sock, self._readable, select.EPOLLOUT)

    def send(self, frame: bytes) -> None:
        """Hand a frame, in the transport's framing, to the kernel; what it does not take goes with the next bytes."""
        self._unsent += frame
        self._flush()

    def close(self) -> None:
        """Without a word, as when a phone loses its network."""
        if self.sock is not None:
            self._poll.remove(self.sock)
            self.sock.close()
            self.sock = None

    def _readable(self) -> None:
        self._state()

    def _connected(self) -> None:
        assert self.sock is not None
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise Gone(f"{self.name}: can't connect: error {error}")
        self._poll.change(self.sock, select.EPOLLIN)
        if self.wire.name == "ws":
            self._state = self._upgraded
            self.send(self._address.upgrade())
        else:
            self._state = self._greeted
            self.send(self._hello)

    def _upgraded(self) -> None:
        self._rest += self._receive()
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if end:
            status = head.split(b"\r\n", 1)[0].decode("latin-1")
            if status.split(" ")[1:2] != ["101"]:
                raise Fault(f"{self.name}: the upgrade was answered {status!r}")
            self._rest = rest
            self._state = self._greeted
            self.send(self._hello)

    def _greeted(self) -> None:
        payloads = self._payloads()
        if payloads:
            self._state = self._live
            self._on_welcome(decode_welcome(payloads[0], self.name))
            if len(payloads) > 1:
                self._on_frames(payloads[1:])

    def _live(self) -> None:
        self._on_frames(self._payloads())
        if self._unsent:
            self._flush()

    def _payloads(self) -> list[bytes]:
        data = self._rest + self._receive()
        try:
            payloads, used = self.wire.split(data)
        except Fault as fault:
            raise Fault(f"{self.name}: {fault}") from None
        self._rest = data[used:]
        return payloads

    def _receive(self) -> bytes:
        assert self.sock is not None
        try:
            data = self.sock.recv(_READ)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise Gone(f"{self.name}: {error}") from None
        if not data:
            raise Gone(f"{self.name}: the server closed the connection")
        return data

    def _flush(self) -> None:
        if self._unsent and self.sock is not None:
            with suppress(BlockingIOError):
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
