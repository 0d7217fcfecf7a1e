"""A node notifies users who are away, by a webhook on loopback; and nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from standardwebhooks import Webhook as Verifier

from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.notify.receivers import HttpReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#: For what must come; generous, since machines are shared.
SOON = 60


class Town:
    """A node, its webhook's receiver, and peers."""

    def __init__(self, start: Start, nursery: trio.Nursery, receiver: HttpReceiver) -> None:
        self.start = start
        self.nursery = nursery
        self.receiver = receiver
        self.node: Node

    def settings(self, **notify: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.receiver.port}/hook"
        return {"notify": {"webhook_url": url, "webhook_secret": SECRET, "allow_private": True} | notify}

    async def peer(self, user: str, **hello: Any) -> Peer:
        peer = await Peer.open(self.node, "tcp", self.nursery)
        await peer.hello(user, **hello)
        return peer

    async def gone(self, peer: Peer, user: str) -> None:
        """The peer's session ends, and the node knows it."""
        await peer.aclose()
        with trio.fail_after(SOON):
            while user in self.node.live.users:
                await trio.lowlevel.checkpoint()

    async def told(self, count: int) -> list[dict[str, Any]]:
        """All that the receiver was told, once there are so many."""
        with trio.fail_after(SOON):
            while len(self.receiver.received) < count:
                await trio.sleep(0.01)
        return self.now()

    def now(self) -> list[dict[str, Any]]:
        for each in self.receiver.received:
            Verifier(SECRET).verify(each.body, each.headers)
        return [json.loads(each.body)["data"] for each in self.receiver.received]


@pytest.fixture
async def town(start: Start, nursery: trio.Nursery) -> Town:
    receiver = HttpReceiver()
    await nursery.start(receiver.serve)
    return Town(start, nursery, receiver)


async def test_a_user_who_is_away_is_notified_once_for_a_burst(town: Town) -> None:
    async with town.start(**town.settings(after_minutes=0.005)) as town.node:
        ann = await town.peer("ann")
        for n in range(3):
            await ann.ask("send", to="user:bob", body=f"secret {n}")
        (told,) = await town.told(1)
        assert (told["user"], told["room"], told["from"], told["seq"]) == ("bob", "dm:ann:bob", "ann", 3)
        assert told["count"] == 3
        assert "secret" not in json.dumps(told)
        await ann.ask("send", to="user:bob", body="once more")
        await ann.ask("send", to="user:cy", body="to somebody else")
        assert [each["user"] for each in await town.told(2)] == ["bob", "cy"]


async def test_a_user_who_is_here_is_not_and_is_after_leaving_for_what_comes_then(town: Town) -> None:
    async with town.start(**town.settings(after_minutes=0)) as town.node:
        ann, bob = await town.peer("ann"), await town.peer("bob")
        await ann.ask("send", to="user:bob", body="here")
        await ann.ask("send", to="user:cy", body="marker")
        assert [each["user"] for each in await town.told(1)] == ["cy"]
        await town.gone(bob, "bob")
        await ann.ask("send", to="user:bob", body="away")
        told = (await town.told(2))[-1]
        assert (told["user"], told["count"], told["seq"]) == ("bob", 2, 2)


async def test_reading_makes_room_for_the_next_burst(town: Town) -> None:
    async with town.start(**town.settings(after_minutes=0)) as town.node:
        ann = await town.peer("ann")
        await ann.ask("send", to="user:bob", body="one")
        await town.told(1)
        bob = await town.peer("bob")
        await bob.ask("read", room="dm:ann:bob", seq=1)
        await town.gone(bob, "bob")
        await ann.ask("send", to="user:bob", body="two")
        first, second = await town.told(2)
        assert first["id"] != second["id"]
        assert (second["count"], second["seq"]) == (1, 2)


async def test_all_members_of_a_group_but_the_sender(town: Town) -> None:
    async with town.start(**town.settings(after_minutes=0)) as town.node:
        ann = await town.peer("ann")
        users = [f"u{n}" for n in range(7)]
        await ann.ask("group", name="tea", action="create", users=users, title="Tea time")
        await ann.ask("send", to="group:tea", body="hello")
        told = await town.told(7)
        assert sorted(each["user"] for each in told) == users
        assert {each["text"] for each in told} == {"1 new in Tea time"}
        assert len({each["id"] for each in told}) == 7


async def test_a_receiver_that_failed_gets_the_same_id_again(town: Town) -> None:
    town.receiver.answers.extend([503, "close"])
    async with town.start(**town.settings(after_minutes=0)) as town.node:
        town.node.notifying.senders[0]._chance = lambda: 0.0
        ann = await town.peer("ann")
        await ann.ask("send", to="user:bob", body="hello")
        told = await town.told(3)
        assert len({each["id"] for each in told}) == 1
        assert len({each.headers["webhook-id"] for each in town.receiver.received}) == 1


async def test_what_waits_when_the_node_stops_is_told_by_the_next_one(town: Town) -> None:
    async with town.start(**town.settings(after_minutes=0.02)) as town.node:
        ann = await town.peer("ann")
        await ann.ask("send", to="user:bob", body="hello")
    assert not town.receiver.received
    async with town.start(**town.settings(after_minutes=0.02)) as town.node:
        (told,) = await town.told(1)
        assert told["user"] == "bob"


async def test_a_stranger_is_told_of_once_as_a_request(town: Town) -> None:
    settings = town.settings(after_minutes=0, again_minutes=0.0001)
    async with town.start(policy={"strangers": "request"}, **settings) as town.node:
        ann = await town.peer("ann")
        await ann.ask("send", to="user:bob", body="may I?")
        (told,) = await town.told(1)
        assert told["request"] is True
        await ann.ask("send", to="user:bob", body="please")
        await ann.ask("send", to="user:cy", body="marker")
        assert [each["user"] for each in await town.told(2)] == ["bob", "cy"]


async def test_nobody_is_told_of_a_user_they_blocked(town: Town) -> None:
    async with town.start(**town.settings(after_minutes=0)) as town.node:
        ann, bob = await town.peer("ann"), await town.peer("bob")
        await ann.ask("group", name="tea", action="create", users=["bob", "cy"])
        await bob.ask("contact", user="ann", action="block")
        await town.gone(bob, "bob")
        await ann.ask("send", to="group:tea", body="hello")
        assert [each["user"] for each in await town.told(1)] == ["cy"]
        await ann.ask("send", to="user:dan", body="marker")
        assert [each["user"] for each in await town.told(2)] == ["cy", "dan"]


async def test_without_a_channel_nothing_is_kept(town: Town) -> None:
    async with town.start() as town.node:
        ann = await town.peer("ann")
        await ann.ask("send", to="user:bob", body="hello")
        await ann.ask("history", room="dm:ann:bob")
        notices = town.node.gateway.notifications.notices
        assert await notices.unseen(0, 10) == []
        assert await notices.counts() == {}
