"""One connection to a Redis or Valkey server, and the thread that owns it.

redis-py sends a command again by itself when the reply does not come, so that what it writes may come twice. Here
nothing is ever sent twice: a link that had an error is dropped, with whatever was on its way, and the caller, who alone
knows what a repeat would mean, asks again.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import outcome
import trio
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import InvalidResponse, OutOfMemoryError, RedisError, ResponseError
from redis.retry import Retry

from gochat.cluster import scripts
from gochat.cluster.ports import Element, Position, Refused, ServerAway, Unreadable, keeps_to
from gochat.cluster.stream_reply import read_reply

log = logging.getLogger(__name__)

T = TypeVar("T")
Command = Sequence[str | bytes | int]

#: How long a connection may take to be made, and a reply to come.
TIMEOUT_S: Final = 2.0
#: A link that is older than this is dropped where the server refuses writes, too: another one may have taken its place,
#: and is found by the next link. A younger one is kept, or it would be made anew with each attempt.
KEPT_S: Final = 3.0
#: Bytes of a reply that are taken at once.
_CHUNK: Final = 1 << 16
_FAULTS: Final = (RedisError, OSError)
_REPLID: Final = b"master_replid:"
#: Asks for what `primary_id` takes.
REPLICATION: Final = ("INFO", "replication")
_CLOSED: Final = "this node has closed its connections"
#: Refusals that have nothing to do with the write or the connection, and the ways out of them.
_OOM: Final = "OOM"
_WAYS_OUT: Final = {
    _OOM: "give it more memory (maxmemory)",
    "MISCONF": "see that it can write to its disk",
    "NOREPLICAS": "see that its replicas run and are connected to it",
}
_ANOTHER_TYPE: Final = (
    "a key of this cluster is of a type that no node gives it (WRONGTYPE), so somebody else wrote it. Empty the server "
    "(FLUSHDB of this database): the nodes put back what they have"
)


class Link(Protocol):
    """The way to the servers that hold a cluster's keys: one, or the primaries of a Redis Cluster. Used by one thread,
    and never again after an error. All methods but `interrupt` raise RedisError or OSError."""

    only: Mapping[int, str] | None
    """See `keep_to`."""
    is_spent: bool
    """Whether the rest of a reply was left unread: nothing more can be asked."""

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
        they have MOST_BYTES together; waits for the first for `wait_s`, with None not at all."""

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
        return self.receive_streams(self.timeout_s + (wait_s or 0.0))

    def request_streams(self, after: Mapping[str, Position], limit: int, wait_s: float | None) -> None:
        """See `read_streams`; `receive_streams` gets the reply."""
        blocking = () if wait_s is None else ("BLOCK", int(wait_s * 1000))
        positions = [f"{position.term}-{position.n}" for position in after.values()]
        self.send("XREAD", "COUNT", limit, *blocking, "STREAMS", *after, *positions)

    def receive_streams(self, timeout_s: float) -> dict[bytes, list[Element]]:
        """The reply to XREAD."""
        # Nothing is left in the library's buffer: each reply before was read to its end.
        sock = self._connection._sock
        sock.settimeout(timeout_s)
        try:
            return read_reply(lambda: sock.recv(_CHUNK), self._spend)
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


class _Job:
    """A call of a task, for the thread."""

    __slots__ = ("_abandoned", "does", "done")

    def __init__(self, does: Callable[[Link], Any], done: Callable[[Any], None]) -> None:
        self.does = does
        self.done = done
        self._abandoned = False

    def abandon(self) -> None:
        self._abandoned = True

    def is_abandoned(self) -> bool:
        """Whether its caller was cancelled: asked by both threads, and true for good once it is."""
        return self._abandoned


class LinkThread:
    """A thread that owns one link, and makes a new one where the last had an error, or most errors: see KEPT_S. Jobs
    run one at a time, in order.

    To be made in the loop, and closed there.
    """

    def __init__(self, name: str, connect: Callable[[], Link]) -> None:
        self._connect = connect
        self._link: Link | None = None
        self._opened: Link | None = None
        """The same link once it is open. Set before `_only` is looked at, as `keep_to` sets `_only` before it looks at
        this."""
        self._told = ""
        """The last fault of an answer that was logged."""
        self._opened_at = 0.0
        """By time.monotonic."""
        self._running: _Job | None = None
        self._closing = False
        self._only: Mapping[int, str] | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        # A daemon: nothing that waits for a server may hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, does: Callable[[Link], T]) -> T:
        """Have it done with the link. Raises ServerAway. Cancelled, it may be done all the same; the link is dropped
        where it has begun."""
        if self._closing:
            raise ServerAway(_CLOSED)
        task = trio.lowlevel.current_task()

        def done(result: outcome.Outcome[T]) -> None:
            if not job.is_abandoned():
                trio.lowlevel.reschedule(task, result)

        def abort(_: object) -> trio.lowlevel.Abort:
            job.abandon()
            if self._running is job and self._link is not None:
                self._link.interrupt()
            return trio.lowlevel.Abort.SUCCEEDED

        job = _Job(does, done)
        self._jobs.put(job)
        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        """Have no other servers answer for these slots, once this has returned; None: any may. A call that is under way
        at another one is broken off."""
        before, self._only = self._only, servers
        link = self._opened  # One that is still to be opened will keep to them; it may wait for another's question.
        if not servers or (link is not None and link.is_kept_to(servers)):
            return
        if link is None:
            handed_over = trio.Event()
            self._token.run_sync_soon(handed_over.set)  # Behind the answers of links that are gone.
            await handed_over.wait()
            return
        if before is not None and servers.items() <= before.items():
            return  # They were kept to before.
        link.interrupt()
        try:
            await self.call(_nothing)  # All earlier answers have been handed over by then.
        except ServerAway:
            pass  # That call was broken off, or the other server refused: nothing is under way there any more.

    def close(self) -> None:
        """Do nothing more. A call that is under way ends with ServerAway; so do those that wait, and later ones."""
        self._closing = True
        self._jobs.put(None)
        if self._link is not None:
            self._link.interrupt()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.is_abandoned():
                continue
            self._running = job
            result = outcome.capture(self._do, job)
            self._running = None
            is_spent = self._link is not None and self._link.is_spent
            if is_spent or job.is_abandoned() or (isinstance(result, outcome.Error) and not self._keeps(result.error)):
                self._drop()
            try:
                self._token.run_sync_soon(job.done, result)
            except trio.RunFinishedError:
                break  # Nobody is left to be told.
        self._drop()

    def _keeps(self, error: BaseException) -> bool:
        """Whether the link is as good as before this error."""
        is_open = self._link is not None and self._link is self._opened
        return is_open and isinstance(error, Refused) and time.monotonic() - self._opened_at < KEPT_S

    def _do(self, job: _Job) -> Any:
        if self._closing:
            raise ServerAway(_CLOSED)
        try:
            if self._link is not None and self._link.only is not self._only and not self._link.keep_to(self._only):
                self._drop()
            if self._link is None:
                self._link = self._connect()
                self._link.open()
                self._opened, self._opened_at = self._link, time.monotonic()
                if not self._link.keep_to(self._only):
                    raise ConnectionRefusedError("another server answers")
            return job.does(self._link)
        except (InvalidResponse, ValueError, LookupError, TypeError, AttributeError) as error:
            # Other programs that may write to the server must not end nodes.
            self._tell_once(error)
            raise Unreadable(f"the server's answer is none of this cluster's: {error}") from None
        except _FAULTS as error:
            if isinstance(error, ResponseError) and is_another_type(error):
                raise Unreadable(_ANOTHER_TYPE) from None
            if (refusal := refused(error)) is not None:
                raise refusal from None
            raise ServerAway(f"{type(error).__name__}: {error}") from None

    def _tell_once(self, error: Exception) -> None:
        """It may be a fault of this program as well: the log has the way to it, once for each text in a row."""
        if self._told != str(error):
            self._told = str(error)
            log.warning("an answer of the server can't be read: %s", error, exc_info=error)

    def _drop(self) -> None:
        if self._link is not None:
            try:
                self._link.close()
            except _FAULTS:
                pass  # It is given up in any case, and broke before.
            self._link = self._opened = None


def _nothing(_: Link) -> None:
    pass
