"""Nodes that stop, and peers that go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer, TcpPeer, WsPeer

Connect = Callable[..., Any]


# ---------------------------------------------------------------------------------------------- stopping


async def test_draining_says_goaway_and_loses_nothing(start: Start, nursery: trio.Nursery, stream: str) -> None:
    async with start() as node:
        ann = await Peer.open(node, stream, nursery)
        await ann.hello("ann")
        acked = await ann.ask("send", to="user:bob", body="kept", key="k")
    goaway = await ann.event("goaway")
    assert goaway["reconnect_ms"] >= 0
    assert await ann.closed() == 4000
    async with start() as node:
        ann = await Peer.open(node, stream, nursery)
        await ann.hello("ann")
        assert (await ann.ask("send", to="user:bob", body="kept", key="k"))["seq"] == acked["seq"]
        page = await ann.ask("history", room="dm:ann:bob")
        assert [entry["body"] for entry in page["entries"]] == ["kept"]


async def test_sessions_leave_nothing_behind(node: Node, connect: Connect, transport: str) -> None:
    for _ in range(3):
        ann: Peer = await connect("ann", transport)
        await ann.ask("group", name="tea", action="create", users=["bob"])
        await ann.ask("watch", users=["bob", "ann"])
        await ann.aclose()
    with trio.fail_after(25):
        while node.gateway.sessions or node.connections.statistics().open:
            await trio.sleep(0.01)
    live = node.live
    assert (live.users, live.groups, live.watches.watchers, live.sign_ins, live.readings) == ({}, {}, {}, {}, {})


# ---------------------------------------------------------------------------------------------- peers that go


async def _gone(node: Node) -> None:
    """Every session and connection has ended."""
    with trio.fail_after(25):
        while node.gateway.sessions or node.connections.statistics().open:
            await trio.sleep(0.01)


async def test_a_refused_hello_with_more_behind_it_ends(node: Node, nursery: trio.Nursery) -> None:
    peer = await Peer.open(node, "tcp", nursery)
    assert isinstance(peer, TcpPeer)
    await peer.stream.send_all(b'{"type":"hello","token":"bad"}\n{"type":"ping","id":1}\n')
    assert await peer.closed() == 4500
    await peer.aclose()
    await _gone(node)


async def test_a_peer_that_vanishes_while_it_is_not_read_ends(start: Start, nursery: trio.Nursery, stream: str) -> None:
    async with start(limits={"messages_per_s": 0.0, "outbox_bytes": 65_536}) as node:
        peer = await Peer.open(node, stream, nursery)
        await peer.hello("ann")
        for _ in range(30):
            assert (await peer.ask("send", to="user:ann", body="漢" * 4000))["type"] == "ack"
        for number in range(300):  # more than the window, and with 360 KB a page more than the kernel takes
            await peer.send({"type": "history", "id": number, "room": "dm:ann:ann", "limit": 200})
        (session,) = node.gateway.sessions.values()
        with trio.fail_after(25):
            while not session.waiting:
                await trio.sleep(0.01)
        assert session.outbox.size < 3 << 20, "nothing more is read for a peer that does not take it"
        if isinstance(peer, TcpPeer):
            await peer.aclose()
        else:
            assert isinstance(peer, WsPeer)
            await trio.aclose_forcefully(peer.stream)
        await _gone(node)


async def test_other_requests_have_a_rate_too(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits={"messages_per_s": 1.0}) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        await ann.ask("send", to="user:ann", body="x")
        codes = [
            (await ann.ask("react", room="dm:ann:ann", seq=1, emoji="👍", on=bool(number % 2))).get("code")
            for number in range(1, 200)
        ]
        assert codes[:100] == [None] * 100
        assert "rate_limited" in codes


async def test_draining_answers_what_is_in_flight(start: Start, nursery: trio.Nursery) -> None:
    async with start() as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        for number in range(100):
            await ann.send({"type": "send", "id": f"m{number}", "to": "user:ann", "body": "x"})
        await ann.ask("ping")
    answered = [frame["id"] for frame in ann.events if frame["type"] == "ack"]
    with trio.fail_after(25):
        while len(answered) < 100:
            frame = await ann.receive()
            if frame["type"] == "ack":
                answered.append(frame["id"])
    assert answered == [f"m{number}" for number in range(100)]
