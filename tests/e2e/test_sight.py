"""One reader's sight of a group: messages from before they came in, and from after they left."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio

from gochat.errors import StoreError
from gochat.node import Node
from gochat.ports.journal import AppendResult, OnRecorded
from gochat.store.write.journal import SqliteJournal
from tests.e2e.peer import Peer, TcpPeer
from tests.http.rest.client import Answer, Rest
from tests.tokens import issue

Connect = Callable[..., Any]
TEA = "group:tea"
NOT_FOUND = "not_found"


async def said(peer: Peer, body: str, **fields: Any) -> int:
    reply = await peer.ask("send", to=TEA, body=body, **fields)
    assert reply["type"] == "ack", reply
    return int(reply["seq"])


async def entries(peer: Peer, **fields: Any) -> dict[int, dict[str, Any]]:
    page = await peer.ask("history", room=TEA, limit=200, **fields)
    return {entry["seq"]: entry for entry in page["entries"]}


async def get(node: Node, user: str, path: str) -> Answer:
    rest = Rest(node, issue(node, user))
    try:
        return await rest.get(path)
    finally:
        await rest.aclose()


@pytest.fixture
async def later(connect: Connect, transport: str) -> tuple[Peer, Peer, int]:
    """An owner, a moderator who came later, and the seq of what was said before, in a group that hides it."""
    ann, mo = await connect("ann", transport), await connect("mo", transport)
    await ann.ask("group", name="tea", action="create", history="since_join")
    before = await said(ann, "salary list: 4711")
    await ann.ask("group", name="tea", action="add", users=["mo"])
    role = await ann.ask("group", name="tea", action="role", user="mo", role="moderator")
    await mo.facts(TEA, role["seq"])
    return ann, mo, before


async def test_what_was_said_before_is_no_target(later: tuple[Peer, Peer, int]) -> None:
    _, mo, before = later
    never = before + 1000
    for seq in (before, never):
        replies = [
            await mo.ask("send", to=TEA, body="re", reply_to=seq),
            await mo.ask("react", room=TEA, seq=seq, emoji="👍", on=True),
            await mo.ask("react", room=TEA, seq=seq, emoji="👍", on=False),
            await mo.ask("edit", room=TEA, seq=seq, body="mine"),
            await mo.ask("delete", room=TEA, seq=seq),
            await mo.ask("report", room=TEA, seq=seq),
        ]
        assert {(reply.get("code"), reply.get("message")) for reply in replies} == {
            (NOT_FOUND, "there is no such message")
        }, "the same for what is hidden and for what never was"


async def test_later_facts_tell_nothing_of_it(later: tuple[Peer, Peer, int], node: Node) -> None:
    ann, mo, before = later
    await ann.ask("edit", room=TEA, seq=before, body="salary list: 4712")
    await ann.ask("react", room=TEA, seq=before, emoji="👍", on=True)
    reply = await said(ann, "as I said", reply_to=before)
    last = (await ann.ask("delete", room=TEA, seq=before))["seq"]
    live = await mo.facts(TEA, last)
    assert [fact["type"] for fact in live] == ["hidden", "hidden", "message", "hidden"]
    assert all(set(fact) == {"type", "room", "seq", "ts"} for fact in live if fact["type"] == "hidden")
    assert "reply_to" not in live[2] and live[2]["seq"] == reply
    assert [fact["seq"] for fact in live] == list(range(reply - 2, last + 1)), "dense all the same"
    told = await entries(mo, after=0)
    assert {seq: told[seq] for seq in range(reply - 2, last + 1)} == {fact["seq"]: fact for fact in live}
    assert min(told) > before
    await mo.ask("resume", room=TEA, seq=0)
    assert await mo.facts(TEA, last) == list(told.values())
    rest = (await get(node, "mo", f"/v1/messages/{TEA}:{reply}")).json
    assert "reply_to" not in rest and rest["body"] == "as I said"
    seen = (await entries(ann))[reply]
    assert seen["reply_to"] == before, "those who can see it are told"


async def test_reports_of_it_are_for_the_owner(later: tuple[Peer, Peer, int]) -> None:
    ann, mo, before = later
    await ann.ask("report", room=TEA, seq=before, reason="look")
    after = await said(ann, "later")
    await ann.ask("report", room=TEA, seq=after)
    mine = (await mo.ask("reports", room=TEA))["reports"]
    assert [report["seq"] for report in mine] == [after]
    first, second = (await ann.ask("reports", room=TEA))["reports"]
    assert (first["seq"], first["body"]) == (before, "salary list: 4711")
    hidden = await mo.ask("close_report", report=first["report"])
    never = await mo.ask("close_report", report=second["report"] + 100)
    assert {**hidden, "id": 0} == {**never, "id": 0} and hidden["code"] == NOT_FOUND
    assert (await ann.ask("close_report", report=first["report"]))["type"] == "ok"
    assert (await mo.ask("close_report", report=second["report"]))["type"] == "ok"


async def test_whoever_comes_again_sees_from_then_on(later: tuple[Peer, Peer, int], connect: Connect) -> None:
    ann, mo, _ = later
    first = await said(mo, "mine")
    await ann.ask("group", name="tea", action="remove", users=["mo"])
    assert first in await entries(mo), "up to the end"
    between = await said(ann, "between")
    await ann.ask("group", name="tea", action="add", users=["mo"])
    assert set(await entries(mo)).isdisjoint({first, between})
    for seq in (first, between):
        assert (await mo.ask("react", room=TEA, seq=seq, emoji="👍", on=True))["code"] == NOT_FOUND
        assert (await mo.ask("edit", room=TEA, seq=seq, body="x"))["code"] == NOT_FOUND
    last = (await ann.ask("react", room=TEA, seq=first, emoji="👍", on=True))["seq"]
    assert (await mo.facts(TEA, last))[-1]["type"] == "hidden"
    again = await connect("mo")
    (room,) = again.welcome["rooms"]
    assert room["unread"] == 0 and "last" not in room
    await ann.ask("react", room=TEA, seq=first, emoji="👎", on=True)
    assert (await again.facts(TEA, last + 1))[-1]["type"] == "hidden", "as its welcome says, too"


async def test_who_is_told_what_changes_with_the_setting(later: tuple[Peer, Peer, int]) -> None:
    ann, mo, before = later
    await ann.ask("group", name="tea", action="set", history="all")
    seq = (await ann.ask("react", room=TEA, seq=before, emoji="👍", on=True))["seq"]
    assert (await mo.facts(TEA, seq))[-1]["target"] == before
    assert (await mo.ask("react", room=TEA, seq=before, emoji="👍", on=True))["type"] == "ack"
    await ann.ask("group", name="tea", action="set", history="since_join")
    seq = (await ann.ask("react", room=TEA, seq=before, emoji="👎", on=True))["seq"]
    assert (await mo.facts(TEA, seq))[-1]["type"] == "hidden"
    assert (await mo.ask("react", room=TEA, seq=before, emoji="👍", on=False))["code"] == NOT_FOUND


async def test_former_members_see_what_was_there_then(connect: Connect, transport: str, node: Node) -> None:
    ann, bob, cat = [await connect(user, transport) for user in ("ann", "bob", "cat")]
    await ann.ask("group", name="tea", action="create", users=["bob", "cat"])
    edited, deleted, kept = [await said(ann, body) for body in ("the code follows", "gone soon", "kept")]
    before = await said(ann, "edited befor")
    await ann.ask("edit", room=TEA, seq=before, body="edited before")
    await cat.ask("react", room=TEA, seq=kept, emoji="🍵", on=True)
    await ann.ask("react", room=TEA, seq=kept, emoji="🍵", on=True)
    await cat.ask("react", room=TEA, seq=kept, emoji="🍰", on=True)
    await cat.ask("react", room=TEA, seq=kept, emoji="🍰", on=False)
    end = (await ann.ask("group", name="tea", action="remove", users=["bob"]))["seq"]
    await ann.ask("edit", room=TEA, seq=edited, body="the code is 4711")
    await ann.ask("delete", room=TEA, seq=deleted)
    await cat.ask("react", room=TEA, seq=kept, emoji="🍵", on=False)
    await cat.ask("react", room=TEA, seq=kept, emoji="🍰", on=True)
    await ann.ask("react", room=TEA, seq=kept, emoji="🎂", on=True)
    await ann.ask("group", name="tea", action="set", history="since_join", title="Secret")
    told = await entries(bob, after=0)
    assert max(told) == end
    assert "body" not in told[edited] and told[edited]["edited"]
    assert "body" not in told[deleted] and told[deleted]["deleted"]
    assert told[kept]["reactions"] == {"🍵": 2}
    assert told[before]["body"] == "edited before"
    for seq in (edited, deleted, kept, before):
        rest = (await get(node, "bob", f"/v1/messages/{TEA}:{seq}")).json
        assert {key: value for key, value in rest.items() if key != "id"} == told[seq]
    again = await connect("bob", transport, resume={TEA: {"seq": 0}})
    replayed = {fact["seq"]: fact for fact in await again.facts(TEA, end)}
    assert {seq: replayed[seq] for seq in (edited, deleted, kept, before)} == {
        seq: told[seq] for seq in (edited, deleted, kept, before)
    }


async def test_a_change_of_history_after_the_end_opens_nothing(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask("group", name="tea", action="create", history="since_join")
    before = await said(ann, "before")
    await ann.ask("group", name="tea", action="add", users=["bob"])
    await ann.ask("group", name="tea", action="remove", users=["bob"])
    await ann.ask("group", name="tea", action="set", history="all")
    assert before not in await entries(bob, after=0)


async def test_a_target_is_a_message_that_is_there(connect: Connect, transport: str) -> None:
    ann = await connect("ann", transport)
    await ann.ask("group", name="tea", action="create")
    gone = await said(ann, "x")
    reaction = (await ann.ask("react", room=TEA, seq=gone, emoji="👍", on=True))["seq"]
    delete = (await ann.ask("delete", room=TEA, seq=gone))["seq"]
    for seq in (1, gone, reaction, delete, delete + 1, 999):
        assert (await ann.ask("send", to=TEA, body="re", reply_to=seq))["code"] == NOT_FOUND, seq
        assert (await ann.ask("edit", room=TEA, seq=seq, body="re"))["code"] == NOT_FOUND, seq
        assert (await ann.ask("react", room=TEA, seq=seq, emoji="👍", on=True))["code"] == NOT_FOUND, seq
        assert (await ann.ask("report", room=TEA, seq=seq))["code"] == NOT_FOUND, seq
    there = await said(ann, "there")
    assert await said(ann, "re", reply_to=there) == there + 1
    await ann.ask("delete", room=TEA, seq=there)
    assert (await ann.ask("send", to=TEA, body="re", reply_to=there))["code"] == NOT_FOUND


async def test_replies_to_what_was_said_before_a_restart(start: Any, nursery: Any) -> None:
    """The room knows its latest messages; older ones it looks for."""
    async with start() as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        await ann.ask("group", name="tea", action="create")
        there, gone = await said(ann, "there"), await said(ann, "gone")
        await ann.ask("delete", room=TEA, seq=gone)
    async with start() as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        for _ in range(2):
            assert await said(ann, "re", reply_to=there)
        assert (await ann.ask("send", to=TEA, body="re", reply_to=gone))["code"] == NOT_FOUND
        assert (await ann.ask("send", to=TEA, body="re", reply_to=1))["code"] == NOT_FOUND
        await ann.ask("delete", room=TEA, seq=there)
        assert (await ann.ask("send", to=TEA, body="re", reply_to=there))["code"] == NOT_FOUND


async def test_a_lag_tells_former_members_where_their_time_ended(connect: Connect, transport: str) -> None:
    """Too far behind for a replay, they are told a head all the same: not that of now."""
    ann, bob = await connect("ann", transport), await connect("bob", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    for _ in range(5):
        for number in range(100):
            await ann.send({"type": "send", "to": TEA, "body": str(number)})
        await ann.ask("ping")
    end = (await ann.ask("group", name="tea", action="remove", users=["bob"]))["seq"]
    await said(ann, "after")
    await bob.facts(TEA, end)
    assert (await bob.ask("resume", room=TEA, seq=0))["head"] == end
    assert (await bob.event("lag"))["head"] == end
    again = await connect("bob", transport, resume={TEA: {"seq": 0}})
    assert (await again.event("lag"))["head"] == end


async def test_a_reader_who_is_removed_while_lagging_is_told_no_later_head(start: Any, nursery: Any) -> None:
    async with start(limits={"outbox_bytes": 65_536}) as node:
        ann, bob = await Peer.open(node, "tcp", nursery), await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        await bob.hello("bob")
        await ann.ask("group", name="tea", action="create", users=["bob"])
        (session,) = [each for each in node.gateway.sessions.values() if each.user == "bob"]
        while not session.positions:  # Bob reads nothing, until facts are left out for him.
            await ann.facts(TEA, await said(ann, "x" * 4000))
        end = (await ann.ask("group", name="tea", action="remove", users=["bob"]))["seq"]
        await said(ann, "after")
        assert (await bob.event("lag"))["head"] == end


async def test_the_cursor_of_a_search_tells_of_no_other_room(connect: Connect) -> None:
    """It comes from the peer, so it may name any room and any time."""
    ann, bob = await connect("ann"), await connect("bob")
    found = {}
    for number in range(3):
        for peer, name in ((bob, f"secret{number}"), (ann, f"own{number}")):
            await peer.ask("group", name=name, action="create")
            found[name] = await peer.ask("send", to=f"group:{name}", body="word")

    async def search(**fields: Any) -> dict[str, Any]:
        reply = await ann.ask("search", q="word", **{"in": "messages"}, **fields)
        return {key: value for key, value in reply.items() if key != "id"}

    with trio.fail_after(25):
        while len((await search())["entries"]) < 3:
            await trio.sleep(0.05)
    first = await search(limit=1)
    assert first["next"] == f"{found['own2']['ts']}.group:own2:2", "an id that ann knows, and no row's number"
    rest = await search(cursor=first["next"])
    assert [entry["room"] for entry in rest["entries"]] == ["group:own1", "group:own0"]
    for own in range(3):
        ts = found[f"own{own}"]["ts"]
        answers = [await search(cursor=f"{ts}.group:{name}:2") for name in ("secret0", "secret1", "secret2", "none")]
        assert all(answer == answers[-1] for answer in answers)


@pytest.mark.parametrize("history", ["all", "since_join"])
async def test_each_fact_of_a_batch_is_told_under_the_setting_it_was_decided_under(
    connect: Connect, history: str
) -> None:
    """Frames that come in one piece are decided in one turn; the setting at its end is not the one at its beginning."""
    ann, mo = await connect("ann"), await connect("mo")
    await ann.ask("group", name="tea", action="create", history=history)
    before = await said(ann, "before")
    added = await ann.ask("group", name="tea", action="add", users=["mo"])
    await mo.facts(TEA, added["seq"])
    edit = {"type": "edit", "room": TEA, "seq": before}
    group = {"type": "group", "name": "tea"}
    other = "all" if history == "since_join" else "since_join"
    frames = [
        {**edit, "body": "salary list"},
        {**group, "action": "set", "history": other},
        {**edit, "body": "salaries"},
        {**group, "action": "remove", "users": ["mo"]},
    ]
    await ann.stream.send_all(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))
    last = added["seq"] + len(frames)
    told = [fact["type"] for fact in await mo.facts(TEA, last)]
    first, second = ("edit", "hidden") if history == "all" else ("hidden", "edit")
    assert told == [first, "group", second, "member"]
    shown = await entries(mo, after=0)
    assert (before in shown) == (history == "since_join"), "as it was at the end"


@pytest.mark.parametrize("transport", ["tcp"])
async def test_what_is_opened_after_their_end_in_the_same_batch_is_not_told(later: tuple[Peer, Peer, int]) -> None:
    ann, mo, before = later
    group = {"type": "group", "name": "tea"}
    frames: list[dict[str, Any]] = [
        {"type": "edit", "room": TEA, "seq": before, "body": "salaries"},
        {**group, "action": "remove", "users": ["mo"]},
        {**group, "action": "set", "history": "all"},
    ]
    assert isinstance(ann, TcpPeer)
    head = (await ann.ask("history", room=TEA))["head"]
    await ann.stream.send_all(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))
    assert [fact["type"] for fact in await mo.facts(TEA, head + 2)][-2:] == ["hidden", "member"]


@pytest.mark.parametrize("action", ["add", "remove"])
async def test_whoever_came_or_went_untold_comes_again(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The store fails, and has recorded it all the same: no delivery says who is in the group now."""
    append = SqliteJournal.append
    failed: list[Any] = []

    def recorded_but_failed(
        self: SqliteJournal, record: Any, facts: Any, side_records: Any, done: OnRecorded, *of_a_cluster: Any
    ) -> None:
        def told(result: AppendResult) -> None:
            if failed:
                done(result)
            else:
                failed.append(result)
                done(StoreError("the disk is slow to answer", unknown=True))

        append(self, record, facts, side_records, told, *of_a_cluster)

    ann, bob, cat = [await connect(user) for user in ("ann", "bob", "cat")]
    present = ["cat"] if action == "add" else ["bob", "cat"]
    head = (await ann.ask("group", name="tea", action="create", users=present))["seq"]
    await cat.facts(TEA, head)
    monkeypatch.setattr(SqliteJournal, "append", recorded_but_failed)
    reply = await ann.ask("group", name="tea", action=action, users=["bob"])
    assert reply["code"] == "unavailable" and reply["unknown"]
    assert (await ann.ask("group", name="tea", action=action, users=["bob"]))["seq"] == head + 1, "it was"
    assert await bob.closed() == 4001
    await ann.ask("typing", room=TEA)
    await said(ann, "next")
    assert (await cat.event("lag"))["head"] == head + 1, "the others go on"
    again = await connect("bob", resume={TEA: {"seq": head}})
    assert [room["room"] for room in again.welcome["rooms"]] == ([TEA] if action == "add" else [])
    facts = await again.facts(TEA, head + (2 if action == "add" else 1))
    assert facts[0]["change"] == ("added" if action == "add" else "removed")
    await again.nothing_more()


async def test_how_far_others_read_of_what_was_before_is_not_told(
    later: tuple[Peer, Peer, int], connect: Connect
) -> None:
    ann, mo, before = later
    other = await connect("ann")
    after = await said(ann, "after")
    await mo.facts(TEA, after)
    for seq in (before, after):
        await other.ask("read", room=TEA, seq=seq)
        assert (await ann.event("read"))["seq"] == seq
    assert (await mo.event("read"))["seq"] == after
