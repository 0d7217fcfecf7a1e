"""A peer that has shut down its sending side still gets all its replies, and is not kept any longer than that."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.node import Node
from gochat.protocol.websocket import TEXT, client_frame
from gochat.transports import connection
from tests import certificates
from tests.e2e.conftest import Start
from tests.e2e.peer import address
from tests.e2e.test_sessions import SECRET, token

Frame = dict[str, Any]
HELLO: Frame = {"type": "hello", "token": ""}
HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(params=["tcp", "ws", "wss"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def settings(kind: str, folder: Path, **more: Any) -> dict[str, Any]:
    certificate = str(certificates.localhost(folder)) if kind == "wss" else ""
    http = {"tls_cert": certificate, "tls_key": certificate}
    return {"auth": {"secret": SECRET}, "http": http, **more}


def _lines(*frames: Frame) -> bytes:
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)


def _messages(*frames: Frame) -> bytes:
    return HANDSHAKE + b"".join(client_frame(TEXT, json.dumps(frame).encode()) for frame in frames)


async def say_and_shut(node: Node, kind: str, folder: Path, *frames: Frame, write_buffer: bytes = b"") -> bytes:
    """Everything that comes after all was sent at once and the sending side was shut down."""
    frames = tuple(frame | {"token": token("ann")} if frame["type"] == "hello" else frame for frame in frames)
    door = {"ws": "http", "wss": "https"}.get(kind, kind)
    with trio.fail_after(25):
        stream = await trio.open_tcp_stream(*address(node, door))
        async with stream:
            if kind == "wss":
                return await _over_tls(stream, folder, _messages(*frames) + write_buffer)
            await stream.send_all((_lines if kind == "tcp" else _messages)(*frames) + write_buffer)
            await stream.send_eof()
            return b"".join([piece async for piece in stream])


async def _over_tls(stream: trio.SocketStream, folder: Path, data: bytes) -> bytes:
    """trio's own TLS stream can't shut down one side: the BIOs of the standard library can (RFC 8446, section 6.1)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(folder / "localhost.pem"))
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    async def step(call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                await stream.send_all(outgoing.read())
                piece = await stream.receive_some()
                if not piece:
                    return b""
                incoming.write(piece)

    await step(tls.do_handshake)
    tls.write(data)
    with pytest.raises(ssl.SSLWantReadError):
        tls.unwrap()  # Sends close_notify; the server's own is not here yet.
    await stream.send_all(outgoing.read())
    found = b""
    while piece := await step(lambda: tls.read(1 << 16)):
        found += piece
    return found


def ids(found: bytes) -> list[int]:
    """The replies among the bytes of any transport, by their ids."""
    return sorted(int(number) for number in re.findall(rb'"id":(\d+)[,}]', found))


async def test_everything_that_came_before_is_answered(start: Start, tmp_path: Path, kind: str) -> None:
    async with start(**settings(kind, tmp_path)) as node:
        sends = [{"type": "send", "id": n, "to": "user:ann", "body": "x" * 1000} for n in range(1, 301)]
        asks = [
            {"type": "history", "id": 301, "room": "dm:ann:ann"}, {"type": "search", "id": 302, "q": "xx"},
            {"type": "edit", "id": 303, "room": "dm:ann:ann", "seq": 999, "body": "none"}, {"type": "ping", "id": 304},
            {"type": "nothing", "id": 305},
        ]  # fmt: skip
        found = await say_and_shut(node, kind, tmp_path, HELLO, *sends, *asks)
        assert b'"type":"welcome"' in found
        assert ids(found) == list(range(1, 306))
        if kind != "tcp":
            assert found.endswith(b"\x88\x02\x03\xe8"), "Close 1000 is the last"
        await _gone(node)


async def test_what_resume_asked_for_comes_too(start: Start, tmp_path: Path, kind: str) -> None:
    async with start(**settings(kind, tmp_path)) as node:
        sends = [{"type": "send", "id": n, "to": "user:ann", "body": f"body {n:03}"} for n in range(1, 200)]
        await say_and_shut(node, kind, tmp_path, HELLO, *sends)
        found = await say_and_shut(node, kind, tmp_path, HELLO | {"resume": {"dm:ann:ann": {"seq": 0}}})
        assert [n for n in range(1, 200) if b"body %03d" % n in found] == list(range(1, 200))
        await _gone(node)


async def test_it_is_not_kept_for_what_may_come_later(start: Start, tmp_path: Path, kind: str) -> None:
    """Live events end with the answers: after a welcome there is nothing to wait for."""
    async with start(**settings(kind, tmp_path, session={"heartbeat_s": 600.0, "slow_s": 600.0})) as node:
        assert b'"type":"welcome"' in await say_and_shut(node, kind, tmp_path, HELLO)
        await _gone(node)


async def test_before_hello_nothing_is_owed(start: Start, tmp_path: Path, kind: str) -> None:
    async with start(
        **settings(kind, tmp_path),
    ) as node:
        await say_and_shut(node, kind, tmp_path)
        await _gone(node)


async def test_a_bad_hello_is_refused(start: Start, tmp_path: Path, kind: str) -> None:
    async with start(**settings(kind, tmp_path)) as node:
        found = await say_and_shut(node, kind, tmp_path, {"type": "ping", "id": 1})
        assert b'"close":4501' in found
        await _gone(node)


async def test_a_line_without_an_end_is_told(start: Start, tmp_path: Path) -> None:
    async with start(**settings("tcp", tmp_path)) as node:
        ping = json.dumps({"type": "ping", "id": 1}).encode()
        found = await say_and_shut(node, "tcp", tmp_path, HELLO, write_buffer=ping + b"\n" + ping.replace(b"1", b"2"))
        assert ids(found) == [1]
        assert b"the last line has no end" in found.splitlines()[-1]
        await _gone(node)


async def test_a_peer_that_does_not_take_its_answers_is_given_up(start: Start, tmp_path: Path) -> None:
    limits = {"messages_per_s": 0.0}
    async with start(**settings("tcp", tmp_path, session={"slow_s": 1.0}, limits=limits)) as node:
        sends = [{"type": "send", "id": n, "to": "user:ann", "body": "x" * 4000} for n in range(1, 101)]
        await say_and_shut(node, "tcp", tmp_path, HELLO, *sends)
        stream = await trio.open_tcp_stream(*address(node, "tcp"))
        pages = [{"type": "history", "id": n, "room": "dm:ann:ann", "limit": 200} for n in range(1, 101)]
        await stream.send_all(_lines(HELLO | {"token": token("ann")}, *pages))
        await stream.send_eof()
        await _gone(node)
        assert node.live.counts.closes[4001] == 1
        await trio.aclose_forcefully(stream)


async def test_a_slow_but_steady_reader_gets_all(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than an orderly close would wait for."""
    monkeypatch.setattr(connection, "CLOSE_S", 0.2)
    async with start(**settings("tcp", tmp_path, limits={"messages_per_s": 0.0})) as node:
        sends = [{"type": "send", "id": n, "to": "user:ann", "body": "x" * 4000} for n in range(1, 101)]
        await say_and_shut(node, "tcp", tmp_path, HELLO, *sends)
        stream = await trio.open_tcp_stream(*address(node, "tcp"))
        async with stream:
            pages = [{"type": "history", "id": n, "room": "dm:ann:ann", "limit": 200} for n in range(1, 41)]
            await stream.send_all(_lines(HELLO | {"token": token("ann")}, *pages))
            await stream.send_eof()
            await trio.sleep(0.5)
            with trio.fail_after(25):
                found = b"".join([piece async for piece in stream])
        assert ids(found) == list(range(1, 41))


async def _gone(node: Node) -> None:
    with trio.fail_after(25):
        while node.gateway.sessions or node.connections.statistics().open:
            await trio.sleep(0.01)
    live = node.live
    assert (live.users, live.groups, live.sign_ins, live.readings) == ({}, {}, {}, {})
