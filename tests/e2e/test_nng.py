"""The behaviour that nng alone has among the transports, on whole nodes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel

from gochat.node import Node
from gochat.transports.nng import NngServer
from tests.e2e.conftest import Start
from tests.e2e.peer import Closed, NngPeer, Peer, address
from tests.ports import HOST, held_port
from tests.tokens import issue
from tests.transports.req import Frame, Req

ON = {"bind": "tcp://127.0.0.1:0"}
Connect = Callable[..., Any]


async def signed_in(node: Node, user: str, nursery: trio.Nursery) -> NngPeer:
    peer = await NngPeer.connect(node, nursery)
    await peer.hello(user)
    return peer


async def test_the_secret_of_a_session_is_told_to_its_peer_alone(
    start: Start, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with start(nng=ON) as node:
        ann = await signed_in(node, "ann", nursery)
        root = await Peer.open(node, "tcp", nursery)
        await root.hello("root", token=issue(node, "root", ["admin"]))
        sessions = (await root.ask("sessions"))["sessions"]
        assert {entry["user"]: entry["transport"] for entry in sessions} == {"ann": "nng", "root": "tcp"}
        assert {entry["address"] for entry in sessions} == {"127.0.0.1"}
        secret = ann.secret
        assert len(secret) == 43
        assert secret not in str(sessions) and secret not in node.gateway.sessions
        assert b'gochat_sessions{transport="nng"} 1' in node.metrics() and secret.encode() not in node.metrics()
        await ann.aclose()
    assert not [record for record in caplog.records if secret in str(record.__dict__)]


async def test_frames_of_one_request_are_carried_out_together(start: Start, nursery: trio.Nursery) -> None:
    async with start(nng=ON) as node:
        ann = await NngPeer.connect(node, nursery)
        told = await ann.request(
            {"type": "hello", "id": 1, "token": issue(node, "ann")},
            {"type": "send", "id": 2, "to": "user:ann", "body": "one"},
            {"type": "history", "id": 3, "room": "dm:ann:ann"},
        )
        assert told[0]["type"] == "welcome"
        replies, (fact,) = told[1:3], told[3:]
        assert {(frame["type"], frame["id"]) for frame in replies} == {("ack", 2), ("page", 3)}
        assert fact["body"] == "one"
        for frame in ({"type": "dance", "id": 4}, {"type": "send", "id": 5, "to": "user:ann"}):
            assert (await ann.request(frame))[0]["code"] == "bad_request"


async def test_what_is_wrong_with_one_frame_is_said_of_that_frame(start: Start, nursery: trio.Nursery) -> None:
    async with start(nng=ON) as node:
        ann = await NngPeer.connect(node, nursery)
        hello = {"type": "hello", "id": 1, "token": issue(node, "ann")}
        told = await ann.request(hello, {"type": "poll", "id": 2, "wait_ms": 30_000})
        assert [frame["type"] for frame in told] == ["welcome", "ok"]
        for bad in ("", 1 << 60):
            (told,) = await ann.request({"type": "send", "id": bad, "to": "user:ann", "body": "x"})
            assert (told["code"], told.get("close")) == ("bad_request", None)
        sent, refused, *_ = await ann.request(
            {"type": "send", "id": 3, "to": "user:ann", "body": "kept"}, {"type": "poll", "id": 4, "wait_ms": 99_999}
        )
        assert (sent["type"], sent["id"], refused["code"], refused["id"]) == ("ack", 3, "bad_request", 4)
        (told,) = [frame for frame in await ann.request({"type": "bye", "id": ""}) if frame["type"] == "error"]
        assert (told["code"], told["message"][:3]) == ("bad_request", "id:")
        (page,) = await ann.request({"type": "history", "id": 5, "room": "dm:ann:ann"})
        assert [entry["body"] for entry in page["entries"]] == ["kept"]


async def test_a_stranger_is_told_why_and_has_no_session(start: Start, nursery: trio.Nursery) -> None:
    async with start(nng=ON) as node:
        peer = await NngPeer.connect(node, nursery)
        for frames, code, close in (
            ([{"type": "send", "to": "user:bob", "body": "x"}], "bad_request", 4501),
            ([{"type": "hello"}, {"type": "ping", "id": 1}], "unauthorized", 4500),
            ([{"type": "hello"}, {"type": "poll", "id": 1, "wait_ms": 30_000}], "unauthorized", 4500),
            ([{"type": "poll", "wait_ms": 30_000}], "bad_request", 4501),
        ):
            (error,) = await peer.request(*frames)
            assert (error["code"], error["close"]) == (code, close)
        assert not node.gateway.sessions


async def test_a_session_without_a_request_ends(start: Start, nursery: trio.Nursery) -> None:
    async with start(nng={**ON, "session_s": 1.0}, session={"heartbeat_s": 0.2, "slow_s": 0.3}) as node:
        ann, bob = await signed_in(node, "ann", nursery), await signed_in(node, "bob", nursery)
        await ann.ask("send", to="user:bob", body="hi")
        with trio.fail_after(25):
            while "bob" in node.live.users:
                # Ann waits for longer than that, and is there.
                await ann.request({"type": "poll", "wait_ms": 1500})
        assert "ann" in node.live.users
        (fact, error) = await bob.request({"type": "ping", "id": 1})
        assert (fact["type"], error["code"], error["close"]) == ("message", "unavailable", 4002)
        (error,) = await bob.request({"type": "ping", "id": 1})
        assert (error["id"], error["close"]) == (1, 4002)


async def test_what_does_not_fit_is_lag(start: Start, nursery: trio.Nursery) -> None:
    async with start(nng=ON, limits={"messages_per_s": 0.0, "outbox_bytes": 65_536}) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        bob = await signed_in(node, "bob", nursery)
        for number in range(40):
            await ann.ask("send", to="user:bob", body=f"{number} " + "x" * 3000)
        (session,) = node.gateway.live.users["bob"]
        assert session.outbox.size <= 65_536  # type: ignore[attr-defined]
        seqs: list[int] = []
        with trio.fail_after(25):
            while not seqs or seqs[-1] < 40:
                frame = await bob.event()
                if frame["type"] == "lag":
                    await bob.ask("resume", room="dm:ann:bob", seq=seqs[-1])
                else:
                    seqs.append(frame["seq"])
        assert seqs == list(range(1, 41))


async def test_a_drain_reaches_who_polls(start: Start, nursery: trio.Nursery) -> None:
    told: list[str] = []

    async def listen() -> None:
        try:
            while True:
                told.append((await ann.receive())["type"])
        except Closed as closed:
            told.append(str(closed.code))

    async with trio.open_nursery() as listening, start(nng=ON) as node:
        ann = await signed_in(node, "ann", nursery)
        listening.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert told == ["goaway", "error", "4000"]


async def test_a_crash_of_nng_is_a_restart_that_sessions_outlive(
    start: Start, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer, crashes = NngServer._answer, [1]

    async def crashing(self: NngServer, request: bytes, peer: Any) -> bytes:
        if b"crash" in request and crashes:
            crashes.pop()
            raise RuntimeError("a fault of the transport")
        return await answer(self, request, peer)

    with held_port() as port:
        async with start(nng={"bind": f"tcp://{HOST}:{port}"}) as node:
            ann = await signed_in(node, "ann", nursery)
            tcp = await Peer.open(node, "tcp", nursery)
            await tcp.hello("bob")
            monkeypatch.setattr(NngServer, "_answer", crashing)
            # The REQ socket connects again, and sends it again.
            assert (await ann.ask("send", to="user:bob", body="crash", key="k"))["seq"] == 1
            assert (await tcp.event("message"))["seq"] == 1
            assert (await tcp.ask("ping"))["type"] == "pong"
            assert not crashes and "nng crashed" in caplog.text


async def connections_left(node: Node, count: int) -> None:
    """Return when the node has noticed that only so many are open, and has done all that it does then."""
    with trio.fail_after(60):
        while node.connections.statistics().open > count:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()


async def test_a_client_that_is_killed_in_a_poll_costs_nothing(start: Start, nursery: trio.Nursery) -> None:
    async with start(nng={**ON, "session_s": 1.0}, session={"heartbeat_s": 0.3}) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        tasks: list[int] = []
        for turn in range(2):
            victims = [await Req.open(*address(node, "nng")) for _ in range(20)]
            for number, victim in enumerate(victims):
                await victim.ask({"type": "hello", "token": issue(node, f"u{number}")})
                await victim.send(victim.request({"type": "poll", "wait_ms": 30_000}))
            assert len(node.gateway.sessions) == 21
            connections: list[Any] = [session.connection for session in node.gateway.sessions.values()]  # type: ignore[attr-defined]
            while victims:
                victims.pop().kill()
            await connections_left(node, 1)
            assert not any(getattr(connection, "_polling", None) for connection in connections)
            with trio.fail_after(60):
                while len(node.gateway.sessions) > 1:
                    await trio.sleep(0.05)
            with trio.fail_after(60):  # A thread of the store may be at work just now.
                while tasks and trio.lowlevel.current_statistics().tasks_living > tasks[0]:
                    await trio.sleep(0.05)
            tasks.append(trio.lowlevel.current_statistics().tasks_living)
            assert (await ann.ask("send", to="user:u0", body="hello"))["seq"] == turn + 1
        assert tasks[1] <= tasks[0]


async def test_events_wait_for_a_poll_that_somebody_reads(start: Start, nursery: trio.Nursery) -> None:
    async with start(nng=ON) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        victim, heir = [await Req.open(*address(node, "nng")) for _ in range(2)]
        await victim.ask({"type": "hello", "token": issue(node, "bob")})
        await victim.send(victim.request({"type": "poll", "wait_ms": 30_000}))
        (session,) = node.gateway.live.users["bob"]
        connection: Any = session.connection  # type: ignore[attr-defined]
        with trio.fail_after(60):
            while connection._polling is None:
                await trio.lowlevel.checkpoint()
            victim.kill()
            await connections_left(node, 2)
            assert connection._polling is None
            await ann.ask("send", to="user:bob", body="where are you?")
            heir.secret = victim.secret
            assert [frame["body"] for frame in await heir.ask({"type": "poll"})] == ["where are you?"]
        await heir.stream.aclose()


def mutated(dice: random.Random, frames: list[Frame]) -> bytes:
    """Noise, or a request of which some bytes are others."""
    if dice.random() < 0.3:
        return dice.randbytes(dice.randint(0, 200))
    request = bytearray(b"\n".join(json.dumps(frame).encode() for frame in dice.choices(frames, k=dice.randint(1, 3))))
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(request))
        request[at : at + dice.randint(0, 2)] = dice.randbytes(dice.randint(0, 2))
    return bytes(request)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_random_messages_change_nothing(
    start: Start, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    dice = random.Random(count)

    async def attack(share: int, secret: str) -> None:
        mine = {"session": secret}
        frames: list[Frame] = [
            {**mine, "type": "ping", "id": 1},
            {**mine, "type": "poll", "wait_ms": 0, "max": 3},
            {**mine, "type": "history", "room": "dm:ann:bob", "id": 2},
            {**mine, "type": "send", "to": "user:mallory", "body": "x", "id": 3},
            {**mine, "type": "resume", "room": "dm:ann:bob", "seq": 1},
            {"type": "hello", "token": issue(node, "mallory"), "id": 4},
        ]
        req = await Req.open(*address(node, "nng"))
        for _ in range(share):
            await req.send(mutated(dice, frames))
            await req.receive()
        await req.stream.aclose()

    limits = {"messages_per_s": 0.0, "refusals_per_s": 0.0, "reads_per_s": 0.0}
    async with start(nng={**ON, "session_s": 600.0}, limits=limits) as node:
        ann, bob = await signed_in(node, "ann", nursery), await signed_in(node, "bob", nursery)
        mallory = await signed_in(node, "mallory", nursery)
        await ann.ask("send", to="user:bob", body="before")
        with trio.fail_after(600):
            async with trio.open_nursery() as attackers:
                for _ in range(10):
                    attackers.start_soon(attack, count // 10, mallory.secret)
        await ann.ask("send", to="user:bob", body="after")
        assert [(await bob.event("message"))["body"] for _ in range(2)] == ["before", "after"]
        page = (await ann.ask("history", room="dm:ann:bob"))["entries"]
        assert [entry["body"] for entry in page] == ["before", "after"]
        assert {user: len(sessions) for user, sessions in node.live.users.items() if user != "mallory"} == {
            "ann": 1,
            "bob": 1,
        }
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
