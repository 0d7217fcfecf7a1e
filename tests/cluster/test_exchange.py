"""What the loop asks the server by a thread's link: it is answered as the thread is, and both never ask at once."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from redis.connection import Connection
from redis.exceptions import InvalidResponse

from gochat.cluster.exchange import MOST_SENT, Exchange, short_replies
from gochat.cluster.link import CHUNK, Link, ServerLink, connector, packed
from gochat.cluster.link_thread import LinkThread
from gochat.cluster.ports import START, Batch, Position, ServerAway, Unreadable
from gochat.cluster.redis_log import RedisLog
from tests.cluster.real import PATIENCE_S, RealServer

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

    async def opened(self) -> trio.SocketStream:
        """Have the link opened; the server's side of it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ask)
            stream = await self.accepted()
            await answer(stream, b"first")
        assert self.asked.ways == ["thread"], "there is no link that could be lent"
        self.asked.ways.clear()
        return stream


@pytest.fixture
def scene() -> Callable[..., Any]:
    @asynccontextmanager
    async def made(timeout_s: float = PATIENCE_S) -> AsyncIterator[Scene]:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        scene = Scene(listener, timeout_s)
        try:
            with trio.fail_after(5 * PATIENCE_S):
                yield scene
        finally:
            scene.thread.close()
            for resource in (listener, *scene.streams):
                await trio.aclose_forcefully(resource)
        await scene.ended()

    return made


async def answer(stream: trio.SocketStream, line: bytes) -> None:
    """Once a question has come."""
    assert await stream.receive_some()
    await stream.send_all(bulk(line))


async def refuse(stream: trio.SocketStream, error: bytes) -> None:
    assert await stream.receive_some()
    await stream.send_all(b"-%b\r\n" % error)


def bulk(line: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(line), line)


# ---------------------------------------------------------------------------------------------- as it goes


async def test_the_loop_asks_where_a_link_is_open(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        for line in (b"second", b"third"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, stream, line)
                assert await it.ask() == [line]
        assert it.asked.ways == ["loop", "loop"]


async def test_an_answer_in_pieces_is_read_whole(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()

        async def answer_slowly() -> None:
            await stream.receive_some()
            await stream.send_all(b"$6\r\nsec")
            while it.asked.ways != ["rest"]:
                await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(b"ond\r\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_slowly)
            assert await it.ask(wait_s=PATIENCE_S) == [b"second"]
            nursery.start_soon(answer, stream, b"third")
            assert await it.ask() == [b"third"]
        assert it.asked.ways == ["rest", "loop"] and it.asked.waits == [0.0], "it waits no more"


async def test_an_error_is_told_as_the_thread_tells_it(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        for said, error in ((b"WRONGTYPE of it", Unreadable), (b"ERR of it", ServerAway)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(refuse, stream, said)
                with pytest.raises(error):
                    await it.ask()
            it.asked.ways.clear()
            assert await stream.receive_some() == b"", "another connection may know better"
            stream = await it.opened()


async def test_a_call_that_is_under_way_is_waited_for(scene: Callable[..., Any]) -> None:
    """Not the loop's business then: the answer that comes first is that of the call."""
    async with scene() as it:
        stream = await it.opened()
        got: list[Any] = []

        async def call() -> None:
            got.append(await it.thread.call(lambda link: link.call("CALL")))

        async def ask() -> None:
            got.append(await it.ask())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await answer(stream, b"of the call")
            await answer(stream, b"of the exchange")
        assert sorted(got, key=str) == [[b"of the exchange"], b"of the call"] and it.asked.ways == ["thread"]


async def test_a_call_waits_for_an_exchange(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        got: list[Any] = []

        async def call() -> None:
            got.append(await it.thread.call(lambda link: link.call("CALL")))

        async def ask() -> None:
            got.append(await it.ask())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            await answer(stream, b"of the exchange")
            await answer(stream, b"of the call")
        assert sorted(got, key=str) == [[b"of the exchange"], b"of the call"] and it.asked.ways == ["loop"]


async def test_a_call_waits_for_the_rest_of_an_answer(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        got: list[Any] = []

        async def call() -> None:
            got.append(await it.thread.call(lambda link: link.call("CALL")))

        async def ask() -> None:
            got.append(await it.ask())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            assert await stream.receive_some()
            await stream.send_all(b"$6\r\nsec")
            while it.asked.ways != ["rest"]:
                await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(b"ond\r\n")
            await answer(stream, b"of the call")
        assert sorted(got, key=str) == [[b"second"], b"of the call"] and it.asked.ways == ["rest"]


async def test_two_exchanges_at_once(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        got: list[Any] = []

        async def ask(question: bytes) -> None:
            got.append((question, await it.ask(question=question)))

        async with trio.open_nursery() as nursery:
            for question in (b"first", b"second"):
                nursery.start_soon(ask, question)
                await trio.testing.wait_all_tasks_blocked()
            for _ in range(2):
                question = (await stream.receive_some()).split(b"\r\n")[2]
                await stream.send_all(bulk(b"to the " + question))
        assert sorted(got) == [(b"first", [b"to the first"]), (b"second", [b"to the second"])]
        assert it.asked.ways == ["loop", "thread"]


async def test_after_a_renewal_another_link_is_used_at_once(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        await it.opened()
        it.thread.renew()
        await it.opened()


async def test_what_the_socket_does_not_take_is_sent_by_the_thread(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        it.links[0]._connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        question = secrets.token_bytes(500_000)
        wanted, got = packed((question,)), bytearray()

        async def read_all() -> None:
            while len(got) < len(wanted):
                got.extend(await stream.receive_some())
            await stream.send_all(bulk(b"yes"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all)
            assert await it.ask(question=question, wait_s=PATIENCE_S) == [b"yes"]
        assert got == wanted and it.asked.ways == ["rest"] and it.asked.waits == [PATIENCE_S]


async def test_tls_is_the_threads(scene: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as it:
        stream = await it.opened()
        monkeypatch.setattr("gochat.cluster.link.ssl.SSLSocket", socket.socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, stream, b"second")
            assert await it.ask() == [b"second"]
        assert it.asked.ways == ["thread"]


# ---------------------------------------------------------------------------------------------- as it fails


@pytest.mark.parametrize("was_asked", [True, False])
async def test_nobody_gets_the_answer_to_a_question_whose_asker_has_gone(
    scene: Callable[..., Any], was_asked: bool
) -> None:
    async with scene() as it:
        stream = await it.opened()
        with trio.CancelScope() as scope:
            if not was_asked:
                scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(it.ask, wait_s=PATIENCE_S))
                assert await stream.receive_some()
                scope.cancel()
        assert scope.cancelled_caught
        if was_asked:
            assert await stream.receive_some() == b"", "what it answers now is for nobody"
            stream = await it.opened()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, stream, b"next")
            assert await it.ask() == [b"next"]
        assert it.asked.ways == ["loop"]


async def test_a_piece_of_what_is_long_is_not_looked_at(scene: Callable[..., Any]) -> None:
    """It would be looked at once more when all has come."""
    async with scene() as it:
        stream = await it.opened()
        head = len(bulk(bytes(CHUNK))) - CHUNK - 2
        for line in (bytes(CHUNK - head - 2) + b"\r\n" + bytes(1000), b"short"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, stream, line)
                assert await it.ask() == [line]
        assert it.asked.looks == 1


@pytest.mark.parametrize("come", [b"$6\r\nsec", b"$6\r\nsecond\r\n", b"-OOM no room\r\n", b""])
async def test_an_asker_that_goes_while_the_answer_comes(
    scene: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, come: bytes
) -> None:
    """Once the loop has seen something of it, and before the thread has taken up the rest; or, with nothing, before all
    was sent."""
    async with scene() as it:
        stream = await it.opened()
        question = it.asked.exchange(wait_s=PATIENCE_S)._replace(parse=lambda data: None)
        with trio.CancelScope() as scope:

            def send_some(data: bytes) -> int:
                scope.cancel()
                return len(data) // 2

            if come:
                await stream.send_all(come)
                it.on_peek(scope.cancel)
            else:
                monkeypatch.setattr(it.links[0], "send_now", send_some)
            await it.thread.exchange(question)
        assert scope.cancelled_caught
        stream = await it.opened()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, stream, b"next")
            assert await it.ask() == [b"next"]


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_server_is_away_once_it_has_had_its_time(
    scene: Callable[..., Any], mock_clock: trio.testing.MockClock, is_silent: bool
) -> None:
    mock_clock.rate = 1
    async with scene(timeout_s=2 * PATIENCE_S) as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                if is_silent:
                    with pytest.raises(ServerAway, match="does not answer"):
                        await it.ask(wait_s=PATIENCE_S)
                else:
                    assert await it.ask(wait_s=PATIENCE_S) == [b"late"]

            nursery.start_soon(ask)
            assert await stream.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump((2.5 + is_silent) * PATIENCE_S)
            if not is_silent:
                await stream.send_all(bulk(b"late"))
        if is_silent:
            await it.opened()


async def test_a_server_that_hangs_up_is_away(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:

            async def hang_up() -> None:
                await stream.receive_some()
                await stream.aclose()

            nursery.start_soon(hang_up)
            with pytest.raises(ServerAway):
                await it.ask()
        await it.opened()


@pytest.mark.parametrize("how", ["renew", "close", "keep_to"])
async def test_a_question_that_is_broken_off(scene: Callable[..., Any], how: str) -> None:
    async with scene() as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:
            ended: list[str] = []

            async def ask() -> None:
                with pytest.raises(ServerAway):
                    await it.ask(wait_s=PATIENCE_S)
                ended.append("exchange")

            nursery.start_soon(ask)
            assert await stream.receive_some()
            if how == "keep_to":

                async def meet_nobody() -> None:
                    await it.accepted()

                nursery.start_soon(meet_nobody)
                await it.thread.keep_to({1: "another server"})
                assert ended == ["exchange"], "no answer of another server is handed over any more"
                await it.thread.keep_to(None)
            else:
                getattr(it.thread, how)()
        if how == "close":
            with pytest.raises(ServerAway, match="closed"):
                await it.ask()
            await it.ended()
        else:
            await it.opened()


@pytest.mark.parametrize("how", ["renew", "close"])
@pytest.mark.parametrize("is_seen", [False, True])
async def test_the_rest_of_an_answer_is_not_looked_for_on_another_connection(
    scene: Callable[..., Any], how: str, is_seen: bool
) -> None:
    async with scene() as it:
        stream = await it.opened()

        break_off = getattr(it.thread, how)

        async def break_off_later() -> None:
            while it.asked.ways != ["rest"]:
                await trio.testing.wait_all_tasks_blocked()
            break_off()

        await stream.send_all(b"$6\r\nsec")
        async with trio.open_nursery() as nursery:
            if is_seen:
                nursery.start_soon(break_off_later)
            else:
                it.on_peek(break_off)
            with pytest.raises(ServerAway):
                await it.ask()
        assert len(it.links) == 1, "none is made for what it can't answer"
        if how == "close":
            await it.ended()
        else:
            it.asked.ways.clear()
            await it.opened()


async def test_calls_have_their_turn_beside_one_who_always_asks(scene: Callable[..., Any]) -> None:
    async with scene() as it:
        stream = await it.opened()
        asked: list[bytes] = []

        async def call(name: str) -> None:
            await it.thread.call(lambda link: link.call(name))

        async def ask_always() -> None:
            while True:
                await it.ask()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_always)
            assert await stream.receive_some()
            for name in ("first", "second", "third"):
                nursery.start_soon(call, name)
                await trio.testing.wait_all_tasks_blocked()
            for _ in range(4):
                await stream.send_all(bulk(b"an answer"))
                asked.append((await stream.receive_some()).split(b"\r\n")[2])
            nursery.cancel_scope.cancel()
        assert asked[:3] == [b"first", b"second", b"third"]


# ---------------------------------------------------------------------------------------------- the log's


async def test_an_append_and_a_reading_that_go_as_ever_cost_no_thread(
    redis: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RedisLog(secrets.token_hex(4), connector(redis.url, PATIENCE_S), read_wait_s=0.05)
    calls: list[str] = []
    job = LinkThread._job

    def counted(thread: LinkThread, does: Callable[[Any], Any], link: Link | None = None) -> Any:
        calls.append(thread._thread.name)
        return job(thread, does, link)

    monkeypatch.setattr(LinkThread, "_job", counted)
    try:
        with trio.fail_after(PATIENCE_S):
            fence = await log.create(0)
            assert fence is not None
            await log.append([Batch(0, fence.term, [b"a"])])
            await log.read({0: START}, 10)
            calls.clear()
            assert await log.append([Batch(0, fence.term, [b"b", b"c"])]) == [Position(fence.term, 4)]
            found = (await log.read({0: START}, 10))[0]
            assert [element.data for element in found] == [b"", b"a", b"b", b"c"]
            assert await log.read({0: Position(fence.term, 4)}, 10) == {}
            assert not calls
            assert await log.append([Batch(0, fence.term, [bytes(MOST_SENT + 1)])]) == [Position(fence.term, 5)]
            assert len((await log.read({0: Position(fence.term, 4)}, 10))[0][0].data) == MOST_SENT + 1
            assert calls == ["log writer", "log reader"], "what is long is the threads' work"
            assert await log.append([Batch(0, fence.term + 1, [b"x"])]) == ["fenced"]
    finally:
        log.close()


@pytest.mark.parametrize(
    ("data", "count", "replies"),
    [
        (b"$3\r\n1-2\r\n", 1, [b"1-2"]),
        (b"$3\r\n1-2\r\n$6\r\nfenced\r\n", 2, [b"1-2", b"fenced"]),
        (b"$3\r\n1-2\r\n", 2, None),
        (b"$3\r\n1-2\r\n$6\r\nfen", 2, None),
        (b"-ERR no\r\n", 1, None),
        (b"$-1\r\n", 1, None),
        (b"$3\r\n1-2\r\n-ERR no\r\n", 2, None),
    ],
)
def test_short_replies(data: bytes, count: int, replies: list[bytes] | None) -> None:
    assert short_replies(data, count) == replies


def test_an_answer_that_nobody_asked_for_is_told() -> None:
    with pytest.raises(InvalidResponse):
        short_replies(b"$3\r\n1-2\r\n$3\r\n1-3\r\n", 1)
