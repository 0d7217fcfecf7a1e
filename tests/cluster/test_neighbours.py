"""Three whole nodes: users see on each who is there, who types and who has read on the others, by the rules of one."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.live import Live
from gochat.cluster import faults
from gochat.cluster.memory_server import MemoryServer
from gochat.domain.side_records import Revoked
from gochat.errors import REPLACED, StoreError
from gochat.neighbours import Neighbours
from gochat.store import Store
from gochat.wall_clock import wall_ms
from tests.cluster.joining import journal_of, new_log, serving, shared, until
from tests.cluster.town import NAMES, PATIENCE_S, Town
from tests.e2e.peer import Peer
from tests.notify.receivers import HttpReceiver
from tests.tokens import issue

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def town(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Town]:
    town = Town(tmp_path, await new_log(), nursery)
    await town.start(*NAMES)
    yield town
    await town.aclose()


async def presence(peer: Peer) -> dict[str, Any]:
    """The next that the peer is told of one user."""
    (entry,) = (await peer.event("presence"))["users"]
    return dict(entry)


async def everywhere(town: Town, user: str, online: bool) -> None:
    """Until all nodes say so."""
    with trio.fail_after(PATIENCE_S):
        while any(node.live.presence.is_online(user) != online for node in town.nodes.values()):
            await trio.sleep(0.01)


async def apart(town: Town) -> tuple[Peer, Peer, Peer]:
    """Ann, bob and cat, each on another node, in a group and friends of each other."""
    ann, bob, cat = [await town.peer(name, user) for name, user in zip(NAMES, ("ann", "bob", "cat"), strict=True)]
    assert (await ann.ask("group", name="tea", action="create", users=["bob", "cat"]))["type"] == "ok"
    for user in ("ann", "bob", "cat"):
        await everywhere(town, user, True)
    await bob.facts("group:tea", 2)
    await cat.facts("group:tea", 2)
    return ann, bob, cat


async def test_who_is_there_is_seen_from_every_node(town: Town) -> None:
    ann, bob, cat = await apart(town)
    (entry,) = (await bob.ask("watch", users=["ann"]))["users"]
    assert entry == {"user": "ann", "online": True}
    await cat.ask("watch", users=["ann"])
    second = await town.peer("west", "ann")
    with trio.fail_after(PATIENCE_S):
        while town.nodes["south"].live.presence.count("ann") != 2:
            await trio.sleep(0.01)
    await ann.aclose()
    with trio.fail_after(PATIENCE_S):
        while "ann" in town.nodes["north"].live.users or town.nodes["south"].live.presence.count("ann") != 1:
            await trio.sleep(0.01)
    await bob.nothing_more()
    await second.aclose()
    told = [await presence(bob), await presence(cat)]
    for entry in told:
        assert (entry["user"], entry["online"]) == ("ann", False)
    assert abs(told[0]["last_seen"] - told[1]["last_seen"]) < 5_000
    await everywhere(town, "ann", False)
    (entry,) = (await (await town.peer("south", "cat")).ask("watch", users=["ann"]))["users"]
    assert not entry["online"]
    assert entry["last_seen"] == told[0]["last_seen"]
    assert b"gochat_cluster_heard_nodes 2\n" in town.nodes["west"].metrics()
    await town.peer("north", "ann")
    assert (await presence(bob)) == (await presence(cat)) == {"user": "ann", "online": True}


async def test_who_may_not_see_a_user_is_told_nothing(town: Town) -> None:
    bob = await town.peer("south", "bob")
    await bob.ask("watch", users=["ann"])
    ann = await town.peer("north", "ann")
    await everywhere(town, "ann", True)
    await bob.nothing_more()
    await ann.ask("send", to="user:bob", body="hi")
    await bob.facts("dm:ann:bob", 1)
    (entry,) = (await bob.ask("watch", users=["ann"]))["users"]
    assert entry["online"], "they have written to each other"
    await ann.ask("contact", user="bob", action="block")
    assert not (await presence(bob))["online"]
    await ann.aclose()
    await everywhere(town, "ann", False)
    await town.peer("west", "ann")
    await everywhere(town, "ann", True)
    (entry,) = (await bob.ask("watch", users=["ann"]))["users"]
    assert entry == {"user": "ann", "online": False}
    assert not [event for event in bob.events if event["type"] == "presence"]


async def test_typing_reading_and_what_devices_have_is_told_on_every_node(town: Town) -> None:
    ann, bob, cat = await apart(town)
    again = await town.peer("north", "bob")
    seq = (await ann.ask("send", to="group:tea", body="tea?"))["seq"]
    for peer in (bob, cat, again):
        await peer.facts("group:tea", seq)
    await bob.ask("typing", room="group:tea")
    for peer in (ann, cat):
        assert (await peer.event("typing"))["from"] == "bob"
    await bob.ask("read", room="group:tea", seq=seq)
    for peer in (ann, cat, again):
        read = await peer.event("read")
        assert (read["from"], read["seq"]) == ("bob", seq)
    await cat.ask("got", room="group:tea", seq=seq)
    for peer in (ann, bob):
        assert (await peer.event("got"))["got"] == {"cat": seq}


async def test_a_block_ends_it_on_every_node(town: Town) -> None:
    ann, bob, _ = await apart(town)
    seq = (await ann.ask("send", to="user:bob", body="hi"))["seq"]
    await bob.facts("dm:ann:bob", seq)
    await bob.ask("typing", room="dm:ann:bob")
    assert (await ann.event("typing"))["from"] == "bob"
    await ann.ask("contact", user="bob", action="block")
    await bob.ask("read", room="dm:ann:bob", seq=seq)
    await bob.ask("typing", room="dm:ann:bob")
    await bob.ask("typing", room="group:tea")
    assert (await ann.event("typing", "read", "got"))["room"] == "group:tea", "what came before it would be told by now"


async def test_the_newest_session_of_a_device_stays_on_whichever_node(town: Town) -> None:
    bob = await town.peer("west", "bob")
    await bob.ask("group", name="tea", action="create", users=["ann"])
    await bob.ask("watch", users=["ann"])
    old = await town.peer("north", "ann", device="phone")
    other = await town.peer("north", "ann", device="laptop")
    assert (await presence(bob))["online"]
    with trio.fail_after(PATIENCE_S):
        while town.nodes["west"].live.presence.count("ann") != 2:
            await trio.sleep(0.01)
    new = await town.peer("south", "ann", device="phone")
    assert await old.closed() == REPLACED
    await new.ask("ping")
    await other.ask("ping")
    with trio.fail_after(PATIENCE_S):
        while town.nodes["west"].live.presence.count("ann") != 2:
            await trio.sleep(0.01)
    await bob.nothing_more()
    admin = await town.peer("west", "root", token=issue(town.nodes["west"], "root", ("admin",)))
    (entry,) = (await admin.ask("users", user="ann"))["users"]
    assert entry["sessions"] == 2


async def test_a_user_has_so_many_sessions_on_all_nodes_together(tmp_path: Path, nursery: trio.Nursery) -> None:
    town = Town(tmp_path, await new_log(), nursery)
    await town.start(*NAMES, limits={"sessions": 2})
    first = await town.peer("north", "ann")
    for count, name in ((2, "south"), (3, "west")):
        await town.peer(name, "ann")
        with trio.fail_after(PATIENCE_S):
            while count < 3 and any(node.live.presence.count("ann") != count for node in town.nodes.values()):
                await trio.sleep(0.01)
    assert await first.closed() == REPLACED
    await town.aclose()


async def test_users_of_a_node_that_stops_or_dies_are_gone(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead is a node that says nothing: the time until then is short here."""
    monkeypatch.setattr("gochat.cluster.soft.BEAT_S", 0.1)
    monkeypatch.setattr("gochat.cluster.roster.SILENCE_S", 2.0)
    town = Town(tmp_path, await new_log(), nursery)
    await town.start(*NAMES)
    ann, _, cat = await apart(town)
    await cat.ask("watch", users=["ann", "bob"])
    town.server.strike(faults.Unreachable(node="north"))
    gone = await presence(cat)
    assert (gone["user"], gone["online"]) == ("ann", False)
    assert gone["last_seen"]
    await ann.ask("ping")
    town.server.strike(faults.Mended(node="north"))
    assert (await presence(cat)) == {"user": "ann", "online": True}
    await town.stop("south")
    gone = await presence(cat)
    assert (gone["user"], gone["online"]) == ("bob", False)
    await town.aclose()


async def test_one_node_notifies_and_another_when_that_stops(tmp_path: Path, nursery: trio.Nursery) -> None:
    receiver = HttpReceiver()
    await nursery.start(receiver.serve)
    url = f"http://127.0.0.1:{receiver.port}/hook"
    notify = {"webhook_url": url, "webhook_secret": SECRET, "allow_private": True, "after_minutes": 0.005}
    town = Town(tmp_path, await new_log(), nursery)
    await town.start(*NAMES, notify=notify)

    async def told(count: int) -> list[str]:
        with trio.fail_after(PATIENCE_S):
            while len(receiver.received) < count:
                await trio.sleep(0.01)
        return sorted(json.loads(each.body)["data"]["user"] for each in receiver.received)

    north, south = await town.peer("north", "ann"), await town.peer("south", "ann")
    await town.peer("west", "here")
    await everywhere(town, "here", True)
    for number, peer in enumerate((north, south)):
        await peer.ask("send", to=f"user:u{number}", body="hi")
        await peer.ask("send", to="user:here", body="hi")
    assert await told(2) == ["u0", "u1"]
    for number, name in enumerate(NAMES[:2], 2):
        await town.stop(name)
        west = await town.peer("west", "ann")
        await west.ask("send", to=f"user:u{number}", body="hi")
        assert await told(number + 1) == [f"u{n}" for n in range(number + 1)], "each once, by whichever is left"
    await town.aclose()


@pytest.fixture
async def stores() -> AsyncIterator[tuple[MemoryServer, list[Store]]]:
    """Those of two nodes."""
    server = await new_log()
    async with serving(server, "north", "south") as found:
        await until(lambda: all(journal_of(store).registry.alive for store in found))
        yield server, found


class Notifiers:
    """The nodes that do the work of the notifier."""

    def __init__(self, server: MemoryServer, stores: list[Store], nursery: trio.Nursery) -> None:
        self.at_work: list[str] = []
        self._server = server
        self._nursery = nursery
        self._stores = dict(zip(("north", "south"), stores, strict=True))

    def start(self, name: str) -> None:
        neighbours = Neighbours(shared(self._server, name), Live(), self._stores[name], 3, lambda: 0)
        self._nursery.start_soon(neighbours.notifier.run, partial(self._work, name))

    async def _work(self, name: str) -> None:
        self.at_work.append(name)
        try:
            await trio.sleep_forever()
        finally:
            self.at_work.remove(name)

    async def become(self, name: str) -> None:
        with trio.fail_after(30):
            while self.at_work != [name]:
                await trio.sleep(0.1)


async def test_a_node_whose_clock_is_wrong_leaves_the_notifications_to_another(
    autojump_clock: MockClock, stores: tuple[MemoryServer, list[Store]], nursery: trio.Nursery
) -> None:
    server, (north, south) = stores
    notifiers = Notifiers(server, [north, south], nursery)
    notifiers.start("north")
    await notifiers.become("north")
    notifiers.start("south")
    clock = journal_of(north).registry.clock
    right = clock._now_ms
    clock._now_ms = lambda: right() + 3_600_000
    await notifiers.become("south")
    assert journal_of(north).behind is None
    clock._now_ms = right
    await until(lambda: journal_of(north).registry.clock_problem is None)
    await trio.sleep(30)
    assert notifiers.at_work == ["south"], "who has it keeps it"


async def test_a_session_that_begins_by_a_clock_that_was_set_forward_gives_way_to_a_later_one(
    autojump_clock: MockClock, stores: tuple[MemoryServer, list[Store]]
) -> None:
    """Where it begins elsewhere, and the news of the first one was lost."""
    server, (north, south) = stores
    began, began_ms = trio.current_time(), wall_ms()

    def right() -> int:
        return began_ms + round((trio.current_time() - began) * 1000)

    journal_of(south).registry.clock._now_ms = right
    journal_of(north).registry.clock._now_ms = lambda: right() + 3_600_000
    first, second = (
        Neighbours(shared(server, name), Live(), store, 3, right).presence
        for name, store in (("north", north), ("south", south))
    )
    first.entered("n1", "ann", "phone")
    await trio.sleep(0.5)
    second.entered("s1", "ann", "phone")
    (since,), (later,) = first._here["ann"], second._here["ann"]
    assert since < later


async def test_a_node_that_has_not_all_of_the_log_leaves_the_notifications_to_another(
    autojump_clock: MockClock,
    stores: tuple[MemoryServer, list[Store]],
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would tell users of what they have read on other nodes."""
    server, (north, south) = stores
    notifiers = Notifiers(server, [north, south], nursery)
    notifiers.start("north")
    await notifiers.become("north")
    notifiers.start("south")

    async def fails(*args: Any) -> None:
        raise StoreError("no space left on the disk")

    monkeypatch.setattr(north.replica, "follow", fails)
    await journal_of(south).append_side_records([Revoked("jti", "t", 1)])
    await notifiers.become("south")
    assert journal_of(north).behind is None and journal_of(north).registry.clock_problem is None


async def test_devices_are_subscribed_with_one_key(tmp_path: Path, nursery: trio.Nursery) -> None:
    town = Town(tmp_path, await new_log(), nursery)
    await town.start(*NAMES, notify={"push": True, "push_contact": "mailto:root@example.org"})
    keys = {(await (await town.peer(name, "ann")).ask("push"))["key"] for name in NAMES}
    assert len(keys) == 1
    assert not any("push.key" in names for _, _, names in os.walk(tmp_path))
    await town.aclose()


async def test_a_flood_of_one_users_comes_to_no_other_node(town: Town) -> None:
    """But for a share of it; and what others do comes as ever."""
    ann, bob, _ = await apart(town)
    mallory = await town.peer("north", "mallory")
    for number in range(40):
        await mallory.ask("group", name=f"g{number}", action="create", users=["bob"])
    await bob.facts("group:g39", 1)
    bob.events.clear()
    for number in range(40):
        await mallory.send({"type": "typing", "room": f"group:g{number}"})
    await mallory.ask("ping")
    await ann.ask("typing", room="group:tea")
    before = 0
    while (await bob.event("typing"))["from"] != "ann":
        before += 1
    assert before <= 12, "ann's comes with the next message, and not behind what mallory has waiting"
