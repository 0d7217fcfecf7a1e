"""A connection to a peer in the same process: no socket, no framing to find, and the same promises as any other.

The peer's end gives and takes whole frames of LINE_JSON. It is what tests and simulations talk through.
"""

from __future__ import annotations

from typing import Final

import trio

from gochat.connections import BURST, Accept
from gochat.protocol.codec import LINE_JSON, Codec
from gochat.protocol.replies import Ping
from gochat.transports.outbox import WaitingBytes
from gochat.transports.pulled import PulledOutbox

_PING = LINE_JSON.encode(Ping())
#: Frames of the peer that wait to be read; its `send` waits while there are so many.
UNREAD: Final = 64


class MemoryConnection:
    """A connections.Connection. `serve` must be running."""

    transport = "memory"
    tells_close = True
    secret = None

    def __init__(
        self,
        *,
        peer: str = "memory",
        outbox_bytes: int = 1 << 20,
        waiting: WaitingBytes | None = None,
        max_silence_s: float | None = None,
    ) -> None:
        self.outbox = PulledOutbox(outbox_bytes, waiting)
        self.peer = peer
        self.heard = trio.current_time()
        self.peer_answers = False
        self.closing: tuple[int, str] | None = None
        self.max_silence_s = max_silence_s
        self.to_us, self._frames = trio.open_memory_channel[bytes](UNREAD)
        self._reading = trio.CancelScope()

    def ping(self, codec: Codec) -> None:
        if self.max_silence_s is None:
            self.outbox.try_send(_PING)

    def signed_in(self) -> None:
        """There are no caps for peers in the same process."""

    def finish(self, number: int, reason: str) -> None:
        if self.closing is None:
            self.closing = (number, reason)
            self._reading.cancel()

    def abort(self) -> None:
        self.closing = self.closing or (0, "aborted")
        self.outbox.discard()
        self._reading.cancel()

    async def serve(self, accept: Accept, frame_bytes: int) -> None:
        """Serve the peer until one of the two ends it. Frames that wait then can still be taken, unless the connection
        was aborted."""
        session = accept(self, LINE_JSON, None)
        try:
            with self._reading:
                async for frame in self._frames:
                    self.heard = trio.current_time()
                    session.burst_left = BURST
                    if len(frame) > frame_bytes:
                        session.too_large()
                    else:
                        session.receive(frame)
                    if session.waiting:
                        await session.wait_readable()
                await session.wait_answered()
        finally:
            session.ended()
            self._frames.close()
            self.outbox.close()


class MemoryPeer:
    """The peer's end."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection

    async def send(self, frame: bytes) -> None:
        """One frame, without its line end. Raises trio.BrokenResourceError when the other side has closed."""
        await self._connection.to_us.send(frame)

    async def receive(self) -> bytes:
        """Whole frames, a line each, as many as wait; empty when the connection is over, and why is in
        `close_code`."""
        outbox = self._connection.outbox
        await outbox.wait()
        await trio.lowlevel.checkpoint()
        return outbox.take() if outbox.size else b""

    @property
    def close_code(self) -> int | None:
        """The number the connection was closed with; None where it was not closed in order."""
        closing = self._connection.closing
        return closing[0] if closing is not None and closing[0] else None

    def close(self) -> None:
        """Send no more: what was sent is still answered."""
        self._connection.to_us.close()
