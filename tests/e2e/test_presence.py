"""The right to see whether somebody is there, and its end: also in watches that run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer

Connect = Callable[..., Any]


@pytest.fixture
async def node(start: Start) -> Any:
    """A node with the rules it has by itself: strangers ask."""
    async with start(policy={"strangers": "request"}) as running_node:
        yield running_node


async def group(peer: Peer, action: str, name: str = "tea", **fields: Any) -> None:
    reply = await peer.ask("group", name=name, action=action, **fields)
    assert reply["type"] == "ok", reply


async def befriend(one: Peer, user: str, other: Peer, name: str) -> None:
    await one.ask("contact", user=name, action="add")
    await other.ask("contact", user=user, action="add")


async def shown(peer: Peer, user: str) -> bool:
    (entry,) = (await peer.ask("watch", users=[user]))["users"]
    return bool(entry["online"])


async def appears(peer: Peer, user: str) -> None:
    """Wait until the peer is shown the user. On another node of a cluster that takes a moment."""
    with trio.fail_after(10):
        while not await shown(peer, user):
            await trio.sleep(0.05)


async def parted(peer: Peer, user: str) -> None:
    """The peer is told once that the user went, whom it watched."""
    assert (await peer.event("presence"))["users"] == [{"user": user, "online": False}]


async def remove(ann: Peer, bob: Peer) -> None:
    await group(ann, "remove", users=["bob"])


async def leave(ann: Peer, bob: Peer) -> None:
    await group(bob, "leave")


async def ban(ann: Peer, bob: Peer) -> None:
    await group(ann, "ban", user="bob")


async def delete(ann: Peer, bob: Peer) -> None:
    await group(ann, "delete")


@pytest.mark.parametrize("end", [remove, leave, ban, delete])
async def test_the_last_group_ends_it_for_both(
    connect: Connect, transport: str, end: Callable[[Peer, Peer], Awaitable[None]]
) -> None:
    ann, bob, cat = [await connect(user, transport) for user in ("ann", "bob", "cat")]
    await group(ann, "create", users=["bob", "cat"])
    await group(cat, "create", "milk", users=["bob"])
    assert await shown(ann, "bob") and await shown(bob, "ann") and await shown(cat, "bob")
    await end(ann, bob)
    await parted(ann, "bob")
    await parted(bob, "ann")
    assert not await shown(ann, "bob") and not await shown(bob, "ann")
    await bob.aclose()
    (entry,) = (await cat.event("presence"))["users"]
    assert (entry["user"], entry["online"]) == ("bob", False) and entry["last_seen"], "cat still shares a group"
    await connect("bob", transport)
    ann.events = type(ann.events)(event for event in ann.events if event["type"] == "presence")
    await ann.nothing_more()


async def test_the_last_contact_ends_it(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await befriend(ann, "ann", bob, "bob")
    await ann.ask("send", to="user:bob", body="hi")
    assert await shown(ann, "bob") and await shown(bob, "ann")
    await ann.ask("contact", user="bob", action="remove")
    assert await shown(ann, "bob") and await shown(bob, "ann"), "bob has ann as a contact"
    await bob.ask("contact", user="ann", action="remove")
    await parted(ann, "bob")
    await parted(bob, "ann")
    assert not await shown(ann, "bob") and not await shown(bob, "ann"), "what was said does not count any more"


async def test_a_common_group_goes_on_where_a_contact_ends(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await befriend(ann, "ann", bob, "bob")
    await group(ann, "create", users=["bob"])
    await appears(ann, "bob")
    await ann.ask("contact", user="bob", action="remove")
    await bob.ask("contact", user="ann", action="remove")
    await ann.ask("send", to="user:bob", body="a request")
    await bob.aclose()
    entry = {"online": True}
    while entry["online"]:  # That bob came may be told late.
        (entry,) = (await ann.event("presence"))["users"]
    assert entry["last_seen"], "it went on until bob went"


async def test_a_request_shows_nothing(connect: Connect) -> None:
    """Neither by asking, nor by taking the other as a contact oneself."""
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask("contact", user="bob", action="add")
    assert not await shown(ann, "bob")
    seq = (await ann.ask("send", to="user:bob", body="hi"))["seq"]
    assert not await shown(ann, "bob")
    await ann.ask("delete", room="dm:ann:bob", seq=seq)
    assert not await shown(ann, "bob")
    await bob.ask("contact", user="ann", action="decline")
    assert not await shown(ann, "bob")


async def test_an_end_in_the_middle_of_a_watch(node: Node, connect: Connect) -> None:
    """However the two meet: who is a member no more is told nothing."""
    ann, bob = await connect("ann"), await connect("bob")
    await group(ann, "create")
    for _ in range(20):
        await group(ann, "add", users=["bob"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown, bob, "ann")
            nursery.start_soon(remove, ann, bob)
        with trio.fail_after(25):
            while node.live.watches.stale:
                await trio.lowlevel.checkpoint()
        await bob.ask("ping")
        assert "ann" not in node.live.watches.watchers
    assert not node.live.watches.stale
