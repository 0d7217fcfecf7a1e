"""The REP socket: peers that read nothing, that send nonsense or that go; its end, and its start after a crash."""

from __future__ import annotations

import random
import resource
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pynng
import pytest
import trio

from gochat.errors import GochatError
from gochat.transports.admission import Connections
from gochat.transports.nng import MIN_IDLE, Certificate, NngServer
from tests import certificates
from tests.ports import HOST, held_port
from tests.transports.listening import books, until
from tests.transports.req import Req, message

FRAME_BYTES = 65_536


class Echo:
    """Stands in for the sessions: says requests back, `times` over."""

    def __init__(self) -> None:
        self.times = 1
        self.under_way = 0
        self.held: trio.Event | None = None
        self.crash = False

    async def answer(self, request: bytes, origin: Any) -> bytes:
        if self.crash:
            self.crash = False
            raise RuntimeError("a fault below the sessions")
        if request == b"sign in":
            origin.signed_in()
        self.under_way += 1
        try:
            if self.held is not None:
                await self.held.wait()
        finally:
            self.under_way -= 1
        return request * self.times

    def sweep(self) -> None: ...


class Serving:
    def __init__(self, server: NngServer, echo: Echo, connections: Connections) -> None:
        self.server = server
        self.echo = echo
        self.connections = connections

    def client(self) -> pynng.Req0:
        return pynng.Req0(dial=f"tcp://{self.server.addresses[0]}", async_backend="trio", block_on_dial=True)

    async def raw(self) -> trio.SocketStream:
        """A peer that speaks for itself."""
        host, _, port = self.server.addresses[0].rpartition(":")
        return (await Req.open(host, int(port))).stream


@asynccontextmanager
async def serving(
    slow_s: float = 30.0, connections: Connections | None = None, **options: Any
) -> AsyncIterator[Serving]:
    echo, connections = Echo(), connections or books()
    server = NngServer(
        options.pop("url", "tcp://127.0.0.1:0"),
        echo,
        connections,
        frame_bytes=FRAME_BYTES,
        slow_s=slow_s,  # type: ignore[arg-type]
        max_contexts=options.pop("max_contexts", 1000),
        certificate=Certificate(**options),
    )
    server.open()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            yield Serving(server, echo, connections)
            nursery.cancel_scope.cancel()


async def ask(client: pynng.Req0, request: bytes) -> bytes:
    with client.new_context() as context:
        await context.asend(request)
        return bytes(await context.arecv())


async def at_the_end(stream: trio.SocketStream) -> None:
    """The server has closed it."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass  # with unread bytes
    await stream.aclose()


async def test_many_requests_are_at_work_at_once() -> None:
    async with serving() as here:
        here.echo.held = trio.Event()
        with here.client() as client:
            async with trio.open_nursery() as nursery:
                for _ in range(5 * MIN_IDLE):
                    nursery.start_soon(ask, client, b"sign in")
                await until(lambda: here.echo.under_way >= MIN_IDLE)
                # A stranger asks so much at once only; the first of these that is answered signs in.
                here.echo.held.set()


async def test_a_peer_that_reads_nothing_loses_its_connection_and_leaks_nothing() -> None:
    async with serving(slow_s=0.1) as here:
        here.echo.times = 4000
        peaks = []
        for turn in range(1, 9):
            stream = await here.raw()
            await stream.send_all(b"".join(message(b"x" * 1000, number) for number in range(7)))
            await until(lambda: here.connections.statistics().accepted == turn)  # noqa: B023 -- called at once
            await until(lambda: here.connections.statistics().open == 0)
            await at_the_end(stream)
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        # 4 MB a reply, of which several wait for each of these peers: without being freed 100 MB and more.
        assert peaks[-1] - peaks[2] < 40_000, peaks
        with here.client() as client:
            assert len(await ask(client, b"y")) == 4000


async def test_random_messages_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(7)
    async with serving() as here:
        with here.client() as client:
            assert await ask(client, b"before") == b"before"
            for turn in range(60):
                stream = await here.raw() if turn % 2 else await trio.open_tcp_stream(*_place(here))
                try:
                    for _ in range(20):
                        noise = dice.randbytes(dice.randint(0, 300))
                        await stream.send_all(noise if turn % 3 else struct.pack(">Q", len(noise)) + noise)
                except trio.BrokenResourceError:
                    pass  # It was let go.
                await stream.aclose()
            oversized = await here.raw()
            await oversized.send_all(message(b"x" * (FRAME_BYTES + 1)))
            await at_the_end(oversized)  # A request over the limit ends the connection.
            assert await ask(client, b"after") == b"after"
        await until(lambda: here.connections.statistics().open == 0)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def _place(here: Serving) -> tuple[str, int]:
    host, _, port = here.server.addresses[0].rpartition(":")
    return host, int(port)


async def test_its_connections_count_as_all_others_do() -> None:
    connections = books(unauthenticated=2)
    async with serving(connections=connections) as here:
        with here.client() as first, here.client() as second:
            assert await ask(first, b"sign in") == b"sign in"
            assert await ask(second, b"hi") == b"hi"
            assert (connections.statistics().open, connections.statistics().unauthenticated) == (2, 1)
            strangers = [await here.raw() for _ in range(2)]
            await until(lambda: sum(connections.statistics().evicted.values()) == 1)
            assert await ask(first, b"still") == b"still", "users who have signed in are not closed for strangers"
            for stream in strangers:
                await stream.aclose()
        await until(lambda: connections.statistics().open == 0)


async def test_after_a_crash_it_listens_where_it_did() -> None:
    async with serving() as here:
        url = here.server.url
        with here.client() as client:
            assert await ask(client, b"before") == b"before"
    here.server.open()
    assert here.server.url == url
    here.server._close()


async def test_a_fault_ends_its_run_and_not_its_caller() -> None:
    with held_port() as port:
        here = NngServer(
            f"tcp://{HOST}:{port}",
            echo := Echo(),
            books(),
            frame_bytes=FRAME_BYTES,
            slow_s=1,
            max_contexts=10,  # type: ignore[arg-type]
            certificate=Certificate(),
        )
        here.open()
        echo.crash = True
        with trio.fail_after(60), pynng.Req0(dial=here.url, async_backend="trio", block_on_dial=True) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_restarting, here, 2)
                # A REQ socket connects again, and asks again, by itself.
                client.resend_time = 200
                assert await ask(client, b"hi") == b"hi"
                nursery.cancel_scope.cancel()


async def _restarting(server: NngServer, times: int) -> None:
    for _ in range(times):
        try:
            await server.run()
        except* RuntimeError:
            await trio.sleep(0.05)


async def test_with_a_certificate(tmp_path: Path) -> None:
    file = str(certificates.localhost(tmp_path))
    tls = pynng.TLSConfig(pynng.TLSConfig.MODE_CLIENT, server_name="localhost", ca_files=file)
    async with serving(url="tls+tcp://127.0.0.1:0", cert=file, key=file) as here:
        with pynng.Req0(tls_config=tls, async_backend="trio") as client:
            client.dial(f"tls+tcp://{here.server.addresses[0]}", block=False)
            assert await ask(client, b"hi") == b"hi"


async def test_what_it_cannot_listen_with_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GochatError, match="another program has that port"):
            async with serving(url=f"tcp://127.0.0.1:{port}"):
                pass
    with pytest.raises(GochatError, match="no such file"):
        async with serving(url="tls+tcp://127.0.0.1:0", cert=str(tmp_path / "none"), key=str(tmp_path / "none")):
            pass
    (tmp_path / "bad").write_text("no PEM")
    with pytest.raises(GochatError, match="can't listen on tls"):
        async with serving(url="tls+tcp://127.0.0.1:0", cert=str(tmp_path / "bad"), key=str(tmp_path / "bad")):
            pass
