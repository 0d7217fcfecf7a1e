"""A server that answers as a test says, and a thread with a link to it that the loop may use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
import trio.testing
from redis.connection import Connection

from gochat.cluster.exchange import Exchange, short_replies
from gochat.cluster.link import Link, ServerLink, packed
from gochat.cluster.link_thread import LinkThread
from tests.cluster.real import PATIENCE_S

Redis: Any = Connection  # Without types.


class Bare(ServerLink):
    """A link to a server that is asked nothing when it is opened."""

    def open(self) -> None:
        self._connection.connect()
        self.server = "this server"


class Asked:
    """Exchanges of one line, and who had them."""

    def __init__(self) -> None:
        self.ways: list[str] = []
        self.looks = 0
        self.waits: list[float] = []
        """How long the server might still wait when the thread went on."""

    def exchange(self, question: bytes = b"?", wait_s: float = 0.0) -> Exchange[list[Any]]:
        def parse(data: bytes) -> list[bytes] | None:
            self.looks += 1
            found = short_replies(data, 1)
            if found is not None:
                self.ways.append("loop")
            return found

        def receive(link: ServerLink, wait_s: float) -> list[Any]:
            self.ways.append("rest")
            self.waits.append(wait_s)
            return checked(link.receive_all(1))

        def in_thread(link: Link) -> list[Any]:
            self.ways.append("thread")
            return checked(link.try_all([(question,)]))

        return Exchange(lambda: packed((question,)), wait_s, parse, receive, in_thread)


def checked(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


class Scene:
    """A server that answers as the test says, and a thread with a link to it."""

    def __init__(self, listener: trio.SocketListener, timeout_s: float) -> None:
        self._listener = listener
        self.links: list[Bare] = []
        self.streams: list[trio.SocketStream] = []
        port = listener.socket.getsockname()[1]

        def connect() -> Bare:
            settings: Any = {"protocol": 2, "socket_timeout": timeout_s, "driver_info": None}
            self.links.append(Bare(Redis(host="127.0.0.1", port=port, **settings), timeout_s))
            return self.links[-1]

        self.thread = LinkThread("test", connect)
        self.asked = Asked()

    async def accepted(self) -> trio.SocketStream:
        self.streams.append(await self._listener.accept())
        return self.streams[-1]

    async def ask(self, **how: Any) -> list[Any]:
        return await self.thread.exchange(self.asked.exchange(**how))

    async def ended(self) -> None:
        """The thread has ended, and closed each connection."""
        with trio.fail_after(PATIENCE_S):
            await trio.to_thread.run_sync(partial(self.thread._thread.join, PATIENCE_S))
        assert not self.thread._thread.is_alive()
        assert all(link._connection._sock is None for link in self.links)

    def on_peek(self, then: Callable[[], None]) -> None:
        """Have something done once the loop sees what has come by the first link."""
        peek = self.links[0].peek

        def look() -> bytes:
            then()
            return peek()

        self.links[0].peek = look  # type: ignore[method-assign]

    async def together(self, nursery: trio.Nursery, first: str, second: str) -> dict[str, Any]:
        """Begin a "call" and an "exchange", one after the other; their answers as they come."""
        got: dict[str, Any] = {}

        async def call() -> None:
            got["call"] = await self.thread.call(lambda link: link.call("CALL"))

        async def exchange() -> None:
            got["exchange"] = await self.ask()

        for name in (first, second):
            nursery.start_soon({"call": call, "exchange": exchange}[name])
            await trio.testing.wait_all_tasks_blocked()
        return got

    async def opened(self) -> trio.SocketStream:
        """Have the link opened; the server's side of it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ask)
            stream = await self.accepted()
            await answer(stream, b"first")
        assert self.asked.ways == ["thread"], "there is no link that could be lent"
        self.asked.ways.clear()
        return stream


@asynccontextmanager
async def scene(timeout_s: float = PATIENCE_S) -> AsyncIterator[Scene]:
    """`timeout_s`: how long the link waits for an answer."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    made = Scene(listener, timeout_s)
    try:
        with trio.fail_after(5 * PATIENCE_S):
            yield made
    finally:
        made.thread.close()
        for resource in (listener, *made.streams):
            await trio.aclose_forcefully(resource)
    await made.ended()


async def answer(stream: trio.SocketStream, line: bytes) -> None:
    """Once a question has come."""
    assert await stream.receive_some()
    await stream.send_all(bulk(line))


async def refuse(stream: trio.SocketStream, error: bytes) -> None:
    assert await stream.receive_some()
    await stream.send_all(b"-%b\r\n" % error)


def bulk(line: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(line), line)
