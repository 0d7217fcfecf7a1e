"""Users of nodes that know less than others, or of an earlier epoch, are told nothing that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import trio

from gochat.client import Offline, Online, Reset, connect, facts
from gochat.client.events import Event
from gochat.cluster import faults
from gochat.cluster.entry import SITE
from gochat.cluster.ports import Element
from tests.cluster.joining import until
from tests.cluster.town import PATIENCE_S, Town, facts_of
from tests.e2e.peer import Peer, address
from tests.tokens import issue


async def test_a_connection_that_was_open_when_the_epoch_changed_is_told_of_the_new_one_alone(
    town: Town, nursery: trio.Nursery
) -> None:
    early = await Peer.open(town.nodes["south"], "tcp", nursery)
    journals = [town.nodes[name].gateway.journal for name in ("north", "south")]
    before = journals[1].epoch
    await town.stop("west")
    await journals[0].forget("west", lacking=True)  # type: ignore[attr-defined]
    await until(lambda: journals[1].epoch != before)
    await early.hello("bob")
    made = await early.ask("send", to="user:ann", body="hi", key="k")
    again = await early.ask("send", to="user:ann", body="hi", key="k")
    page = await early.ask("history", room="dm:ann:bob")
    assert [frame["epoch"] for frame in (made, again, page)] == [journals[0].epoch] * 3
    await early.aclose()


async def test_a_client_that_knows_a_room_by_its_facts_alone_starts_it_anew_with_another_epoch(town: Town) -> None:
    """Seqs that it has may be of other messages now."""
    south = town.nodes["south"]
    host, port = address(south, "tcp")
    bob = await town.peer("north", "bob")
    with trio.fail_after(PATIENCE_S):
        async with connect(f"tcp://{host}:{port}", token=issue(south, "ann")) as ann:
            assert ann.welcome.contacts == []
            await bob.ask("send", to="user:ann", body="one")
            events: list[Event] = [await anext(ann)]
            await town.stop("west")
            await town.nodes["north"].gateway.journal.forget("west", lacking=True)  # type: ignore[attr-defined]
            events += [await anext(ann), await anext(ann)]
            bob = await town.peer("north", "bob")
            await bob.ask("send", to="user:ann", body="two")
            while not isinstance(events[-1], facts.Message):
                events.append(await anext(ann))
    assert [type(event) for event in events] == [facts.Message, Offline, Online, Reset, facts.Message]


@pytest.fixture
def wait_for_log(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets for how many seconds a log that does not answer is waited for; to be short only while none does."""
    return lambda wait_s: monkeypatch.setattr("gochat.cluster.barrier.WAIT_S", wait_s)


async def test_a_welcome_says_where_others_may_know_more(town: Town, wait_for_log: Callable[[float], None]) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    assert "incomplete" not in bob.welcome
    await ann.ask("send", to="user:bob", body="before")
    await bob.facts("dm:ann:bob", 1)
    town.server.strike(faults.Unreachable(node="south"))
    wait_for_log(0.2)
    await ann.ask("send", to="user:bob", body="after")
    late = await town.peer("south", "bob")
    (contact,) = late.welcome["contacts"]
    assert late.welcome["incomplete"] is True and contact["head"] == 1
    wait_for_log(60.0)
    town.server.strike(faults.Mended(node="south"))
    assert facts_of(await late.facts("dm:ann:bob", 2)) == [(2, "after")], "it is heard as soon as the node knows"
    assert "incomplete" not in (await town.peer("south", "bob")).welcome


async def test_a_node_without_the_log_tells_nobody_to_forget_a_newer_one(
    town: Town, wait_for_log: Callable[[float], None]
) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("send", to="user:bob", body="hi")
    await bob.facts("dm:ann:bob", 1)
    town.server.strike(faults.Unreachable(node="south"))
    wait_for_log(0.2)
    north, south = (town.nodes[name].gateway.journal for name in ("north", "south"))
    await town.stop("west")
    await north.forget("west", lacking=True)  # type: ignore[attr-defined]
    assert north.epoch != south.epoch
    position = {"seq": 1, "epoch": north.epoch}
    assert (await bob.ask("resume", room="dm:ann:bob", **position))["code"] == "unavailable"
    await bob.nothing_more()
    with pytest.raises(AssertionError, match="unavailable"):
        await town.peer("south", "bob", resume={"dm:ann:bob": position})
    await town.peer("south", "bob", resume={"dm:ann:bob": {"seq": 1, "epoch": south.epoch}})
    town.server.strike(faults.Mended(node="south"))
    assert await bob.closed() == 4000


async def test_a_client_that_is_ahead_of_the_log_is_not_told_of_an_epoch_that_is_over(
    town: Town, wait_for_log: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room's partition is all here; the new epoch, in another one, is still on its way to the node."""
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("send", to="user:bob", body="hi")
    await bob.facts("dm:ann:bob", 1)
    wait_for_log(0.2)
    north, south = (town.nodes[name].gateway.journal for name in ("north", "south"))
    with monkeypatch.context() as held:
        take_all = south._broadcast._take_all  # type: ignore[attr-defined]

        async def take(found: Mapping[int, Sequence[Element]]) -> None:
            await take_all({partition: elements for partition, elements in found.items() if partition != SITE})

        held.setattr(south._broadcast, "_take_all", take)  # type: ignore[attr-defined]
        await town.stop("west")
        await north.forget("west", lacking=True)  # type: ignore[attr-defined]
        assert north.epoch != south.epoch
        ahead = {"room": "dm:ann:bob", "seq": 2, "epoch": south.epoch}
        assert (await bob.ask("resume", **ahead))["code"] == "unavailable"
        await bob.nothing_more()
    assert await bob.closed() == 4000


async def test_a_node_without_the_log_sends_nobody_out_of_a_room(
    town: Town, wait_for_log: Callable[[float], None]
) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    for name in ("old", "tea"):
        await ann.ask("group", name=name, action="create", users=["bob"])
    await ann.ask("group", name="tea", action="remove", users=["bob"])
    await bob.facts("group:tea", 3)
    town.server.strike(faults.Unreachable(node="south"))
    wait_for_log(0.2)
    await ann.ask("group", name="new", action="create", users=["bob"])
    await ann.ask("group", name="tea", action="add", users=["bob"])
    for room, seq in (("group:new", 2), ("group:tea", 4)):
        assert (await bob.ask("resume", room=room, seq=seq))["code"] == "unavailable"
        with pytest.raises(AssertionError, match="unavailable"):
            await town.peer("south", "bob", resume={room: {"seq": seq}})
    assert (await bob.ask("resume", room="group:old", seq=2))["type"] == "ok"
    town.server.strike(faults.Mended(node="south"))
