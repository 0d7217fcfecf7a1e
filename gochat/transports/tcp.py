"""Raw TCP: one JSON frame a line, usable from `nc`. The number of a close stands in the last `error {close}`."""

from __future__ import annotations

from gochat.connections import BURST, Accept, Receiver
from gochat.protocol.codec import LINE_JSON, Codec
from gochat.protocol.ndjson import LineReader, TooLarge
from gochat.protocol.replies import Ping
from gochat.transports.connection import SocketConnection

_PING = LINE_JSON.encode(Ping())


class TcpConnection(SocketConnection):
    __slots__ = ("_lines", "_over", "_session")

    transport = "tcp"
    tells_close = False
    _session: Receiver | None
    """Until the conversation is over: the session holds its connection, and the two would be a cycle."""
    _lines: LineReader
    _over: bool
    """Whether the peer sends no more."""

    def ping(self, codec: Codec) -> None:
        self.outbox.try_send(_PING)

    async def converse(self, session: Receiver, lines: LineReader) -> None:
        """Read until the conversation is over. Raises TooLarge."""
        self._session, self._lines, self._over = session, lines, False
        try:
            while not self._over and self.closing is None:
                await self.receive_all()
                if session.waiting:
                    await session.wait_readable()
            if self.closing is None:
                await self.answer_last(session)
                if lines.unfinished:
                    session.violated("the last line has no end, so it was left out: a frame ends with \\n")
        finally:
            self._session = None

    def take(self, data: bytes) -> bool:
        session = self._session
        assert session is not None
        self._over = not data
        session.burst_left = BURST
        for line in self._lines.feed(data):
            session.receive(line)
        return self._over or session.waiting or self.closing is not None


async def serve(connection: TcpConnection, accept: Accept, frame_bytes: int, first_bytes: int) -> None:
    """Serve one connection until it ends, and close it."""
    session = accept(connection, LINE_JSON, None)
    try:
        await connection.converse(session, LineReader(frame_bytes, first_bytes))
    except TooLarge as too_large:
        for line in too_large.lines:
            session.receive(line)
        session.too_large()
    finally:
        session.ended()
        await connection.close()  # noqa: ASYNC102 -- shielded and bounded by itself
