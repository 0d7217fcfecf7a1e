"""WebSocket: the connection's own task accepts the handshake. From then on the poller reads, or with TLS that task, and
data frames go straight to the session.

Frames that are no data frames, and frames that break the protocol, are wsproto's to answer. It is asked for the first
of these: most connections end without one, and every sign-in pays for the things that a connection is given at its
start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import trio
from wsproto.connection import Connection as WsProto
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Ping
from wsproto.utilities import generate_accept_token

from gochat.connections import BURST, Accept, Receiver
from gochat.domain.limits import TokenBucket
from gochat.protocol import websocket as frames
from gochat.protocol.codec import SUBPROTOCOLS, WS_JSON, Codec
from gochat.transports.connection import CLOSE_S, SocketConnection

_PING = frames.frame(frames.PING, b"")
#: Control frames a second that a peer may send: each costs wsproto about 20 us.
CONTROLS_PER_S, CONTROL_BURST = 10.0, 64
#: States in which a Close may be sent.
_OPEN = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)


class WebSocketConnection(SocketConnection):
    __slots__ = ("_controls", "_done", "_ended", "_frames", "_over", "_protocol", "_session")

    transport = "ws"
    tells_close = True
    _session: Receiver | None
    """Until the conversation is over: the session holds its connection, and the two would be a cycle."""
    _frames: frames.FrameReader
    _done: bool
    """Whether nothing more is read."""
    _ended: bool
    """Whether the peer's bytes ended without a Close."""
    _over: trio.Event
    _controls: TokenBucket | None
    _protocol: WsProto | None

    def ping(self, codec: Codec) -> None:
        self.outbox.try_send(_PING)

    def _stop_reading(self) -> None:
        """The peer's Close is still to be read: the reader goes on."""
        self._spawn(self._see_off)

    async def _see_off(self) -> None:
        """Say Close behind what waits. The reader ends with the peer's, or when it has not come in time."""
        if self._session is not None:
            self._session.ended()
        if self._over.is_set() or self.outbox.broken or self.closing is None:
            return
        number, reason = self.closing
        self._close(CloseConnection(number, reason))
        with trio.move_on_after(CLOSE_S) as late:
            await self._over.wait()
        if late.cancelled_caught:
            self.abort()

    def take(self, data: bytes) -> bool:
        session, outbox = self._session, self.outbox
        assert session is not None
        session.burst_left = BURST
        self._ended = not data
        self._done = self._ended or not self._take(self._frames.feed(data))
        return self._done or session.waiting or outbox.broken or (self._protocol is not None and outbox.writing)

    async def converse(self, session: Receiver, reader: frames.FrameReader, trailing: bytes) -> None:
        """Read until the conversation is over; `trailing` has been read already."""
        self._begin(session)
        self._frames, self._done, self._ended = reader, False, False
        outbox = self.outbox
        try:
            if trailing:
                self.take(trailing)
                trailing = b""
            while not self._done and not outbox.broken:
                if session.waiting:
                    await session.wait_readable()
                if self._protocol is not None and outbox.writing:
                    await outbox.flushed()  # A peer that does not read its pongs shall send no more pings.
                await self.receive_all()
            if self._ended and self.closing is None:
                # No Close came, yet the peer may still read: what it sent is answered, and a Close ends the answers.
                await self.answer_last(session)
                self._close(CloseConnection(1000))
        finally:
            self._over.set()
            self._session = None
            if self._protocol is not None:
                _end_parser(self._protocol)

    def _begin(self, session: Receiver) -> None:
        self._session, self._over = session, trio.Event()
        self.peer_answers = True  # RFC 6455, section 5.5.2: every peer does.
        self._controls = self._protocol = None

    def _take(self, items: Sequence[frames.Item]) -> bool:
        """Whether to read on."""
        session = self._session
        assert session is not None
        for item in items:
            if isinstance(item, bytes):
                session.receive(item)
            elif isinstance(item, frames.Passthrough):
                if not self._affordable():
                    session.violated("too many control frames")
                    return True
                if not self._control(item.data):
                    return False
            elif item is frames.MessageFault.TOO_LARGE:
                session.too_large()
            elif item is frames.MessageFault.NOT_UTF8:
                session.invalid_text()
            else:
                session.violated("a message of the other kind: gochat.v1.json is text, gochat.v1.msgpack is binary")
        return True

    def _affordable(self) -> bool:
        if self._controls is None:
            self._controls = TokenBucket(CONTROLS_PER_S, CONTROL_BURST)
        return not self._controls.take(int(trio.current_time() * 1000))

    def _control(self, data: bytes) -> bool:
        """Answer a control frame, or what breaks the protocol. Whether to read on."""
        protocol = self._sans_io()
        protocol.receive_data(data)
        for event in protocol.events():
            if isinstance(event, CloseConnection):
                self._close(event.response())
                return False
            if isinstance(event, Ping) and self.closing is None:
                self.outbox.put(protocol.send(event.response()))
                self.outbox.flush()
        return True

    def _close(self, close: CloseConnection) -> None:
        """Send a Close, unless one was sent."""
        protocol = self._sans_io()
        if protocol.state in _OPEN:
            self.outbox.put_last(protocol.send(close))

    def _sans_io(self) -> WsProto:
        if self._protocol is None:
            self._protocol = WsProto(ConnectionType.SERVER)
        return self._protocol


def _end_parser(protocol: WsProto) -> None:
    """wsproto's parser is a generator that holds its own object: unless something was parsed to its end, only the
    collector would free the two. Every client that went without a Close left such a pair behind."""
    protocol._proto._parse_more.close()


class Opening(NamedTuple):
    """A handshake that may be accepted."""

    key: bytes
    """The client's Sec-WebSocket-Key."""
    trailing: bytes
    """The bytes that came behind the request."""
    subprotocol: str | None
    credential: str | None

    def answer(self) -> bytes:
        """The response that accepts it (RFC 6455, section 4.2.2)."""
        chosen = f"Sec-WebSocket-Protocol: {self.subprotocol}\r\n".encode("ascii") if self.subprotocol else b""
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n%s\r\n" % (generate_accept_token(self.key), chosen)
        )


async def serve(
    connection: WebSocketConnection, opening: Opening, accept: Accept, frame_bytes: int, first_bytes: int
) -> None:
    """Serve one connection from its handshake until it ends, and close it."""
    codec = SUBPROTOCOLS[opening.subprotocol] if opening.subprotocol else WS_JSON
    opcode = frames.BINARY if codec is SUBPROTOCOLS["gochat.v1.msgpack"] else frames.TEXT
    connection.outbox.try_send(opening.answer())
    session = accept(connection, codec, opening.credential)
    conversation = connection.converse(session, frames.FrameReader(frame_bytes, opcode, first_bytes), opening.trailing)
    del opening  # It is needed only once, and is not kept as long as the connection lives.
    try:
        await conversation
    finally:
        session.ended()
        await connection.close()  # noqa: ASYNC102 -- shielded and bounded by itself


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
