"""A peer of its own making: bytes on a socket, JSON frames, nothing of gochat's code and no WebSocket library."""

from __future__ import annotations

import base64
import json
import os
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio

Frame = dict[str, Any]
Address = tuple[str, int]
Dial = Callable[[str, int], Awaitable[trio.SocketStream]]

UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Closed(Exception):
    """The connection is gone."""


def upgrade(address: Address) -> bytes:
    """The request that opens a WebSocket."""
    return UPGRADE % (b"%s:%d" % (address[0].encode(), address[1]), base64.b64encode(os.urandom(16)))


def ws_frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, mask: bool = True, rsv: int = 0) -> bytes:
    """A client's frame. The mask is all zeroes: masked as the RFC demands, and readable in a trace."""
    size = len(payload)
    first, bit = (fin << 7) | (rsv << 4) | opcode, mask << 7
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


class Link(ABC):
    """One connection that sends and receives frames."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = bytearray()
        self._frames: deque[Frame] = deque()

    @staticmethod
    async def open(transport: str, address: Address, dial: Dial = trio.open_tcp_stream) -> Link:
        """Raises Closed."""
        try:
            stream = await dial(*address)
        except OSError as error:
            raise Closed(str(error)) from None
        link = TcpLink(stream) if transport == "tcp" else WsLink(stream)
        try:
            await link.begin(address)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return link

    async def begin(self, address: Address) -> None:
        """Do what comes before the first frame. Raises Closed."""
        return None

    @abstractmethod
    def encode(self, frame: Frame) -> bytes: ...

    @abstractmethod
    def _cut(self) -> bytes | None:
        """The next whole payload in the buffer. Raises Closed."""

    async def send(self, *frames: Frame) -> None:
        await self.send_raw(b"".join(map(self.encode, frames)))

    async def send_raw(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Closed(str(error)) from None

    async def receive(self) -> Frame:
        """The next frame. Raises Closed."""
        while not self._frames:
            while (payload := self._cut()) is not None:
                self._frames.append(json.loads(payload))
            if not self._frames:
                await self._more()
        return self._frames.popleft()

    async def ask(self, frame: Frame) -> Frame:
        """Send a request and return the reply that carries its id; what comes before it is dropped."""
        await self.send(frame)
        while (reply := await self.receive()).get("id") != frame["id"]:
            pass
        return reply

    async def hello(self, token: str, **fields: Any) -> Frame:
        """Sign in; the welcome."""
        welcome = await self.ask({"type": "hello", "id": "hello", "token": token, **fields})
        if welcome["type"] != "welcome":
            raise Closed(str(welcome))
        return welcome

    async def _more(self) -> None:
        try:
            data = await self.stream.receive_some(1 << 16)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("the end of the stream")
        self._buffer += data

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self.stream)

    async def __aenter__(self) -> Link:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class TcpLink(Link):
    def encode(self, frame: Frame) -> bytes:
        return json.dumps(frame).encode() + b"\n"

    def _cut(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


class WsLink(Link):
    async def begin(self, address: Address) -> None:
        await self.send_raw(upgrade(address))
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        if not self._buffer.startswith(b"HTTP/1.1 101 "):
            raise Closed(bytes(self._buffer[:200]).decode("latin-1"))
        del self._buffer[: end + 4]

    def encode(self, frame: Frame) -> bytes:
        return ws_frame(json.dumps(frame).encode())

    def _cut(self) -> bytes | None:
        while (found := self._cut_any()) is not None:
            opcode, payload = found
            if opcode == TEXT:
                return payload
            if opcode == CLOSE:
                raise Closed(payload.decode("utf-8", "replace"))
            # Pings need no answer here: no test is silent for as long as two heartbeats.
        return None

    def _cut_any(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 127, 2
        if size == 126 and len(buffer) >= 4:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127 and len(buffer) >= 10:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        elif size >= 126:
            return None
        if len(buffer) < start + size:
            return None
        opcode, payload = buffer[0] & 15, bytes(buffer[start : start + size])
        del buffer[: start + size]
        return opcode, payload
