from __future__ import annotations

import errno
import socket
import struct

import pytest
import trio
import trio.testing

from gochat.errors import GochatError
from gochat.transports.admission import Slot
from gochat.transports.listen import bound, describe, linger, open_listeners
from tests.transports.listening import books, connect, echo, echoes, serving, until

# --- listening


@pytest.mark.parametrize(
    ("bind", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6), ("localhost:0", None)]
)
def test_listeners_are_where_they_were_asked_for(bind: str, family: int | None) -> None:
    try:
        listeners = open_listeners(bind)
    except GochatError:
        if family == socket.AF_INET6:
            pytest.skip("no IPv6 here: sysctl net.ipv6.conf.lo.disable_ipv6=0, or --sysctl of a container")
        raise
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        assert listener.getblocking() is False
        assert family in (None, listener.family)
        with socket.create_connection(listener.getsockname()[:2], timeout=60):
            pass
        listener.close()


def test_a_name_of_several_addresses_has_one_port_and_may_have_some_that_are_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As localhost is ::1 too, though not on every machine. The meaning of a name is the machine's affair."""
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

    async def handler(stream: trio.abc.Stream, slot: Slot) -> None:
        leases.append(slot)
        await echo(stream, slot)

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
    assert [(slot.peer, slot.direct) for slot in leases] == [("127.0.0.1", True)] * 2


async def test_a_crash_ends_one_connection_and_leaves_one_line(caplog: pytest.LogCaptureFixture) -> None:
    connections = books()
    async with serving(connections=connections) as (_, listener), await connect(listener) as other:
        async with await connect(listener) as broken:
            await broken.send_all(b"crash")
            assert await broken.receive_some() == b""
        assert await echoes(other)
    [record] = caplog.records
    assert "test 127.0.0.1: closed after ValueError at listening.py:" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert record.exc_info is None
    assert connections.statistics().failed == 1


async def test_a_group_with_a_cancellation_in_it_still_ends_one_connection_only() -> None:
    async def handler(stream: trio.abc.Stream, slot: Slot) -> None:
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

    async def handler(stream: trio.abc.Stream, slot: Slot) -> None:
        handles.append(slot.handle)
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


async def test_linger_lets_the_last_words_reach_one_who_is_still_sending() -> None:
    """Without it the socket closes with unread bytes, and RST takes the answer away."""

    async def handler(stream: trio.abc.Stream, slot: Slot) -> None:
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
