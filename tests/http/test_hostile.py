"""The whole path over real sockets: accept loop, shell, app; and peers that mean it no good."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from gochat.http.app import Check, make_app
from gochat.http.shell import HttpShell
from gochat.transports.admission import Connections, Slot
from gochat.transports.listen import Server, open_listeners
from tests.handles import open_files
from tests.http.wiring import GET, UPGRADE, Client

VISITS = 300


@asynccontextmanager
async def node() -> AsyncIterator[tuple[Connections, tuple[str, int]]]:
    """Serves HTTP, and echoes whatever comes after an upgrade."""
    shell = HttpShell(make_app(lambda: [Check("all")]))

    async def handler(stream: trio.abc.Stream, slot: Slot) -> None:
        upgrade = await shell.serve(stream, slot)
        if upgrade is not None:
            data: bytes | bytearray = upgrade.trailing or b"none"
            while data:
                await stream.send_all(data)
                data = await stream.receive_some()

    connections = Connections(capacity=VISITS, unauthenticated=VISITS, per_address=VISITS)
    listeners = open_listeners("127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        await nursery.start(Server("http", handler, connections).serve, listeners)
        with trio.fail_after(60):
            yield connections, listeners[0].getsockname()
        nursery.cancel_scope.cancel()


async def test_requests_then_an_upgrade_on_one_socket() -> None:
    async with node() as (_, address), await trio.open_tcp_stream(*address) as stream:
        client = Client(stream)
        assert (await client.get(b"/livez")).body == b"alive\n"
        assert (await client.get(b"/readyz")).body == b"ready\n"
        await client.send(UPGRADE + b"\r\ntrailing")
        assert await client._exactly(8) == b"trailing"
        await client.send(b"more")
        assert await client._exactly(4) == b"more"


def attack(number: int) -> bytes:
    rng = random.Random(number)
    whole = rng.choice(
        [GET % b"/livez", UPGRADE + b"\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody"]
    )
    kinds = [
        rng.randbytes(rng.randint(1, 2000)),
        UPGRADE + b"\r\n" + rng.randbytes(200),
        whole[: rng.randrange(len(whole))],
        whole * rng.randint(1, 20),
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * rng.randint(1, 100_000),
        bytes(rng.choice(whole) for _ in range(200)),
        b"",
    ]
    return kinds[number % len(kinds)]


async def test_hostile_peers_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with node() as (connections, address):
        before = open_files()
        tasks = trio.lowlevel.current_statistics().tasks_living

        async def visit(number: int) -> None:
            stream = await trio.open_tcp_stream(*address)
            try:
                await stream.send_all(attack(number))
                if number % 2:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except trio.BrokenResourceError:
                pass  # refused before it had said all
            finally:
                await stream.aclose()

        async with trio.open_nursery() as nursery:
            for number in range(VISITS):
                nursery.start_soon(visit, number)
        while connections.statistics().accepted < VISITS or connections.statistics().open:
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert open_files() == before
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        async with await trio.open_tcp_stream(*address) as stream:
            assert (await Client(stream).get(b"/livez")).status == 200
    assert connections.statistics().failed == 0, caplog.text
    assert connections.statistics().accepted == VISITS + 1
