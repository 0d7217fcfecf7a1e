"""The only writer of a socket: a queue of whole frames, bounded in bytes.

Bytes that the kernel takes at once go out at once, in the task that sends or flushes. The others wait here, for a
writer task that exists while something waits. So an idle connection costs no task, and a quick one no task switch.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from socket import socket
from typing import TypeAlias

import trio

Spawn: TypeAlias = Callable[[Callable[[], Awaitable[None]]], None]

#: The most that is joined for one write.
WRITE_BYTES = 256 * 1024
#: The most that goes through a stream at once: what TLS puts into one record (RFC 8446, section 5.1).
RECORD_BYTES = 16 * 1024


class WaitingBytes:
    """The size of all outboxes of a node together, in bytes that the kernel has not taken: exact at every moment.

    `on_crowded` is called in the midst of the send that brings it above `mark`. It may change limits and the mark, and
    must send nothing.
    """

    __slots__ = ("mark", "on_crowded", "size")

    def __init__(self) -> None:
        self.size = 0
        self.mark = sys.maxsize
        self.on_crowded: Callable[[], None] | None = None

    def add(self, count: int) -> None:
        self.size += count
        if self.size > self.mark and self.on_crowded is not None:
            self.on_crowded()


class Outbox:
    """Frames on their way to one peer. `limit` bounds `size`, the bytes that wait."""

    __slots__ = (
        "_chunks",
        "_finished",
        "_flushed",
        "_on_blocked",
        "_on_space",
        "_socket",
        "_spawn",
        "_stream",
        "_waiting",
        "broken",
        "direct",
        "limit",
        "progress_at",
        "sent",
        "size",
        "writing",
    )

    def __init__(
        self,
        limit: int,
        spawn: Spawn,
        *,
        socket: socket | None,
        stream: trio.abc.SendStream,
        waiting: WaitingBytes | None = None,
    ) -> None:
        """`socket` is the non-blocking handle under `stream`, or None where bytes must go through the stream (TLS).
        `waiting` is shared by all outboxes of a node."""
        self.limit = limit
        self.size = 0
        self.sent = 0
        self.broken = False
        self.progress_at = 0.0
        """When the kernel last took bytes while `writing`; trio clock."""
        self.writing = False
        """Whether the kernel takes no more: a writer waits for it."""
        self._chunks: list[bytes] | None = None
        self._finished = False
        self.direct = socket is not None
        self._socket = socket
        self._stream = stream
        self._spawn = spawn
        self._waiting = waiting or WaitingBytes()
        self._flushed: trio.Event | None = None
        self._on_space: Callable[[], None] | None = None
        self._on_blocked: Callable[[], None] | None = None

    @property
    def crowded(self) -> bool:
        return self.size * 2 > self.limit

    def when_space(self, callback: Callable[[], None] | None) -> None:
        """Call back, whenever waiting bytes have fallen to half of the limit or less, and when the peer is gone; None:
        no more. An object that holds this outbox and gave one of its methods calls with None at its end: the two would
        wait for the cycle collector together, with all that they hold."""
        self._on_space = callback

    def when_blocked(self, callback: Callable[[], None] | None) -> None:
        """Call back whenever the kernel takes no more and a writer begins to wait for it; None: no more."""
        self._on_blocked = callback

    def try_send(self, data: bytes) -> bool:
        """Send, or queue behind what waits. False: it would pass the limit, and nothing was taken."""
        if self.size:
            if self.size + len(data) > self.limit and not self._has_room(data):
                return False
            self.put(data)
            self.flush()  # Queued bytes leave in the same write.
            return True
        self._send(data)
        return True

    def offer(self, data: bytes) -> bool:
        """Queue without sending, unless that would pass the limit: then False, and nothing was taken. The caller sees
        to it that `flush` is called in a moment."""
        if self.size and not self._has_room(data):
            return False
        self.put(data)
        return True

    def _has_room(self, data: bytes) -> bool:
        """Whether it fits behind what the kernel does not take: what merely waits for its turn makes nobody slow."""
        if self.size + len(data) <= self.limit:
            return True
        self.flush()
        return not self.size or self.size + len(data) <= self.limit

    def put(self, data: bytes) -> None:
        """Queue without sending, whatever the limit; the caller calls `flush` before its turn ends."""
        if self.broken or self._finished:
            return
        if self._chunks is None:
            self._chunks = []
        self._chunks.append(data)
        self.size += len(data)
        if self.writing:
            self._waiting.add(len(data))

    #: The number of replies is bounded by the session's window; here they leave in the order of all else.
    reply = put

    def put_last(self, data: bytes) -> None:
        """Queue and send; what is put later is dropped: a reply that comes late must not follow a WebSocket's Close."""
        self.put(data)
        self._finished = True
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the kernel takes it."""
        if not self.size or self.writing:
            return
        if self._socket is None:
            self._begin_writing()
            return
        chunks, crowded = self._chunks or [], self.size * 2 > self.limit
        self._chunks, self.size = None, 0
        self._send(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if crowded and self._on_space is not None and self.size * 2 <= self.limit:
            self._on_space()

    async def flushed(self) -> None:
        """Send what waits; return when nothing does any more, or the peer is gone."""
        while True:
            self.flush()  # Something may have been offered since.
            if not self.size or self.broken:
                return
            if self._flushed is None:
                self._flushed = trio.Event()
            await self._flushed.wait()

    def discard(self) -> None:
        """The peer is gone: nothing that waits, and nothing sent later, is kept."""
        if self.broken:
            return
        self.broken = True
        if self.writing:
            self._waiting.add(-self.size)
        self._chunks, self.size = None, 0
        self._wake()
        if self._on_space is not None:
            self._on_space()

    def _send(self, data: bytes) -> None:
        """Nothing waits: give the kernel what it takes, keep the rest for a writer."""
        if self.broken:
            return
        taken = 0
        if self._socket is not None:
            try:
                taken = self._socket.send(data)
            except BlockingIOError:
                pass  # It took nothing: all of it waits for the writer.
            except OSError:
                self.discard()  # The reader sees the same error and ends the connection.
                return
            if taken == len(data):
                self.sent += taken
                return
            self.sent += taken
            data = data[taken:]
        self._chunks, self.size = [data], len(data)
        self._begin_writing()

    def _begin_writing(self) -> None:
        self.progress_at = trio.current_time()
        self.writing = True
        self._waiting.add(self.size)
        self._spawn(self._write)
        if self._on_blocked is not None:
            self._on_blocked()

    async def _write(self) -> None:
        """The writer task: lives while something waits."""
        try:
            while self._chunks:
                data = self._take()
                if self._socket is None:
                    await self._write_stream(data)
                else:
                    await self._write_socket(self._socket, data)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.discard()
        finally:
            if self.size:
                self.discard()  # Cancelled in the middle of a frame: nothing may follow it.
            else:
                self._wake()
            self.writing = False

    async def _write_stream(self, data: bytes) -> None:
        """A stream says only that it has taken all: given piece by piece, a peer that reads slowly is not mistaken for
        one that reads nothing."""
        for start in range(0, len(data), RECORD_BYTES):
            piece = data[start : start + RECORD_BYTES]
            await self._stream.send_all(piece)
            self._took(len(piece))

    async def _write_socket(self, sock: socket, data: bytes) -> None:
        view = memoryview(data)
        while view:
            await trio.lowlevel.wait_writable(sock)
            try:
                taken = sock.send(view)
            except BlockingIOError:
                continue  # Another took the room first; the socket is waited for again.
            view = view[taken:]
            self._took(taken)

    def _take(self) -> bytes:
        chunks = self._chunks or []
        if len(chunks) == 1:
            self._chunks = []
            return chunks[0]
        most, size = 0, 0
        while most < len(chunks) and size < WRITE_BYTES:
            size += len(chunks[most])
            most += 1
        self._chunks = chunks[most:]
        return b"".join(chunks[:most])

    def _took(self, count: int) -> None:
        self.sent += count
        if self.size:  # `discard` may have come in between.
            self.size -= count
            self._waiting.add(-count)
        self.progress_at = trio.current_time()
        if self._on_space is not None and self.size * 2 <= self.limit:
            self._on_space()

    def _wake(self) -> None:
        if self._flushed is not None:
            self._flushed.set()
            self._flushed = None
