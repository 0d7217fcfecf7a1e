"""One connection to a Redis or Valkey server.

redis-py sends a command again by itself when the reply does not come, so that what it writes may come twice. Here
nothing is ever sent twice: a link that had an error is dropped, with whatever was on its way, and the caller, who alone
knows what a repeat would mean, asks again.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.retry import Retry

from gochat.cluster import scripts
from gochat.cluster.ports import Element, Position, Refused, keeps_to
from gochat.cluster.stream_reply import read_reply

log = logging.getLogger(__name__)

T = TypeVar("T")
Command = Sequence[str | bytes | int]

#: How long a connection may take to be made, and a reply to come.
TIMEOUT_S: Final = 2.0
#: Bytes of a reply that are taken at once.
CHUNK: Final = 1 << 16
_REPLID: Final = b"master_replid:"
#: Asks for what `primary_id` takes.
REPLICATION: Final = ("INFO", "replication")
#: Refusals that have nothing to do with the write or the connection, and the ways out of them.
_OOM: Final = "OOM"
_WAYS_OUT: Final = {
    _OOM: "give it more memory (maxmemory)",
    "MISCONF": "see that it can write to its disk",
    "NOREPLICAS": "see that its replicas run and are connected to it",
}


class Link(Protocol):
    """The way to the servers that hold a cluster's keys: one, or the primaries of a Redis Cluster. Used by one at a
    time, its thread or the loop, and never again after an error. All methods but `interrupt` raise RedisError or
    OSError."""

    only: Mapping[int, str] | None
    """See `keep_to`."""
    is_spent: bool
    """Whether the rest of a reply was left unread: nothing more can be asked."""
    leaves_more: bool
    """See `read_streams`."""

    def open(self) -> None:
        """Find the servers."""

    def call(self, *command: str | bytes | int) -> Any:
        """The reply to one command. One without a key goes to a server that is the same for all nodes."""

    def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands that travel together. Raises the first error among them, after all have come."""

    def try_all(self, commands: Sequence[Command]) -> list[Any]:
        """The same, with errors in the places of their replies. Commands without a key go where the first of those goes
        that have one."""

    def call_primary(self, commands: Sequence[Command]) -> tuple[Sequence[str], list[Any]]:
        """The replies of primaries, and for each the id that its server has now. Raises ConnectionError where a server
        has become a replica."""

    def primaries(self) -> Sequence[tuple[str, Link]]:
        """Each primary's address and the way to it alone; without an address where there is one."""

    def keep_to(self, servers: Mapping[int, str] | None) -> bool:
        """Let these servers alone answer for these slots; None: any may. False: this link can't promise that, and is
        to be dropped."""

    def is_kept_to(self, servers: Mapping[int, str]) -> bool:
        """From any thread: whether it has been so all the time."""

    def read_streams(
        self, after: Mapping[str, Position], limit: int, wait_s: float | None
    ) -> dict[bytes, list[Element]]:
        """The entries of each stream after its position, at most `limit` of each, and none after the one with which
        they have MOST_BYTES together; waits for the first for `wait_s`, with None not at all. With that `leaves_more`
        tells whether one of these bounds may have left something that the server has."""

    def send(self, *command: str | bytes | int) -> None:
        """Send a command without a key."""

    def receive(self) -> Any:
        """The next reply to what was sent."""

    def is_readable(self, wait_s: float) -> bool:
        """Whether a reply, or a piece of one, has come or comes soon enough."""

    def interrupt(self) -> None:
        """From any thread: have the call that waits end with an error."""

    def close(self) -> None: ...


class ServerLink:
    """A connection to one server."""

    def __init__(self, connection: AbstractConnection, timeout_s: float) -> None:
        self._connection: Any = connection  # Its methods have no types.
        self.timeout_s = timeout_s
        """How long it waits for a reply."""
        self.server = ""
        """The id that the server had when this was opened."""
        self.only: Mapping[int, str] | None = None
        """See `keep_to`."""
        self.is_spent = False
        """Whether the rest of a reply was left unread."""
        self.leaves_more = False
        """See `read_streams`."""

    def open(self) -> None:
        """Connect, and have the server know the scripts: it may have forgotten them with a restart."""
        self.connect()
        self.call_all([("SCRIPT", "LOAD", script.text) for script in scripts.ALL])

    def connect(self) -> None:
        """The same without the scripts."""
        self.begin_to_connect()
        self.end_connecting()

    def begin_to_connect(self) -> None:
        """Connect and ask who the server is; `end_connecting` gets the answer."""
        self._connection.connect()
        self.send(*REPLICATION)

    def end_connecting(self) -> None:
        self.server = primary_id(self.receive())

    def call(self, *command: str | bytes | int) -> Any:
        self.send(*command)
        return self.receive()

    def call_all(self, commands: Sequence[Command]) -> list[Any]:
        return raise_first(self.try_all(commands))

    def try_all(self, commands: Sequence[Command]) -> list[Any]:
        self.send_all(commands)
        return self.receive_all(len(commands))

    def send_all(self, commands: Sequence[Command]) -> None:
        connection = self._connection
        connection.send_packed_command([packed(*commands)], check_health=False)

    def receive_all(self, count: int) -> list[Any]:
        """The replies to so many commands, with errors in the places of their replies."""
        connection = self._connection
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(connection.read_response(disable_decoding=True))
            except ResponseError as error:
                replies.append(error)
        return replies

    def call_primary(self, commands: Sequence[Command]) -> tuple[Sequence[str], list[Any]]:
        info, *replies = self.call_all([REPLICATION, *commands])
        return [primary_id(info)] * len(replies), replies

    def primaries(self) -> Sequence[tuple[str, Link]]:
        return [("", self)]

    def keep_to(self, servers: Mapping[int, str] | None) -> bool:
        self.only = servers
        return keeps_to(servers, self.server)

    def is_kept_to(self, servers: Mapping[int, str]) -> bool:
        return keeps_to(servers, self.server)

    def read_streams(
        self, after: Mapping[str, Position], limit: int, wait_s: float | None
    ) -> dict[bytes, list[Element]]:
        self.request_streams(after, limit, wait_s)
        return self.finish_streams(limit, wait_s or 0.0)

    def finish_streams(self, limit: int, wait_s: float) -> dict[bytes, list[Element]]:
        """Receive what `request_streams` asked for, where the server may still wait for so long, and set
        `leaves_more`."""
        found = self.receive_streams(self.timeout_s + wait_s)
        self.leaves_more = self.is_spent or is_full(found, limit)
        return found

    def request_streams(self, after: Mapping[str, Position], limit: int, wait_s: float | None) -> None:
        """See `read_streams`; `receive_streams` gets the reply."""
        self.send(*xread(after, limit, wait_s))

    def receive_streams(self, timeout_s: float) -> dict[bytes, list[Element]]:
        """The reply to XREAD."""
        # Nothing is left in the library's buffer: each reply before was read to its end.
        sock = self._connection._sock
        sock.settimeout(timeout_s)
        try:
            return read_reply(lambda: sock.recv(CHUNK), self._spend)
        finally:
            sock.settimeout(self.timeout_s)

    def _spend(self) -> None:
        self.is_spent = True

    def send(self, *command: str | bytes | int) -> None:
        self._connection.send_packed_command([packed(command)], check_health=False)

    def receive(self) -> Any:
        return self._connection.read_response(disable_decoding=True)

    def is_readable(self, wait_s: float) -> bool:
        return bool(self._connection.can_read(wait_s))

    def fileno(self) -> int:
        """Of its socket."""
        number: int = self._connection._sock.fileno()
        return number

    # For the loop, which uses a link by `exchange.py`.

    @property
    def is_open_to_loop(self) -> bool:
        """Whether what has come can be seen at the socket: TLS may have read more than it gave."""
        sock = self._connection._sock
        return sock is not None and not isinstance(sock, ssl.SSLSocket)

    def send_now(self, data: bytes) -> int:
        """Send what the socket takes at once. How many bytes that was."""
        try:
            return os.write(self.fileno(), data)  # `socket.send` would wait.
        except BlockingIOError:
            return 0

    def send_rest(self, data: bytes) -> None:
        """In a thread: send what `send_now` left."""
        self._connection._sock.sendall(data)

    def peek(self) -> bytes:
        """What has come, up to CHUNK bytes, which are still to be received: where the socket is readable, or this
        waits. Raises ConnectionError where the server has closed the connection."""
        return _some(self._connection._sock.recv(CHUNK, socket.MSG_PEEK))

    def skip(self, length: int) -> None:
        """Drop so many of the bytes that `peek` gave."""
        while length:
            length -= len(_some(self._connection._sock.recv(length)))

    def interrupt(self) -> None:
        sock = getattr(self._connection, "_sock", None)
        if sock is not None:
            try:
                # Not the method of a socket with TLS: that gives the TLS up first, and what the link's own thread sends
                # before the connection is shut would leave in the clear.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass  # It is closed already.

    def close(self) -> None:
        self._connection.disconnect()


def _some(data: bytes) -> bytes:
    if not data:
        raise ConnectionError("the server has closed the connection")
    return data


def raise_first(replies: list[Any]) -> list[Any]:
    """The replies, if there is no error among them."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def is_another_type(error: ResponseError) -> bool:
    """Whether a key is of a type that the command is not for."""
    return str(error).startswith("WRONGTYPE")


def refused(error: Exception) -> Refused | None:
    """The error in the nodes' words, where the server takes no writes at all now. Such an answer leaves the connection
    as it was."""
    if not isinstance(error, ResponseError):
        return None
    text = f"{_OOM} {error}" if isinstance(error, OutOfMemoryError) else str(error)
    way_out = _WAYS_OUT.get(text.partition(" ")[0])
    if way_out is None:
        return None
    told = text.partition(" script: ")[0].rstrip(".")  # The rest names the script and the line.
    return Refused(f"{told}; {way_out}")


def run(script: scripts.Script, keys: Sequence[str], *arguments: str | bytes | int) -> Command:
    """The command that runs a script."""
    return ("EVALSHA", script.sha, len(keys), *keys, *arguments)


def is_full(found: Mapping[bytes, Sequence[Element]], limit: int) -> bool:
    """Whether as many entries of a stream came as were asked for: the server may have more."""
    return any(len(elements) >= limit for elements in found.values())


def xread(after: Mapping[str, Position], limit: int, wait_s: float | None) -> Command:
    """The command that reads streams: see `Link.read_streams`."""
    blocking = () if wait_s is None else ("BLOCK", int(wait_s * 1000))
    positions = [f"{position.term}-{position.n}" for position in after.values()]
    return ("XREAD", "COUNT", limit, *blocking, "STREAMS", *after, *positions)


def packed(*commands: Command) -> bytes:
    """The bytes of commands that travel together. The library's own take three times as long, and every message of the
    cluster brings two commands to each node."""
    pieces: list[bytes] = []
    for command in commands:
        pieces.append(b"*%d\r\n" % len(command))
        for argument in command:
            data = argument if isinstance(argument, bytes) else str(argument).encode()
            pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)


def connector(url: str, timeout_s: float = TIMEOUT_S, *, password: str = "") -> Callable[[], ServerLink]:
    """Makes links to the server at a `redis://`, `rediss://` or `unix://` address. Raises ValueError for another."""
    options: dict[str, Any] = {
        **parse_url(url),  # type: ignore[no-untyped-call]
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,
        "driver_info": None,  # Two more questions for each connection, where all of a node's are made anew at once.
    }
    if password:
        options["password"] = password
    kind = options.pop("connection_class", Connection)
    if issubclass(kind, Connection):
        options["socket_keepalive"] = True  # A Unix socket has no such thing.
    try:
        kind(**options)
    except TypeError as error:
        raise ValueError(f"an option of the address is not known: {error}") from None
    return lambda: ServerLink(kind(**options), timeout_s)


def primary_id(info: bytes) -> str:
    """The replication id of a server, of what it says of its replication. Raises ConnectionError where it is a replica,
    which has the id of its primary, but not all that this has."""
    lines = info.splitlines()
    if b"role:master" not in lines:
        raise ConnectionError("the server is a replica")
    line = next((line for line in lines if line.startswith(_REPLID)), _REPLID)
    return line[len(_REPLID) :].decode()
