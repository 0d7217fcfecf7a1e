"""The doors of a node: from an accepted stream to a session, for each transport.

Here the parts meet that must not know each other: listeners, transports, HTTP and sessions.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from gochat.auth.origin import OriginRules
from gochat.auth.tickets import Tickets
from gochat.config import Settings
from gochat.connections import Connection
from gochat.http import rest
from gochat.http.address import TrustedProxies
from gochat.http.app import make_app
from gochat.http.cors import Cors
from gochat.http.documents import document_routes
from gochat.http.exposition import metrics_routes
from gochat.http.page import page_routes
from gochat.http.problems import Problem
from gochat.http.readiness import Readiness
from gochat.http.router import Route
from gochat.http.shell import HttpShell
from gochat.http.site import site_routes
from gochat.http.upgrade import Upgrade
from gochat.http.wire import HttpLimits
from gochat.protocol.codec import SUBPROTOCOLS, Codec
from gochat.protocol.requests import FIRST_FRAME_BYTES
from gochat.session import Gateway, Session, client_session, notifications
from gochat.session.devices import own_devices, sign_out
from gochat.session.moderation import moderate
from gochat.transports import tcp, websocket
from gochat.transports.admission import Slot
from gochat.transports.listen import QUIET_S, linger
from gochat.transports.outbox import Spawn
from gochat.transports.paired import Pairs
from gochat.transports.poller import Poller

log = logging.getLogger(__name__)


class Endpoints:
    """Makes connections and sessions with a node's settings."""

    def __init__(
        self,
        gateway: Gateway,
        spawn: Spawn,
        settings: Settings,
        readiness: Readiness,
        collect: Callable[[], bytes],
        poller: Poller,
        internal: Sequence[Route] = (),
    ) -> None:
        """`collect` gives what `/metrics` tells. `internal`: for other nodes of the cluster."""
        self._gateway = gateway
        self._poller = poller
        self._spawn = spawn
        self._quiet_until = -math.inf
        self._origins = OriginRules(settings.http.origins)
        shell = partial(
            HttpShell,
            trusted=TrustedProxies(settings.http.trusted_proxies),
            limits=HttpLimits(head_s=settings.limits.handshake_s),
        )
        context = _rest_context(gateway, settings)
        metrics = metrics_routes(collect, settings.http.metrics, context.auth)
        own_address = bool(settings.http.metrics_bind)
        documents = [*document_routes(), *site_routes()]
        routes = [*([] if own_address else metrics), *documents, *rest.routes(context), *internal]
        cors = Cors(self._origins.lists) if settings.http.origins else None
        page, files = page_routes(settings.http.origins) if settings.http.page else (None, [])
        self._shell = shell(make_app(readiness, [*routes, *files], page), cors=cors)
        self._metrics_shell = shell(make_app(readiness, metrics))

    def accept(self, connection: Connection, codec: Codec, credential: str | None) -> Session:
        return client_session(self._gateway, connection, codec, credential)

    @property
    def responses(self) -> Mapping[int, int]:
        """HTTP responses by status, since the start."""
        return self._shell.responses

    def drain(self) -> None:
        self._shell.drain()
        self._metrics_shell.drain()

    async def tcp(self, stream: trio.abc.Stream, slot: Slot) -> None:
        connection = tcp.TcpConnection(stream, **self._context(slot, slot.peer))
        await tcp.serve(connection, self.accept, self._gateway.limits.frame_bytes, FIRST_FRAME_BYTES)

    def pairs(self, transport: str, session_s: float) -> Pairs:
        """The sessions of a transport of requests and replies in pairs; `session_s`: see Pairs."""
        outbox_bytes, waiting = self._gateway.bounds.outbox_bytes, self._gateway.waiting
        return Pairs(
            transport, self.accept, self._spawn, session_s=session_s, outbox_bytes=outbox_bytes, waiting=waiting
        )

    async def metrics(self, stream: trio.abc.Stream, slot: Slot) -> None:
        """The address of `http.metrics_bind`: no WebSocket, no REST."""
        upgrade = await self._metrics_shell.serve(stream, slot)
        if upgrade is not None:
            await stream.send_all(Problem(404, "not_found", "there is no WebSocket at this address").encode())
            await linger(stream)

    async def http(self, stream: trio.abc.Stream, slot: Slot) -> None:
        """HTTP until a request upgrades, then WebSocket. Nothing of the first phase lives on in the second."""
        upgrade = await self._shell.serve(stream, slot)
        if upgrade is None:
            return
        try:
            opening = self._opening(upgrade, slot)
        except Problem as problem:
            await stream.send_all(problem.encode())
            await linger(stream)
            return
        connection = websocket.WebSocketConnection(stream, **self._context(slot, upgrade.client))
        slot.let_go()
        slot.hold(len(opening.trailing))
        del upgrade
        await websocket.serve(connection, opening, self.accept, self._gateway.limits.frame_bytes, FIRST_FRAME_BYTES)

    def _opening(self, upgrade: Upgrade, slot: Slot) -> websocket.Opening:
        """The parts of the request that the WebSocket phase needs. Raises Problem where the request is refused."""
        refusal = self._origins.refusal(_all(upgrade, b"origin"), _all(upgrade, b"host"))
        if refusal is not None:
            self._told_refusal(refusal)
            raise Problem(403, "forbidden", refusal)
        if upgrade.client != slot.peer:
            slot.count_as(upgrade.client)
        offered = list(upgrade.subprotocols())
        chosen, credential = websocket.choose_subprotocol(offered)
        if chosen is None and offered:
            here = " or ".join(SUBPROTOCOLS)
            if credential is not None:
                # Accepted without one of these, it would be the browser that ends the connection, and says nothing.
                raise Problem(400, "bad_request", f"offer {here} beside bearer.T, which is no subprotocol but a token")
            raise Problem(400, "bad_request", f"the subprotocols here are {here}")
        scheme, _, token = (upgrade.header(b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            credential = token.strip()
        return websocket.Opening(upgrade.key, upgrade.trailing, chosen, credential)

    def _told_refusal(self, refusal: str) -> None:
        """Log it, once in a while: whoever opens the page again and again shall not fill the log."""
        now = trio.current_time()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_S
            log.warning("a WebSocket was refused: %s (told once in %.0f s)", refusal, QUIET_S)

    def _context(self, slot: Slot, peer: str) -> dict[str, Any]:
        return {
            "handle": slot.handle,
            "direct": slot.direct,
            "peer": peer,
            "outbox_bytes": self._gateway.bounds.outbox_bytes,
            "spawn": self._spawn,
            "slot": slot,
            "poller": self._poller,
            "waiting": self._gateway.waiting,
        }


def _rest_context(gateway: Gateway, settings: Settings) -> rest.RestContext:
    return rest.RestContext(
        auth=rest.BearerAuth(gateway.tokens, gateway.standing, gateway.refusals.tell),
        standing=gateway.standing,
        archive=gateway.archive,
        journal=gateway.journal,
        users=gateway.users,
        limits=gateway.limits,
        counts=gateway.live.counts,
        after_leaving=gateway.after_leaving,
        exports=rest.Exports(Path(settings.node.data)),
        moderate=partial(moderate, gateway),
        tickets=Tickets(settings, gateway.standing, gateway.journal),
        devices=partial(own_devices, gateway),
        sign_out=partial(sign_out, gateway),
        notify=partial(notifications.notify, gateway),
        push=partial(notifications.push, gateway),
    )


def _all(upgrade: Upgrade, name: bytes) -> list[str]:
    return [value.decode("latin-1") for value in upgrade.fields.get(name, ())]
