"""Coming back, and falling behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.e2e.conftest import Start
from tests.e2e.peer import Peer

Connect = Callable[..., Any]


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
    await back.hello(
        "bob", resume={"group:tea": {"seq": 3, "epoch": epoch}, "dm:ann:bob": {"seq": 0}, "group:none": {"seq": 1}}
    )
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


async def test_the_welcome_tells_the_epoch_of_all_that_comes(connect: Connect, transport: str) -> None:
    """A room that is known by its facts alone is resumed with it: they have none."""
    bob: Peer = await connect("bob", transport)
    assert bob.welcome["contacts"] == bob.welcome["rooms"] == []
    ann: Peer = await connect("ann", transport)
    ack = await ann.ask("send", to="user:bob", body="one")
    assert "epoch" not in (await bob.facts("dm:ann:bob", 1))[0]
    assert ann.welcome["epoch"] == bob.welcome["epoch"] == ack["epoch"]


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
