"""Caps on connections, a crowd of them, and stopping with some open."""

from __future__ import annotations

import gc
import logging
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
import trio.testing

from gochat.transports.listen import Server, open_listeners
from tests.handles import open_files
from tests.transports.listening import books, connect, echo, echoes, serving, until


async def sign_in(stream: trio.SocketStream) -> None:
    await stream.send_all(b"sign in")
    assert await stream.receive_some() == b"sign in"


async def test_over_the_cap_of_strangers_the_oldest_is_closed_and_the_newcomer_let_in() -> None:
    connections = books(unauthenticated=2)
    async with serving(connections=connections) as (_, listener), await connect(listener) as one:
        await sign_in(one)
        crowd = []
        for _ in range(5):
            crowd.append(await connect(listener))
            assert await echoes(crowd[-1])
        assert [await echoes(stream) for stream in crowd] == [False, False, False, True, True]
        assert await echoes(one)
        for stream in crowd:
            await stream.aclose()
    assert connections.statistics().evicted == {"unauthenticated": 3}


async def test_only_those_who_have_signed_in_can_fill_a_node(caplog: pytest.LogCaptureFixture) -> None:
    connections = books(capacity=2)
    async with serving(connections=connections) as (_, listener), await connect(listener) as one:
        await sign_in(one)
        async with await connect(listener) as idle:
            assert await echoes(idle)
            async with await connect(listener) as two:
                await sign_in(two)
                assert not await echoes(idle)
                await until(lambda: connections.statistics().open == 2)
                for _ in range(3):
                    async with await connect(listener) as three:
                        assert not await echoes(three)
                assert await echoes(one) and await echoes(two)
    assert connections.statistics().refused == 3
    assert [record.levelname for record in caplog.records] == ["WARNING"], "a flood is told of once"


async def test_one_address_can_not_take_all() -> None:
    connections = books(per_address=1)
    async with serving(connections=connections, bind="0.0.0.0:0") as (_, listener):
        port = listener.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port) as one:
            assert await echoes(one)
            other = trio.SocketStream(trio.socket.socket())
            await other.socket.bind(("127.0.0.2", 0))
            await other.socket.connect(("127.0.0.1", port))
            async with other:
                assert await echoes(other)
                async with await trio.open_tcp_stream("127.0.0.1", port) as two:
                    assert await echoes(two)
                    assert not await echoes(one)
                    assert await echoes(other)
    assert connections.statistics().evicted == {"address": 1}


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)  # the lowest free number: no lower one is left under the limit
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_it_waits_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    connections = books()
    async with serving(connections=connections) as (_, listener), await connect(listener) as old:
        await sign_in(old)
        new = trio.SocketStream(trio.socket.socket())
        with no_descriptors_left():
            await new.socket.connect(listener.getsockname())
            await until(lambda: connections.statistics().exhausted >= 2)
            assert await echoes(old)
        async with new:
            assert await echoes(new)
        assert await echoes(old)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "test: can't accept connections: Too many open files"
    ]


async def test_without_descriptors_strangers_make_room() -> None:
    """Where the system allows fewer open files than the caps do, strangers could hold them all."""
    connections = books()
    async with serving(connections=connections) as (_, listener), await connect(listener) as old:
        await sign_in(old)
        async with await connect(listener) as idle:
            assert await echoes(idle)
            new = trio.SocketStream(trio.socket.socket())
            with no_descriptors_left():
                await new.socket.connect(listener.getsockname())
                async with new:
                    assert await echoes(new)
                assert not await echoes(idle)
                assert await echoes(old)
    assert connections.statistics().evicted == {"open_files": 1}


# --- stopping


async def test_stop_accepts_no_more_and_lets_connections_finish() -> None:
    connections = books()
    async with trio.open_nursery() as nursery:
        server = Server("test", echo, connections)
        [listener] = open_listeners("127.0.0.1:0")
        address = listener.getsockname()
        await nursery.start(server.serve, [listener])
        with trio.fail_after(60):
            async with await trio.open_tcp_stream(*address) as stream:
                assert await echoes(stream)
                server.stop(grace_s=1000)
                await until(lambda: listener.fileno() == -1)
                with pytest.raises(OSError, match="all attempts to connect"):
                    await trio.open_tcp_stream(*address)
                assert await echoes(stream)
            while nursery.child_tasks:
                await trio.testing.wait_all_tasks_blocked(0.001)


async def test_after_the_grace_the_rest_is_cancelled() -> None:
    connections = books()
    async with trio.open_nursery() as nursery:
        server = Server("test", echo, connections)
        [listener] = open_listeners("127.0.0.1:0")
        await nursery.start(server.serve, [listener])
        with trio.fail_after(60):
            async with await connect(listener) as stream:
                assert await echoes(stream)
                server.stop(grace_s=1000)
                server.stop(grace_s=0)
                server.stop(grace_s=1000)
                assert await stream.receive_some() == b""
    assert connections.statistics().open == 0


async def test_cancelled_from_outside_it_closes_everything() -> None:
    connections = books()
    async with serving(connections=connections) as (_, listener):
        stream = await connect(listener)
        assert await echoes(stream)
    assert listener.fileno() == -1
    assert connections.statistics().open == 0
    async with stream:
        assert not await echoes(stream)


# --- hostile


async def test_a_crowd_leaves_nothing_behind() -> None:
    connections = books(capacity=1000, unauthenticated=1000, per_address=1000)
    gc.collect()
    async with serving(connections=connections) as (_, listener):
        before = open_files()

        async def visit(number: int) -> None:
            try:
                stream = await connect(listener)
                if number % 3:
                    await stream.send_all(b"crash" if number % 2 else b"x" * number)
                if number % 5 == 0:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await stream.aclose()
            except (OSError, trio.BrokenResourceError):
                return

        logging.disable()
        try:
            async with trio.open_nursery() as nursery:
                for number in range(200):
                    nursery.start_soon(visit, number)
            await until(lambda: connections.statistics().accepted == 200 and connections.statistics().open == 0)
        finally:
            logging.disable(logging.NOTSET)
        assert open_files() == before
        async with await connect(listener) as stream:
            assert await echoes(stream)
