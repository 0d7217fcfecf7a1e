"""What the loop asks the server by a thread's link: it is answered as the thread is, and both never ask at once."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from redis.exceptions import InvalidResponse

from gochat.cluster.exchange import MOST_SENT, short_replies
from gochat.cluster.link import Link, connector, packed
from gochat.cluster.link_thread import LinkThread
from gochat.cluster.ports import START, Batch, Position, ServerAway, Unreadable
from gochat.cluster.redis_log import RedisLog
from tests.cluster.exchanging import answer, bulk, refuse, scene
from tests.cluster.real import PATIENCE_S, RealServer


async def test_the_loop_asks_where_a_link_is_open() -> None:
    async with scene() as it:
        stream = await it.opened()
        for line in (b"second", b"third"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, stream, line)
                assert await it.ask() == [line]
        assert it.asked.ways == ["loop", "loop"]


async def test_an_answer_in_pieces_is_read_whole() -> None:
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


async def test_an_error_is_told_as_the_thread_tells_it() -> None:
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


async def test_a_call_that_is_under_way_is_waited_for() -> None:
    """Not the loop's business then: the answer that comes first is that of the call."""
    async with scene() as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:
            got = await it.together(nursery, "call", "exchange")
            await answer(stream, b"of the call")
            await answer(stream, b"of the exchange")
        assert got == {"call": b"of the call", "exchange": [b"of the exchange"]} and it.asked.ways == ["thread"]


async def test_a_call_waits_for_an_exchange() -> None:
    async with scene() as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:
            got = await it.together(nursery, "exchange", "call")
            await answer(stream, b"of the exchange")
            await answer(stream, b"of the call")
        assert got == {"call": b"of the call", "exchange": [b"of the exchange"]} and it.asked.ways == ["loop"]


async def test_a_call_waits_for_the_rest_of_an_answer() -> None:
    async with scene() as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:
            got = await it.together(nursery, "exchange", "call")
            assert await stream.receive_some()
            await stream.send_all(b"$6\r\nsec")
            while it.asked.ways != ["rest"]:
                await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(b"ond\r\n")
            await answer(stream, b"of the call")
        assert got == {"call": b"of the call", "exchange": [b"second"]} and it.asked.ways == ["rest"]


async def test_two_exchanges_at_once() -> None:
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


async def test_after_a_renewal_another_link_is_used_at_once() -> None:
    async with scene() as it:
        await it.opened()
        it.thread.renew()
        await it.opened()


async def test_what_the_socket_does_not_take_is_sent_by_the_thread() -> None:
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


async def test_tls_is_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as it:
        stream = await it.opened()
        monkeypatch.setattr("gochat.cluster.link.ssl.SSLSocket", socket.socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, stream, b"second")
            assert await it.ask() == [b"second"]
        assert it.asked.ways == ["thread"]


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
