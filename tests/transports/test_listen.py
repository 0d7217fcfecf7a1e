from __future__ import annotations

import datetime
import errno
import gc
import logging
import os
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gochat.errors import GochatError
from gochat.transports.admission import Connections, Lease
from gochat.transports.listen import Handler, Server, bound, describe, linger, open_listeners


def books(capacity: int = 100, unauthenticated: int = 100, per_address: int = 100) -> Connections:
    return Connections(capacity=capacity, unauthenticated=unauthenticated, per_address=per_address)


async def echo(stream: trio.abc.Stream, lease: Lease) -> None:
    async for data in stream:
        if data == b"sign in":
            lease.authenticated()
        if data == b"crash":
            raise ValueError("the handler is broken\nforged line")
        await stream.send_all(data)


@asynccontextmanager
async def serving(
    handler: Handler = echo, connections: Connections | None = None, bind: str = "127.0.0.1:0", **options: object
) -> AsyncIterator[tuple[Server, socket.socket]]:
    server = Server("test", handler, connections or books(), **options)  # type: ignore[arg-type]
    listeners = open_listeners(bind)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        with trio.fail_after(10):
            yield server, listeners[0]
        nursery.cancel_scope.cancel()


async def connect(listener: socket.socket) -> trio.SocketStream:
    return await trio.open_tcp_stream(*listener.getsockname()[:2])


async def echoes(stream: trio.abc.Stream) -> bool:
    """Whether there is an echo; False if the server has closed."""
    try:
        await stream.send_all(b"hello")
        return await stream.receive_some() == b"hello"
    except trio.BrokenResourceError:
        return False


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(condition: object) -> None:
    """Let the server's side catch up with what the client's side has done."""
    with trio.fail_after(10):
        while not condition():  # type: ignore[operator]
            await trio.testing.wait_all_tasks_blocked(0.001)


# --- listening


@pytest.mark.parametrize(
    ("bind", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6), ("localhost:0", None)]
)
def test_listeners_are_where_they_were_asked_for(bind: str, family: int | None) -> None:
    try:
        listeners = open_listeners(bind)
    except GochatError:
        if family == socket.AF_INET6:
            pytest.skip("no IPv6 here")
        raise
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        assert listener.getblocking() is False
        assert family in (None, listener.family)
        with socket.create_connection(listener.getsockname()[:2], timeout=5):
            pass
        listener.close()


def test_a_name_of_several_addresses_has_one_port_and_may_have_some_that_are_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As localhost is ::1 too, though not on every machine. What a name stands for is the machine's affair."""
    addresses = ["127.0.0.1", "192.0.2.1", "127.0.0.2"]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    listeners = open_listeners("several:0")
    assert [bound(listener).host for listener in listeners] == ["127.0.0.1", "127.0.0.2"]
    assert len({bound(listener).port for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


def test_a_bound_address_can_be_printed() -> None:
    [listener] = open_listeners("127.0.0.1:0")
    with listener:
        assert str(bound(listener)) == f"127.0.0.1:{listener.getsockname()[1]}"
        assert bound(listener).loopback


def test_a_taken_port_is_told_with_the_way_out() -> None:
    [listener] = open_listeners("127.0.0.1:0")
    with listener:
        bind = str(bound(listener))
        with pytest.raises(GochatError, match=f"can't listen on {bind}: another program has that port.*another port"):
            open_listeners(bind)
    open_listeners(bind)[0].close()


@pytest.mark.parametrize(
    ("bind", "problem"),
    [
        ("8080", "must be HOST:PORT"),
        (":8080", "must be HOST:PORT"),
        ("::1:8080", "must be HOST:PORT"),
        ("[::1]:99999", "port from 0 to 65535"),
        ("no.such.host.invalid:0", "no address is known for 'no.such.host.invalid'"),
        ("192.0.2.1:0", "this machine has no such address"),
    ],
)
def test_what_can_not_be_listened_on_is_told(bind: str, problem: str) -> None:
    with pytest.raises(GochatError, match=problem) as caught:
        open_listeners(bind)
    assert bind in str(caught.value)


# --- serving


async def test_each_connection_has_its_handler_and_its_place() -> None:
    connections, leases = books(), []

    async def handler(stream: trio.abc.Stream, lease: Lease) -> None:
        leases.append(lease)
        await echo(stream, lease)

    async with serving(handler, connections) as (_, listener):
        async with await connect(listener) as one, await connect(listener) as two:
            assert await echoes(one)
            assert await echoes(two)
            assert connections.statistics().open == connections.statistics().unauthenticated == 2
            await one.send_all(b"sign in")
            await one.receive_some()
            assert connections.statistics().unauthenticated == 1
            assert leases[0].handle.send(b"direct") == 6
            assert await one.receive_some() == b"direct"
        await until(lambda: connections.statistics().open == 0)
    assert connections.statistics().unauthenticated == 0
    assert connections.statistics().accepted == 2
    assert [(lease.peer, lease.loopback, lease.direct) for lease in leases] == [("127.0.0.1", True, True)] * 2


async def test_a_peer_is_loopback_only_where_the_listener_is_too() -> None:
    leases: list[Lease] = []

    async def handler(stream: trio.abc.Stream, lease: Lease) -> None:
        leases.append(lease)

    async with serving(handler, bind="0.0.0.0:0") as (_, listener):
        stream = await trio.open_tcp_stream("127.0.0.1", listener.getsockname()[1])
        await stream.receive_some()
        await stream.aclose()
    assert [lease.loopback for lease in leases] == [False]


async def test_a_crash_ends_one_connection_and_leaves_one_line(caplog: pytest.LogCaptureFixture) -> None:
    connections = books()
    async with serving(connections=connections) as (_, listener), await connect(listener) as other:
        async with await connect(listener) as broken:
            await broken.send_all(b"crash")
            assert await broken.receive_some() == b""
        assert await echoes(other)
    [record] = caplog.records
    assert "test 127.0.0.1: closed after ValueError at test_listen.py:" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert record.exc_info is None
    assert connections.statistics().failed == 1


async def test_a_group_with_a_cancellation_in_it_still_ends_one_connection_only() -> None:
    async def handler(stream: trio.abc.Stream, lease: Lease) -> None:
        async def crash() -> None:
            await stream.receive_some()
            raise KeyError("one")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            nursery.start_soon(trio.sleep_forever)

    async with serving(handler) as (_, listener):
        for _ in range(2):
            async with await connect(listener) as stream:
                await stream.send_all(b"x")
                assert await stream.receive_some() == b""


async def test_a_reset_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    connections = books()
    async with serving(connections=connections) as (_, listener):
        stream = await connect(listener)
        assert await echoes(stream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        await until(lambda: connections.statistics().open == 0)
    assert not caplog.records
    assert connections.statistics().failed == 0


async def test_small_writes_are_not_held_back_and_a_dead_peer_is_given_up() -> None:
    handles: list[socket.socket] = []
    seen = trio.Event()

    async def handler(stream: trio.abc.Stream, lease: Lease) -> None:
        handles.append(lease.handle)
        seen.set()
        await stream.receive_some()

    async with serving(handler, dead_peer_s=60) as (_, listener), await connect(listener):
        await seen.wait()
        [handle] = handles
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        times = [
            handle.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
        ]
        assert times == [30, 10]
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


# --- caps


async def test_over_a_cap_the_newest_is_closed_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    connections = books(unauthenticated=2)
    async with serving(connections=connections) as (_, listener), await connect(listener) as one:
        assert await echoes(one)
        two = await connect(listener)
        assert await echoes(two)
        for _ in range(3):
            async with await connect(listener) as three:
                assert not await echoes(three)
        await one.send_all(b"sign in")
        await one.receive_some()
        async with await connect(listener) as four:
            assert await echoes(four)
        assert await echoes(two)
        await two.aclose()
    assert connections.statistics().refused_unauthenticated == 3
    assert [record.levelname for record in caplog.records] == ["WARNING"], "a flood is told of once"


async def test_one_address_can_not_take_all() -> None:
    connections = books(per_address=1)
    async with serving(connections=connections, bind="0.0.0.0:0") as (_, listener):
        port = listener.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port) as one:
            assert await echoes(one)
            async with await trio.open_tcp_stream("127.0.0.1", port) as two:
                assert not await echoes(two)
            other = trio.SocketStream(trio.socket.socket())
            await other.socket.bind(("127.0.0.2", 0))
            await other.socket.connect(("127.0.0.1", port))
            async with other:
                assert await echoes(other)
    assert connections.statistics().refused_address == 1


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
        assert await echoes(old)
        new = trio.SocketStream(trio.socket.socket())
        with no_descriptors_left():
            await new.socket.connect(listener.getsockname())
            await until(lambda: connections.statistics().exhausted >= 2)
            assert await echoes(old)
        async with new:
            assert await echoes(new)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "test: can't accept connections: Too many open files"
    ]


# --- stopping


async def test_stop_accepts_no_more_and_lets_connections_finish() -> None:
    connections = books()
    async with trio.open_nursery() as nursery:
        server = Server("test", echo, connections)
        [listener] = open_listeners("127.0.0.1:0")
        address = listener.getsockname()
        await nursery.start(server.serve, [listener])
        with trio.fail_after(10):
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
        with trio.fail_after(10):
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


# --- TLS


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(pem))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


async def test_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    leases: list[Lease] = []

    async def handler(stream: trio.abc.Stream, lease: Lease) -> None:
        leases.append(lease)
        await echo(stream, lease)

    server_context, client_context = contexts
    async with serving(handler, tls=server_context) as (_, listener):
        stream = trio.SSLStream(await connect(listener), client_context, server_hostname="localhost")
        assert await echoes(stream)
        await trio.aclose_forcefully(stream)
    assert [lease.direct for lease in leases] == [False]


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"])
async def test_no_tls_handshake_in_time_or_at_all(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connections = books()
    async with serving(connections=connections, tls=contexts[0], handshake_s=0.05) as (_, listener):
        async with await connect(listener) as stream:
            await stream.send_all(first)
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass  # closed with unread bytes
        await until(lambda: connections.statistics().open == 0)
    assert not caplog.records


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


async def test_linger_lets_the_last_words_reach_one_who_is_still_sending() -> None:
    """Without it the socket closes with unread bytes, and RST takes the answer away."""

    async def handler(stream: trio.abc.Stream, lease: Lease) -> None:
        await stream.receive_some(1)
        await stream.send_all(b"too much")
        await linger(stream, seconds=1000)

    async with serving(handler) as (_, listener), await connect(listener) as stream:
        await stream.send_all(b"x" * 100_000)
        assert await stream.receive_some() == b"too much"
        assert await stream.receive_some() == b""


@pytest.mark.parametrize("chunk", [b"", b"x" * 1000])
async def test_linger_is_bounded(chunk: bytes, autojump_clock: trio.testing.MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def keep_sending() -> None:
            while chunk:
                await near.send_all(chunk)
                await trio.sleep(0.01)

        nursery.start_soon(keep_sending)
        with trio.fail_after(5):
            await linger(far, seconds=2, max_bytes=50_000)
        assert trio.current_time() == pytest.approx(0.5 if chunk else 2, abs=0.05)
        nursery.cancel_scope.cancel()


def test_what_happened_is_one_line() -> None:
    try:
        raise OSError(errno.EPIPE, "Broken\npipe")
    except OSError as error:
        group = BaseExceptionGroup("outer", [ExceptionGroup("inner", [error, ValueError()]), KeyError("k" * 999)])
    line = describe(group)
    assert line.startswith("BrokenPipeError at test_listen.py:")
    assert "[Errno 32] Broken pipe; ValueError; KeyError: 'kkk" in line
    assert "\n" not in line
    assert len(line) < 500
