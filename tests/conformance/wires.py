"""Transports as the script uses them: one class each, with connect, send, receive and close. Another transport is
another class, and an entry in `WIRES`."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec
import trio
import trio_websocket

from gochat.node import Node
from tests.conformance.transcript import Frame
from tests.e2e.peer import address


class Closed(Exception):
    """The node closed the connection; with which number, if one was told."""

    def __init__(self, number: int | None) -> None:
        super().__init__(number)
        self.number = number


class Wire(Protocol):
    """One connection."""

    #: Settings that the node needs for it, by section.
    settings: ClassVar[dict[str, dict[str, Any]]]

    @classmethod
    async def connect(cls, node: Node, nursery: trio.Nursery, trusted: Path) -> Wire:
        """`trusted` is a file with a certificate of "localhost" and its key. Tasks that the connection needs run in
        `nursery`."""

    async def send(self, value: object) -> None:
        """A value as a frame, also one that is none."""

    async def garbage(self) -> None:
        """A message that holds no value at all."""

    async def receive(self) -> Frame:
        """Raises Closed."""

    async def close(self) -> None:
        """Also where the node has closed it already."""


class Tcp:
    settings: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._number: int | None = None

    @classmethod
    async def connect(cls, node: Node, nursery: trio.Nursery, trusted: Path) -> Tcp:
        return cls(await trio.open_tcp_stream(*address(node, "tcp")))

    async def send(self, value: object) -> None:
        await self._stream.send_all(json.dumps(value).encode() + b"\n")

    async def garbage(self) -> None:
        await self._stream.send_all(b"{\n")

    async def receive(self) -> Frame:
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                data = await self._stream.receive_some()
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise Closed(self._number)
            self._buffer += data
        frame: Frame = json.loads(self._buffer[:end])
        del self._buffer[: end + 1]
        if "close" in frame:  # the transport has no close frame of its own
            self._number = frame["close"]
        return frame

    async def close(self) -> None:
        await self._stream.aclose()


class WebSocket:
    settings: ClassVar[dict[str, dict[str, Any]]] = {}
    subprotocol = "gochat.v1.json"

    def __init__(self, socket: trio_websocket.WebSocketConnection, stream: trio.abc.Stream) -> None:
        self._socket = socket
        self._under = stream

    @classmethod
    async def connect(cls, node: Node, nursery: trio.Nursery, trusted: Path) -> WebSocket:
        stream = await cls._stream(node, trusted)
        socket = await trio_websocket.wrap_client_stream(
            nursery, stream, "localhost", "/v1/ws", subprotocols=[cls.subprotocol], max_message_size=1 << 20
        )
        return cls(socket, stream)

    @classmethod
    async def _stream(cls, node: Node, trusted: Path) -> Any:
        return await trio.open_tcp_stream(*address(node, "http"))

    async def send(self, value: object) -> None:
        await self._socket.send_message(json.dumps(value))

    async def garbage(self) -> None:
        await self._socket.send_message("{")

    async def receive(self) -> Frame:
        try:
            message = await self._socket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise Closed(closed.reason.code if closed.reason else None) from None
        return self._decode(message)

    def _decode(self, message: str | bytes) -> Frame:
        assert isinstance(message, str)
        frame: Frame = json.loads(message)
        return frame

    async def close(self) -> None:
        await self._socket.aclose()
        await trio.aclose_forcefully(self._under)  # It leaves the stream open where the node closed first.


class Msgpack(WebSocket):
    subprotocol = "gochat.v1.msgpack"

    async def send(self, value: object) -> None:
        await self._socket.send_message(msgspec.msgpack.encode(value))

    async def garbage(self) -> None:
        await self._socket.send_message(b"\xc1")  # which msgpack never uses

    def _decode(self, message: str | bytes) -> Frame:
        assert isinstance(message, bytes)
        frame: Frame = msgspec.msgpack.decode(message)
        return frame


class Tls(WebSocket):
    settings: ClassVar[dict[str, dict[str, Any]]] = {"http": {"tls_cert": "{trusted}", "tls_key": "{trusted}"}}

    @classmethod
    async def _stream(cls, node: Node, trusted: Path) -> Any:
        stream = await trio.open_tcp_stream(*address(node, "https"))
        context = ssl.create_default_context(cafile=str(trusted))
        return trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)


WIRES: dict[str, type[Wire]] = {"websocket": WebSocket, "msgpack": Msgpack, "tcp": Tcp, "tls": Tls}
