"""Sessions that come and go leave nothing behind that only the cycle collector can free, however they end.

A cycle keeps a session, its connection and its socket in memory until the collector's oldest generation comes by, which
with a hundred thousand live objects is minutes later.
"""

from __future__ import annotations

import gc
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio

from gochat.node import Node
from gochat.transports.paired import Pairs
from tests.e2e.conftest import Start
from tests.e2e.peer import address
from tests.http.rest.client import issue
from tests.transports.req import Req
from tests.waiting import until

ROUNDS = 8
#: Within this long a machine that is busy must get from the connection to the hello.
HELLO_S = 0.5
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE, PING = 0x8, 0x9


class Raw:
    """A client of bare bytes, which leaves no cycles of its own."""

    def __init__(self, stream: trio.abc.Stream, *, ws: bool) -> None:
        self._stream = stream
        self._ws = ws
        self._heard = b""

    async def say(self, frame: dict[str, Any]) -> None:
        data = json.dumps(frame).encode()
        await self._stream.send_all(_masked(0x1, data) if self._ws else data + b"\n")

    async def control(self, opcode: int, data: bytes = b"") -> None:
        await self._stream.send_all(_masked(opcode, data))

    async def hear(self, text: bytes) -> None:
        """Read until it has come."""
        while text not in self._heard:
            data = await self._stream.receive_some()
            assert data, self._heard
            self._heard += bytes(data)

    async def send_eof(self) -> None:
        assert isinstance(self._stream, trio.SocketStream)
        await self._stream.send_eof()

    async def hear_the_end(self) -> None:
        """The server closes: answer its Close, as it waits for that."""
        await self.hear(b"\x88" if self._ws else b'"close":')
        if self._ws:
            await self.control(CLOSE)
        await self.end()

    async def end(self) -> None:
        try:
            while await self._stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass  # An end like another.

    async def begin(self, token: str | None = None) -> None:
        if self._ws:
            await self._stream.send_all(UPGRADE)
            await self.hear(b"\r\n\r\n")
        if token is not None:
            await self.say({"type": "hello", "id": "h", "token": token})
            await self.hear(b'"welcome"')


def _masked(opcode: int, data: bytes) -> bytes:
    head = (
        bytes((0x80 | opcode, 0x80 | len(data)))
        if len(data) < 126
        else struct.pack("!BBH", 0x80 | opcode, 254, len(data))
    )
    return head + bytes(4) + data


async def _leaves(raw: Raw, token: str) -> None:
    await raw.begin(token)


async def _asks(raw: Raw, token: str) -> None:
    await raw.begin(token)
    await raw.say({"type": "send", "id": 1, "to": "user:bob", "body": "hi", "key": "k"})
    await raw.say({"type": "groups", "id": 2})
    await raw.say({"type": "watch", "id": 3, "users": ["bob"]})
    await raw.say({"type": "history", "id": 4, "room": "group:none"})
    await raw.hear(b'"id":4')


async def _is_no_user(raw: Raw, token: str) -> None:
    await raw.begin()
    await raw.say({"type": "hello", "id": "h", "token": "x.y.z"})
    await raw.hear_the_end()


async def _never_says_hello(raw: Raw, token: str) -> None:
    await raw.begin()
    await raw.hear_the_end()


async def _breaks_the_rules(raw: Raw, token: str) -> None:
    await raw.begin()
    await raw.say({"type": "no such thing"})
    await raw.hear_the_end()


async def _says_too_much(raw: Raw, token: str) -> None:
    await raw.begin(token)
    await raw.say({"type": "send", "id": 1, "to": "user:bob", "body": "x" * 2000})
    await raw.hear_the_end()


async def _closes(raw: Raw, token: str) -> None:
    await raw.begin(token)
    await raw.control(PING, b"there?")
    await raw.hear(b"there?")
    await raw.control(CLOSE, struct.pack("!H", 1000))
    await raw.end()


async def _shuts_down(raw: Raw, token: str) -> None:
    """Sends no more, and no Close: the server's own ends the answers."""
    await raw.begin(token)
    await raw.send_eof()
    await raw.end()


async def _pings_and_leaves(raw: Raw, token: str) -> None:
    await raw.begin(token)
    await raw.control(PING, b"there?")
    await raw.hear(b"there?")


async def _does_not_read(raw: Raw, token: str) -> None:
    """Goes while much waits for it."""
    await raw.begin(token)
    for number in range(60):
        await raw.say({"type": "send", "id": number, "to": "user:bob", "body": "x" * 900})
    await raw.say({"type": "history", "id": "page", "room": "user:bob", "limit": 200})


ENDS = (
    _leaves,
    _asks,
    _is_no_user,
    _never_says_hello,
    _breaks_the_rules,
    _says_too_much,
    _closes,
    _pings_and_leaves,
    _shuts_down,
    _does_not_read,
)


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing of gochat's, and no socket, is left to the collector by what happens within."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        tracked = _tracked()
        gc.collect()
        # A generator of a cycle is closed by the collector, which frees the cycle: it is in no list and in no count.
        closed = tracked - _tracked()
        kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage)
        ours = {
            kind: count
            for kind, count in kinds.items()
            if kind.startswith(("gochat", "trio", "socket", "_contextvars"))
        }
        assert not ours, kinds.most_common(20)
        assert closed.total() < ROUNDS, closed.most_common(20)
        assert kinds.total() < ROUNDS, kinds.most_common(20)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _tracked() -> Counter[type]:
    """Live objects of the parts that a connection is made of; threads of the store make and drop others meanwhile."""
    parts = ("gochat", "wsproto", "h11")
    return Counter(type(each) for each in gc.get_objects() if type(each).__module__.startswith(parts))


async def gone(node: Node) -> None:
    """Every connection has ended, and no deadline of a session is left."""
    await until(lambda: not node.connections.statistics().open and not len(node.timer_wheel), pause_s=0.05)


@asynccontextmanager
async def line(node: Node, transport: str) -> AsyncIterator[Raw]:
    stream = await trio.open_tcp_stream(*address(node, "tcp" if transport == "tcp" else "http"))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        yield Raw(stream, ws=transport != "tcp")
    finally:
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    ("transport", "end"),
    [(kind, end) for kind in ("tcp", "ws") for end in ENDS if end not in (_closes, _pings_and_leaves) or kind == "ws"],
    ids=lambda each: each if isinstance(each, str) else each.__name__.strip("_"),
)
async def test_a_session_is_freed_when_it_ends(
    start: Start, transport: str, end: Callable[[Raw, str], Awaitable[None]]
) -> None:
    async with start(
        # A session is held for what it was refused, but not for long.
        limits={
            "hello_s": HELLO_S,
            "frame_bytes": 1024,
            "body_chars": 256,
            "refusals_per_s": 1000.0,
            "refusal_burst": 4,
        },
        session={"heartbeat_s": 0.5, "slow_s": 0.4},
        policy={"word_action": "off"},
    ) as node:
        token = issue(node, "ann")
        with trio.fail_after(60):
            for _ in range(2):  # Objects that are made once, at the first use, are made before.
                async with line(node, transport) as raw:
                    await end(raw, token)
            await gone(node)
            with uncollected():
                for _ in range(ROUNDS):
                    async with line(node, transport) as raw:
                        await end(raw, token)
                    del raw
                await gone(node)


@pytest.mark.parametrize(
    "request_",
    [
        "GET /v1/groups",
        "GET /v1/groups/none",
        "GET /v1/nothing",
        "GET /v1/groups?limit=x",
        "PATCH /v1/groups",
        "POST /v1/messages",
        "GET /livez",
        "NONSENSE",
    ],
)
async def test_an_http_connection_is_freed_when_it_ends(start: Start, request_: str) -> None:
    async with start() as node:
        token = issue(node, "ann")
        head = f"{request_} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        once = f"{head}\r\n".encode()
        last = f"{head}Connection: close\r\n\r\n".encode()

        async def round_() -> None:
            async with line(node, "http") as raw:
                await raw._stream.send_all(once)
                await raw.hear(b"HTTP/1.1 ")
                if request_ != "NONSENSE":
                    await raw._stream.send_all(last)
                    await raw.end()

        with trio.fail_after(60):
            await round_()
            await gone(node)
            with uncollected():
                for _ in range(ROUNDS):
                    await round_()
                await gone(node)


@pytest.mark.parametrize("end", ["bye", "silence", "refused"])
async def test_a_session_over_nng_is_freed_when_it_ends(start: Start, end: str) -> None:
    async def visit() -> None:
        req = await Req.open(*address(node, "nng"))
        await req.ask({"type": "hello", "token": "x.y.z" if end == "refused" else token})
        pairs.update(session.connection._pairs for session in node.gateway.sessions.values())  # type: ignore[attr-defined]
        if end == "bye":
            await req.ask({"type": "bye"})
        await trio.aclose_forcefully(req.stream)

    pairs: set[Pairs] = set()
    nng = {"bind": "tcp://127.0.0.1:0", "session_s": 1.0}
    async with start(nng=nng, limits={"hello_s": HELLO_S}, session={"heartbeat_s": 0.5}) as node:
        token = issue(node, "ann")
        with trio.fail_after(60):
            for _ in range(2):
                await visit()
            await gone(node)
            with uncollected():
                for _ in range(ROUNDS):
                    await visit()
                await gone(node)
                # The end of a session that nobody asks for is forgotten after as long again.
                while any(map(len, pairs)):
                    await trio.sleep(0.05)
