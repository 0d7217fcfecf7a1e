"""The right to write to users: strangers, requests, contacts, blocks; over every transport, by a node's own rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer

Connect = Callable[..., Any]
ROOM = "dm:ann:bob"


@pytest.fixture
async def node(start: Start) -> AsyncIterator[Node]:
    async with start(policy={"strangers": "request", "request_budget": 3}) as running_node:
        yield running_node


async def state(peer: Peer, user: str, action: str) -> Any:
    reply = await peer.ask("contact", user=user, action=action)
    return reply.get("state") or (reply["code"], reply.get("rule"))


async def befriend(one: Peer, other: Peer) -> None:
    for peer, user in ((one, other.welcome["user"]), (other, one.welcome["user"])):
        assert await state(peer, user, "add") == "contact"


def refused(reply: dict[str, Any]) -> tuple[str, str | None]:
    return reply["code"], reply.get("rule")


async def test_a_request_waits_until_it_is_accepted(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport, device="phone")
    for number in (1, 2, 3):
        assert (await ann.ask("send", to="user:bob", body=f"hi {number}"))["seq"] == number
        event = await bob.event()
        assert (event["type"], event["user"], event["name"], event["room"]) == ("request", "ann", "ann", ROOM)
        assert (event["head"], event["last"]["body"]) == (number, f"hi {number}")
    assert refused(await ann.ask("send", to="user:bob", body="hi 4")) == ("declined", "request.waits")
    assert [fact["seq"] for fact in await ann.facts(ROOM, 3)] == [1, 2, 3], "the user who asks hears it all"
    await bob.nothing_more()

    (waiting,) = (await bob.ask("requests"))["requests"]
    assert (waiting["user"], waiting["head"], waiting["last"]["body"]) == ("ann", 3, "hi 3")
    tablet: Peer = await connect("bob", transport, device="tablet", resume={ROOM: {"seq": 0}})
    assert tablet.welcome["contacts"] == []
    assert [each["user"] for each in tablet.welcome["requests"]] == ["ann"]
    await tablet.nothing_more()
    assert [each["body"] for each in (await bob.ask("history", room=ROOM))["entries"]] == ["hi 1", "hi 2", "hi 3"]

    reply = await bob.ask("contact", user="ann", action="accept")
    assert (reply["type"], reply["state"], reply["room"], reply["head"]) == ("ok", "contact", ROOM, 3)
    for peer, user in ((tablet, "ann"), (ann, "bob")):
        event = await peer.event()
        assert event == {"type": "contact", "user": user, "state": "contact"}
    assert (await ann.ask("send", to="user:bob", body="hi 4"))["seq"] == 4
    for peer in (bob, tablet):
        assert (await peer.event())["seq"] == 4, "live from here on, without a lag and without the past"
    assert (await bob.ask("requests"))["requests"] == []
    assert [each["state"] for each in (await bob.ask("contacts"))["contacts"]] == ["contact"]
    again: Peer = await connect("bob", transport)
    assert [(each["user"], each["unread"]) for each in again.welcome["contacts"]] == [("ann", 4)]


async def test_writing_back_accepts(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    await ann.ask("send", to="user:bob", body="hi")
    bob: Peer = await connect("bob", transport)
    assert (await bob.ask("send", to="user:ann", body="ho"))["seq"] == 2
    frames = [await bob.event(), await bob.event()]
    assert {"type": "contact", "user": "ann", "state": "contact"} in frames
    assert [frame["body"] for frame in frames if frame["type"] == "message"] == ["ho"]
    for number in range(3, 8):
        assert (await ann.ask("send", to="user:bob", body="x"))["seq"] == number
    assert (await bob.facts(ROOM, 7))[0]["seq"] == 3


async def test_a_declined_request(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    assert await state(bob, "ann", "decline") == ("not_found", None)
    await ann.ask("send", to="user:bob", body="hi")
    assert await state(bob, "ann", "decline") == "declined"
    assert await state(bob, "ann", "decline") == "declined"
    assert refused(await ann.ask("send", to="user:bob", body="hi")) == ("declined", "request.declined")
    assert refused(await ann.ask("edit", room=ROOM, seq=1, body="ho")) == ("declined", "request.declined")
    assert [each["state"] for each in (await bob.ask("contacts"))["contacts"]] == ["declined"]
    assert (await bob.ask("requests"))["requests"] == []
    assert (await connect("bob", transport)).welcome["contacts"] == []
    assert (await bob.ask("send", to="user:ann", body="after all"))["type"] == "ack", "whoever writes back accepts"
    assert (await ann.ask("send", to="user:bob", body="thanks"))["type"] == "ack"


async def test_nothing_of_what_waits_is_heard(connect: Connect, transport: str) -> None:
    """Not by an edit, a reaction or a delete, nor by typing, nor by a resume; and the other way round no read."""
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await ann.ask("typing", room=ROOM)
    await ann.ask("send", to="user:bob", body="hi")
    assert (await bob.event())["type"] == "request", "a stranger's typing is not told"
    for seq, declined in enumerate((False, True), 1):
        if declined:
            await bob.ask("contact", user="ann", action="decline")
        else:
            await ann.ask("edit", room=ROOM, seq=1, body="edited")
            await ann.ask("react", room=ROOM, seq=1, emoji="👍", on=True)
        await ann.ask("typing", room=ROOM)
        await bob.nothing_more()
        await bob.ask("read", room=ROOM, seq=seq)
        await bob.ask("typing", room=ROOM)
        assert (await bob.event())["type"] == "read", "one's own sessions are told"
    head = (await ann.ask("delete", room=ROOM, seq=1))["seq"]
    assert [fact["type"] for fact in await ann.facts(ROOM, head)] == ["message", "edit", "reaction", "delete"]
    await ann.nothing_more()
    await bob.nothing_more()
    assert (await bob.ask("resume", room=ROOM, seq=0))["code"] == "not_found"
    again: Peer = await connect("bob", transport, resume={ROOM: {"seq": 0}})
    await again.nothing_more()
    assert (await bob.ask("search", q="hi", **{"in": "messages"}))["entries"] == []


async def test_who_became_a_stranger_sees_presence_no_more(connect: Connect) -> None:
    ann: Peer = await connect("ann")
    bob: Peer = await connect("bob")
    await befriend(ann, bob)
    await ann.ask("send", to="user:bob", body="hi")
    assert (await ann.ask("watch", users=["bob"]))["users"][0]["online"]
    await bob.ask("contact", user="ann", action="remove")
    await ann.ask("send", to="user:bob", body="hello?")
    assert (await ann.event("presence"))["users"] == [{"user": "bob", "online": False}]
    await bob.aclose()
    await connect("bob")
    ann.events = type(ann.events)(each for each in ann.events if each["type"] == "presence")
    await ann.nothing_more()


async def test_a_target_that_is_not_there_goes_before_the_relation(connect: Connect) -> None:
    ann: Peer = await connect("ann")
    bob: Peer = await connect("bob")
    await bob.ask("contact", user="ann", action="block")
    assert refused(await ann.ask("send", to="user:bob", body="x", reply_to=9)) == ("not_found", None)


async def test_a_decline_holds_though_strangers_may_write_by_now(start: Start, nursery: trio.Nursery) -> None:
    for policy in ({"strangers": "request"}, {"strangers": "allow"}, {"strangers": "allow", "decline_days": 0}):
        async with start(policy=policy) as node:
            ann, bob = await Peer.open(node, "tcp", nursery), await Peer.open(node, "tcp", nursery)
            await ann.hello("ann")
            await bob.hello("bob")
            reply = await ann.ask("send", to="user:bob", body="hi")
            if policy["strangers"] == "request":
                await bob.ask("contact", user="ann", action="decline")
            elif "decline_days" not in policy:
                assert refused(reply) == ("declined", "request.declined")
            else:
                assert (await bob.event())["seq"] == reply["seq"] == 2
            await ann.aclose()
            await bob.aclose()


async def test_a_day_has_so_many_strangers(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    for user in ("u1", "u2", "u3"):
        assert (await ann.ask("send", to=f"user:{user}", body="hi"))["type"] == "ack"
    reply = await ann.ask("send", to="user:u4", body="hi")
    assert refused(reply) == ("rate_limited", "request.budget")
    assert 86_000_000 < reply["retry_after_ms"] <= 86_400_000
    assert (await ann.ask("send", to="user:u3", body="hi"))["type"] == "ack", "who was asked already is no new one"


async def test_the_budget_outlives_a_restart(start: Start, nursery: trio.Nursery) -> None:
    for sent, users in enumerate((["u1", "u2"], ["u3", "u4"])):
        async with start(policy={"strangers": "request", "request_budget": 3}) as node:
            ann = await Peer.open(node, "tcp", nursery)
            await ann.hello("ann")
            replies = [await ann.ask("send", to=f"user:{user}", body="hi") for user in users]
            assert [reply["type"] for reply in replies] == (["ack", "ack"] if not sent else ["ack", "error"])
            await ann.aclose()


async def test_a_block_holds_and_is_undone(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await befriend(ann, bob)
    await ann.ask("send", to="user:bob", body="hi")
    presence = await ann.ask("watch", users=["bob"])
    assert presence["users"][0]["online"]
    assert await state(bob, "ann", "block") == "blocked"
    assert (await ann.event("presence"))["users"] == [{"user": "bob", "online": False}]
    for peer, other in ((ann, "bob"), (bob, "ann")):
        assert refused(await peer.ask("send", to=f"user:{other}", body="x")) == ("blocked", "contact.blocked")
        reaction = await peer.ask("react", room=ROOM, seq=1, emoji="👍", on=True)
        assert refused(reaction) == ("blocked", "contact.blocked")
        assert (await peer.ask("watch", users=[other]))["users"] == [{"user": other, "online": False}]
    assert refused(await ann.ask("edit", room=ROOM, seq=1, body="ho")) == ("blocked", "contact.blocked")
    assert await state(bob, "ann", "add") == ("conflict", None)
    bob.events.clear()
    await ann.ask("typing", room=ROOM)
    await ann.ask("read", room=ROOM, seq=1)
    await bob.nothing_more()
    assert (await connect("bob", transport)).welcome["contacts"] == []
    assert (await connect("ann", transport)).welcome["contacts"][0]["online"] is False
    assert refused(await ann.ask("group", name="tea", action="create", users=["bob"])) == ("blocked", "group.adds")
    assert await state(bob, "ann", "unblock") == "contact", "what was before"
    assert (await ann.ask("send", to="user:bob", body="x"))["type"] == "ack"


async def test_a_block_has_no_effect_inside_a_common_group(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await bob.ask("contact", user="ann", action="block")
    await ann.ask("send", to="group:tea", body="hi")
    assert (await bob.facts("group:tea", 3))[-1]["body"] == "hi"


async def test_a_blocked_request_comes_back_with_the_unblock(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    await ann.ask("send", to="user:bob", body="hi")
    bob: Peer = await connect("bob", transport)
    assert await state(bob, "ann", "block") == "blocked"
    assert (await bob.ask("requests"))["requests"] == []
    assert await state(bob, "ann", "unblock") == "request"
    assert len((await bob.ask("requests"))["requests"]) == 1
    for number in (2, 3):
        assert (await ann.ask("send", to="user:bob", body="hi"))["seq"] == number
    assert refused(await ann.ask("send", to="user:bob", body="hi")) == ("declined", "request.waits")


async def test_removing_a_contact_makes_a_stranger(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await befriend(ann, bob)
    await ann.ask("send", to="user:bob", body="hi")
    assert (await bob.event("message"))["seq"] == 1
    assert await state(bob, "ann", "remove") == "none"
    assert refused(await ann.ask("edit", room=ROOM, seq=1, body="ho")) == ("declined", "request.none")
    assert (await ann.ask("send", to="user:bob", body="still there?"))["seq"] == 2
    assert (await bob.event())["type"] == "request"
    assert await state(bob, "ann", "add") == "contact", "adding who asks is accepting"
    assert (await ann.ask("send", to="user:bob", body="fine"))["seq"] == 3
    assert (await bob.event("message"))["seq"] == 3


async def test_notes_to_self_and_odd_actions(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    assert (await ann.ask("send", to="user:ann", body="milk"))["seq"] == 1
    assert await state(ann, "ann", "block") == ("bad_request", None)
    assert await state(ann, "Bob", "block") == ("bad_request", None)
    assert await state(ann, "bob", "accept") == ("not_found", None)
    assert await state(ann, "bob", "remove") == "none"
    assert await state(ann, "bob", "unblock") == "none"
    assert (await ann.ask("contacts"))["contacts"] == []


async def test_lists_are_paged(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    for user in ("u1", "u2", "u3"):
        await ann.ask("contact", user=user, action="add")
        other: Peer = await connect(user, transport)
        await other.ask("contact", user="ann", action="block")
        await other.ask("contact", user="ann", action="unblock")
    first = await ann.ask("contacts", limit=2)
    assert ([each["user"] for each in first["contacts"]], first["next"]) == (["u1", "u2"], "u2")
    rest = await ann.ask("contacts", limit=2, cursor="u2")
    assert ([each["user"] for each in rest["contacts"]], "next" in rest) == (["u3"], False)


async def test_strangers_may_be_let_in_or_kept_out(start: Start, nursery: trio.Nursery) -> None:
    for policy, expected in (("allow", None), ("deny", "strangers.deny")):
        async with start(policy={"strangers": policy}) as node:
            ann, bob = await Peer.open(node, "tcp", nursery), await Peer.open(node, "tcp", nursery)
            await ann.hello("ann")
            await bob.hello("bob")
            reply = await ann.ask("send", to="user:bob", body="hi")
            assert reply.get("rule") == expected
            if expected is None:
                assert (await bob.event())["type"] == "message"
            await ann.aclose()
            await bob.aclose()


async def test_groups_may_take_only_contacts(start: Start, nursery: trio.Nursery) -> None:
    async with start(policy={"group_adds": "contacts"}) as node:
        ann, bob = await Peer.open(node, "tcp", nursery), await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        await bob.hello("bob")
        await ann.ask("group", name="tea", action="create")
        assert refused(await ann.ask("group", name="tea", action="add", users=["bob"])) == ("declined", "group.adds")
        await bob.ask("contact", user="ann", action="add")
        assert (await ann.ask("group", name="tea", action="add", users=["bob"]))["type"] == "ok"


async def test_no_message_passes_a_block(start: Start, nursery: trio.Nursery) -> None:
    """Two devices of ann's hammer bob, on two transports, while bob blocks."""
    async with start(policy={"strangers": "request"}) as node:
        devices = [await Peer.open(node, kind, nursery) for kind in ("tcp", "ws")]
        bob = await Peer.open(node, "tcp", nursery)
        for peer, user in ((devices[0], "ann"), (devices[1], "ann"), (bob, "bob")):
            await peer.hello(user)
        await befriend(devices[0], bob)
        acked: list[int] = []
        refusals = 0
        blocked_at = trio.Event()

        async def hammer(peer: Peer) -> None:
            nonlocal refusals
            while True:
                reply = await peer.ask("send", to="user:bob", body="x")
                if reply["type"] == "ack":
                    acked.append(reply["seq"])
                else:
                    assert reply["code"] == "blocked"
                    refusals += 1
                    if blocked_at.is_set() and refusals > 20:
                        return

        with trio.fail_after(60):
            async with trio.open_nursery() as hammering:
                for device in devices:
                    hammering.start_soon(hammer, device)
                while len(acked) < 100:
                    await trio.lowlevel.checkpoint()
                reply = await bob.ask("contact", user="ann", action="block")
                at = reply["head"]
                blocked_at.set()
        assert max(acked) == at >= 100, "everything acked is at or below the block's `at`"
        page = await bob.ask("history", room=ROOM, after=at - 1)
        assert [fact["seq"] for fact in page["entries"]] == [at]
        assert page["head"] == at


async def test_a_request_whose_messages_were_deleted_asks_no_more(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    seqs = [(await ann.ask("send", to="user:bob", body=body))["seq"] for body in ("one", "two")]
    assert [(await bob.event())["type"] for _ in seqs] == ["request"] * 2
    await ann.ask("delete", room=ROOM, seq=seqs[1])
    (request,) = (await bob.ask("requests"))["requests"]
    assert (request["last"]["seq"], request["last"]["body"]) == (seqs[1], "") and request["last"]["deleted"]
    await bob.nothing_more()
    await ann.ask("delete", room=ROOM, seq=seqs[0])
    assert await bob.event() == {"type": "contact", "user": "ann", "state": "none"}
    await bob.nothing_more()
    assert (await bob.ask("requests"))["requests"] == []
    again: Peer = await connect("bob", transport)
    assert (again.welcome["requests"], again.welcome["contacts"]) == ([], [])
    for action in ("accept", "decline"):
        assert await state(bob, "ann", action) == ("not_found", None)
    assert (await ann.ask("send", to="user:bob", body="three"))["type"] == "ack"
    request = await bob.event()
    assert (request["type"], request["last"]["body"]) == ("request", "three"), "it asks anew"
    replies = [await ann.ask("send", to="user:bob", body=body) for body in ("four", "five", "six")]
    assert [reply["type"] for reply in replies] == ["ack", "ack", "error"]


async def test_asking_anew_counts_among_the_strangers_of_a_day(start: Start, nursery: trio.Nursery) -> None:
    """Or a request could be sent and deleted for ever."""
    async with start(policy={"strangers": "request", "request_budget": 2}) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        for _ in range(2):
            seq = (await ann.ask("send", to="user:bob", body="hi"))["seq"]
            await ann.ask("delete", room=ROOM, seq=seq)
        assert refused(await ann.ask("send", to="user:bob", body="hi")) == ("rate_limited", "request.budget")


async def test_who_writes_after_a_request_was_withdrawn_asks_and_hears(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    seq = (await ann.ask("send", to="user:bob", body="hi"))["seq"]
    await ann.ask("delete", room=ROOM, seq=seq)
    await bob.ask("ping")
    bob.events.clear()
    ann.events.clear()
    mine = (await bob.ask("send", to="user:ann", body="who was it?"))["seq"]
    assert (await bob.event("message"))["seq"] == mine, "one's own sessions hear it"
    assert (await ann.event("request", "message"))["type"] == "request"
    reply = (await ann.ask("send", to="user:bob", body="me"))["seq"]
    assert (await bob.event("message"))["seq"] == reply
