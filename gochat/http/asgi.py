"""One request and its response, as an ASGI app sees them (ASGI 3, HTTP spec version 2.4).

The app runs in the connection's task. Whatever it does, the peer gets one whole response or the connection is closed,
and never a traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import unquote

import h11
import trio

from gochat.http.problems import CutShort, Problem
from gochat.http.upgrade import Head
from gochat.http.wire import HttpLimits, Wire
from gochat.transports.admission import Lease
from gochat.transports.listen import describe

log = logging.getLogger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
_BODILESS = frozenset((204, 304))


#: The scope's key of the connection's lease, whose `answering` an app sets once it knows the user.
LEASE = "gochat.lease"


def make_scope(request: Head, client: str, scheme: str, lease: Lease) -> Scope:
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version.decode("ascii"),
        "method": request.method.decode("ascii"),
        "scheme": scheme,
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": request.headers,
        "client": (client, 0),
        "server": None,
        LEASE: lease,
    }


class Exchange:
    """One request of a connection, and the response to it."""

    __slots__ = (
        "_deadline", "_done", "_gone", "_head", "_limits", "_problem", "_request", "_size", "_started", "_told",
        "_wire", "status",
    )  # fmt: skip

    def __init__(self, wire: Wire, request: Head, limits: HttpLimits, told: Sequence[tuple[bytes, bytes]]) -> None:
        """`told` are headers of the response beside the app's."""
        self._wire = wire
        self._told = told
        self._request = request
        self._limits = limits
        self._size = 0  # of the request's body so far
        self._deadline: float | None = None  # of its end
        self._problem: Problem | None = None  # what is wrong with it
        self._head: Message | None = None  # the response's: held until its first bytes of body come
        self._started = False
        self._done = trio.Event()
        self._gone = False
        self.status = 0
        """Of the response, once it has begun."""

    async def run(self, app: App, scope: Scope) -> None:
        """Returns when the response has left, or the connection can only be closed.

        Raises Problem when the request's body is to blame and nothing has been answered, trio.BrokenResourceError
        when the peer is gone.
        """
        failed = False
        try:
            await app(scope, self.receive, self.send)
        except* CutShort as group:
            failed = True
            log.info("%s %s was cut short: %s", scope["method"], scope["path"], group.exceptions[0])
        except* Exception as group:
            if self._problem is None and not self._gone:
                failed = True
                trace = group if log.isEnabledFor(logging.DEBUG) else None
                log.error("%s %s failed: %s", scope["method"], scope["path"], describe(group), exc_info=trace)
        if self._gone:
            raise trio.BrokenResourceError
        if self._done.is_set():
            return
        if self._problem is None and not failed:
            log.error("%s %s: the app left its response unfinished", scope["method"], scope["path"])
        if not self._started:
            raise self._problem or Problem(500, "internal")

    async def receive(self) -> Message:
        if self._wire.body_read:
            await self._done.wait()
            return {"type": "http.disconnect"}
        try:
            event = await self._body_event()
        except Problem as problem:
            self._problem = problem
            raise
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._gone = True
            return {"type": "http.disconnect"}
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _body_event(self) -> h11.Event:
        if self._deadline is None:
            self._deadline = trio.current_time() + self._limits.body_s
        with trio.CancelScope(deadline=self._deadline):
            if self._wire.h11.they_are_waiting_for_100_continue:
                await self._wire.write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            event = await self._wire.event()
            self._size += len(event.data) if isinstance(event, h11.Data) else 0
            if self._size > self._limits.body_bytes:
                raise Problem(413, "too_large", f"a body has at most {self._limits.body_bytes} bytes")
            return event
        raise Problem(408, "bad_request", "the body did not come in time")

    async def send(self, message: Message) -> None:
        if self._gone:
            raise OSError("the peer is gone")
        if self._problem is not None and not self._started:
            return  # The problem is the answer, whatever the app makes of it.
        kind = message["type"]
        if kind == "http.response.start" and self._head is None:
            self._head = message
        elif kind == "http.response.body" and self._head is not None and not self._done.is_set():
            await self._send_body(self._head, message)
        else:
            raise RuntimeError(f"{kind} is out of order")

    async def _send_body(self, head: Message, message: Message) -> None:
        events: list[h11.Event] = []
        if not self._started:
            events.append(self._response(head))
            self._started = True
            self.status = head["status"]
        if message.get("body") and self._request.method != b"HEAD" and head["status"] not in _BODILESS:
            events.append(h11.Data(data=message["body"]))
        last = not message.get("more_body", False)
        if last:
            events.append(h11.EndOfMessage())
        try:
            await self._wire.write(*events)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._gone = True
            raise OSError("the peer is gone") from None
        if last:
            self._done.set()

    def _response(self, head: Message) -> h11.Response:
        headers: list[tuple[bytes, bytes]] = [(bytes(name), bytes(value)) for name, value in head.get("headers", ())]
        headers += self._told
        headers.append((b"date", formatdate(usegmt=True).encode("ascii")))
        self._wire.discard_body()
        if self._wire.closing or not self._wire.body_read:
            headers.append((b"connection", b"close"))
        return h11.Response(status_code=head["status"], headers=headers, reason=_REASONS.get(head["status"], b""))
