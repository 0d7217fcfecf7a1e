"""REQ and REP sockets that speak for themselves, byte by byte: nanomsg's RFC "sp-tcp-mapping-01"."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import trio

#: The first bytes of a REQ socket, and of a REP socket.
REQ_HELLO, REP_HELLO = b"\0SP\0\0\x30\0\0", b"\0SP\0\0\x31\0\0"
Frame = dict[str, Any]


def message(request: bytes, number: int = 1) -> bytes:
    body = struct.pack(">I", 0x8000_0000 | number) + request
    return struct.pack(">Q", len(body)) + body


class _Bytes:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def exactly(self, count: int) -> bytes:
        """The next so many bytes. Raises EOFError."""
        while len(self._buffer) < count:
            data = await self.stream.receive_some()
            if not data:
                raise EOFError
            self._buffer += data
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data


class Req(_Bytes):
    """A REQ socket's end of one connection, one request after the other."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self.secret = ""
        self._number = 0

    @classmethod
    async def open(cls, host: str, port: int) -> Req:
        req = cls(await trio.open_tcp_stream(host, port))
        await req.stream.send_all(REQ_HELLO)
        assert await req.exactly(len(REP_HELLO)) == REP_HELLO
        return req

    async def send(self, request: bytes) -> None:
        self._number += 1
        await self.stream.send_all(message(request, self._number))

    async def receive(self) -> bytes:
        """The reply to the latest request."""
        number = 0
        while number != self._number:
            (size,) = struct.unpack(">Q", await self.exactly(8))
            reply = await self.exactly(size)
            number = int.from_bytes(reply[:4], "big") & 0x7FFF_FFFF
        return reply[4:]

    async def ask(self, *frames: Frame) -> list[Frame]:
        await self.send(self.request(*frames))
        found = [json.loads(line) for line in (await self.receive()).splitlines()]
        for frame in found:
            if frame["type"] == "welcome":
                self.secret = frame["session"]
        return found

    def request(self, *frames: Frame) -> bytes:
        first, *others = frames
        if self.secret:
            first = {**first, "session": self.secret}
        return b"\n".join(json.dumps(frame).encode() for frame in (first, *others))

    def kill(self) -> None:
        """Without a goodbye, as the system does for a process that was killed."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()


class Peer(_Bytes):
    """A REP socket's end of one connection, which answers in the order that it likes."""

    async def greet(self) -> None:
        await self.stream.send_all(REP_HELLO)
        assert await self.exactly(len(REQ_HELLO)) == REQ_HELLO

    async def request(self) -> tuple[int, list[Frame]]:
        """The next request: its number, which `message` takes, and its frames."""
        (size,) = struct.unpack(">Q", await self.exactly(8))
        request = await self.exactly(size)
        number = int.from_bytes(request[:4], "big") & 0x7FFF_FFFF
        return number, [json.loads(line) for line in request[4:].splitlines()]
