"""Connections that never sign in: whatever they hold, newcomers get in and REST and health answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import trio

from gochat.node import Node
from gochat.protocol.requests import FIRST_FRAME_BYTES
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer, address
from tests.e2e.test_sessions import SECRET, token

#: Nobody in the crowd leaves by itself, so that newcomers get in because somebody is put out for them, or not at all.
#: Beside it a test waits for a minute at most.
FOR_LONG = {"handshake_s": 600.0, "hello_s": 600.0}
SOON = 60


@contextmanager
def _crowd(
    node: Node, door: str, count: int, first: bytes = b"", *, addresses: int = 1
) -> Iterator[list[socket.socket]]:
    """So many connections from so many loopback addresses, which send `first` and then nothing."""
    with ExitStack() as stack:
        for number in range(count):
            sock = stack.enter_context(socket.socket())
            sock.bind((f"127.0.1.{number % addresses + 1}", 0))
            sock.connect(address(node, door))
            sock.sendall(first)
        yield


async def _get(node: Node, path: str, bearer: str = "") -> int:
    """The status of a request on a connection of its own."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    if bearer:
        head += f"Authorization: Bearer {bearer}\r\n"
    async with await trio.open_tcp_stream(*address(node, "http")) as stream:
        await stream.send_all(head.encode() + b"\r\n")
        data = b""
        async for piece in stream:
            data += piece
    return int(data.split()[1])


async def _all_get_in(node: Node, nursery: trio.Nursery) -> None:
    with trio.fail_after(SOON):
        assert await _get(node, "/livez") == 200
        assert await _get(node, "/v1/me", token("ann")) == 200
        for transport in "tcp", "ws":
            peer = await Peer.open(node, transport, nursery)
            assert (await peer.ask("hello", token=token("ann")))["type"] == "welcome"


async def test_half_open_connections_of_many_addresses(start: Start, nursery: trio.Nursery) -> None:
    async with start(auth={"secret": SECRET}, limits={"unauthenticated": 200, **FOR_LONG}) as node:
        for door, first in ("tcp", b""), ("tcp", b'{"type":'), ("http", b""), ("http", b"GET /v1/ws HT"):
            with trio.fail_after(SOON), _crowd(node, door, 210, first, addresses=30):
                while node.connections.statistics().unauthenticated < 200:
                    await trio.sleep(0.01)
                await _all_get_in(node, nursery)
        assert node.connections.statistics().evicted["unauthenticated"] >= 40
        assert node.connections.statistics().failed == 0


async def test_half_open_connections_of_ones_own_address(start: Start, nursery: trio.Nursery) -> None:
    """Behind a proxy that is not trusted, or the router of an office, all have one address."""
    limits = {"unauthenticated": 100, "unauthenticated_per_address": 20, **FOR_LONG}
    async with start(auth={"secret": SECRET}, limits=limits) as node, trio.open_nursery() as crowd:
        idle = [await trio.open_tcp_stream(*address(node, "tcp")) for _ in range(30)]
        await _all_get_in(node, nursery)
        assert node.connections.statistics().evicted["address"] >= 10
        for stream in idle:
            await stream.aclose()
        crowd.cancel_scope.cancel()


async def test_what_strangers_send_is_bounded_for_all_together(start: Start, nursery: trio.Nursery) -> None:
    limits = {"unauthenticated_bytes": 1 << 20, **FOR_LONG}
    async with start(auth={"secret": SECRET}, limits=limits) as node:
        small = await trio.open_tcp_stream(*address(node, "tcp"))
        await small.send_all(b'{"type":')
        first = b'{"type":"hello","x":"' + b"x" * (200 << 10)
        with trio.fail_after(SOON), _crowd(node, "tcp", 20, first):
            while not node.connections.statistics().evicted.get("bytes"):
                await trio.sleep(0.01)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert node.connections.statistics().unauthenticated_bytes <= 1 << 20
            await _all_get_in(node, nursery)
        await small.send_all(b'"hello","token":"%s"}\n' % token("ann").encode())
        assert b"welcome" in await small.receive_some(), "the biggest went first"
        await small.aclose()


# ---------------------------------------------------------------------------------------------- the first frame


def _hello(size: int) -> dict[str, Any]:
    """A hello of exactly so many bytes as compact JSON."""
    frame = {"type": "hello", "token": token("ann"), "x": ""}
    return frame | {"x": "x" * (size - len(json.dumps(frame, separators=(",", ":"))))}


async def test_the_first_frame_has_room_for_1000_rooms(start: Start, nursery: trio.Nursery, stream: str) -> None:
    async with start(auth={"secret": SECRET}) as node:
        rooms = {
            f"dm:{'a' * 64}:{'b' * 60}{number:04}": {"seq": 9_007_199_254_740_992, "epoch": "e" * 32}
            for number in range(1000)
        }
        peer = await Peer.open(node, stream, nursery)
        assert (await peer.ask("hello", token=token("ann"), resume=rooms))["type"] == "welcome"
        await peer.send({"type": "ping", "id": "x", "more": "x" * 70_000})
        assert await peer.closed() == 4504, "later frames have the bound of before"


async def test_the_first_frame_is_bounded(start: Start, nursery: trio.Nursery) -> None:
    async with start(auth={"secret": SECRET}) as node:
        for more, number in (0, None), (1, 4504):
            peer = await Peer.open(node, "tcp", nursery)
            line = json.dumps(_hello(FIRST_FRAME_BYTES + more), separators=(",", ":")).encode() + b"\n"
            await peer.stream.send_all(line)  # type: ignore[attr-defined]
            frame = await peer.receive()
            assert (frame["type"], frame.get("close")) == ("welcome" if number is None else "error", number)
            if number is not None:
                assert str(FIRST_FRAME_BYTES) in frame["message"]
