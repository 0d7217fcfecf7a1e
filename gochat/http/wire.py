"""h11 and a stream: whole HTTP events in and out, and every wait bounded.

A peer's mistake comes out as Problem, its going away as trio.BrokenResourceError; h11's own errors stay here.
"""

from __future__ import annotations

from typing import Final

import h11
import msgspec
import trio

from gochat.http.problems import Problem
from gochat.transports.admission import Slot

#: Read at a time; h11 counts after each read, so a head may pass its limit by this much.
READ_BYTES: Final = 8 * 1024
#: The longest rest of a body that nobody wants and that is still read, so that the connection can go on: a client that
#: keeps its connections, or sends requests ahead, would otherwise lose one for where its bytes happened to be cut.
SKIPPED_BYTES: Final = 64 * 1024


class HttpLimits(msgspec.Struct, frozen=True):
    """Limits of one HTTP client, in bytes and seconds."""

    head_bytes: int = 16 * 1024
    body_bytes: int = 1 << 20
    head_s: float = 5.0
    """From the first byte of a request to the end of its head; for the first request from the start."""
    body_s: float = 30.0
    """From the app's first wish for the body to the body's end."""
    idle_s: float = 75.0
    """Between two requests: proxies keep idle connections for 60 s, and the server must be the side that waits
    longer."""
    write_s: float = 30.0
    """For one write to be taken by the kernel."""


class Wire:
    """One connection as h11 sees it."""

    __slots__ = ("_limits", "_slot", "_stream", "closing", "h11")

    def __init__(self, stream: trio.abc.Stream, limits: HttpLimits, slot: Slot, data: bytes = b"") -> None:
        """`data` has been read already."""
        self.h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self.closing = False
        """Whether the next response is to be the last."""
        self._stream = stream
        self._limits = limits
        self._slot = slot
        if data:
            self.h11.receive_data(data)

    @property
    def buffered(self) -> bytes:
        """Bytes that were read and belong to no event yet."""
        return self.h11.trailing_data[0]

    @property
    def body_read(self) -> bool:
        """Whether the request has come to its end."""
        return self.h11.their_state is not h11.SEND_BODY and self.h11.their_state is not h11.ERROR

    async def read(self) -> bool:
        """Read more. False at the end of the stream."""
        data = await self._stream.receive_some(READ_BYTES)
        self._slot.hold(len(data))
        self.h11.receive_data(bytes(data))
        return bool(data)

    async def event(self) -> h11.Event:
        """The next event that the peer brings about. The caller bounds the time. Raises Problem."""
        while True:
            event = self.event_nowait()
            if event is not None:
                return event
            await self.read()

    def event_nowait(self) -> h11.Event | None:
        """The next event of the bytes that were read; None when more are needed. Raises Problem."""
        try:
            event = self.h11.next_event()
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # A frame of h11's in it holds the error: a cycle.
            status = error.error_status_hint
            code, detail = ("too_large", "the head is too long") if status == 431 else ("bad_request", "bad HTTP/1.1")
            raise Problem(status, code, detail) from None
        return event if isinstance(event, h11.Event) else None

    def discard_body(self) -> None:
        """Drop the part of the request's body that has come. The rest, if there is one, is not waited for."""
        try:
            while self.h11.their_state is h11.SEND_BODY and self.event_nowait() is not None:
                pass
        except Problem:
            return  # The response goes ahead; what makes no sense then ends the connection (`next_cycle`).

    async def skip_body(self) -> bool:
        """Read the rest of the request's body and drop it. False, and the connection must be closed, if that is longer
        than SKIPPED_BYTES, malformed or late, or if the peer waits to be told to send it."""
        skipped = 0
        with trio.move_on_after(self._limits.head_s):
            while not self.body_read and self.h11.our_state is h11.DONE and skipped <= SKIPPED_BYTES:
                if self.h11.they_are_waiting_for_100_continue:
                    break
                try:
                    event = await self.event()
                except Problem:
                    break  # The response has left: nothing more can be said.
                skipped += len(event.data) if isinstance(event, h11.Data) else 0
        return self.body_read

    async def write(self, *events: h11.Event) -> None:
        """Send events in one write. Raises trio.BrokenResourceError, also when the peer takes too long to take it."""
        data = b"".join([self.h11.send(event) or b"" for event in events])
        self._slot.hold(len(data))
        with trio.move_on_after(self._limits.write_s) as deadline:
            await self._stream.send_all(data)
        self._slot.hold(-len(data))
        if deadline.cancelled_caught:
            raise trio.BrokenResourceError("the peer takes no bytes")

    def next_cycle(self) -> bool:
        """Get ready for another request on the same connection. False if it must be closed."""
        if self.h11.our_state is not h11.DONE or self.h11.their_state is not h11.DONE:
            return False
        self.h11.start_next_cycle()
        self._slot.let_go()
        self._slot.hold(len(self.buffered))
        return True
