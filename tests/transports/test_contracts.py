"""Connections of every kind keep what `connections.Connection` promises."""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from wsproto.connection import Connection as WsProto
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from gochat.protocol.codec import LINE_JSON, WS_JSON
from gochat.transports import tcp, websocket
from gochat.transports.memory import MemoryConnection, MemoryPeer
from gochat.transports.outbox import WaitingBytes
from gochat.transports.poller import Poller
from tests.contracts.connection import FRAME_BYTES, OUTBOX_BYTES, ConnectionContract, Heard, Wire
from tests.transports.listening import books

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
#: Small, so that a peer that reads nothing is soon noticed.
KERNEL_BYTES = 8 * 1024


class LinePeer:
    """A frame a line over a stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.pinged = 0
        self.close_code: int | None = None
        self.stream = stream
        self._silent = False
        self._bytes = bytearray()

    async def send(self, payload: bytes) -> None:
        await self.stream.send_all(payload + b"\n")

    async def receive(self) -> Any:
        while (end := self._bytes.find(b"\n")) < 0:
            if not (data := await _read(self.stream)):
                return None
            self._bytes += data
        frame = msgspec.json.decode(self._bytes[:end])
        del self._bytes[: end + 1]
        if frame["type"] == "ping":
            self.pinged += 1
            return await self.receive()
        return frame

    async def stop_sending(self) -> None:
        self._silent = True
        if isinstance(self.stream, trio.SocketStream):
            await self.stream.send_eof()
        else:
            await self.leave()  # TLS has no half of a connection to close.

    async def leave(self) -> None:
        await trio.aclose_forcefully(self.stream)


class WebSocketPeer(LinePeer):
    """The same in a WebSocket's frames, after the handshake."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self._protocol = WsProto(ConnectionType.CLIENT)
        self._frames: deque[Any] = deque()
        self._begun = False
        self._text = ""

    async def send(self, payload: bytes) -> None:
        await self.stream.send_all(self._protocol.send(TextMessage(payload.decode())))

    async def receive(self) -> Any:
        while not self._frames:
            if not (data := await _read(self.stream)):
                return None
            if not self._begun:
                self._begun, data = True, data.partition(b"\r\n\r\n")[2]
            self._protocol.receive_data(data)
            await self._read_events()
        return self._frames.popleft()

    async def _read_events(self) -> None:
        for event in self._protocol.events():
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    self._frames.append(msgspec.json.decode(self._text))
                    self._text = ""
            elif isinstance(event, Ping):
                self.pinged += 1
            elif isinstance(event, CloseConnection):
                self.close_code = event.code
                if not self._silent:
                    await self.stream.send_all(self._protocol.send(event.response()))


async def _read(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some(65_536))
    except trio.BrokenResourceError:
        return b""


class InProcess:
    """A peer in the same process."""

    def __init__(self, connection: MemoryConnection) -> None:
        self.pinged = 0
        self._peer = MemoryPeer(connection)
        self._frames: deque[Any] = deque()

    @property
    def close_code(self) -> int | None:
        return self._peer.close_code

    async def send(self, payload: bytes) -> None:
        await self._peer.send(payload)

    async def receive(self) -> Any:
        while not self._frames:
            data = await self._peer.receive()
            if not data:
                return None
            frames = [msgspec.json.decode(line) for line in data.splitlines()]
            self.pinged += sum(frame["type"] == "ping" for frame in frames)
            self._frames += [frame for frame in frames if frame["type"] != "ping"]
        return self._frames.popleft()

    async def stop_sending(self) -> None:
        self._peer.close()

    async def leave(self) -> None:
        self._peer.close()


@asynccontextmanager
async def over_sockets(
    kind: type[tcp.TcpConnection | websocket.WebSocketConnection],
    contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
) -> AsyncIterator[Wire]:
    """A connection over a socket pair; with the contexts of both sides, over TLS."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    stream: trio.abc.Stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    far: trio.abc.Stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    slot = books().admit(ours, "192.0.2.1", direct=contexts is None)
    assert slot is not None
    waiting, poller = WaitingBytes(), Poller()
    async with trio.open_nursery() as nursery:
        if contexts is not None:
            stream = trio.SSLStream(stream, contexts[0], server_side=True, https_compatible=True)
            far = trio.SSLStream(far, contexts[1], server_hostname="localhost", https_compatible=True)
            async with trio.open_nursery() as both:
                both.start_soon(stream.do_handshake)
                both.start_soon(far.do_handshake)
        nursery.start_soon(poller.run)
        connection = kind(
            stream,
            ours,
            direct=slot.direct,
            peer=slot.peer,
            outbox_bytes=OUTBOX_BYTES,
            spawn=nursery.start_soon,
            slot=slot,
            poller=poller,
            waiting=waiting,
        )
        session = Heard(connection)
        if isinstance(connection, tcp.TcpConnection):
            peer: LinePeer = LinePeer(far)
            nursery.start_soon(tcp.serve, connection, lambda *_: session, FRAME_BYTES, 0)
        else:
            peer = WebSocketPeer(far)
            opening = websocket.Opening(KEY, b"", None, None)
            nursery.start_soon(websocket.serve, connection, opening, lambda *_: session, FRAME_BYTES, 0)
        await trio.testing.wait_all_tasks_blocked()
        codec = LINE_JSON if isinstance(connection, tcp.TcpConnection) else WS_JSON
        wire = Wire(connection, codec, peer, waiting, session)
        wire.half_closes = contexts is None
        try:
            yield wire
        finally:
            await peer.leave()
            nursery.cancel_scope.cancel()
    ours.close()


class TestTcp(ConnectionContract):
    @pytest.fixture
    async def wire(self) -> AsyncIterator[Wire]:
        async with over_sockets(tcp.TcpConnection) as wire:
            yield wire


class TestWebSocket(ConnectionContract):
    @pytest.fixture
    async def wire(self) -> AsyncIterator[Wire]:
        async with over_sockets(websocket.WebSocketConnection) as wire:
            yield wire


class TestTls(ConnectionContract):
    """WebSocket over TLS: bytes go through the stream, and not past it."""

    @pytest.fixture
    async def wire(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Wire]:
        async with over_sockets(websocket.WebSocketConnection, contexts) as wire:
            yield wire


class TestMemory(ConnectionContract):
    @pytest.fixture(params=[None, 60.0])
    async def wire(self, request: pytest.FixtureRequest, nursery: trio.Nursery) -> Wire:
        waiting = WaitingBytes()
        connection = MemoryConnection(outbox_bytes=OUTBOX_BYTES, waiting=waiting, max_silence_s=request.param)
        session = Heard(connection)
        nursery.start_soon(connection.serve, lambda *_: session, FRAME_BYTES)
        return Wire(connection, LINE_JSON, InProcess(connection), waiting, session)
