"""Transports as the script uses them: one class each, with connect, send, receive and close. Another transport is
another class, and an entry in `WIRES`."""

from __future__ import annotations

import json
import ssl
from collections import deque
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec
import pynng
import trio
import trio_websocket

from gochat.errors import TOO_LARGE
from gochat.node import Node
from tests.conformance.transcript import Frame
from tests.e2e.peer import address

#: How long after the last frame a session over nng polls though nobody waits for a frame: the end may come unasked.
IDLE_S = 0.2


class Closed(Exception):
    """The node closed the connection; with which number, if one was told."""

    def __init__(self, number: int | None) -> None:
        super().__init__(number)
        self.number = number


class Wire(Protocol):
    """One connection."""

    #: Settings that the node needs for it, by section.
    settings: ClassVar[dict[str, dict[str, Any]]]
    #: Whether events wait for the replies that they came with (protocol.md, "nng").
    replies_first: ClassVar[bool] = False
    #: Numbers of ends that it does not tell.
    untold: ClassVar[frozenset[int]] = frozenset()

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


class Tcp(Wire):
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


class WebSocket(Wire):
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


class Nng(Wire):
    """A request a frame, and beside it polls for what comes unasked."""

    settings: ClassVar[dict[str, dict[str, Any]]] = {"nng": {"bind": "tcp://127.0.0.1:0"}}
    replies_first = True
    untold = frozenset((TOO_LARGE,))

    def __init__(self, socket: Any, frame_bytes: int, nursery: trio.Nursery) -> None:
        self._socket = socket
        self._frame_bytes = frame_bytes
        self._nursery = nursery
        self._frames: deque[Frame] = deque()
        self._more, self._polled, self._wanted = trio.Event(), trio.Event(), trio.Event()
        self._turn = trio.Lock()
        self._secret = ""
        self._number: int | None = None
        self._over = False
        self._polled.set()

    @classmethod
    async def connect(cls, node: Node, nursery: trio.Nursery, trusted: Path) -> Nng:
        host, port = address(node, "nng")
        socket = pynng.Req0(async_backend="trio")
        socket.dial(f"tcp://{host}:{port}", block=True)
        return cls(socket, node.settings.limits.frame_bytes, nursery)

    async def send(self, value: object) -> None:
        if self._secret and isinstance(value, dict):
            value = {**value, "session": self._secret}
        await self._ask(json.dumps(value).encode())

    async def garbage(self) -> None:
        # Behind a frame that says whose it is, and to which there is no reply.
        mine = json.dumps({"type": "pong", "session": self._secret}).encode() + b"\n" if self._secret else b""
        await self._ask(mine + b"{")

    async def _ask(self, request: bytes) -> None:
        if len(request) > self._frame_bytes:
            # It would end nng's connection without a word, and a REQ socket sends it again and again.
            self._end(None)
            return
        async with self._turn:
            reply = await self._exchange(request)
            with trio.move_on_after(1):  # It may have overtaken the poll.
                await self._polled.wait()  # The poll that it ended was answered first.
            self._take(reply)

    async def _exchange(self, request: bytes) -> list[Frame]:
        with self._socket.new_context() as context:
            await context.asend(request)
            reply = await context.arecv()
        return [json.loads(line) for line in reply.splitlines()]

    async def _poll(self) -> None:
        poll = json.dumps({"type": "poll", "session": self._secret, "wait_ms": 30_000}).encode()
        while not self._over:
            with trio.move_on_after(IDLE_S):
                await self._wanted.wait()
            self._wanted = trio.Event()
            async with self._turn:
                self._polled = trio.Event()
            try:
                self._take(await self._exchange(poll))
            except pynng.Closed:
                pass  # by `close`, or the node has gone
            self._polled.set()

    def _take(self, frames: list[Frame]) -> None:
        self._frames += frames
        for frame in frames:
            if frame["type"] == "welcome" and not self._secret:
                self._secret = frame["session"]
                self._nursery.start_soon(self._poll)
            if "close" in frame:
                self._end(frame["close"])
        self._more.set()

    def _end(self, number: int | None) -> None:
        self._number, self._over = number, True
        self._more.set()

    async def receive(self) -> Frame:
        while not self._frames:
            if self._over:
                raise Closed(self._number)
            self._more = trio.Event()
            if self._polled.is_set():
                self._wanted.set()
            await self._more.wait()
        return self._frames.popleft()

    async def close(self) -> None:
        if self._secret and not self._over:
            self._over = True
            with trio.move_on_after(5):
                await self.send({"type": "bye"})
        self._socket.close()


class Tls(WebSocket):
    settings: ClassVar[dict[str, dict[str, Any]]] = {"http": {"tls_cert": "{trusted}", "tls_key": "{trusted}"}}

    @classmethod
    async def _stream(cls, node: Node, trusted: Path) -> Any:
        stream = await trio.open_tcp_stream(*address(node, "https"))
        context = ssl.create_default_context(cafile=str(trusted))
        return trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)


WIRES: dict[str, type[Wire]] = {"websocket": WebSocket, "msgpack": Msgpack, "tcp": Tcp, "tls": Tls, "nng": Nng}
