"""Raw TCP: one JSON frame a line, usable from `nc`. The number of a close stands in the last `error {close}`."""

from __future__ import annotations

from gochat.ports import BURST, Accept
from gochat.protocol.codec import LINE_JSON, Codec
from gochat.protocol.ndjson import LineReader, TooLarge
from gochat.protocol.replies import Ping
from gochat.transports.connection import SocketConnection

_PING = LINE_JSON.encode(Ping())


class TcpConnection(SocketConnection):
    __slots__ = ()

    transport = "tcp"
    tells_close = False

    def ping(self, codec: Codec) -> None:
        self.outbox.try_send(_PING)


async def serve(connection: TcpConnection, accept: Accept, frame_bytes: int, first_bytes: int) -> None:
    """Serve one connection until it ends, and close it."""
    session = accept(connection, LINE_JSON, None)
    lines = LineReader(frame_bytes, first_bytes)
    over = False

    def take(data: bytes) -> bool:
        nonlocal over
        over = not data
        session.budget = BURST
        for line in lines.feed(data):
            session.receive(line)
        return over or session.waiting or connection.closing is not None

    try:
        while not over and connection.closing is None:
            await connection.receive_all(take)
            if session.waiting:
                await session.readable()
        if connection.closing is None:
            await connection.answer_last(session)
            if lines.unfinished:
                session.violated("the last line has no end, so it was left out: a frame ends with \\n")
    except TooLarge as too_large:
        for line in too_large.lines:
            session.receive(line)
        session.too_large()
    finally:
        session.ended()
        await connection.close()  # noqa: ASYNC102 -- shielded and bounded by itself
