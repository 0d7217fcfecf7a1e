"""A flood of requests that come to nothing takes its sender's own time, on every transport, and none is lost."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

import pytest
import trio

from bench.procfs import rss_bytes
from tests.e2e.conftest import Start
from tests.e2e.peer import Frame, Peer
from tests.http.rest.client import Rest
from tests.tokens import issue

RATE, BURST, SENT = 80, 12, 36
LIMITS = {"refusals_per_s": RATE, "refusal_burst": BURST, "reads_per_s": RATE, "read_burst": BURST, "window": 4}
#: The time that the bucket must make a flood take, less the 10 % that a machine's clock and the wheel may be off.
LEAST_S = 0.9 * (SENT - BURST) / RATE
READER = ("chat:read",)

#: Requests that come to nothing, or change nothing: made from a number, which some of them name, and the sender's room
#: with bob.
KINDS: dict[str, Callable[[int, str], Frame]] = {
    "unknown group": lambda n, _: {"type": "send", "to": f"group:none{n}", "body": "x"},
    "no address": lambda n, _: {"type": "send", "to": "nowhere", "body": "x"},
    "empty body": lambda n, _: {"type": "send", "to": "user:bob", "body": " "},
    "not a member": lambda n, _: {"type": "send", "to": "group:hall", "body": "x"},
    "no message": lambda n, room: {"type": "edit", "room": room, "seq": 900 + n, "body": "x"},
    "no such reaction": lambda n, room: {"type": "react", "room": room, "seq": 1, "emoji": "plain words"},
    "repeated key": lambda n, _: {"type": "send", "to": "user:bob", "body": "x", "key": "same"},
    "listed word": lambda n, _: {"type": "send", "to": "user:bob", "body": f"see https://evil{n}.example/x"},
    "malformed": lambda n, _: {"type": "send", "to": 7},
    "unknown type": lambda n, _: {"type": "dance"},
    "second hello": lambda n, _: {"type": "hello"},
    "bad token": lambda n, _: {"type": "refresh", "token": "x"},
    "typing": lambda n, room: {"type": "typing", "room": room},
    "read": lambda n, room: {"type": "read", "room": room, "seq": 1},
    "watch": lambda n, _: {"type": "watch", "users": ["bob"]},
    "resume": lambda n, _: {"type": "resume", "room": f"group:none{n}", "seq": 0},
    "history": lambda n, room: {"type": "history", "room": room},
    "groups": lambda n, _: {"type": "groups"},
    "ping": lambda n, _: {"type": "ping"},
}


async def flood(peer: Peer, make: Callable[[int], Frame]) -> list[Any]:
    """Send, without waiting for a reply; then take all replies. Which came, in order."""
    for number in range(SENT):
        await peer.send({**make(number), "id": f"f{number}"})
    got: list[Any] = []
    with trio.fail_after(60):
        while len(got) < SENT:
            frame = await peer.receive()
            if str(frame.get("id", "")).startswith("f"):
                got.append(frame["id"])
    return got


async def test_floods_take_their_senders_own_time(start: Start, transport: str, nursery: trio.Nursery) -> None:
    """Of every kind, by a user each, all at once."""
    async with start(limits=LIMITS, policy={"links": "deny"}) as node, trio.open_nursery() as floods:
        ann = await Peer.open(node, transport, nursery)
        await ann.hello("ann")
        assert (await ann.ask("group", name="hall", action="create"))["type"] == "ok"
        for number, kind in enumerate(KINDS):
            peer = await Peer.open(node, transport, nursery)
            floods.start_soon(a_flood_takes_its_senders_own_time, peer, f"mallory{number}", kind)
        await ann.aclose()


async def a_flood_takes_its_senders_own_time(peer: Peer, user: str, kind: str) -> None:
    make = KINDS[kind]
    await peer.hello(user)
    assert (await peer.ask("send", to="user:bob", body="x", key="same"))["type"] == "ack", kind
    began = trio.current_time()
    got = await flood(peer, lambda n: make(n, f"dm:bob:{user}"))
    assert sorted(got) == sorted(f"f{n}" for n in range(SENT)), kind
    assert trio.current_time() - began > LEAST_S, kind
    # Once the bucket allows it, a good message passes.
    assert (await peer.ask("send", to="user:bob", body="y"))["type"] == "ack", kind
    await peer.aclose()


async def test_nobody_else_waits(start: Start, stream: str, nursery: trio.Nursery) -> None:
    async with start(limits={**LIMITS, "refusals_per_s": 0.001}, node={"drain_s": 0.1}) as node:
        mallory, ann = [await Peer.open(node, stream, nursery) for _ in range(2)]
        await mallory.hello("mallory")
        await ann.hello("ann")
        for number in range(SENT):
            await mallory.send({"type": "dance", "id": number})
        for number in range(BURST):
            assert (await mallory.receive())["id"] == number
        assert b"\ngochat_users_slowed 1\n" in node.metrics()
        # No more of it is carried out for a long time; what others ask is.
        for number in range(10):
            assert (await ann.ask("send", to="user:bob", body=f"hi {number}"))["type"] == "ack"
        with trio.move_on_after(0.5):
            raise AssertionError(await mallory.receive())
        await mallory.aclose()
        await ann.aclose()


async def test_requests_beyond_the_scopes_count(start: Start, transport: str, nursery: trio.Nursery) -> None:
    async with start(limits=LIMITS) as node:
        peer = await Peer.open(node, transport, nursery)
        await peer.hello("mallory", token=issue(node, "mallory", READER))
        began = trio.current_time()
        await flood(peer, lambda n: {"type": "send", "to": "user:bob", "body": "x"})
        assert trio.current_time() - began > LEAST_S
        await peer.aclose()


async def test_sessions_share_what_is_left(start: Start, transport: str, nursery: trio.Nursery) -> None:
    async with start(limits={**LIMITS, "read_burst": 200}) as node:
        peers = [await Peer.open(node, transport, nursery) for _ in range(4)]
        for peer in peers:
            await peer.hello("mallory")
        began = trio.current_time()
        async with trio.open_nursery() as all_at_once:
            for peer in peers:
                all_at_once.start_soon(flood, peer, lambda n: {"type": "send", "to": 7})
        assert trio.current_time() - began > 0.9 * (4 * SENT - BURST) / RATE
        # A newcomer is held as the others are; it neither escapes nor is shut out.
        late = await Peer.open(node, transport, nursery)
        await late.hello("mallory")
        assert (await late.ask("ping"))["type"] == "pong"
        for peer in [*peers, late]:
            await peer.aclose()


async def test_signing_in_over_and_over_counts(start: Start, transport: str, nursery: trio.Nursery) -> None:
    async with start(limits={"reads_per_s": RATE, "read_burst": 20}) as node:
        began = trio.current_time()
        for _ in range(6):
            peer = await Peer.open(node, transport, nursery)
            await peer.hello("mallory")
            await peer.aclose()
        assert trio.current_time() - began > 0.9 * (60 - 20 - 10) / RATE


async def test_what_was_sent_before_a_half_close_is_answered(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits=LIMITS) as node:
        peer: Any = await Peer.open(node, "tcp", nursery)
        await peer.hello("mallory")
        for number in range(SENT):
            await peer.send({"type": "dance", "id": number})
        await peer.stream.send_eof()
        with trio.fail_after(25):
            assert [(await peer.receive())["id"] for _ in range(SENT)] == list(range(SENT))
        await peer.aclose()


async def test_refusals_by_rest_count_with_those_on_sockets(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits={**LIMITS, "refusals_per_s": 1}) as node:
        rest, other = Rest(node, issue(node, "mallory")), Rest(node, issue(node, "ann"))
        peer = await Peer.open(node, "ws", nursery)
        await peer.hello("mallory")
        with trio.fail_after(25):
            for _ in range(BURST):
                answer = await rest.post("/v1/messages", {"to": "group:none", "body": "x"})
                assert answer.refusal == (404, "not_found")
            assert node.gateway.users.at("mallory").quota.held
            began = trio.current_time()
            for _ in range(2):
                answer = await rest.post("/v1/messages", {"to": "group:none", "body": "x"})
            # Refusals come late now: at once, the answer would cost as much as the request that it refuses.
            assert trio.current_time() - began > 1.5
            assert (await other.post("/v1/messages", {"to": "user:bob", "body": "x"})).status == 201
            while (await rest.post("/v1/messages", {"to": "user:bob", "body": "x"})).status != 201:
                pass
        await peer.aclose()
        await rest.aclose()
        await other.aclose()


async def test_repeats_by_rest_count(start: Start) -> None:
    async with start(limits={**LIMITS, "refusals_per_s": 1}) as node:
        rest = Rest(node, issue(node, "mallory"))
        for _ in range(BURST + 1):
            answer = await rest.post("/v1/messages", {"to": "user:bob", "body": "x"}, Idempotency_Key="k")
            assert answer.status == 201
        assert node.gateway.users.at("mallory").quota.window < node.gateway.limits.window
        await rest.aclose()


@pytest.mark.parametrize("unknown", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_rooms_that_do_not_exist_leave_nothing(start: Start, nursery: trio.Nursery, unknown: int) -> None:
    """Without limits, so that there are many; each names another room, or another user."""
    async with start(limits={"refusals_per_s": 0, "reads_per_s": 0, "messages_per_s": 0}) as node:
        peer = await Peer.open(node, "tcp", nursery)
        await peer.hello("mallory")
        await ask_for_nothing(peer, 2_000)
        before, rss, most = reachable(), rss_bytes(os.getpid()), 0

        async def look() -> None:
            nonlocal most
            while True:
                most = max(most, len(node.gateway.rooms))
                await trio.sleep(0.01)

        nursery.start_soon(look)
        await ask_for_nothing(peer, unknown)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert most <= 2 * node.gateway.limits.window
            assert len(node.gateway.rooms) == 0
            assert len(node.gateway.users) == 1
            assert reachable() - before < unknown / 20, "something is kept of rooms that are not there"
            assert rss_bytes(os.getpid()) - rss < 20e6
            await peer.aclose()


async def ask_for_nothing(peer: Peer, count: int) -> None:
    kinds: list[Callable[[int], Frame]] = [
        lambda n: {"type": "send", "to": f"group:x{n}", "body": "x"},
        lambda n: {"type": "typing", "room": f"group:x{n}"},
        lambda n: {"type": "read", "room": f"dm:mallory:x{n}", "seq": 1},
        lambda n: {"type": "history", "room": f"group:x{n}"},
        lambda n: {"type": "watch", "users": [f"x{n}"]},
        lambda n: {"type": "delete", "room": f"dm:mallory:y{n}", "seq": 1},
    ]
    with trio.fail_after(180):
        for first in range(0, count, 100):
            for number in range(first, first + 100):
                await peer.send({**kinds[number % len(kinds)](number + 7 * count), "id": number})
            got = 0
            while got < 100:
                got += "id" in await peer.receive()


def reachable() -> int:
    gc.collect()
    return len(gc.get_objects())
