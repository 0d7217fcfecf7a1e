"""One accept loop for every transport over sockets; nng has listeners of its own (`nng`).

Bytes from a peer and exceptions from a handler can end no more than that one connection: nothing but cancellation
leaves the wall around it. A connection over a cap, or one that comes when the process has no file descriptor left,
costs the oldest of the connections that have not signed in (`admission`).
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Final, TypeAlias

import trio

from gochat.config import Address, parse_address
from gochat.errors import CantListen, GochatError
from gochat.transports.admission import Connections, Slot

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[trio.abc.Stream, Slot], Awaitable[None]]

#: Connections that may wait for `accept`; Linux cuts this to net.core.somaxconn, which is 4,096.
BACKLOG: Final = 4_096
#: Connections accepted before other tasks get a turn: some 50 us each.
ACCEPTS_A_TURN: Final = 16
#: Without descriptors the waiting connection keeps the listener readable: the loop would spin without a pause.
EXHAUSTED_PAUSE_S: Final = 0.1
#: Time for a connection that was closed to make room to give its descriptor back.
EVICTION_PAUSE_S: Final = 0.01
#: A warning that a flood repeats is told once in this time.
QUIET_S: Final = 60.0

#: Whether an accepted socket has its listener's options: on Linux it is made as a copy of it.
_INHERITED: Final = sys.platform == "linux"

_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
# Errors that belong to the one connection (accept(2), "Error handling"): the next may be well.
_GONE = frozenset(
    (
        errno.ECONNABORTED,
        errno.EPERM,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
    )
)
_ABSENT = frozenset((errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT))
_ADVICE = {
    errno.EADDRINUSE: "another program has that port; stop it (`ss -ltnp` names it), or choose another port",
    errno.EACCES: "ports below 1024 are privileged; choose a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address (`ip address` lists those it has)",
    errno.EAFNOSUPPORT: "this machine has no such kind of address",
}


class Server:
    """Accepts connections and runs `handler(stream, slot)` for each, in a task of its own.

    `name` stands in logs and task names. With `tls` the handler gets a stream whose handshake was done within
    `handshake_s`. With `dead_peer_s` the kernel gives up a peer that acknowledges nothing for that long (keepalive and
    TCP_USER_TIMEOUT). The socket is closed when the handler returns; one that wants its last bytes to arrive at a peer
    that is still sending calls `linger` before.
    """

    def __init__(
        self,
        name: str,
        handler: Handler,
        connections: Connections,
        *,
        tls: ssl.SSLContext | None = None,
        handshake_s: float = 5.0,
        dead_peer_s: float | None = None,
    ) -> None:
        self.name = name
        self.tls = tls
        """New connections get this one; those that are open keep theirs. None for a listener without TLS."""
        self.addresses: list[str] = []
        """Where it listens, ports included; empty before `serve`."""
        self._handler = handler
        self._connections = connections
        self._handshake_s = handshake_s
        self._dead_peer_s = dead_peer_s
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()
        self._quiet_until: dict[str, float] = {}

    async def serve(
        self, listeners: Sequence[socket.socket], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept until `stop`; return when the last connection has ended. The listeners are closed at `stop`."""
        self.addresses = [str(bound(listener)) for listener in listeners]
        if self._dead_peer_s is not None:
            for listener in listeners:
                _give_up_after(listener, self._dead_peer_s)
        with self._serving:
            async with trio.open_nursery() as connections:
                try:
                    with self._accepting:
                        async with trio.open_nursery() as loops:
                            for listener in listeners:
                                loops.start_soon(self._accept, listener, connections, name=f"{self.name} accept")
                            task_status.started()
                finally:
                    for listener in listeners:
                        listener.close()

    def stop(self, grace_s: float) -> None:
        """Accept no more, and cancel what is still connected after `grace_s`. A second call can only shorten that."""
        self._accepting.cancel()
        self._serving.deadline = min(self._serving.deadline, trio.current_time() + grace_s)

    def renew_tls(self, context: ssl.SSLContext) -> None:
        """The certificate was read again. May be called in any thread."""
        if self.tls is not None:
            self.tls = context

    async def _accept(self, listener: socket.socket, connections: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            for turn in range(ACCEPTS_A_TURN):
                try:
                    handle, (peer, *_rest) = listener.accept()
                except BlockingIOError:
                    break  # All that had come are taken.
                except OSError as error:
                    if error.errno in _GONE:
                        continue
                    if error.errno not in _EXHAUSTED:
                        raise
                    self._connections.note_exhausted()
                    self._warn(f"can't accept connections: {error.strerror}")
                    # Only the first failure of a turn says that somebody waits: Linux looks for a descriptor first.
                    evicted = turn == 0 and self._connections.evict("open_files")
                    await trio.sleep(EVICTION_PAUSE_S if evicted else EXHAUSTED_PAUSE_S)
                    break
                direct = self.tls is None
                slot = self._connections.admit(handle, peer, direct=direct)
                if slot is None:
                    handle.close()
                    self._warn("too many connections (limits.connections), all signed in; the newest are refused")
                else:
                    connections.start_soon(self._connection, slot, name=f"{self.name} {peer}")

    async def _connection(self, slot: Slot) -> None:
        """The wall. Its frame lives as long as the connection."""
        try:
            stream = await self._open(slot.handle)
            if stream is not None:
                await self._handler(stream, slot)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("%s %s: the peer went away", self.name, slot.peer)
        except* Exception as group:
            self._connections.note_failed()
            trace = group if log.isEnabledFor(logging.DEBUG) else None
            log.error("%s %s: closed after %s", self.name, slot.peer, describe(group), exc_info=trace)
        finally:
            if slot.handle.fileno() >= 0:
                trio.lowlevel.notify_closing(slot.handle)
                slot.handle.close()
            self._connections.release(slot)

    async def _open(self, handle: socket.socket) -> trio.abc.Stream | None:
        if self._dead_peer_s is not None and not _INHERITED:
            _give_up_after(handle, self._dead_peer_s)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(handle))
        if self.tls is None:
            return stream
        secure = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        with trio.move_on_after(self._handshake_s):
            await secure.do_handshake()
            return secure
        return None

    def _warn(self, problem: str) -> None:
        now = trio.current_time()
        if now >= self._quiet_until.get(problem, now):
            self._quiet_until[problem] = now + QUIET_S
            log.warning("%s: %s (told once in %.0f s)", self.name, problem, QUIET_S)


async def linger(stream: trio.abc.Stream, *, seconds: float = 1.0, max_bytes: int = 1 << 20) -> None:
    """Let what was sent reach a peer that may still be sending: say the end, then read on for a moment.

    A socket that is closed with unread bytes sends RST, and that destroys what the peer has received but not yet read
    (RFC 9112, section 9.6). Returns when the peer has closed, or a bound is reached; never raises.
    """
    with trio.move_on_after(seconds):
        try:
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            while max_bytes > 0 and (data := await stream.receive_some(1 << 16)):
                max_bytes -= len(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # The peer has gone, and reads no more.


def open_listeners(bind: str, *, shared: bool = False) -> list[socket.socket]:
    """Listening sockets for "127.0.0.1:8080", "[::1]:8080" or "localhost:0" (any free port). With `shared` other
    processes of the same user may listen there too, if they all say so; each connection goes to one of them.

    A name that stands for several addresses gives a socket for each, all with one port. Raises GochatError with the
    address and the way out; then nothing is left open.
    """
    try:
        host, port = parse_address(bind)
    except ValueError as error:
        raise GochatError(f"can't listen on {bind!r}: it {error}, such as 127.0.0.1:8080 or [::1]:8080") from None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise GochatError(f"can't listen on {bind}: no address is known for {host!r} ({error.strerror})") from None
    listeners: list[socket.socket] = []
    try:
        for family, _type, _protocol, _name, sockaddr in found:
            try:
                address = (sockaddr[0], port, *sockaddr[2:])
                listeners.append(socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=shared))
            except OSError as error:
                # A name may stand for an address that this machine lacks, as localhost does where IPv6 is off.
                if error.errno not in _ABSENT or (sockaddr is found[-1][4] and not listeners):
                    raise
            else:
                listeners[-1].setblocking(False)
                port = listeners[0].getsockname()[1]
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise CantListen(f"can't listen on {bind}: {_ADVICE.get(error.errno or 0) or error.strerror}") from None
    return listeners


def bound(listener: socket.socket) -> Address:
    """Where it listens, port included; to be printed."""
    return Address(*listener.getsockname()[:2])


def describe(error: BaseException) -> str:
    """The error on one line: each exception's kind, text and place. Tracebacks are for level debug."""
    return "; ".join(_describe_leaf(leaf) for leaf in _leaves(error))[:1000]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _describe_leaf(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}{place}{': ' if text else ''}{text}"


def _give_up_after(handle: socket.socket, seconds: float) -> None:
    """The first probe comes after half of the time, the last of three when it is over."""
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", max(1, round(seconds / 2))),
        ("TCP_KEEPINTVL", max(1, round(seconds / 6))),
        ("TCP_KEEPCNT", 3),
        # Without this one, unacknowledged data is resent for some 15 minutes whatever keepalive says (tcp(7)).
        ("TCP_USER_TIMEOUT", round(seconds * 1000)),
    ):
        if hasattr(socket, option):  # Not every system has them all.
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
