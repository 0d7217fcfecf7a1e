"""A connection over a socket: what TCP and WebSocket have in common, with and without TLS.

Once it speaks gochat the poller reads a connection without TLS; before that, and with TLS, its own task does. The
outbox alone writes; `finish` and `abort` only ask, so that a session may call them from anywhere, and the connection's
task does the closing.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import ClassVar

import trio

from gochat.connections import Receiver
from gochat.protocol.codec import Codec
from gochat.transports.admission import Slot
from gochat.transports.outbox import Outbox, Spawn, WaitingBytes
from gochat.transports.poller import Poller

#: How much is asked of the kernel at once: enough for a burst, little enough to be shared by thousands.
READ_BYTES = 64 * 1024
#: How long an orderly close may take before the connection is dropped.
CLOSE_S = 2.0


class SocketConnection(ABC):
    """One peer: a connections.Connection."""

    __slots__ = (
        "_handle",
        "_poller",
        "_slot",
        "_spawn",
        "_stream",
        "closing",
        "heard",
        "outbox",
        "peer",
        "peer_answers",
    )

    transport: ClassVar[str]
    tells_close: ClassVar[bool]
    max_silence_s: ClassVar[None] = None
    secret: ClassVar[None] = None

    def __init__(
        self,
        stream: trio.abc.Stream,
        handle: socket.socket,
        *,
        direct: bool,
        peer: str,
        outbox_bytes: int,
        spawn: Spawn,
        slot: Slot,
        poller: Poller,
        waiting: WaitingBytes,
    ) -> None:
        """`handle` is the socket under the stream; `direct`: bytes may be written to it past the stream (no TLS)."""
        self.peer = peer
        self.heard = trio.current_time()
        """When the last byte came from the peer; trio clock."""
        self.peer_answers = False
        self.closing: tuple[int, str] | None = None
        """The close code and reason, once somebody has asked for the end."""
        self._slot: Slot | None = slot
        self._handle = handle
        self._poller = poller
        self._stream = stream
        self._spawn = spawn
        self.outbox = Outbox(outbox_bytes, spawn, socket=handle if direct else None, stream=stream, waiting=waiting)

    @abstractmethod
    def ping(self, codec: Codec) -> None:
        """Ask the peer for a sign of life."""

    def signed_in(self) -> None:
        """The peer has said who it is: what it sends is no longer counted."""
        if self._slot is not None:
            self._slot.authenticated()
            self._slot = None

    def finish(self, number: int, reason: str) -> None:
        """Close in order: what waits is still sent. The first number counts."""
        if self.closing is None:
            self.closing = (number, reason)
            self._stop_reading()

    def abort(self) -> None:
        """Drop the connection with what waits."""
        self.closing = self.closing or (0, "aborted")
        self.outbox.discard()
        _shutdown(self._handle, socket.SHUT_RDWR)

    def _stop_reading(self) -> None:
        _shutdown(self._handle, socket.SHUT_RD)  # Wakes the reader, which sees the end of the stream.

    async def receive(self) -> bytes:
        """The next bytes of the peer; empty at the end, however it came."""
        try:
            if self.outbox.direct:
                while True:
                    # Waiting first costs one system call; receiving first would cost two, for nothing is there yet.
                    await trio.lowlevel.wait_readable(self._handle)
                    try:
                        data = self._handle.recv(READ_BYTES)
                        break
                    except BlockingIOError:
                        continue  # Readable it was, but the bytes were dropped: Linux allows itself that.
            else:
                data = bytes(await self._stream.receive_some(READ_BYTES))
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return b""  # However a connection broke, to its session it has ended.
        self.heard = trio.current_time()
        if self._slot is not None:
            self._slot.hold(len(data))
        return data

    @abstractmethod
    def take(self, data: bytes) -> bool:
        """Carry out the peer's next bytes, empty at the end. True: nothing more is read for now."""

    async def receive_all(self) -> None:
        """Have `take` called with the peer's bytes as they come, until it says that this is enough. Exceptions
        from `take` are raised here."""
        if self.outbox.direct:
            await self._poller.watch(self._handle, self)
        else:
            while not self.take(await self.receive()):
                pass

    def ready(self, now: float) -> bool:
        try:
            data = self._handle.recv(READ_BYTES)
        except BlockingIOError:
            return False  # As in `receive`: the bytes were dropped.
        except OSError:
            return self.take(b"")
        self.heard = now
        if self._slot is not None:
            self._slot.hold(len(data))
        return self.take(data)

    async def answer_last(self, session: Receiver) -> None:
        """The peer has shut down its sending side, or is gone: what it sent is still answered. Returns when the answers
        have left; a peer that does not take them is given up by the session, as any slow one."""
        await session.wait_answered()
        if self.closing is None:
            await self.outbox.flushed()

    async def close(self) -> None:
        """Send what waits, then let go of the socket; bounded by CLOSE_S, whoever cancels."""
        outbox = self.outbox
        if outbox.size and not outbox.broken:
            with trio.move_on_after(CLOSE_S, shield=True):
                await outbox.flushed()
        if not outbox.direct:
            outbox.discard()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
            return
        if not outbox.broken and not outbox.size:
            _shutdown(self._handle, socket.SHUT_WR)
        outbox.discard()
        # The work of closing the stream, without the scope and the checkpoint around it: 50 us a connection.
        trio.lowlevel.notify_closing(self._handle)
        self._handle.close()


def _shutdown(handle: socket.socket, how: int) -> None:
    try:
        handle.shutdown(how)
    except OSError:
        pass  # It is closed or was never connected: what was wanted is so.
