"""A peer of a node: sends and receives frames as plain dicts, over every transport, with nothing of gochat's client."""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections import deque
from typing import Any

import msgspec
import trio
import trio_websocket

from gochat.node import Node
from tests.tokens import issue

Frame = dict[str, Any]
#: Far more than anything takes, since machines are shared.
WAIT_S = 60.0


def address(node: Node, door: str) -> tuple[str, int]:
    """Where a door of the node listens."""
    text = next(where for name, where in node.addresses if name == door)
    host, _, port = text.rpartition(":")
    return host, int(port)


class Closed(Exception):
    """The node closed the connection; `code` is the number, if one was told."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Peer(ABC):
    """One connection. Replies are told from events by their id."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.events: deque[Frame] = deque()
        self.welcome: Frame = {}
        self._ids = itertools.count(1)
        self.close_code: int | None = None

    @staticmethod
    async def open(node: Node, transport: str, nursery: trio.Nursery) -> Peer:
        with trio.fail_after(WAIT_S):
            if transport == "tcp":
                stream = await trio.open_tcp_stream(*address(node, "tcp"))
                nursery.start_soon(_close_at_the_end, stream)
                return TcpPeer(node, stream)
            if transport == "nng":
                return await NngPeer.connect(node, nursery)
            subprotocol = "gochat.v1.msgpack" if transport == "ws-msgpack" else "gochat.v1.json"
            return await WsPeer.connect(nursery, node, [subprotocol])

    @abstractmethod
    async def send(self, frame: Frame) -> None: ...

    @abstractmethod
    async def receive(self) -> Frame:
        """The next frame, whatever it is. Raises Closed."""

    @abstractmethod
    async def aclose(self) -> None: ...

    # ------------------------------------------------------------------------------------------ conversation

    async def hello(self, user: str, **fields: Any) -> Frame:
        """Sign in; with a token that the node accepts, unless one is given."""
        self.welcome = await self.ask("hello", **{"token": issue(self.node, user), **fields})
        assert self.welcome["type"] == "welcome", self.welcome
        return self.welcome

    async def ask(self, kind: str, **fields: Any) -> Frame:
        """Send a request and wait for its reply; events that come first are kept."""
        request_id = next(self._ids)
        await self.send({"type": kind, "id": request_id, **fields})
        with trio.fail_after(WAIT_S):
            while True:
                frame = await self.receive()
                if frame.get("id") == request_id:
                    return frame
                self.events.append(frame)

    async def event(self, *kinds: str) -> Frame:
        """The next event, of one of these kinds if any are named; others are dropped."""
        with trio.fail_after(WAIT_S):
            while True:
                frame = self.events.popleft() if self.events else await self.receive()
                if not kinds or frame["type"] in kinds:
                    return frame

    async def facts(self, room: str, upto: int) -> list[Frame]:
        """The facts of a room up to a seq, as they come."""
        found: list[Frame] = []
        while not found or found[-1]["seq"] < upto:
            frame = await self.event()
            if frame.get("room") == room and "seq" in frame and frame["type"] != "read":
                found.append(frame)
        return found

    async def nothing_more(self) -> None:
        """Everything that was on its way has come, and it was no event."""
        await self.ask("ping")
        assert not self.events, list(self.events)

    async def closed(self) -> int | None:
        """Wait for the node to close; the number it gave."""
        with trio.fail_after(WAIT_S):
            try:
                while True:
                    await self.receive()
            except Closed as closed:
                return closed.code


async def _close_at_the_end(stream: trio.SocketStream) -> None:
    try:
        await trio.sleep_forever()
    finally:
        stream.socket.close()


class TcpPeer(Peer):
    def __init__(self, node: Node, stream: trio.SocketStream) -> None:
        super().__init__(node)
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, frame: Frame) -> None:
        await self.stream.send_all(json.dumps(frame).encode() + b"\n")

    async def receive(self) -> Frame:
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise Closed(self.close_code)
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        frame: Frame = json.loads(line)
        self.close_code = frame.get("close", self.close_code)
        return frame

    async def aclose(self) -> None:
        await self.stream.aclose()


class WsPeer(Peer):
    def __init__(self, node: Node, socket: trio_websocket.WebSocketConnection, stream: trio.SocketStream) -> None:
        super().__init__(node)
        self.socket = socket
        self.stream = stream
        self._binary = socket.subprotocol == "gochat.v1.msgpack"

    @staticmethod
    async def connect(nursery: trio.Nursery, node: Node, subprotocols: list[str], **options: Any) -> WsPeer:
        host, port = address(node, "http")
        stream = await trio.open_tcp_stream(host, port)
        nursery.start_soon(_close_at_the_end, stream)
        socket = await trio_websocket.wrap_client_stream(
            nursery, stream, f"{host}:{port}", "/v1/ws", subprotocols=subprotocols, **options
        )
        return WsPeer(node, socket, stream)

    async def send(self, frame: Frame) -> None:
        if self._binary:
            await self.socket.send_message(msgspec.msgpack.encode(frame))
        else:
            await self.socket.send_message(json.dumps(frame))

    async def receive(self) -> Frame:
        try:
            message = await self.socket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise Closed(closed.reason.code if closed.reason else None) from None
        frame: Frame = msgspec.msgpack.decode(message) if isinstance(message, bytes) else json.loads(message)
        return frame

    async def aclose(self) -> None:
        with trio.move_on_after(2):
            await self.socket.aclose()


class NngPeer(Peer):
    """A request for each frame, and polls for what comes unasked."""

    def __init__(self, node: Node, socket: Any) -> None:
        super().__init__(node)
        self.socket = socket
        self.secret = ""
        self._frames: deque[Frame] = deque()

    @staticmethod
    async def connect(node: Node, nursery: trio.Nursery) -> NngPeer:
        import pynng  # Many tests need neither it nor nng.

        host, port = address(node, "nng")
        socket = pynng.Req0(async_backend="trio")
        nursery.start_soon(_close_socket_at_the_end, socket)
        socket.dial(f"tcp://{host}:{port}", block=True)
        return NngPeer(node, socket)

    async def request(self, *frames: Frame) -> list[Frame]:
        """The frames of the reply."""
        first, *others = frames
        if self.secret:
            first = {**first, "session": self.secret}
        with self.socket.new_context() as context, trio.fail_after(WAIT_S):
            await context.asend(b"\n".join(json.dumps(frame).encode() for frame in (first, *others)))
            reply = await context.arecv()
        found = [json.loads(line) for line in reply.splitlines()]
        for frame in found:
            if frame["type"] == "welcome":
                self.secret = frame["session"]
        return found

    async def send(self, frame: Frame) -> None:
        self._frames += await self.request(frame)

    async def receive(self) -> Frame:
        while not self._frames:
            if self.close_code is not None:
                raise Closed(self.close_code)
            if not self.secret:
                raise Closed(None)
            self._frames += await self.request({"type": "poll", "wait_ms": 2_000})
        frame = self._frames.popleft()
        self.close_code = frame.get("close", self.close_code)
        return frame

    async def aclose(self) -> None:
        if self.secret and self.close_code is None:
            with trio.move_on_after(2):
                await self.request({"type": "bye"})
        self.secret = ""
        self.socket.close()


async def _close_socket_at_the_end(socket: Any) -> None:
    try:
        await trio.sleep_forever()
    finally:
        socket.close()
