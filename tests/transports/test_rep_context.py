"""A context of a REP socket, against peers that read, that don't, and that go."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pynng
import pytest
import trio

from gochat.transports.rep_context import RepContext
from tests.transports.req import Req

#: More than the buffers between two sockets.
LARGE = b"x" * 16_000_000


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[pynng.Rep0, tuple[str, int]]]:
    with trio.fail_after(60), pynng.Rep0(listen="tcp://127.0.0.1:0", async_backend="trio") as server:
        host, _, port = str(server.listeners[0].local_address).rpartition(":")
        yield server, (host, int(port))


async def test_a_request_and_its_reply_again_and_again() -> None:
    async with serving() as (server, address), trio.open_nursery() as nursery:
        with closing(RepContext(server)) as context:
            req = await Req.open(*address)
            for request in (b"one", b"", b"y" * 100_000):
                await req.send(request)
                told, pipe = await context.receive()
                assert told == request
                assert str(pynng.Pipe(pipe, server).remote_address).startswith("127.0.0.1:")
                nursery.start_soon(context.send, b"re " + request, 30.0)
                assert await req.receive() == b"re " + request
            await req.stream.aclose()


async def test_a_receive_that_is_cancelled_takes_no_request() -> None:
    async with serving() as (server, address):
        with closing(RepContext(server)) as context:
            for _ in range(3):
                with trio.move_on_after(0.01) as scope:
                    await context.receive()
                assert scope.cancelled_caught
            req = await Req.open(*address)
            await req.send(b"hello")
            assert (await context.receive())[0] == b"hello"
            assert await context.send(b"ho", 30.0)
            await req.stream.aclose()


async def test_the_end_of_the_socket_ends_a_receive(nursery: trio.Nursery) -> None:
    async with serving() as (server, _):
        context = RepContext(server)
        ended = trio.Event()

        async def receive() -> None:
            with pytest.raises(pynng.Closed):
                await context.receive()
            ended.set()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await trio.to_thread.run_sync(server.close)
        await ended.wait()
        context.close()


async def test_a_peer_that_is_gone_is_no_error() -> None:
    async with serving() as (server, address):
        with closing(RepContext(server)) as context:
            for _ in range(3):
                req = await Req.open(*address)
                await req.send(b"hello")
                await context.receive()
                req.kill()
                assert await context.send(LARGE, 30.0)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_reply_that_is_not_taken_is_freed(cancelled: bool) -> None:
    """Otherwise those of six peers would be 96 MB."""
    peaks: list[int] = []
    async with serving() as (server, address):
        with closing(RepContext(server)) as first, closing(RepContext(server)) as second:
            for _ in range(9):
                req = await Req.open(*address)
                for context in (first, second):
                    await req.send(b"hello")
                    _, pipe = await context.receive()
                    with trio.move_on_after(0.02 if cancelled else 60.0):
                        taken = await context.send(LARGE, 60.0 if cancelled else 0.02)
                        # The first is on its way, and keeps the second from it.
                        assert taken is (context is first)
                pynng.Pipe(pipe, server).close()
                await req.stream.aclose()
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[-1] - peaks[2] < 48_000, peaks
