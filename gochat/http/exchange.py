"""One request of a connection and the response to it.

The handler runs in the connection's task. Even if it fails, the peer gets one whole response or the connection is
closed, and never a traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

import h11
import trio

from gochat.http.messages import Handler, PeerGone, Request, Response, StreamedResponse
from gochat.http.problems import MEDIA_TYPE, CutShort, Problem, problem_body
from gochat.http.wire import SKIPPED_BYTES, HttpLimits, Wire
from gochat.transports.listen import describe

log = logging.getLogger(__name__)

_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


class Body:
    """The body of one request, read as its handler wants it."""

    __slots__ = ("_deadline", "_limits", "_size", "_wire")

    def __init__(self, wire: Wire, limits: HttpLimits) -> None:
        self._wire = wire
        self._limits = limits
        self._size = 0
        self._deadline: float | None = None

    async def read(self) -> bytes:
        if self._deadline is None:
            self._deadline = trio.current_time() + self._limits.body_s
        while not self._wire.body_read:
            try:
                event = await self._event(self._deadline)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise PeerGone from None
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)
        return b""

    async def _event(self, deadline: float) -> h11.Event:
        with trio.CancelScope(deadline=deadline):
            if self._wire.h11.they_are_waiting_for_100_continue:
                await self._wire.write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            event = await self._wire.event()
            self._size += len(event.data) if isinstance(event, h11.Data) else 0
            if self._size > self._limits.body_bytes:
                raise Problem(413, "too_large", f"a body has at most {self._limits.body_bytes} bytes")
            return event
        raise Problem(408, "bad_request", "the body did not come in time")


class Exchange:
    """One request and its response. The request knows nothing of it: that would be a cycle for the collector."""

    __slots__ = ("_extra", "_pending", "_wire", "request", "status")

    def __init__(self, wire: Wire, request: Request, extra: Sequence[tuple[bytes, bytes]]) -> None:
        """`extra` are headers of the response beside the handler's."""
        self._wire = wire
        self._extra = extra
        # The head of a streamed response, until its first piece comes: they leave together.
        self._pending: h11.Response | None = None
        self.request = request
        self.status = 0
        """The response's status, once it has begun."""

    async def run(self, handler: Handler) -> None:
        """Returns when the response has left, or the connection can only be closed.

        Raises Problem when the request's body is to blame and nothing has been answered, trio.BrokenResourceError
        when the peer is gone.
        """
        try:
            response = await self._response(handler)
            try:
                await self._send(response)
            finally:
                if isinstance(response, StreamedResponse):
                    response.close()
        except PeerGone:
            raise trio.BrokenResourceError from None

    async def _response(self, handler: Handler) -> Response:
        try:
            return await handler(self.request)
        except (Problem, PeerGone):
            raise
        except Exception as error:  # noqa: BLE001
            self._log_failure(error)
            return Response(500, problem_body(500, "internal"), media_type=MEDIA_TYPE)

    async def _send(self, response: Response) -> None:
        """Raises Problem if nothing can be sent of it; a failure in its middle leaves the connection to be closed."""
        try:
            with_body = response.has_body and self.request.method != "HEAD"
            if isinstance(response, StreamedResponse) and with_body:
                self._pending = self._head(response)
                await response.send_body(self._send_piece)
                await self._write(h11.EndOfMessage())
            else:
                body = [h11.Data(data=response.body)] if response.body and with_body else []
                await self._write(self._head(response), *body, h11.EndOfMessage())
        except PeerGone:
            raise
        except CutShort as reason:
            log.info("%s %s was cut short: %s", self.request.method, self.request.path, reason)
        except Exception as error:  # noqa: BLE001
            self._log_failure(error)
            if not self.status:
                raise Problem(500, "internal") from None

    def _head(self, response: Response) -> h11.Response:
        self._wire.discard_body()
        fields = [*response.fields(), *self._extra, (b"date", formatdate(usegmt=True).encode("ascii"))]
        if self._wire.closing or not (self._wire.body_read or self._is_short()):
            fields.append((b"connection", b"close"))
        reason = _REASONS.get(response.status, b"")
        return h11.Response(status_code=response.status, headers=fields, reason=reason)

    def _is_short(self) -> bool:
        """Whether the rest of the request's body may be skipped once the response has left."""
        length = self.request.headers.get("content-length", "0")
        return int(length) <= SKIPPED_BYTES and not self._wire.h11.they_are_waiting_for_100_continue

    async def _send_piece(self, piece: bytes) -> None:
        await self._write(h11.Data(data=piece))

    async def _write(self, *events: h11.Event) -> None:
        if self._pending is not None:
            events = (self._pending, *events)
            self._pending = None
        try:
            await self._wire.write(*events)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise PeerGone from None
        if isinstance(events[0], h11.Response):
            self.status = events[0].status_code

    def _log_failure(self, error: Exception) -> None:
        trace = error if log.isEnabledFor(logging.DEBUG) else None
        log.error("%s %s failed: %s", self.request.method, self.request.path, describe(error), exc_info=trace)
