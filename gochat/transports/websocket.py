"""WebSocket: trio-websocket does the handshake, ping, pong and close; data frames take a fast lane past it.

trio-websocket gets a stream of ours. Reading, it is given only control frames and violations, one whole frame at a
time; data frames go straight to the session, from trio-websocket's own reader task. Writing, what it wants to send is
queued in the connection's outbox as one whole frame, behind what waits there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError

from gochat.domain.limits import TokenBucket
from gochat.protocol import websocket as frames
from gochat.protocol.codec import SUBPROTOCOLS, WS_JSON, Codec
from gochat.transports.connection import BURST, CLOSE_S, Accept, Connection, Receiver

_PING = frames.frame(frames.PING, b"")
#: Control frames a second that a peer may send: each costs trio-websocket about 20 us.
CONTROLS_PER_S, CONTROL_BURST = 10.0, 64


class WebSocketConnection(Connection):
    __slots__ = ("ended",)

    transport = "ws"
    ended: trio.Event

    def ping(self, codec: Codec) -> None:
        self.outbox.push(_PING)

    def _stop_reading(self) -> None:
        """The peer's Close is still to be read: only the connection's task is woken."""
        self.ended.set()

    def abort(self) -> None:
        super().abort()
        self.ended.set()


class _Stream(trio.abc.Stream):
    """The stream that trio-websocket reads and writes. See the module."""

    __slots__ = ("_connection", "_controls", "_frames", "_opened", "_over", "_pass", "_replay", "_trailing", "session")

    def __init__(
        self, connection: WebSocketConnection, head: bytes, trailing: bytes, reader: frames.FrameReader
    ) -> None:
        self._connection = connection
        self._frames = reader
        self._replay: bytes | None = head
        self._trailing = trailing
        self._over = False
        self._pass: deque[bytes] = deque()
        self._controls: TokenBucket | None = None
        self._opened: trio.Event | None = trio.Event()
        self.session: Receiver | None = None

    def open(self) -> None:
        """The handshake is done: read on."""
        if self._opened is not None:
            self._opened.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._replay is not None:
            head, self._replay = self._replay, None
            await trio.lowlevel.checkpoint()
            return head
        if self._opened is not None:
            await self._opened.wait()
            self._opened = None
        if self._connection.outbox.broken:
            self._connection.ended.set()
            return b""
        while not self._pass:
            if self._trailing:
                data, self._trailing = self._trailing, b""
                self._take(data)
            else:
                await self._connection.receive_all(self._take)
            if self._over or self.session is None:
                self._connection.ended.set()
                return b""
            if self.session.waiting:
                await self.session.readable()
        return self._pass.popleft()

    def _take(self, data: bytes) -> bool:
        """Hand on what came. True: before more is read, something must be passed on or waited for."""
        session = self.session
        if not data or session is None:
            self._over = True
            return True
        session.budget = BURST
        for item in self._frames.feed(data):
            if isinstance(item, bytes):
                session.receive(item)
            elif isinstance(item, frames.Passthrough):
                if not self._affordable():
                    self._pass.clear()
                    session.violated("too many control frames")
                    break
                self._pass.append(item.data)
            elif item is frames.Refused.TOO_LARGE:
                session.too_large()
            else:
                session.violated("the other opcode than the subprotocol's")
        return session.waiting or bool(self._pass)

    def _affordable(self) -> bool:
        self._connection.peer_answers = True
        if self._controls is None:
            self._controls = TokenBucket(CONTROLS_PER_S, CONTROL_BURST)
        return not self._controls.take(int(trio.current_time() * 1000))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        outbox = self._connection.outbox
        outbox.put(bytes(data))
        outbox.flush()
        await trio.lowlevel.checkpoint()
        await outbox.flushed()
        if outbox.broken:
            # trio-websocket's reader ends with this; nothing else would tell the connection.
            self._connection.ended.set()
            raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await self._connection.outbox.flushed()

    async def aclose(self) -> None:
        """trio-websocket has done with it; the connection's task closes the socket."""
        self._connection.ended.set()
        await trio.lowlevel.checkpoint()


class Opening(NamedTuple):
    """A handshake that may be accepted."""

    head: bytes
    """The request's head, as trio-websocket is to see it."""
    trailing: bytes
    """What came behind it."""
    subprotocol: str | None
    credential: str | None


async def serve(connection: WebSocketConnection, opening: Opening, accept: Accept, frame_bytes: int) -> None:
    """Serve one connection from its handshake until it ends, and close it."""
    subprotocol, credential = opening.subprotocol, opening.credential
    codec = SUBPROTOCOLS[subprotocol] if subprotocol else WS_JSON
    opcode = frames.BINARY if codec is SUBPROTOCOLS["gochat.v1.msgpack"] else frames.TEXT
    stream = _Stream(connection, opening.head, opening.trailing, frames.FrameReader(frame_bytes, opcode))
    del opening  # What is only needed once is not kept as long as the connection lives.
    connection.ended = trio.Event()
    session: Receiver | None = None
    try:
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream)
            peer = await request.accept(subprotocol=subprotocol)
            stream.session = session = accept(connection, codec, credential)
            stream.open()
            del request, credential
            await connection.ended.wait()
            session.ended()
            if connection.closing is not None and not connection.outbox.broken:
                number, reason = connection.closing
                with trio.move_on_after(CLOSE_S):
                    await peer.aclose(number, reason)
            nursery.cancel_scope.cancel()
    except* (trio_websocket.HandshakeError, trio_websocket.ConnectionClosed, trio.BrokenResourceError):
        pass  # The peer went away in the middle of a handshake or of a close: there is nobody to tell.
    except* LocalProtocolError:
        pass  # trio-websocket answers a ping that crosses our Close, which the protocol does not allow.
    finally:
        if session is not None:
            session.ended()
        with trio.CancelScope(shield=True):
            await connection.close()


def choose_subprotocol(offered: Iterable[str]) -> tuple[str | None, str | None]:
    """The subprotocol to speak (None: none was offered), and the token of a `bearer.T` entry, which is never echoed."""
    chosen: str | None = None
    credential: str | None = None
    for entry in offered:
        if entry.startswith("bearer."):
            credential = entry[7:]
        elif chosen is None and entry in SUBPROTOCOLS:
            chosen = entry
    return chosen, credential
