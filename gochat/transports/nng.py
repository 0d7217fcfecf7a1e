"""nng (pynng): a REP socket whose contexts are at work at once, for `paired`'s requests. A peer that takes no reply for
`slow_s` loses its connection.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pynng
import trio

from gochat.errors import CantListen, GochatError
from gochat.looking import next_look
from gochat.transports.admission import Connections, Slot
from gochat.transports.paired import MAX_REQUESTS, Pairs
from gochat.transports.rep_context import RepContext

log = logging.getLogger(__name__)

#: Contexts that wait for a request: below the first number one more is opened, above the second one closes.
MIN_IDLE: Final = 8
MAX_IDLE: Final = 64
#: How often it is looked for sessions to forget.
SWEEP_S: Final = 0.5

_ADVICE: Final = {
    pynng.exceptions.AddressInUse: "another program has that port (`ss -ltnp` names it); choose another port",
    pynng.exceptions.AddressInvalid: "this machine has no such address (`ip address` lists those it has)",
    pynng.exceptions.PermissionDenied: "ports below 1024 are privileged; choose a higher one",
}


class Certificate(NamedTuple):
    """Files of PEM; empty: no TLS."""

    cert: str = ""
    key: str = ""


class _Peer:
    """One of nng's connections: an Origin."""

    def __init__(self, pipe: pynng.Pipe) -> None:
        self.pipe = pipe
        self.address = _address(pipe)
        self.slot: Slot | None = None
        """Its place among all connections; None where it is not counted."""
        self.gone = not self.address
        self.polls: set[trio.CancelScope] = set()
        self.requests = 0
        """Under way."""
        self.stranger = True

    def signed_in(self) -> None:
        self.stranger = False
        if self.slot is not None:
            self.slot.authenticated()

    def shutdown(self, how: int) -> None:
        """Closes a stranger to make room for another: see `admission`."""
        self.close()

    def close(self) -> None:
        try:
            self.pipe.close()
        except pynng.exceptions.NNGException:
            pass  # It has gone by itself.


class NngServer:
    """Listens from `open` on, and answers while `run` is running."""

    def __init__(
        self,
        url: str,
        pairs: Pairs,
        connections: Connections,
        *,
        frame_bytes: int,
        slow_s: float,
        max_contexts: int,
        certificate: Certificate,
    ) -> None:
        """`url`: tcp://HOST:PORT, or with a certificate tls+tcp://HOST:PORT. At most `max_contexts` requests are under
        way at once; what comes then waits in nng, and its peers with it."""
        self.url = url
        self.addresses: list[str] = []
        self._pairs = pairs
        self._connections = connections
        self._frame_bytes = frame_bytes
        self._slow_s = slow_s
        self._max_contexts = max_contexts
        self._certificate = certificate
        self._socket: pynng.Rep0 | None = None
        self._peers: dict[int, _Peer] = {}
        self._contexts = 0
        self._idle = 0
        self._stopping = False

    @property
    def secure(self) -> bool:
        """Whether it listens with TLS."""
        return self.url.startswith("tls+")

    def open(self) -> None:
        """Raises CantListen, or GochatError for a certificate that can't be read."""
        failed = f"can't listen on {self.url}"
        try:
            self._socket = _listening(self.url, self._frame_bytes, self._certificate)
        except OSError as error:
            raise GochatError(f"{failed}: {error.filename}: {(error.strerror or '').lower()}") from error
        except pynng.exceptions.NNGException as error:
            advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), str(error).lower())
            raise CantListen(f"{failed}: {advice}") from error
        address = str(self._socket.listeners[0].local_address)
        self.addresses = [address]
        # After a crash it listens there again, and not at another free port.
        self.url = f"{self.url.partition('://')[0]}://{address}"
        token = trio.lowlevel.current_trio_token()
        self._socket.add_post_pipe_connect_cb(partial(_tell, token, self._came))
        self._socket.add_post_pipe_remove_cb(partial(_tell, token, self._went))

    async def run(self) -> None:
        """Answer requests until cancelled, then close the socket."""
        if self._socket is None:
            self.open()
        assert self._socket is not None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                for _ in range(MIN_IDLE):
                    nursery.start_soon(self._work, self._socket, nursery)
        finally:
            self._close()

    def stop_accepting(self) -> None:
        """New connections are refused; requests of those that are there are answered."""
        self._stopping = True  # To close nng's listener would close all connections that it accepted.

    def _close(self) -> None:
        server, self._socket = self._socket, None
        for peer in list(self._peers.values()):
            self._release(peer)
        self._peers.clear()
        if server is not None:
            server.close()

    # ------------------------------------------------------------------------------------------ requests

    async def _work(self, server: pynng.Rep0, nursery: trio.Nursery) -> None:
        """One context: a request after the other."""
        self._contexts += 1
        context = RepContext(server)
        try:
            while self._idle < MAX_IDLE:
                self._idle += 1
                try:
                    request, pipe = await context.receive()
                finally:
                    self._idle -= 1
                if self._idle < MIN_IDLE and self._contexts < self._max_contexts:
                    nursery.start_soon(self._work, server, nursery)
                peer = self._peers.get(pynng.lib.nng_pipe_id(pipe)) or self._uncounted(pynng.Pipe(pipe, server))
                if not await context.send(await self._answer(request, peer), self._slow_s):
                    peer.close()
        finally:
            context.close()
            self._contexts -= 1

    async def _answer(self, request: bytes, peer: _Peer) -> bytes:
        if peer.stranger and peer.requests >= MAX_REQUESTS:
            peer.close()  # Nobody signs in so often at once.
        peer.requests += 1
        try:
            return await self._pairs.answer(request, peer)
        finally:
            peer.requests -= 1

    async def _sweep(self) -> None:
        while True:
            await trio.sleep_until(next_look(trio.current_time(), SWEEP_S))
            self._pairs.sweep()

    # ------------------------------------------------------------------------------------------ nng's connections

    def _uncounted(self, pipe: pynng.Pipe) -> _Peer:
        """Of a request that has overtaken the news of its connection, or that comes when its connection is gone."""
        peer = _Peer(pipe)
        if not peer.gone:
            self._peers[pipe.id] = peer
        return peer

    def _came(self, pipe: pynng.Pipe) -> None:
        peer = self._peers.get(pipe.id) or _Peer(pipe)
        if self._stopping:
            peer.close()
            return
        if peer.gone:
            return  # Gone already; of one that goes at once nng may tell the end before the beginning.
        self._peers[pipe.id] = peer
        # All that is done with a handle there is to shut it down.
        peer.slot = self._connections.admit(cast(socket.socket, peer), peer.address, direct=True)
        if peer.slot is None:
            peer.close()

    def _went(self, pipe: pynng.Pipe) -> None:
        peer = self._peers.pop(pipe.id, None)
        if peer is not None:
            peer.gone = True
            for poll in peer.polls:
                poll.cancel()
            self._release(peer)

    def _release(self, peer: _Peer) -> None:
        slot, peer.slot = peer.slot, None
        if slot is not None:
            self._connections.release(slot)


def _listening(url: str, frame_bytes: int, certificate: Certificate) -> pynng.Rep0:
    tls = None
    if certificate.cert:
        tls = pynng.TLSConfig(
            pynng.TLSConfig.MODE_SERVER,
            own_cert_string=Path(certificate.cert).read_text(encoding="utf-8"),
            own_key_string=Path(certificate.key).read_text(encoding="utf-8"),
        )
    server = pynng.Rep0(recv_max_size=frame_bytes, tls_config=tls, async_backend="trio")
    try:
        server.listen(url)
    except BaseException:
        server.close()
        raise
    return server


def _address(pipe: pynng.Pipe) -> str:
    """The other end's address, without its port; empty once it is gone."""
    try:
        return str(pipe.remote_address).rpartition(":")[0].strip("[]")
    except (pynng.exceptions.NNGException, KeyError):
        return ""  # It has gone again.


def _tell(token: trio.lowlevel.TrioToken, call: Callable[[Any], object], pipe: pynng.Pipe) -> None:
    """From one of nng's threads."""
    try:
        token.run_sync_soon(call, pipe)
    except trio.RunFinishedError:
        pass  # The node has ended: nobody keeps count of its pipes.
