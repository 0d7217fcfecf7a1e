"""The wall clock of a running node is set, by an hour forward or back: nothing that has a length gets another."""

from __future__ import annotations

import math
import time

import pytest
import trio

from gochat.actors.typing_events import TYPING_EVERY_S
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer

HOUR_S = 3_600


class Wall:
    """A clock that the node takes for the wall clock."""

    def __init__(self) -> None:
        self.set_by_s = 0

    def __call__(self) -> int:
        return time.time_ns() + self.set_by_s * 1_000_000_000


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    clock = Wall()
    monkeypatch.setattr("gochat.node.wall_ns", clock)
    return clock


@pytest.fixture(params=[HOUR_S, -HOUR_S], ids=["forward", "back"])
def jump_s(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("reloaded", [False, True], ids=["live", "read back"])
async def test_mutes_bans_and_declines_go_on(
    start: Start, nursery: trio.Nursery, wall: Wall, jump_s: int, reloaded: bool
) -> None:
    async with start(policy={"strangers": "request", "decline_days": 0.02}) as node:
        ann, bob = [await Peer.open(node, "ws", nursery) for _ in range(2)]
        await ann.hello("ann")
        await bob.hello("bob")
        await ann.ask("contact", user="bob", action="add")
        await ann.ask("group", name="tea", action="create", users=["bob", "mia"])
        for user, action in (("bob", "mute"), ("mia", "ban")):
            done = await ann.ask("group", name="tea", action=action, user=user, seconds=HOUR_S // 2)
            assert done["type"] == "ok", done
        zoe = await Peer.open(node, "ws", nursery)
        await zoe.hello("zoe")
        assert (await zoe.ask("send", to="user:bob", body="may I?"))["type"] == "ack"
        assert (await bob.ask("contact", user="zoe", action="decline"))["type"] == "ok"
        wall.set_by_s = jump_s
        # Made after the jump: as long as those from before.
        assert (await ann.ask("group", name="tea", action="add", users=["kim"]))["type"] == "ok"
        assert (await ann.ask("group", name="tea", action="mute", user="kim", seconds=1))["type"] == "ok"
        if reloaded:
            assert node.gateway.rooms.passivate_idle(math.inf) == 2
            assert node.gateway.rooms.get("group:tea") is None
        muted = await bob.ask("send", to="group:tea", body="x")
        assert (muted["code"], 0 < muted["retry_after_ms"] <= HOUR_S * 500) == ("forbidden", True), muted
        assert (await ann.ask("group", name="tea", action="add", users=["mia"]))["type"] == "error"
        assert (await zoe.ask("send", to="user:bob", body="again"))["rule"] == "request.declined"
        kim = await Peer.open(node, "ws", nursery)
        await kim.hello("kim")
        with trio.fail_after(25):
            while (await kim.ask("send", to="group:tea", body="x"))["type"] != "ack":
                pass
        for peer in (ann, bob, zoe, kim):
            await peer.aclose()


async def test_limits_go_on_and_times_never_go_back(
    start: Start, nursery: trio.Nursery, wall: Wall, jump_s: int
) -> None:
    limits = {"messages_per_s": 0.01, "message_burst": 2}
    async with start(limits=limits, policy={"strangers": "request", "request_budget": 1}) as node:
        ann, bob = [await Peer.open(node, "ws", nursery) for _ in range(2)]
        await ann.hello("ann")
        await bob.hello("bob")
        first = await ann.ask("send", to="user:zoe", body="x")
        wall.set_by_s = jump_s
        second = await ann.ask("send", to="user:zoe", body="x")
        assert second["ts"] >= first["ts"]
        refused = await ann.ask("send", to="user:zoe", body="x")
        assert (refused["rule"], refused["retry_after_ms"] <= 100_000) == ("messages_per_s", True)
        # A day is a day: one more stranger is one too many, for all but the hour that the clock was set by.
        assert (await bob.ask("send", to="user:zoe", body="x"))["type"] == "ack"
        wall.set_by_s = 0
        budget = await bob.ask("send", to="user:kim", body="x")
        assert budget["rule"] == "request.budget"
        assert 86_390_000 < budget["retry_after_ms"] <= 86_400_000
        await ann.aclose()
        await bob.aclose()


async def test_typing_is_passed_on_after_the_clock_was_set(
    start: Start, nursery: trio.Nursery, wall: Wall, jump_s: int
) -> None:
    async with start() as node:
        ann, bob = [await Peer.open(node, "ws", nursery) for _ in range(2)]
        await ann.hello("ann")
        await bob.hello("bob")
        await ann.ask("send", to="user:bob", body="x")
        assert (await bob.event("message", "typing"))["type"] == "message"
        before = trio.current_time()
        await ann.ask("typing", room="dm:ann:bob")
        assert (await bob.event())["type"] == "typing"
        after = trio.current_time()
        wall.set_by_s = jump_s
        due = False
        while not bob.events:
            assert not due, "it was due when the last one was asked for"
            due = trio.current_time() > after + TYPING_EVERY_S
            await ann.ask("typing", room="dm:ann:bob")
            await bob.ask("ping")
            await trio.sleep(0.1)
        assert trio.current_time() > before + TYPING_EVERY_S
        await ann.aclose()
        await bob.aclose()
