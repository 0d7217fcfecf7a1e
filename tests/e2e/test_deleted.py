"""A user who was deleted: the id is nobody's until it is released, and then it begins anew."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.node import Node
from gochat.store import folder
from gochat.store.portable.delete_user import delete_user, release_user
from gochat.store.portable.user_out import export_user
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest
from tests.tokens import issue

ROOM, TEA = "dm:ann:bob", "group:tea"
POLICY = {"strangers": "request", "request_budget": 100}


@asynccontextmanager
async def town(
    start: Start, nursery: trio.Nursery, *users: str, policy: dict[str, Any] = POLICY, **hello: Any
) -> AsyncIterator[tuple[Node, list[Peer]]]:
    async with start(policy=policy) as node:
        peers = [await Peer.open(node, "tcp", nursery) for _ in users]
        for peer, user in zip(peers, users, strict=True):
            await peer.hello(user, **hello)
        yield node, peers


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def gone(start: Start, nursery: trio.Nursery, tmp_path: Path) -> Path:
    """Ann was in a group and in a private room with bob, and was deleted."""
    async with town(start, nursery, "ann", "bob") as (_, (ann, bob)):
        for peer, user in ((ann, "bob"), (bob, "ann")):
            await peer.ask("contact", user=user, action="add")
        await ann.ask("send", to="user:bob", body="mine")
        await bob.ask("send", to="user:ann", body="bob's secret")
        await bob.ask("group", name="tea", action="create", users=["ann"])
        await bob.ask("send", to=TEA, body="tea secret")
        await ann.ask("report", room=ROOM, seq=2)
    database = folder.database(tmp_path / "data")
    # Two seconds ago: a token's `iat` has whole seconds, and those of the deletion's second are revoked.
    await trio.to_thread.run_sync(lambda: delete_user(database, "ann", now_ms=now_ms() - 2_000))
    return database


@pytest.mark.parametrize("transport", ["tcp", "ws"])
async def test_nobody_has_the_id(gone: Path, start: Start, nursery: trio.Nursery, transport: str) -> None:
    async with town(start, nursery, "bob") as (node, (bob,)):
        ann = await Peer.open(node, transport, nursery)
        reply = await ann.ask("hello", token=issue(node, "ann"))
        assert (reply["code"], reply["message"]) == ("unauthorized", "account deleted")
        assert await ann.closed() == 4500
        rest = Rest(node, issue(node, "ann"))
        answer = await rest.get("/v1/me")
        assert answer.refusal == (401, "unauthorized") and answer.json["detail"] == "account deleted"
        refused = [
            await bob.ask("send", to="user:ann", body="are you there?"),
            await bob.ask("edit", room=ROOM, seq=2, body="never mind"),
            await bob.ask("react", room=ROOM, seq=2, emoji="👍", on=True),
            await bob.ask("contact", user="ann", action="add"),
            await bob.ask("contact", user="ann", action="accept"),
            await bob.ask("group", name="tea", action="add", users=["cat", "ann"]),
            await bob.ask("group", name="milk", action="create", users=["ann"]),
        ]
        assert [reply.get("code") for reply in refused] == ["not_found"] * len(refused)
        cat = await Peer.open(node, transport, nursery)
        await cat.hello("cat")
        assert (await cat.ask("send", to="user:ann", body="a first word"))["code"] == "not_found"
        root = Rest(node, issue(node, "root", ["admin"]))
        assert (await root("PUT", "/v1/groups/tea/users/ann")).refusal == (404, "not_found")
        assert (await bob.ask("contact", user="ann", action="block"))["type"] == "ok", "that is bob's own affair"
        assert (await bob.ask("contact", user="ann", action="unblock"))["type"] == "ok"
        bodies = [entry.get("body") for entry in (await bob.ask("history", room=ROOM))["entries"]]
        assert "bob's secret" in bodies, "his own half"
        assert (await bob.ask("delete", room=ROOM, seq=2))["type"] == "ack"
        for each in (rest, root):
            await each.aclose()


async def test_whoever_has_the_id_next_begins_anew(gone: Path, start: Start, nursery: trio.Nursery) -> None:
    await trio.to_thread.run_sync(lambda: release_user(gone, "ann", now_ms=now_ms()))
    async with town(start, nursery, "ann", "bob", resume={ROOM: {"seq": 0}, TEA: {"seq": 0}}) as (node, (ann, bob)):
        told = {name: ann.welcome[name] for name in ("contacts", "rooms", "requests")}
        assert told == {"contacts": [], "rooms": [], "requests": []}
        await ann.nothing_more()
        head = (await ann.ask("history", room=ROOM))["head"]
        assert (await ann.ask("history", room=ROOM, after=0))["entries"] == []
        assert (await ann.ask("history", room=TEA))["code"] == "not_found"
        assert (await ann.ask("contacts"))["contacts"] == []
        for seq in (1, 2):
            for kind, fields in (("react", {"emoji": "👍", "on": True}), ("edit", {"body": "x"}), ("report", {})):
                assert (await ann.ask(kind, room=ROOM, seq=seq, **fields))["code"] == "not_found"
            assert (await ann.ask("send", to="user:bob", body="x", reply_to=seq))["code"] == "not_found"
        assert (await ann.ask("search", q="secret", **{"in": "messages"}))["entries"] == []
        assert not (await ann.ask("watch", users=["bob"]))["users"][0]["online"]
        rest = Rest(node, issue(node, "ann"))
        assert (await rest.get(f"/v1/messages/{ROOM}:2")).refusal == (404, "not_found")
        await rest.aclose()
        bob.events.clear()
        assert (await ann.ask("send", to="user:bob", body="hello, I am new"))["seq"] == head + 1
        assert (await bob.event("request"))["last"]["seq"] == head + 1, "in nobody's contacts"
        await bob.ask("contact", user="ann", action="accept")
        await bob.ask("react", room=ROOM, seq=2, emoji="👍", on=True)
        last = (await bob.ask("send", to="user:ann", body="welcome", reply_to=2))["seq"]
        facts = await ann.facts(ROOM, last)
        assert [fact["type"] for fact in facts] == ["message", "hidden", "message"] and "reply_to" not in facts[-1]
        assert (await bob.facts(ROOM, last))[-1]["reply_to"] == 2
        page = await ann.ask("history", room=ROOM, after=0)
        assert [entry["seq"] for entry in page["entries"]] == [head + 1, head + 2, head + 3]
        (contact,) = (await Peer.open(node, "tcp", nursery),)
        assert [each["unread"] for each in (await contact.hello("ann"))["contacts"]] == [1]


async def test_whoever_has_the_id_next_does_not_learn_whom_the_other_knew(
    gone: Path, start: Start, nursery: trio.Nursery, tmp_path: Path
) -> None:
    await trio.to_thread.run_sync(lambda: release_user(gone, "ann", now_ms=now_ms()))
    async with start(policy={"strangers": "allow"}) as node:
        ann, bob = [await Peer.open(node, "tcp", nursery) for _ in range(2)]
        await ann.hello("ann")
        await bob.hello("bob")
        assert (await ann.ask("contacts", rooms=True))["contacts"] == []
        assert [each["user"] for each in (await bob.ask("contacts", rooms=True))["contacts"]] == ["ann"], "his half"
        await bob.ask("read", room=ROOM, seq=2)
        await bob.ask("delete", room=ROOM, seq=2)
        assert (await ann.event())["type"] == "hidden", "the seq is taken; how far he read is not told"
        for one, other in ((ann, "bob"), (bob, "ann")):
            assert not (await one.ask("watch", users=[other]))["users"][0]["online"], "nothing was between them"
        assert (await ann.ask("contacts", rooms=True))["contacts"] == []
    target = tmp_path / "ann.sqlite"
    await trio.to_thread.run_sync(lambda: export_user(gone, "ann", target, now_ms=now_ms()))
    with closing(sqlite3.connect(target)) as file:
        for table in ("room", "message", "reaction", "report", "relation"):
            assert file.execute(f"SELECT * FROM {table}").fetchall() == [], table


async def test_the_next_user_of_the_id_has_read_nothing_of_the_first_ones(
    start: Start, nursery: trio.Nursery, gone: Path
) -> None:
    await trio.to_thread.run_sync(lambda: release_user(gone, "ann", now_ms=now_ms()))
    async with town(start, nursery, "bob", "ann", policy={"strangers": "allow"}) as (_, (bob, ann)):
        assert bob.welcome["contacts"][0].get("reads", {}) == {}
        assert "reads" not in await bob.ask("history", room=ROOM)
        said = (await ann.ask("send", to="user:bob", body="hello"))["seq"]
        assert (await bob.ask("history", room=ROOM))["reads"] == {"ann": said}
