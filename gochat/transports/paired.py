"""Sessions over requests and replies in pairs: a peer is heard when it asks, and gets its events with the reply.

A request is one or more frames, a line each; the first carries `session`, the secret that `welcome` told. The reply is
their replies and the events that wait. The differences from a stream are in protocol.md, "nng". No socket is known
here.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from typing import Annotated, Any, Final, Protocol, TypeAlias, get_type_hints

import msgspec
import trio
from msgspec import Meta

from gochat.connections import BURST, Accept, Receiver
from gochat.errors import BY_NAME, NO_HEARTBEAT, VIOLATION
from gochat.protocol.codec import LINE_JSON, Codec
from gochat.protocol.problems import DECODING, sentence
from gochat.protocol.replies import Error, Ok, ReplyId
from gochat.protocol.requests import Id
from gochat.transports.outbox import Spawn, WaitingBytes
from gochat.transports.pulled import PulledOutbox

log = logging.getLogger(__name__)

#: Most events of one reply, and bytes: above them events wait for the next.
MAX_EVENTS: Final = 100
REPLY_BYTES: Final = 256 * 1024
MAX_WAIT_MS: Final = 30_000
#: How long a request takes that finds nothing: a peer that asks again and again costs the others little.
EMPTY_S: Final = 0.02
#: Requests of one session at a time, the one that is carried out included; more are answered busy.
MAX_REQUESTS: Final = 8
#: Sessions that have ended and whose peer has not yet been told; past it the oldest is forgotten.
MAX_ENDED: Final = 256


class Poll(msgspec.Struct, tag_field="type", tag="poll", kw_only=True):
    """A frame of these transports alone: wait for events."""

    id: Id | None = None
    wait_ms: Annotated[int, Meta(ge=0, le=MAX_WAIT_MS)] = 0
    max: Annotated[int, Meta(ge=1, le=MAX_EVENTS)] = MAX_EVENTS


class Bye(msgspec.Struct, tag_field="type", tag="bye", kw_only=True):
    """Another: the session is over. Without it the user seems to be there until `session_s` has passed."""

    id: Id | None = None


Own: TypeAlias = Poll | Bye | Error
"""The last frame of a request, where it is one of these two; what is wrong with it if it is malformed."""


class _Head(msgspec.Struct):
    """The fields that are read of a frame before its session is known."""

    type: str = ""
    id: Id | None = None
    session: str = ""


_head: Final = msgspec.json.Decoder(_Head).decode
_fields: Final = [
    msgspec.json.Decoder(msgspec.defstruct(name, [(name, kind, getattr(_Head(), name))])).decode
    for name, kind in get_type_hints(_Head, include_extras=True).items()
]
_own: Final = msgspec.json.Decoder(Poll | Bye).decode


class Origin(Protocol):
    """Where a request came from."""

    address: str
    gone: bool
    """Nobody will read a reply any more."""
    polls: set[trio.CancelScope]
    """Those of its polls that wait for events. They are cancelled when it is gone."""

    def signed_in(self) -> None:
        """Its peer has proved its identity. May be repeated."""


class PairedOutbox(PulledOutbox):
    """Replies leave with the request that they answer, before events that have waited longer."""

    __slots__ = ("_on_crowded", "_replies")

    def __init__(self, limit: int, waiting: WaitingBytes | None, on_crowded: Callable[[], None]) -> None:
        """`on_crowded` is called when more than half of `limit` waits: nobody is carrying out requests any more."""
        super().__init__(limit, waiting)
        self._replies: list[bytes] = []
        self._on_crowded: Callable[[], None] | None = on_crowded

    def let_go(self) -> None:
        """Nobody is told of crowds any more: the connection holds this outbox, and the two would be a cycle."""
        self._on_crowded = None

    def reply(self, data: bytes) -> None:
        if not self.closed:
            self._replies.append(data)
            self._grew(len(data))

    def discard(self) -> None:
        self._replies.clear()
        super().discard()

    def take_some(self, max_events: int = MAX_EVENTS) -> bytes:
        """All replies, and events as far as they fit; one event fits always, and so does nothing."""
        taken, self._replies = self._replies, []
        room = REPLY_BYTES - sum(map(len, taken))
        while self._chunks and max_events > 0:
            chunk = self._chunks.popleft()
            count = chunk.count(b"\n")
            if count > max_events or len(chunk) > room:
                chunk, rest = _capped(chunk, max_events, room, at_least_one=not taken)
                self._chunks.appendleft(rest)
                count = max_events  # Nothing more fits.
                if not chunk:
                    break
            taken.append(chunk)
            room -= len(chunk)
            max_events -= count
        data = b"".join(taken)
        self._shrank(len(data))
        return data

    def trim(self) -> None:
        """The session is over: there is one more reply, and what would not fit into it is dropped."""
        kept, room = deque[bytes](), REPLY_BYTES
        while self._chunks and (room := room - len(self._chunks[-1])) >= 0:
            kept.appendleft(self._chunks.pop())
        dropped = sum(map(len, self._chunks))
        self._chunks = kept
        self._shrank(dropped)

    def _grew(self, count: int) -> None:
        super()._grew(count)
        if self.size * 2 > self.limit and self._on_crowded is not None:
            self._on_crowded()


def _capped(chunk: bytes, max_lines: int, max_bytes: int, *, at_least_one: bool) -> tuple[bytes, bytes]:
    """The first lines of a chunk, within both bounds, and the rest."""
    end = 0
    for number in range(max_lines):
        next_end = chunk.find(b"\n", end) + 1
        if not next_end or (next_end > max_bytes and not (at_least_one and number == 0)):
            break
        end = next_end
    return chunk[:end], chunk[end:]


class PairedConnection:
    """A connections.Connection whose peer is heard from when it asks."""

    peer_answers = False
    tells_close = False

    def __init__(self, pairs: Pairs, origin: Origin) -> None:
        self.transport = pairs.transport
        self.max_silence_s = pairs.session_s
        self.secret = secrets.token_urlsafe(32)
        self.peer = origin.address
        self.closing: tuple[int, str] | None = None
        self.outbox = PairedOutbox(pairs.outbox_bytes, pairs.waiting, self._crowded)
        self.session: Receiver
        self._pairs = pairs
        self._origin = origin
        self._heard = self._ended_at = trio.current_time()
        self._turn = trio.Lock()
        self._requests = 0
        self._polling: trio.CancelScope | None = None
        self._seen_off = False

    @property
    def heard(self) -> float:
        """A peer that waits for a reply is there."""
        return trio.current_time() if self._requests else self._heard

    @property
    def forgettable(self) -> bool:
        """Whether it is over, and its peer knows, or had time to ask."""
        if self.closing is None or self._requests:
            return False
        return not self.outbox.size or trio.current_time() > self._ended_at + self.max_silence_s

    def ping(self, codec: Codec) -> None:
        """Nothing can be asked of the peer."""

    def signed_in(self) -> None:
        self._origin.signed_in()
        self._pairs.keep(self)

    def finish(self, number: int, reason: str) -> None:
        if self.closing is None:
            self.closing = (number, reason)
            self._ended_at = trio.current_time()
            self.outbox.trim()
            self.outbox.close()
            self._pairs.spawn(self._see_off)

    def abort(self) -> None:
        self.outbox.discard()
        self.finish(0, "aborted")

    async def _see_off(self) -> None:
        self.session.ended()
        self._seen_off = True
        self._pairs.note_end(self)
        self.let_go()

    def let_go(self) -> None:
        """Once no request can come any more: the session holds its connection, and the two would be a cycle."""
        if self._seen_off and not self._requests and not self._pairs.knows(self):
            self._seen_off = False
            del self.session
            self.outbox.let_go()

    def _crowded(self) -> None:
        self.session.wake()

    # ------------------------------------------------------------------------------------------ a request

    async def ask(self, lines: list[bytes], own: Own | None, origin: Origin) -> bytes:
        """Carry out one request; its reply. Requests of one session are carried out in turn, and a poll that is under
        way when another request comes is over."""
        if origin is not self._origin:
            # Another connection of nng's, perhaps since the last one broke: the secret proves who it is.
            self._origin = origin
            origin.signed_in()
        if self._polling is not None:
            self._polling.cancel()
        if self._requests >= MAX_REQUESTS:
            busy = f"a session makes at most {MAX_REQUESTS} requests at a time"
            return _refusals(lines, "busy", busy) + (_error(own.id, "busy", busy) if own is not None else b"")
        self._requests += 1
        try:
            # Without a checkpoint where nobody else has the turn, as is usual.
            try:
                self._turn.acquire_nowait()
            except trio.WouldBlock:
                await self._turn.acquire()
            try:
                return await self._carry_out(lines, own, origin)
            finally:
                self._turn.release()
        finally:
            self._requests -= 1
            self._heard = trio.current_time()
            self._pairs.drop_if_told(self)
            self.let_go()

    async def _carry_out(self, lines: list[bytes], own: Own | None, origin: Origin) -> bytes:
        session, outbox = self.session, self.outbox
        before = b""
        if outbox.size * 2 > outbox.limit:
            before = outbox.take_some()  # With more than that waiting the session would carry out nothing.
        if session.waiting:
            await session.wait_settled()  # Frames of the last request, whose replies did not fit into its reply.
        if session.waiting:
            taken = before + outbox.take_some() + _refusals(lines, "busy", "first take the replies that wait: poll")
            self._leave_if_asked(own)
            return taken + _answer_to(own)
        session.burst_left = BURST
        for line in lines:
            session.receive(line)
        await session.wait_settled()
        if isinstance(own, Poll) and not before:
            await self._wait(own.wait_ms / 1000, origin)
            if origin.gone and not lines:
                return b""  # The events wait for a poll whose reply is read.
        if answer := _answer_to(own):
            outbox.reply(answer)
        self._leave_if_asked(own)
        if not before and not outbox.size and self.closing is None:
            await trio.sleep(EMPTY_S)
        return before + outbox.take_some(own.max if isinstance(own, Poll) else MAX_EVENTS)

    def _leave_if_asked(self, own: Own | None) -> None:
        if isinstance(own, Bye):
            self.finish(0, "the peer left")

    async def _wait(self, seconds: float, origin: Origin) -> None:
        """Until there is something to take, the time is over, another request of the session has come, or the peer is
        gone."""
        if self._requests > 1 or self.closing is not None or origin.gone:
            return
        with trio.move_on_after(seconds) as self._polling:
            origin.polls.add(poll := self._polling)
            try:
                await self.outbox.wait()
            finally:
                origin.polls.discard(poll)
        self._polling = None


class Pairs:
    """The sessions of one such transport, and the answering of requests."""

    def __init__(
        self,
        transport: str,
        accept: Accept,
        spawn: Spawn,
        *,
        session_s: float,
        outbox_bytes: int,
        waiting: WaitingBytes | None = None,
    ) -> None:
        """`transport` is the label of its sessions; a session without a request for `session_s` seconds ends."""
        self.transport = transport
        self.spawn = spawn
        self.session_s = session_s
        self.outbox_bytes = outbox_bytes
        self.waiting = waiting
        self._accept = accept
        self._connections: dict[str, PairedConnection] = {}
        """By their secrets: the live ones, and those whose peer has not been told the end."""
        self._ended: dict[PairedConnection, None] = {}

    def __len__(self) -> int:
        return len(self._connections)

    async def answer(self, request: bytes, origin: Origin) -> bytes:
        """The reply to a request, whatever it holds. Raises nothing."""
        try:
            return await self._answer(request, origin)
        except Exception:
            log.exception("a request from %s crashed", origin.address)
            return _error(None, "internal", "a fault of the server")

    async def _answer(self, request: bytes, origin: Origin) -> bytes:
        lines = [line for line in request.replace(b"\r\n", b"\n").split(b"\n") if line]
        head = _read_head(lines[0]) if lines else _Head()
        if not head.session:
            return await self._sign_in(lines, origin)
        connection = self._connections.get(head.session)
        if connection is None:
            # A peer whose session ended by silence is told this, on any transport.
            return _error(head.id, "unavailable", "there is no such session, or none any more", NO_HEARTBEAT)
        own = _take_own(lines, head if len(lines) == 1 else _read_head(lines[-1]))
        return await connection.ask(lines, own, origin)

    async def _sign_in(self, lines: list[bytes], origin: Origin) -> bytes:
        if not lines:
            return _error(None, "bad_request", "a request has at least one frame", VIOLATION)
        connection = PairedConnection(self, origin)
        connection.session = self._accept(connection, LINE_JSON, None)
        # The first is the hello, or is refused as one.
        own = _take_own(lines, _read_head(lines[-1])) if len(lines) > 1 else None
        return await connection.ask(lines, own, origin)

    def keep(self, connection: PairedConnection) -> None:
        """It has signed in."""
        self._connections[connection.secret] = connection

    def knows(self, connection: PairedConnection) -> bool:
        """Whether requests may still name it."""
        return connection.secret in self._connections

    def note_end(self, connection: PairedConnection) -> None:
        """It is over; its peer may not know."""
        if connection.secret in self._connections:
            self._ended[connection] = None
            while len(self._ended) > MAX_ENDED:
                self._forget(next(iter(self._ended)))
            self.drop_if_told(connection)

    def drop_if_told(self, connection: PairedConnection) -> None:
        if connection in self._ended and connection.forgettable:
            self._forget(connection)

    def sweep(self) -> None:
        """Forget those that have ended and whose peer does not ask any more. To be called now and then."""
        for connection in [each for each in self._ended if each.forgettable]:
            self._forget(connection)

    def _forget(self, connection: PairedConnection) -> None:
        del self._ended[connection]
        self._connections.pop(connection.secret, None)
        connection.outbox.discard()
        connection.let_go()


def _take_own(lines: list[bytes], last: _Head) -> Own | None:
    """The last of the lines, taken off, if it is a frame of these transports alone."""
    if last.type not in ("poll", "bye"):
        return None
    try:
        own: Poll | Bye = _own(lines.pop())
    except DECODING as error:
        return _problem(last.id, "bad_request", sentence(error, "frame", Poll))
    return own


def _answer_to(own: Own | None) -> bytes:
    if isinstance(own, Error):
        return LINE_JSON.encode(own)
    return LINE_JSON.encode(Ok(id=own.id)) if own is not None and own.id is not None else b""


def _read_head(line: bytes) -> _Head:
    """As much of it as can be read: a frame of which one field is wrong is its session's, which says what is wrong."""
    try:
        return _head(line)
    except DECODING:
        pass  # A field of it is wrong: the others are read one by one.
    fields: dict[str, Any] = {}
    for decode in _fields:
        try:
            fields |= msgspec.structs.asdict(decode(line))
        except DECODING:
            continue  # It is the wrong one, and stays as if it were not there.
    return _Head(**fields)


def _refusals(lines: list[bytes], code: str, message: str) -> bytes:
    return b"".join(_error(_read_head(line).id, code, message) for line in lines)


def _error(request_id: ReplyId, code: str, message: str, close: int | None = None) -> bytes:
    return LINE_JSON.encode(_problem(request_id, code, message, close))


def _problem(request_id: ReplyId, code: str, message: str, close: int | None = None) -> Error:
    return Error(id=request_id, code=code, message=message, temporary=BY_NAME[code].temporary, close=close)
