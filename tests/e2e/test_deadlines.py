"""Deadlines are kept to the second, whatever the heartbeat is: the end of a token, and a peer that reads nothing."""

from __future__ import annotations

import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.node import Node
from gochat.protocol.replies import Error
from gochat.protocol.websocket import TEXT, client_frame
from gochat.session.gateway import SignedIn
from gochat.session.positions import OPEN
from gochat.session.session import Session
from tests import certificates
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer, address
from tests.e2e.test_sessions import SECRET, token

#: How late the server may be. Where the machine stands still meanwhile, the test's own clock, a timer of the same loop,
#: is as late as the server's.
LATE_S = 0.5
#: So seldom that no deadline below can be kept by it.
HEARTBEAT_S = 600.0


async def _ends(session: SignedIn, peer: Peer, end: float) -> int | None:
    """The number of the close, which comes at `end` (wall clock) and not before."""
    number: int | None = None

    async def receive() -> None:
        nonlocal number
        number = await peer.closed()
        assert end <= time.time()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await _late(end - time.time())
        assert session.outbox.broken or session.connection.closing is not None
    return number


async def _late(left_s: float) -> None:
    """It is as late as the server may be, and all that is due by now is done."""
    await trio.sleep(left_s + LATE_S)
    await trio.testing.wait_all_tasks_blocked(0.01)


def _ending(end: int) -> str:
    return token("ann", exp=end)


async def test_the_end_of_a_token(start: Start, nursery: trio.Nursery, transport: str) -> None:
    session = {"token_grace_s": 0.5, "heartbeat_s": HEARTBEAT_S}
    async with start(auth={"secret": SECRET}, session=session) as node:
        end = int(time.time()) + 2
        peer = await Peer.open(node, transport, nursery)
        await peer.ask("hello", token=_ending(end))
        (session,) = node.gateway.sessions.values()
        assert await _ends(session, peer, end + 0.5) == 4003


async def test_a_refresh_puts_the_end_off_or_brings_it_nearer(start: Start, nursery: trio.Nursery) -> None:
    async with start(auth={"secret": SECRET}, session={"token_grace_s": 0.0, "heartbeat_s": HEARTBEAT_S}) as node:
        later, nearer = await Peer.open(node, "tcp", nursery), await Peer.open(node, "ws", nursery)
        begun = int(time.time())
        await later.ask("hello", token=_ending(begun + 2))
        await nearer.ask("hello", token=_ending(begun + 60))
        of_later, of_nearer = node.gateway.sessions.values()
        assert (await later.ask("refresh", token=_ending(begun + 4)))["type"] == "ok"
        for seconds in (50, 40, 2):
            assert (await nearer.ask("refresh", token=_ending(begun + seconds)))["type"] == "ok"
        assert await _ends(of_nearer, nearer, begun + 2) == 4003
        assert (await later.ask("ping"))["type"] == "pong"
        assert await _ends(of_later, later, begun + 4) == 4003
        assert len(node.timer_wheel) < 10, "what a refresh leaves behind is bounded"


# ---------------------------------------------------------------------------------------------- slow readers


@pytest.mark.parametrize("kind", ["tcp", "ws", "wss"])
async def test_a_peer_that_reads_nothing(start: Start, nursery: trio.Nursery, tmp_path: Path, kind: str) -> None:
    async with start(session={"slow_s": 1.0, "heartbeat_s": HEARTBEAT_S}, **_tls(tmp_path, kind)) as node:
        stream = await _deaf(node, kind, tmp_path)
        (session,) = node.gateway.sessions.values()
        filled = _fill(session)
        async with trio.open_nursery() as watch:
            watch.start_soon(_broken_after, session, filled + 1.0)
            await _late(1.0)
            assert session.outbox.broken
        assert node.live.counts.closes[4001] == 1
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("kind", ["tcp", "wss"])
async def test_a_peer_that_reads_slowly_is_not_one_that_reads_nothing(
    start: Start, nursery: trio.Nursery, tmp_path: Path, kind: str
) -> None:
    """Whatever is taken within `slow_s` starts it anew."""
    async with start(session={"slow_s": 1.0, "heartbeat_s": HEARTBEAT_S}, **_tls(tmp_path, kind)) as node:
        stream = await _deaf(node, kind, tmp_path)
        (session,) = node.gateway.sessions.values()
        _fill(session)
        begun = session.outbox.size
        for _ in range(10):
            await trio.sleep(0.25)
            await stream.receive_some(1 << 16)
        assert 0 < session.outbox.size < begun
        assert session.state == OPEN
        await trio.aclose_forcefully(stream)


def _tls(folder: Path, kind: str) -> dict[str, Any]:
    certificate = str(certificates.localhost(folder)) if kind == "wss" else ""
    return {"auth": {"secret": SECRET}, "http": {"tls_cert": certificate, "tls_key": certificate}}


async def _deaf(node: Node, kind: str, folder: Path) -> trio.abc.Stream:
    """A peer that has signed in and reads nothing more, with little room in both kernels."""
    door = {"ws": "http", "wss": "https"}.get(kind, kind)
    plain = trio.socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await plain.connect(address(node, door))
    stream: trio.abc.Stream = trio.SocketStream(plain)
    if kind == "wss":
        context = ssl.create_default_context(cafile=str(folder / "localhost.pem"))
        stream = trio.SSLStream(stream, context, server_hostname="localhost")
    hello = json.dumps({"type": "hello", "token": token("ann")}).encode()
    if kind != "tcp":
        host = f"localhost:{address(node, door)[1]}"
        await stream.send_all(
            f"GET /v1/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
    await stream.send_all(client_frame(TEXT, hello) if kind != "tcp" else hello + b"\n")
    with trio.fail_after(25):
        while not any(session.state == OPEN for session in node.gateway.sessions.values()):
            await trio.sleep(0.01)
    return stream


async def _broken_after(session: Session, at: float) -> None:
    """It breaks, and not before."""
    with trio.fail_after(60):
        while not session.outbox.broken:
            await trio.sleep(0.05)
    assert trio.current_time() >= at


def _fill(session: Session) -> float:
    """Send what the kernel does not take. When it took the last byte; trio clock."""
    session.connection._handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    while session.outbox.size < 1 << 19:
        session.outbox.try_send(session.codec.encode(Error(code="internal", message="x" * 4000, temporary=False)))
    return trio.current_time()
