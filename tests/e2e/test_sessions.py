"""Signing in, being let go, and how much one may ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import trio

from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer, TcpPeer, WsPeer, address

Connect = Callable[..., Any]
SECRET = "s" * 32


def token(user: str, scope: str = "chat:read chat:write groups:write", lifetime_s: int = 60, **claims: Any) -> str:
    now = int(time.time())
    return jwt.encode(
        {"sub": user, "iat": now, "exp": now + lifetime_s, "aud": "gochat", "scope": scope, **claims}, SECRET, "HS256"
    )


# ---------------------------------------------------------------------------------------------- signing in


async def test_a_token_signs_in(start: Start, nursery: trio.Nursery, transport: str) -> None:
    async with start(auth={"secret": SECRET}) as node:
        peer = await Peer.open(node, transport, nursery)
        welcome = await peer.ask("hello", token=token("ann", name="Ann A."))
        assert (welcome["type"], welcome["user"]) == ("welcome", "ann")
        users: list[Any] = []
        with trio.fail_after(25):
            while not users:
                users = (await peer.ask("search", q="an", **{"in": "users"}))["users"]
        assert users == [{"user": "ann", "name": "Ann A."}]


@pytest.mark.parametrize("hello", [{}, {"token": "nonsense"}, {"token": token("ann", aud="other")}])
async def test_no_good_token_closes(start: Start, nursery: trio.Nursery, transport: str, hello: dict[str, Any]) -> None:
    async with start(auth={"secret": SECRET}) as node:
        peer = await Peer.open(node, transport, nursery)
        error = await peer.ask("hello", **hello)
        assert (error["code"], error["close"]) == ("unauthorized", 4500)
        assert await peer.closed() == 4500


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("", set()),
        ("chat:read", {"history", "read"}),
        ("chat:write", {"send", "typing"}),
        ("groups:write", {"group"}),
        ("admin", {"history", "read", "send", "typing", "group"}),
    ],
)
async def test_scopes(start: Start, nursery: trio.Nursery, scope: str, allowed: set[str]) -> None:
    async with start(auth={"secret": SECRET}) as node:
        peer = await Peer.open(node, "tcp", nursery)
        await peer.ask("hello", token=token("ann", scope))
        asked = {
            "history": {"room": "dm:ann:bob"},
            "read": {"room": "dm:ann:bob", "seq": 1},
            "send": {"to": "user:bob", "body": "hi"},
            "typing": {"room": "dm:ann:bob"},
            "group": {"name": "tea", "action": "create"},
        }
        for kind, fields in asked.items():
            reply = await peer.ask(kind, **fields)
            assert (reply.get("code") == "forbidden") is (kind not in allowed), (kind, reply)


async def test_without_a_read_scope_one_hears_nothing(start: Start, nursery: trio.Nursery) -> None:
    async with start(auth={"secret": SECRET}) as node:
        deaf = await Peer.open(node, "tcp", nursery)
        await deaf.ask("hello", token=token("bob", "chat:write"))
        ann = await Peer.open(node, "tcp", nursery)
        await ann.ask("hello", token=token("ann"))
        await ann.ask("group", name="tea", action="create", users=["bob"])
        await ann.ask("send", to="user:bob", body="hi")
        await ann.ask("typing", room="dm:ann:bob")
        await deaf.nothing_more()
        assert (await deaf.ask("refresh", token=token("bob")))["type"] == "ok"
        assert await deaf.closed() == 4003, "to hear, it has to be welcomed again"


async def test_a_credential_of_the_handshake(start: Start, nursery: trio.Nursery) -> None:
    async with start(auth={"secret": SECRET}) as node:
        header = ("Authorization", f"Bearer {token('ann')}")
        by_header = await WsPeer.connect(nursery, node, ["gochat.v1.json"], extra_headers=[header])
        assert (await by_header.ask("hello"))["user"] == "ann"
        by_subprotocol = await WsPeer.connect(nursery, node, ["gochat.v1.json", f"bearer.{token('bob')}"])
        assert by_subprotocol.socket.subprotocol == "gochat.v1.json"
        assert (await by_subprotocol.ask("hello"))["user"] == "bob"


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [
        (None, True),
        ("http://{host}", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://{host}.evil.example", False),
    ],
)
async def test_the_handshake_checks_origin(node: Node, origin: str | None, let_in: bool) -> None:
    host, port = address(node, "http")
    header = f"Origin: {origin.format(host=f'{host}:{port}')}\r\n" if origin is not None else ""
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(
            f"GET /v1/ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{header}"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        with trio.fail_after(25):
            answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 101 " if let_in else b"HTTP/1.1 403 ")


@pytest.mark.parametrize("first", [b"nonsense", b"[]", b'{"type":"ping"}', b'{"type":"hello","token":5}', b"{}"])
async def test_what_is_no_hello_closes(node: Node, nursery: trio.Nursery, first: bytes) -> None:
    peer = await Peer.open(node, "tcp", nursery)
    assert isinstance(peer, TcpPeer)
    await peer.stream.send_all(first + b"\n")
    assert await peer.closed() == 4501


async def test_over_the_frame_limit_closes(connect: Connect, stream: str) -> None:
    ann: Peer = await connect("ann", stream)
    await ann.send({"type": "send", "to": "user:bob", "body": "x" * 70_000})
    error = await ann.event("error")
    assert (error["code"], error["close"]) == ("too_large", 4504)
    assert await ann.closed() == 4504


async def test_the_other_opcode_closes(connect: Connect) -> None:
    ann: Peer = await connect("ann", "ws")
    assert isinstance(ann, WsPeer)
    await ann.socket.send_message(b'{"type":"ping"}')
    assert await ann.closed() == 4501


async def test_the_same_device_replaces(connect: Connect, transport: str) -> None:
    old: Peer = await connect("ann", transport, device="phone")
    other: Peer = await connect("ann", transport, device="tablet")
    new: Peer = await connect("ann", transport, device="phone")
    assert await old.closed() == 4502
    await new.ask("send", to="user:ann", body="note")
    for peer in (other, new):
        assert (await peer.event("message"))["seq"] == 1


async def test_a_user_has_so_many_sessions(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits={"sessions": 2}) as node:
        peers = []
        for _ in range(3):
            peers.append(await Peer.open(node, "tcp", nursery))
            await peers[-1].hello("ann")
        assert await peers[0].closed() == 4502
        assert (await peers[1].ask("ping"))["type"] == "pong"


async def test_a_token_that_ends_ends_the_session(start: Start, nursery: trio.Nursery) -> None:
    async with start(auth={"secret": SECRET}, session={"token_grace_s": 0.0, "heartbeat_s": 1.0}) as node:
        peer = await Peer.open(node, "tcp", nursery)
        await peer.ask("hello", token=token("ann", lifetime_s=1))
        refreshed = await Peer.open(node, "ws", nursery)
        await refreshed.ask("hello", token=token("ann", lifetime_s=1))
        assert (await refreshed.ask("refresh", token=token("bob")))["code"] == "unauthorized"
        assert (await refreshed.ask("refresh", token=token("ann")))["type"] == "ok"
        assert await peer.closed() == 4003
        assert (await refreshed.ask("ping"))["type"] == "pong"


async def test_no_hello_in_time(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits={"hello_s": 0.5}) as node:
        peer = await Peer.open(node, "tcp", nursery)
        assert await peer.closed() == 4002


async def test_a_silent_peer_is_pinged_and_then_closed(start: Start, nursery: trio.Nursery) -> None:
    async with start(session={"heartbeat_s": 0.3}) as node:
        silent = await Peer.open(node, "tcp", nursery)
        await silent.hello("ann")
        assert (await silent.event("ping"))["type"] == "ping"
        await silent.send({"type": "pong"})
        assert await silent.closed() == 4002, "it can answer pings, and no longer does"
        never = await Peer.open(node, "tcp", nursery)
        await never.hello("bob")
        for _ in range(4):
            await never.event("ping")
        assert (await never.ask("ping"))["type"] == "pong", "who never answered is left to TCP"


# ---------------------------------------------------------------------------------------------- limits


async def test_one_message_a_second(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits={"messages_per_s": 1.0}) as node:
        ann, other = await Peer.open(node, "tcp", nursery), await Peer.open(node, "ws", nursery)
        await ann.hello("ann")
        await other.hello("ann")
        assert (await ann.ask("send", to="user:bob", body="one", key="k"))["seq"] == 1
        refused = await other.ask("send", to="user:bob", body="two")
        assert (refused["code"], refused["temporary"], refused["rule"]) == ("rate_limited", True, "messages_per_s")
        assert 0 < refused["retry_after_ms"] <= 1000
        assert (await other.ask("send", to="user:bob", body="one", key="k"))["duplicate"], "a repeat is no message"
        assert (await ann.ask("send", to="group:none", body="x"))["code"] == "not_found"


async def test_more_than_the_window_at_once(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    for number in range(500):
        await ann.send({"type": "send", "id": number, "to": "user:ann", "body": str(number)})
    acks, facts = [], []
    with trio.fail_after(25):
        while len(facts) < 500:
            frame = await ann.receive()
            (acks if frame["type"] == "ack" else facts).append(frame)
    assert [ack["id"] for ack in acks] == list(range(500))
    assert [fact["body"] for fact in facts] == [str(number) for number in range(500)]


async def test_a_burst_of_small_frames_is_carried_out_in_order(connect: Connect, stream: str) -> None:
    ann: Peer = await connect("ann", stream)
    async with trio.open_nursery() as sending:

        async def send_all() -> None:
            for number in range(1500):
                kind = {"type": "send", "to": "user:ann", "body": "x"} if number % 3 else {"type": "ping"}
                await ann.send({**kind, "id": number})

        sending.start_soon(send_all)
        answered: list[int] = []
        with trio.fail_after(60):
            while len(answered) < 1500:
                frame = await ann.receive()
                if "id" in frame:
                    answered.append(frame["id"])
    assert sorted(answered) == list(range(1500))
    acks = [number for number in answered if number % 3]
    assert acks == sorted(acks)


async def test_who_may_not_read_gets_no_missed_facts(start: Start, nursery: trio.Nursery) -> None:
    async with start(auth={"secret": SECRET}) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.ask("hello", token=token("ann"))
        await ann.ask("group", name="tea", action="create", users=["bob"])
        await ann.ask("send", to="group:tea", body="missed")
        for scope, expected in (("chat:write", []), ("chat:read", [2, 3])):
            bob = await Peer.open(node, "tcp", nursery)
            await bob.ask("hello", token=token("bob", scope), resume={"group:tea": {"seq": 1}})
            assert [(await bob.event())["seq"] for _ in expected] == expected
            await bob.nothing_more()
            await bob.aclose()
        await ann.aclose()


async def test_the_log_tells_who_came_who_was_refused_and_who_left(
    node: Node, nursery: trio.Nursery, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ann = await Peer.open(node, transport, nursery)
    await ann.hello("ann")
    await ann.aclose()
    for _ in range(30):
        stranger = await Peer.open(node, transport, nursery)
        await stranger.ask("hello", token="eyJhbGciOi.x.y")
        await stranger.aclose()
    with trio.fail_after(25):
        while not any("session ended" in line for line in caplog.messages):
            await trio.sleep(0.01)
    (came,) = [record for record in caplog.records if record.message == "ann signed in"]
    assert came.peer == "127.0.0.1"  # type: ignore[attr-defined]
    assert any(line.startswith("ann: session ended: ") for line in caplog.messages)
    refused = [record for record in caplog.records if record.message.startswith("sign-in refused: ")]
    assert 20 <= len(refused) < 28, "the others are counted"
    assert {record.peer for record in refused} == {"127.0.0.1"}  # type: ignore[attr-defined]
    assert "eyJhbGciOi" not in caplog.text
