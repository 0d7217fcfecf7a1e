"""The HTTP phase of a connection: request after request, until one upgrades or the connection ends.

Every wait is bounded, and any bytes get a response or the end of the connection. A request that opens a WebSocket is
returned, not served: by then nothing of HTTP is left but the request itself.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import h11
import trio

from gochat.http.address import client_address
from gochat.http.cors import Cors, Fields
from gochat.http.exchange import Body, Exchange
from gochat.http.messages import Handler, Request, Response
from gochat.http.problems import Problem
from gochat.http.target import check_host, headers_of, origin_form
from gochat.http.upgrade import Head, Upgrade, check_upgrade, plain_upgrade
from gochat.http.wire import READ_BYTES, HttpLimits, Wire
from gochat.transports.admission import Slot
from gochat.transports.listen import linger

#: The target of a request for the server as a whole.
SERVER: Final = b"*"


class HttpShell:
    """Answers the requests of any number of connections with `handler`."""

    def __init__(
        self,
        handler: Handler,
        *,
        trusted: Container[str] = frozenset(),
        limits: HttpLimits | None = None,
        cors: Cors | None = None,
    ) -> None:
        """`trusted` are the addresses of proxies that may name the client they speak for. `cors` answers preflights and
        adds its headers to every response, errors included; without it no page of another origin may read any."""
        self._handler = handler
        self._trusted = trusted
        self._limits = limits or HttpLimits()
        self._cors = cors
        self.responses: dict[int, int] = {}
        """How many have been given, by status."""
        self._idle: set[trio.CancelScope] = set()
        self._draining = False

    async def serve(self, stream: trio.abc.Stream, slot: Slot) -> Upgrade | None:
        """Answer requests until one opens a WebSocket. None: the connection is over, the caller closes the stream.

        The slot learns how many bytes are kept for the connection, and which client each request comes from. A request
        with a good token shields the connection while it is answered, and no longer: HTTP signs nobody in.
        """
        deadline = trio.current_time() + self._limits.head_s
        try:
            data = b""
            with trio.CancelScope(deadline=deadline):
                data = bytes(await stream.receive_some(READ_BYTES))
            # Browsers open connections ahead of need; one that never spoke is not answered.
            slot.hold(len(data))
            upgrade = await self._requests(stream, data, slot, deadline) if data else None
            if upgrade is not None:
                return upgrade
        except Problem as problem:
            await self._refuse(stream, problem)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None  # The peer has gone: nobody waits for an answer.
        await linger(stream)
        return None

    def drain(self) -> None:
        """Close connections that wait for a request now, and the others after their response."""
        self._draining = True
        for scope in self._idle:
            scope.cancel()

    async def _requests(self, stream: trio.abc.Stream, data: bytes, slot: Slot, deadline: float) -> Upgrade | None:
        """`data` are the first bytes, `deadline` is that of the first head."""
        peer = slot.peer
        if (plain := plain_upgrade(data)) is not None:
            head, trailing = plain
            check_host(head.headers)  # Its target is a path.
            return self._upgrade(head, client_address(peer, head.headers, self._trusted), trailing)
        wire = Wire(stream, self._limits, slot, data)
        request = await self._read_head(wire, deadline)
        while request is not None:
            extra = self._cors.headers_for(request) if self._cors else ()
            try:
                head = _checked(request, self._limits)
                client = client_address(peer, head.headers, self._trusted)
                upgrade = self._upgrade(head, client, wire.buffered)
                if upgrade is not None:
                    return upgrade
                if client != peer:
                    slot.count_as(client)
                await self._answer(wire, head, Request(head, client, slot, Body(wire, self._limits).read), extra)
            except Problem as problem:
                problem.headers += extra
                raise
            slot.answering = False
            skipped = wire.body_read or await wire.skip_body()
            if not skipped or not wire.next_cycle() or not await self._wait_for_request(wire):
                return None
            request = await self._read_head(wire, trio.current_time() + self._limits.head_s)
        return None

    async def _answer(self, wire: Wire, head: Head, request: Request, extra: Fields) -> None:
        wire.closing = self._draining
        handler = self._handler
        if self._cors is not None and self._cors.is_preflight(head):
            handler = self._cors.permit
        elif head.target == SERVER:
            handler = _no_op
        exchange = Exchange(wire, request, extra)
        await exchange.run(handler)
        self._count(exchange.status)

    def _upgrade(self, request: Head, client: str, trailing: bytes) -> Upgrade | None:
        """The request as an upgrade, if it opens a WebSocket. Raises Problem."""
        fields = check_upgrade(request)
        if fields is None:
            return None
        if self._draining:
            raise Problem(503, "unavailable", "the node is going down; connect again")
        return Upgrade(request.target.decode("ascii"), fields, client, trailing)

    async def _wait_for_request(self, wire: Wire) -> bool:
        """Whether another request begins before the connection has been idle for too long."""
        if wire.buffered:
            return True
        with trio.move_on_after(self._limits.idle_s) as scope:
            self._idle.add(scope)
            try:
                return not self._draining and await wire.read()
            finally:
                self._idle.discard(scope)
        return False

    async def _read_head(self, wire: Wire, deadline: float) -> h11.Request | None:
        with trio.CancelScope(deadline=deadline):
            event = await wire.event()
            return event if isinstance(event, h11.Request) else None
        if wire.buffered:
            raise Problem(408, "bad_request", "the request's head did not come in time")
        return None

    def _count(self, status: int) -> None:
        self.responses[status] = self.responses.get(status, 0) + 1

    async def _refuse(self, stream: trio.abc.Stream, problem: Problem) -> None:
        self._count(problem.status)
        with trio.move_on_after(self._limits.write_s):
            try:
                await stream.send_all(problem.encode())
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # The peer has gone, and the refusal is counted.


async def _no_op(request: Request) -> Response:
    """Answers `OPTIONS *`, which asks the server as a whole and is good for a ping (RFC 9110, section 9.3.7)."""
    return Response(204)


def _checked(request: h11.Request, limits: HttpLimits) -> Head:
    """The request as those behind see it: its target is a path, or `*` of OPTIONS, its Host header the host that
    it is for. Raises Problem for requests that h11 lets pass and no handler should have to think of."""
    if not request.http_version.startswith(b"1."):
        raise Problem(505, "bad_request", "this server speaks HTTP/1.1")
    framing = {name: value for name, value in request.headers if name in (b"content-length", b"transfer-encoding")}
    if len(framing) > 1:
        # Two readers may disagree on where this request ends: the way to smuggle one (RFC 9112, section 6.1).
        raise Problem(400, "bad_request", "Content-Length and Transfer-Encoding contradict each other")
    if int(framing.get(b"content-length", b"0")) > limits.body_bytes:
        raise Problem(413, "too_large", f"a body has at most {limits.body_bytes} bytes")
    headers, target = headers_of(request), origin_form(request.target)
    if not target.startswith(b"/") and not (target == SERVER and request.method == b"OPTIONS"):
        raise Problem(400, "bad_request", "the request's target is not a path")
    return Head(request.method, target, headers, request.http_version)
