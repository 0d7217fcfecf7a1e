"""One script, every transport: what a client asks and what it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.e2e.peer import Peer

Connect = Callable[..., Any]


def told(facts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(fact["seq"], fact["type"], fact.get("body")) for fact in facts]


async def test_two_users_chat(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    ack = await ann.ask("send", to="user:bob", body="  hi 😀 ", key="k1")
    assert (ack["type"], ack["room"], ack["seq"]) == ("ack", "dm:ann:bob", 1)
    for peer in (ann, bob):
        fact = await peer.event("message")
        assert (fact["seq"], fact["from"], fact["body"], fact["key"]) == (1, "ann", "hi 😀", "k1")
        assert fact["ts"] == ack["ts"]
    assert (await bob.ask("send", to="dm:ann:bob", body="ho"))["seq"] == 2
    assert (await ann.event("message"))["body"] == "ho"


async def test_the_ack_comes_before_the_fact(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    for number in range(5):
        await ann.send({"type": "send", "id": number, "to": "user:ann", "body": "note"})
    kinds = []
    with trio.fail_after(25):
        while len(kinds) < 10:
            frame = await ann.receive()
            kinds.append((frame["type"], frame["seq"]))
    for seq in range(1, 6):
        assert kinds.index(("ack", seq)) < kinds.index(("message", seq))


async def test_a_group_from_creation_to_deletion(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    made = await ann.ask("group", name="tea", action="create", title="Tea", users=["bob"])
    assert (made["type"], made["room"], made["seq"]) == ("ok", "group:tea", 2)
    assert [fact["seq"] for fact in await ann.facts("group:tea", 2)] == [1, 2]
    first = await bob.event("member")
    assert (first["seq"], first["users"], first["change"]) == (2, ["bob"], "added"), "the very fact that names him"
    await ann.ask("send", to="group:tea", body="one")
    assert told(await bob.facts("group:tea", 3)) == [(3, "message", "one")]
    edited = await ann.ask("edit", room="group:tea", seq=3, body="two")
    reacted = await bob.ask("react", room="group:tea", seq=3, emoji="👍", on=True)
    assert (edited["seq"], reacted["seq"]) == (4, 5)
    page = await bob.ask("history", room="group:tea")
    assert told(page["entries"]) == [
        (1, "member", None),
        (2, "member", None),
        (3, "message", "two"),
        (4, "edit", None),
        (5, "reaction", None),
    ]
    message = page["entries"][2]
    assert message["edited"] == edited["ts"] and message["reactions"] == {"👍": 1}
    assert (page["head"], page["complete"]) == (5, True)
    members = await bob.ask("members", room="group:tea")
    assert [(m["user"], m["role"]) for m in members["members"]] == [("ann", "owner"), ("bob", "member")]
    assert [g["room"] for g in (await bob.ask("groups"))["groups"]] == ["group:tea"]
    assert (await bob.ask("group", name="tea", action="delete"))["code"] == "forbidden"
    assert (await ann.ask("group", name="tea", action="delete"))["seq"] == 6
    assert (await bob.event("closed"))["seq"] == 6
    assert (await bob.ask("send", to="group:tea", body="x"))["code"] == "not_found"
    assert (await bob.ask("history", room="group:tea"))["code"] == "not_found"


async def test_who_is_removed_hears_that_and_nothing_more(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await ann.ask("group", name="tea", action="remove", users=["bob"])
    await ann.ask("send", to="group:tea", body="secret")
    assert [fact["change"] for fact in await bob.facts("group:tea", 3)] == ["added", "removed"]
    await bob.nothing_more()
    for kind, fields in (
        ("send", {"to": "group:tea", "body": "x"}),
        ("members", {"room": "group:tea"}),
        ("typing", {"room": "group:tea"}),
        ("search", {"q": "secret", "in": "messages", "room": "group:tea"}),
    ):
        assert (await bob.ask(kind, **fields))["code"] == "not_member", kind
    page = await bob.ask("history", room="group:tea")
    assert (page["head"], [fact["seq"] for fact in page["entries"]]) == (3, [1, 2, 3]), "up to the end of bob's time"
    zoe: Peer = await connect("zoe", transport)
    assert (await zoe.ask("history", room="group:tea"))["code"] == "not_found"
    await ann.ask("group", name="tea", action="add", users=["bob"])
    assert (await bob.event("member"))["seq"] == 5
    await ann.ask("send", to="group:tea", body="welcome back")
    assert (await bob.event("message"))["seq"] == 6


async def test_history_may_end_with_membership(start: Any, transport: str, nursery: trio.Nursery) -> None:
    async with start(history={"after_leaving": False}) as node:
        ann, bob = await Peer.open(node, transport, nursery), await Peer.open(node, transport, nursery)
        await ann.hello("ann")
        await bob.hello("bob")
        await ann.ask("group", name="tea", action="create", users=["bob"])
        await ann.ask("group", name="tea", action="remove", users=["bob"])
        assert (await bob.ask("history", room="group:tea"))["code"] == "not_member"


async def test_a_key_is_one_message(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    first = await ann.ask("send", to="user:bob", body="hi", key="k")
    again = await ann.ask("send", to="user:bob", body="other", key="k")
    assert "duplicate" not in first
    assert (again["seq"], again["ts"], again["duplicate"]) == (first["seq"], first["ts"], True)
    page = await ann.ask("history", room="dm:ann:bob")
    assert told(page["entries"]) == [(1, "message", "hi")]


async def test_deleting(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    await ann.ask("send", to="user:bob", body="oops")
    deleted = await ann.ask("delete", room="dm:ann:bob", seq=1)
    again = await ann.ask("delete", room="dm:ann:bob", seq=1)
    assert (again["seq"], again["duplicate"]) == (deleted["seq"], True)
    page = await ann.ask("history", room="dm:ann:bob")
    assert "body" not in page["entries"][0] and page["entries"][0]["deleted"] == deleted["ts"]
    assert (await ann.ask("edit", room="dm:ann:bob", seq=1, body="x"))["code"] == "not_found"


async def test_a_pong_has_no_reply_though_it_has_an_id(connect: Connect, transport: str) -> None:
    """As the protocol says under Frames: the next reply is that of the next request."""
    ann: Peer = await connect("ann", transport)
    await ann.send({"type": "pong", "id": 1})
    await ann.send({"type": "ping", "id": 2})
    assert await ann.event("ok", "pong") == {"type": "pong", "id": 2}


async def test_reading_and_typing(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await ann.ask("send", to="user:bob", body="hi")
    await bob.send({"type": "typing", "room": "dm:ann:bob"})
    assert (await bob.ask("typing", room="dm:ann:bob"))["type"] == "ok"
    assert (await bob.ask("read", room="dm:ann:bob", seq=99))["type"] == "ok"
    assert await ann.event("read", "typing") == {"type": "typing", "room": "dm:ann:bob", "from": "bob"}
    read = {"type": "read", "room": "dm:ann:bob", "from": "bob", "seq": 1}
    assert await ann.event("read", "typing") == read, "typing was told a moment ago; read is capped at the head"
    assert await bob.event("read", "typing") == read
    again: Peer = await connect("bob", transport)
    contact = again.welcome["contacts"][0]
    assert (contact["read"], contact["unread"], contact["head"]) == (1, 0, 1)


async def test_the_welcome_shows_what_there_is(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    assert ann.welcome["contacts"] == [] and ann.welcome["rooms"] == [] and ann.welcome["requests"] == []
    assert ann.welcome["limits"]["body_chars"] == 4000
    for number in range(17):
        await ann.ask("send", to=f"user:u{number:02}", body=f"hi {number}")
    await ann.ask("group", name="tea", action="create", title="Tea", users=["bob"])
    await ann.ask("send", to="group:tea", body="x" * 300)
    bob: Peer = await connect("bob", transport)
    assert [(r["room"], r["title"], r["role"], r["unread"]) for r in bob.welcome["rooms"]] == [
        ("group:tea", "Tea", "member", 1)
    ]
    assert bob.welcome["rooms"][0]["last"]["body"] == "x" * 200
    again: Peer = await connect("ann", transport)
    assert [contact["user"] for contact in again.welcome["contacts"]] == [f"u{n:02}" for n in range(16, 1, -1)]
    assert again.welcome["contacts"][0]["unread"] == 0
    assert not again.welcome["contacts"][0]["online"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"type": "fly"}, "bad_request"),
        ({"type": "send", "to": "bob", "body": "x"}, "bad_request"),
        ({"type": "send", "to": "dm:bob:ann", "body": "x"}, "bad_request"),
        ({"type": "send", "to": "dm:bob:cat", "body": "x"}, "not_found"),
        ({"type": "history", "room": "dm:bob:cat"}, "not_found"),
        ({"type": "send", "to": "group:none", "body": "x"}, "not_found"),
        ({"type": "send", "to": "user:bob", "body": "   "}, "bad_request"),
        ({"type": "send", "to": "user:bob", "body": "a\0b"}, "bad_request"),
        ({"type": "send", "to": "user:bob", "body": "x" * 4001}, "too_large"),
        ({"type": "send", "to": "user:bob", "body": "x", "key": ""}, "bad_request"),
        ({"type": "send", "to": "user:bob", "body": "x", "reply_to": 5}, "not_found"),
        ({"type": "edit", "room": "dm:ann:bob", "seq": 1, "body": "x"}, "not_found"),
        ({"type": "history", "room": "dm:ann:bob", "before": 1, "after": 1}, "bad_request"),
        ({"type": "group", "name": "Tea", "action": "create"}, "bad_request"),
        ({"type": "group", "name": "tea", "action": "add"}, "bad_request"),
        ({"type": "group", "name": "tea", "action": "leave", "title": "x"}, "bad_request"),
        ({"type": "group", "name": "tea", "action": "leave"}, "not_found"),
        ({"type": "hello"}, "conflict"),
        ({"type": "resume", "room": "group:none", "seq": 0}, "not_found"),
        ({"type": "refresh", "token": "x"}, "unauthorized"),
    ],
)
async def test_refusals(connect: Connect, transport: str, request_: dict[str, Any], code: str) -> None:
    ann: Peer = await connect("ann", transport)
    fields = {name: value for name, value in request_.items() if name != "type"}
    error = await ann.ask(request_["type"], **fields)
    assert (error["type"], error.get("code")) == ("error", code)
    assert (await ann.ask("ping"))["type"] == "pong", "the session stays"


async def test_an_empty_dm_is_there(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    page = await ann.ask("history", room="dm:ann:bob")
    assert (page["entries"], page["head"], page["complete"]) == ([], 0, True)


async def test_watching(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    await ann.ask("send", to="user:bob", body="hi")
    reply = await ann.ask("watch", users=["bob", "zoe"])
    assert reply["users"] == [{"user": "bob", "online": False}, {"user": "zoe", "online": False}]
    bob: Peer = await connect("bob", transport)
    await connect("zoe", transport)
    assert (await ann.event("presence"))["users"] == [{"user": "bob", "online": True}]
    await bob.aclose()
    gone = (await ann.event("presence"))["users"][0]
    assert (gone["user"], gone["online"]) == ("bob", False) and gone["last_seen"] > 0
    assert (await ann.ask("watch", users=["bob"]))["users"] == [gone]


async def test_searching(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    await ann.ask("send", to="user:bob", body="the quick brown fox")
    await ann.ask("send", to="user:cat", body="東京都は大きい")
    found: list[Any] = []
    with trio.fail_after(25):
        while len(found) < 2:
            found = [
                entry["room"]
                for q in ("quick fox", "京都")
                for entry in (await ann.ask("search", q=q, **{"in": "messages"}))["entries"]
            ]
    assert found == ["dm:ann:bob", "dm:ann:cat"]
    zoe: Peer = await connect("zoe", transport)
    assert (await zoe.ask("search", q="quick", **{"in": "messages"}))["entries"] == []
    users: list[Any] = []
    with trio.fail_after(25):
        while not users:
            users = (await zoe.ask("search", q="an", **{"in": "users"}))["users"]
    assert users == [{"user": "ann", "name": "ann"}]


async def test_mentions_and_how_far_the_others_are(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await ann.ask("send", to="group:tea", body="@bob look, @zoe")
    for peer in (ann, bob):
        assert (await peer.event("message"))["mentions"] == ["bob"]
    await ann.ask("edit", room="group:tea", seq=3, body="@bob and @Bob.")
    assert (await bob.event("edit"))["mentions"] == ["bob"]
    again: Peer = await connect("bob", transport)
    (entry,) = again.welcome["rooms"]
    assert (entry["unread"], entry["mentions"], entry["reads"]) == (1, 1, {"ann": 3})
    assert (await bob.ask("got", room="group:tea", seq=99))["type"] == "ok"
    assert await ann.event("got") == {"type": "got", "room": "group:tea", "got": {"bob": 4}}
    await bob.ask("read", room="group:tea", seq=3)
    await ann.event("read")
    other: Peer = await connect("ann", transport)
    (entry,) = other.welcome["rooms"]
    assert (entry["reads"], entry["got"]) == ({"bob": 3}, {"bob": 4})
    page = await other.ask("history", room="group:tea", limit=1)
    assert (page["reads"], page["got"]) == ({"bob": 3}, {"bob": 4})
