"""Signing in, coming back, falling behind, being let go."""

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
        with trio.fail_after(10):
            while not users:
                users = (await peer.ask("search", q="an", **{"in": "users"}))["users"]
        assert users == [{"user": "ann", "name": "Ann A."}]


@pytest.mark.parametrize("hello", [{}, {"user": "ann"}, {"token": "nonsense"}, {"token": token("ann", aud="other")}])
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
    [(None, True), ("http://{host}", True), ("https://evil.example", False), ("null", False),
     ("http://{host}.evil.example", False)],
)  # fmt: skip
async def test_the_handshake_checks_origin(node: Node, origin: str | None, let_in: bool) -> None:
    host, port = address(node, "http")
    header = f"Origin: {origin.format(host=f'{host}:{port}')}\r\n" if origin is not None else ""
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(
            f"GET /v1/ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{header}"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        with trio.fail_after(10):
            answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 101 " if let_in else b"HTTP/1.1 403 ")


@pytest.mark.parametrize("first", [b"nonsense", b"[]", b'{"type":"ping"}', b'{"type":"hello","user":5}', b"{}"])
async def test_what_is_no_hello_closes(node: Node, nursery: trio.Nursery, first: bytes) -> None:
    peer = await Peer.open(node, "tcp", nursery)
    assert isinstance(peer, TcpPeer)
    await peer.stream.send_all(first + b"\n")
    assert await peer.closed() == 4501


async def test_over_the_frame_limit_closes(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
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
    with trio.fail_after(20):
        while len(facts) < 500:
            frame = await ann.receive()
            (acks if frame["type"] == "ack" else facts).append(frame)
    assert [ack["id"] for ack in acks] == list(range(500))
    assert [fact["body"] for fact in facts] == [str(number) for number in range(500)]


async def test_a_burst_of_small_frames_is_carried_out_in_order(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    async with trio.open_nursery() as sending:

        async def send_all() -> None:
            for number in range(1500):
                kind = {"type": "send", "to": "user:ann", "body": "x"} if number % 3 else {"type": "ping"}
                await ann.send({**kind, "id": number})

        sending.start_soon(send_all)
        answered: list[int] = []
        with trio.fail_after(30):
            while len(answered) < 1500:
                frame = await ann.receive()
                if "id" in frame:
                    answered.append(frame["id"])
    assert sorted(answered) == list(range(1500))
    acks = [number for number in answered if number % 3]
    assert acks == sorted(acks)


# ---------------------------------------------------------------------------------------------- coming back


async def test_resuming_brings_what_was_missed(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await ann.ask("send", to="group:tea", body="before")
    await bob.facts("group:tea", 3)
    await bob.aclose()
    await ann.ask("send", to="group:tea", body="missed")
    await ann.ask("edit", room="group:tea", seq=3, body="edited")
    await ann.ask("send", to="user:bob", body="also missed")
    epoch = ann.welcome.get("rooms") or (await ann.ask("history", room="group:tea"))["epoch"]
    back: Peer = await connect(None, transport)
    await back.hello("bob", resume={"group:tea": {"seq": 3, "epoch": epoch}, "dm:ann:bob": {"seq": 0},
                                    "group:none": {"seq": 1}})  # fmt: skip
    replayed = [await back.event("message", "edit") for _ in range(3)]
    by_room = {(f["room"], f["seq"]): f.get("body") for f in replayed}
    assert by_room == {("group:tea", 4): "missed", ("group:tea", 5): "edited", ("dm:ann:bob", 1): "also missed"}
    await ann.ask("send", to="group:tea", body="live")
    assert (await back.event("message"))["seq"] == 6
    await back.nothing_more()


async def test_a_removal_while_away_is_the_last_fact(connect: Connect) -> None:
    ann: Peer = await connect("ann")
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await ann.ask("group", name="tea", action="remove", users=["bob"])
    await ann.ask("send", to="group:tea", body="secret")
    bob: Peer = await connect(None)
    await bob.hello("bob", resume={"group:tea": {"seq": 1}})
    assert [fact["change"] for fact in await bob.facts("group:tea", 3)] == ["added", "removed"]
    await bob.nothing_more()


async def test_who_joins_later_sees_nothing_of_a_hidden_past(connect: Connect) -> None:
    ann: Peer = await connect("ann")
    await ann.ask("group", name="tea", action="create", history="since_join")
    await ann.ask("send", to="group:tea", body="before")
    await ann.ask("group", name="tea", action="add", users=["bob"])
    bob: Peer = await connect(None)
    welcome = await bob.hello("bob", resume={"group:tea": {"seq": 0}})
    assert "last" not in welcome["rooms"][0] and welcome["rooms"][0]["unread"] == 0
    assert [fact["seq"] for fact in await bob.facts("group:tea", 4)] == [4]
    assert (await bob.ask("resume", room="group:tea", seq=1))["type"] == "ok"
    assert [fact["seq"] for fact in await bob.facts("group:tea", 4)] == [4]
    assert [entry["seq"] for entry in (await bob.ask("history", room="group:tea"))["entries"]] == [4]
    search = await bob.ask("search", q="before", **{"in": "messages"})
    assert search["entries"] == []


async def test_another_epoch_or_a_seq_past_the_head_is_a_reset(connect: Connect) -> None:
    ann: Peer = await connect("ann")
    await ann.ask("send", to="user:bob", body="one")
    for position in ({"seq": 1, "epoch": "other"}, {"seq": 9}):
        bob: Peer = await connect(None)
        await bob.hello("bob", resume={"dm:ann:bob": position})
        reset = await bob.event("reset")
        assert (reset["room"], reset["head"]) == ("dm:ann:bob", 1)
        await bob.aclose()


async def test_too_much_missed_is_a_lag_until_resume(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann")
    for number in range(600):
        await ann.send({"type": "send", "to": "user:bob", "body": str(number)})
    await ann.facts("dm:ann:bob", 600)
    bob: Peer = await connect(None, transport)
    await bob.hello("bob", resume={"dm:ann:bob": {"seq": 10}})
    lag = await bob.event("lag")
    assert (lag["room"], lag["head"]) == ("dm:ann:bob", 600)
    await ann.ask("send", to="user:bob", body="not yet")
    await bob.nothing_more()
    assert (await bob.ask("resume", room="dm:ann:bob", seq=50))["head"] == 601
    assert (await bob.event())["type"] == "lag", "still too far"
    page = await bob.ask("history", room="dm:ann:bob", after=10, limit=200)
    assert [entry["seq"] for entry in page["entries"]] == list(range(11, 211))
    assert (await bob.ask("resume", room="dm:ann:bob", seq=210))["head"] == 601
    replayed = await bob.facts("dm:ann:bob", 601)
    assert [fact["seq"] for fact in replayed] == list(range(211, 602))
    await ann.ask("send", to="user:bob", body="live")
    assert (await bob.event("message"))["seq"] == 602


async def test_resuming_while_live_starts_again_there(connect: Connect) -> None:
    ann: Peer = await connect("ann")
    for number in range(5):
        await ann.ask("send", to="user:ann", body=str(number))
    await ann.facts("dm:ann:ann", 5)
    ann.events.clear()
    assert (await ann.ask("resume", room="dm:ann:ann", seq=2))["head"] == 5
    assert [fact["seq"] for fact in await ann.facts("dm:ann:ann", 5)] == [3, 4, 5]
    await ann.ask("send", to="user:ann", body="live")
    assert [fact["seq"] for fact in await ann.facts("dm:ann:ann", 6)] == [6]


async def test_a_reader_that_stops_reading_lags_and_catches_up(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits={"outbox_bytes": 65_536}) as node:
        ann, bob = await Peer.open(node, "tcp", nursery), await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        await bob.hello("bob")
        body = "x" * 4000
        sent = 0
        with trio.fail_after(60):
            # More than kernel buffers and the outbox take: bob reads nothing meanwhile.
            while sent < 4000:
                for _ in range(10):  # few enough not to fill ann's own outbox
                    sent += 1
                    await ann.send({"type": "send", "to": "user:bob", "body": f"{sent} {body}"[:4000]})
                await ann.facts("dm:ann:bob", sent)
            seqs: list[int] = []
            while not seqs or seqs[-1] < sent:
                frame = await bob.event()
                if frame["type"] == "lag":
                    while sent - seqs[-1] > 500:
                        page = await bob.ask("history", room="dm:ann:bob", after=seqs[-1], limit=200)
                        seqs += [entry["seq"] for entry in page["entries"]]
                    await bob.ask("resume", room="dm:ann:bob", seq=seqs[-1])
                elif frame["type"] == "message":
                    seqs.append(frame["seq"])
        assert seqs == list(range(1, sent + 1))


# ---------------------------------------------------------------------------------------------- stopping


async def test_draining_says_goaway_and_loses_nothing(start: Start, nursery: trio.Nursery, transport: str) -> None:
    async with start() as node:
        ann = await Peer.open(node, transport, nursery)
        await ann.hello("ann")
        acked = await ann.ask("send", to="user:bob", body="kept", key="k")
    goaway = await ann.event("goaway")
    assert goaway["reconnect_ms"] >= 0
    assert await ann.closed() == 4000
    async with start() as node:
        ann = await Peer.open(node, transport, nursery)
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
    with trio.fail_after(10):
        while node.gateway.sessions or node.connections.statistics().open:
            await trio.sleep(0.01)
    live = node.live
    assert (live.users, live.groups, live.watchers, live.greetings, live.readings) == ({}, {}, {}, {}, {})


# ---------------------------------------------------------------------------------------------- peers that go


async def _gone(node: Node) -> None:
    """Every session and connection has ended."""
    with trio.fail_after(10):
        while node.gateway.sessions or node.connections.statistics().open:
            await trio.sleep(0.01)


async def test_a_refused_hello_with_more_behind_it_ends(node: Node, nursery: trio.Nursery) -> None:
    peer = await Peer.open(node, "tcp", nursery)
    assert isinstance(peer, TcpPeer)
    await peer.stream.send_all(b'{"type":"hello","token":"bad"}\n{"type":"ping","id":1}\n')
    assert await peer.closed() == 4500
    await peer.aclose()
    await _gone(node)


async def test_a_peer_that_vanishes_while_it_is_not_read_ends(
    start: Start, nursery: trio.Nursery, transport: str
) -> None:
    async with start(limits={"messages_per_s": 0.0, "outbox_bytes": 65_536}) as node:
        peer = await Peer.open(node, transport, nursery)
        await peer.hello("ann")
        for _ in range(30):
            await peer.ask("send", to="user:ann", body="\u0001" * 4000)
        for number in range(300):  # more than the window
            await peer.send({"type": "history", "id": number, "room": "dm:ann:ann", "limit": 200})
        (session,) = node.gateway.sessions.values()
        with trio.fail_after(10):
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
            (await ann.ask("react", room="dm:ann:ann", seq=1, emoji="+", on=bool(number % 2))).get("code")
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
    with trio.fail_after(10):
        while len(answered) < 100:
            frame = await ann.receive()
            if frame["type"] == "ack":
                answered.append(frame["id"])
    assert answered == [f"m{number}" for number in range(100)]


@pytest.mark.parametrize(("count", "size"), [(3, 10), (150, 3000), (450, 10)])
async def test_what_was_missed_comes_once_and_in_order_however_much_it_is(
    connect: Connect, transport: str, count: int, size: int
) -> None:
    """Part of it with the welcome, the rest piece by piece."""
    ann: Peer = await connect("ann")
    await ann.ask("group", name="tea", action="create", users=["bob"])
    for number in range(count):
        await ann.send({"type": "send", "to": "group:tea", "body": f"{number} " + "x" * size})
    await ann.facts("group:tea", count + 2)
    bob: Peer = await connect(None, transport)
    await bob.hello("bob", resume={"group:tea": {"seq": 1}})
    await ann.ask("send", to="group:tea", body="live")
    facts = await bob.facts("group:tea", count + 3)
    assert [fact["seq"] for fact in facts] == list(range(2, count + 4))
    assert facts[-1]["body"] == "live"
    await bob.nothing_more()


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
