"""The table of transports: one row for each setting that says where to listen. WebSocket has none: it begins as HTTP.

A new transport touches its own file in transports/, its settings, and a row here.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import trio

from gochat.actors.supervisor import GaveUp, Spec, Supervisor
from gochat.config import Settings
from gochat.endpoints import Endpoints
from gochat.transports.admission import Connections
from gochat.transports.listen import Handler, Server, open_listeners

if TYPE_CHECKING:
    from gochat.transports.nng import NngServer

log = logging.getLogger(__name__)

#: How long after a transport was given up it is tried again.
AGAIN_S: Final = 10.0


class Listening(Protocol):
    """A transport that is up."""

    @property
    def name(self) -> str:
        """The transport's name where a node says at which addresses it listens."""

    @property
    def addresses(self) -> list[str]:
        """Where it listens, ports included."""

    def stop(self, grace_s: float) -> None:
        """Accept no more, and cancel what is still connected after `grace_s`."""

    def renew_tls(self, context: ssl.SSLContext) -> None:
        """The certificate was read again: new connections get this one, where they have TLS. May be called in any
        thread."""


class Context(NamedTuple):
    """The things that rows are given to listen with."""

    settings: Settings
    connections: Connections
    endpoints: Endpoints
    tls: ssl.SSLContext | None
    """Of http.tls_cert; None without one."""
    nursery: trio.Nursery
    """Runs the listeners and all their connections."""


class Transport(NamedTuple):
    """One row."""

    name: str
    """In logs, in task names and where a node says what listens at which address."""
    setting: str
    """The path of the key that says where to listen; empty there: it does not."""
    listen: Listen
    """Returns when connections are accepted. Raises GochatError if it can't listen there."""
    tls_name: str = ""
    """Its name with the certificate of http.tls_cert; empty: it does not use that."""
    session_label: str = ""
    """How its sessions are counted; empty: it has none."""
    schemes: Mapping[str, str] = {}
    """By the name of what listens, the URL scheme where that speaks none but its own protocol."""

    def bind(self, settings: Settings) -> str:
        """Where the settings have it listen; empty: nowhere."""
        section, _, field = self.setting.partition(".")
        address: str = getattr(getattr(settings, section), field)
        return address


Listen: TypeAlias = Callable[[Transport, str, Context], Awaitable[Listening]]


def _sockets(handler: Callable[[Endpoints], Handler], *, shared: bool = False) -> Listen:
    """Listening sockets, and one of the doors as the handler of each connection. `shared`: with other nodes."""

    async def listen(row: Transport, bind: str, context: Context) -> Listening:
        limits, session = context.settings.limits, context.settings.session
        tls = context.tls if row.tls_name else None
        listeners = open_listeners(bind, shared=shared)
        server = Server(
            row.tls_name if tls else row.name,
            handler(context.endpoints),
            context.connections,
            tls=tls,
            handshake_s=limits.handshake_s,
            # The kernel would also give up a peer that merely reads nothing: the slow-reader rule shall come first.
            dead_peer_s=session.slow_s + 2 * session.heartbeat_s,
        )
        await context.nursery.start(server.serve, listeners)
        return server

    return listen


class _Kept:
    """A transport with a supervisor of its own: when it crashes it is started again, and the node goes on without it
    meanwhile."""

    def __init__(self, server: NngServer) -> None:
        self._server = server
        self._serving = trio.CancelScope()

    @property
    def name(self) -> str:
        return "nng+tls" if self._server.secure else "nng"

    @property
    def addresses(self) -> list[str]:
        return self._server.addresses

    def stop(self, grace_s: float) -> None:
        self._server.stop_accepting()
        self._serving.deadline = min(self._serving.deadline, trio.current_time() + grace_s)

    def renew_tls(self, context: ssl.SSLContext) -> None:
        """nng reads its certificate when it begins to listen."""

    async def serve(self) -> None:
        with self._serving:
            while True:
                try:
                    async with Supervisor("nng") as supervisor:
                        supervisor.start(Spec("nng", self._server.run))
                        await trio.sleep_forever()
                except* GaveUp as error:
                    log.error("%s; again in %.0f s", error.exceptions[0], AGAIN_S)
                await trio.sleep(AGAIN_S)


async def _listen_nng(row: Transport, bind: str, context: Context) -> Listening:
    from gochat.transports.nng import Certificate, NngServer  # pynng: only where nng is on

    settings = context.settings
    limits = settings.limits
    server = NngServer(
        bind,
        context.endpoints.pairs(row.session_label, settings.nng.session_s),
        context.connections,
        frame_bytes=limits.frame_bytes,
        slow_s=settings.session.slow_s,
        max_contexts=limits.connections,
        certificate=Certificate(settings.nng.tls_cert, settings.nng.tls_key),
    )
    server.open()
    kept = _Kept(server)
    context.nursery.start_soon(kept.serve)
    return kept


TRANSPORTS: Final = (
    Transport("http", "http.bind", _sockets(lambda endpoints: endpoints.http), tls_name="https", session_label="ws"),
    Transport(
        "tcp", "tcp.bind", _sockets(lambda endpoints: endpoints.tcp), session_label="tcp", schemes={"tcp": "tcp"}
    ),
    Transport(
        "nng", "nng.bind", _listen_nng, session_label="nng", schemes={"nng": "nng+tcp", "nng+tls": "nng+tls+tcp"}
    ),
    Transport("http", "cluster.shared_http", _sockets(lambda endpoints: endpoints.http, shared=True), tls_name="https"),
    Transport("tcp", "cluster.shared_tcp", _sockets(lambda endpoints: endpoints.tcp, shared=True)),
    Transport("metrics", "http.metrics_bind", _sockets(lambda endpoints: endpoints.metrics), tls_name="metrics"),
)
