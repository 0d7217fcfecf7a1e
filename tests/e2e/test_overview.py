"""The lists of admins: users, rooms, sessions, suspensions; and the trace that a look at private rooms leaves."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from gochat.node import Node
from tests.e2e.peer import Peer
from tests.e2e.test_moderation import TEA, Connect, refused, signed_in, token
from tests.http.rest.client import Rest

LISTS = {"users": {}, "rooms": {}, "sessions": {}, "suspensions": {}}


@pytest.fixture
async def root(node: Node, nursery: trio.Nursery) -> Peer:
    return await signed_in(node, nursery, token(node, "root", admin=True))


async def actions(root: Peer) -> list[tuple[str, str | None]]:
    """The audit log, oldest first: what was done, and to what."""
    entries = (await root.ask("audit", limit=200))["entries"]
    return [(entry["action"], entry.get("room") or entry.get("subject")) for entry in reversed(entries)]


async def paged(root: Peer, kind: str, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """All entries of a list, read `limit` at a time."""
    found: list[dict[str, Any]] = []
    reply = await root.ask(kind, limit=limit, **asked)
    while True:
        assert reply["type"] == kind
        assert len(reply[kind]) <= limit
        found += reply[kind]
        if "next" not in reply or reply["next"] is None:
            return found
        assert len(reply[kind]) == limit
        reply = await root.ask(kind, limit=limit, cursor=reply["next"], **asked)


@pytest.mark.parametrize("kind", LISTS)
async def test_only_an_admin_sees_them(connect: Connect, kind: str) -> None:
    ann = await connect("ann")
    assert refused(await ann.ask(kind)) == ("forbidden", None)


@pytest.mark.parametrize("kind", ["users", "rooms", "sessions"])
async def test_a_user_id_that_is_none_is_told(root: Peer, kind: str) -> None:
    assert refused(await root.ask(kind, user="Bob!")) == ("bad_request", None)


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("cursor", ["", "\x00", "zzzz", ":", "a:b", "dm;", "9" * 100])
async def test_a_cursor_that_is_none_is_no_fault(root: Peer, kind: str, cursor: str) -> None:
    assert (await root.ask(kind, cursor=cursor))["type"] == kind


async def test_users(node: Node, nursery: trio.Nursery, root: Peer, connect: Connect) -> None:
    for user in ("ann", "bob"):
        await connect(user)
    second = await connect("bob")
    with trio.fail_after(25):  # A first sign-in is stored within a second.
        while [entry["user"] for entry in await paged(root, "users", 1)] != ["ann", "bob", "root"]:
            await trio.sleep(0.05)
    await root.ask("admin", action="suspend", user="ann", seconds=60)
    ann, bob = (await root.ask("users", limit=2))["users"]
    assert (ann["suspended"], ann["until"] > 0, "sessions" in ann) == (True, True, False)
    assert (bob["sessions"], "suspended" in bob) == (2, False)
    await root.ask("admin", action="unsuspend", user="ann")
    (ann,) = (await root.ask("users", user="ann"))["users"]
    assert "suspended" not in ann
    assert (await root.ask("users", user="nobody"))["users"] == []
    assert second.welcome["user"] == "bob"


async def test_rooms(root: Peer, connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for name in ("tea", "milk", "gone"):
        await ann.ask("group", name=name, action="create", title=name.title(), users=["bob"])
    await ann.ask("group", name="gone", action="delete")
    await ann.ask("group", name="milk", action="remove", users=["bob"])
    await ann.ask("send", to=TEA, body="one")
    await bob.ask("send", to="user:ann", body="psst")
    await bob.ask("send", to="user:bob", body="note")
    groups = await paged(root, "rooms", 1)
    assert [(entry["room"], entry["title"], entry["messages"]) for entry in groups] == [
        ("group:milk", "Milk", 0),
        (TEA, "Tea", 1),
    ]
    assert groups[1]["last_message"] == groups[1]["ts"]
    assert [entry["room"] for entry in await paged(root, "rooms", 1, user="bob")] == [TEA]
    before = await actions(root)
    private = await paged(root, "rooms", 1, private=True)
    assert [entry["room"] for entry in private] == ["dm:ann:bob", "dm:bob:bob"]
    assert "psst" not in str(private)
    assert [entry["room"] for entry in await paged(root, "rooms", 9, private=True, user="ann")] == ["dm:ann:bob"]
    assert await actions(root) == [*before, *[("rooms.list", None)] * 2, ("rooms.list", "ann")]
    assert "rooms.list" not in dict(before), "to list groups is no look at private rooms"


async def test_sessions(node: Node, nursery: trio.Nursery, root: Peer) -> None:
    for device in ("desk", "phone"):
        peer = await Peer.open(node, "ws" if device == "desk" else "tcp", nursery)
        await peer.ask("hello", token=token(node, "bob"), device=device)
    bobs = await paged(root, "sessions", 1, user="bob")
    assert [(entry["device"], entry["transport"], entry["node"]) for entry in bobs] == [
        ("desk", "ws", "test"),
        ("phone", "tcp", "test"),
    ]
    assert {entry["address"] for entry in bobs} == {"127.0.0.1"}
    everybody = await paged(root, "sessions", 2)
    assert [entry["user"] for entry in everybody] == ["bob", "bob", "root"]
    assert not any("session" in entry for entry in everybody), "an id of a session may be its secret"


async def test_suspensions(root: Peer) -> None:
    for user in ("eve", "mallory", "zoe"):
        await root.ask("admin", action="suspend", user=user, reason=f"{user} again")
    await root.ask("admin", action="suspend", user="past", seconds=1)
    await root.ask("admin", action="unsuspend", user="zoe")
    found = await paged(root, "suspensions", 1)
    assert [(entry["user"], entry["by"], entry.get("reason")) for entry in found if entry["user"] != "past"] == [
        ("eve", "root", "eve again"),
        ("mallory", "root", "mallory again"),
    ]


async def test_reading_a_private_room_of_others_leaves_a_trace_and_nothing_else_does(
    node: Node, root: Peer, connect: Connect
) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask("send", to="user:bob", body="psst")
    await ann.ask("group", name="tea", action="create")
    await ann.ask("send", to="user:ann", body="note")
    for reader in (ann, bob, root):
        assert (await reader.ask("history", room="dm:ann:bob"))["entries"][0]["body"] == "psst"
    rest = Rest(node, token(node, "root", admin=True))
    assert (await rest.get("/v1/messages/dm:ann:bob:1")).json["body"] == "psst"
    assert (await rest.get("/v1/messages", room="dm:ann:ann")).status == 200
    await rest.aclose()
    await root.ask("history", room=TEA)
    await root.ask("send", to="user:root", body="own")
    await root.ask("history", room="dm:root:root")
    strange = Rest(node, token(node, "eve"))
    assert (await strange.get("/v1/messages/dm:ann:bob:1")).refusal == (404, "not_found")
    await strange.aclose()
    assert await actions(root) == [("room.read", "dm:ann:bob")] * 2 + [("room.read", "dm:ann:ann")]


async def test_moderation_by_rest(node: Node, root: Peer, connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask("group", name="tea", action="create", users=["bob"])
    said = await bob.ask("send", to=TEA, body="spam")
    owner, member, admin = (
        Rest(node, text) for text in (token(node, "ann"), token(node, "bob"), token(node, "root", admin=True))
    )
    assert (await owner.post(f"/v1/messages/{TEA}:{said['seq']}/reports", {"reason": "spam"})).status == 204
    (report,) = (await owner.get("/v1/reports", room=TEA)).json["reports"]
    assert (report["from"], report["by"], report["body"]) == ("bob", "ann", "spam")
    assert (await member.get("/v1/reports", room=TEA)).refusal == (403, "forbidden")
    assert (await owner.get("/v1/reports")).refusal == (403, "forbidden")
    assert (await member.delete(f"/v1/reports/{report['report']}")).refusal == (404, "not_found")
    for wrong in ("0", "x", "-1", "9" * 30, "1.5"):
        assert (await owner.delete(f"/v1/reports/{wrong}")).refusal == (400, "bad_request")
    assert (await owner.delete(f"/v1/reports/{report['report']}")).status == 204
    assert (await owner.get("/v1/reports", room=TEA)).json == {"reports": []}

    assert (await owner("PUT", "/v1/groups/tea/mutes/bob", {"seconds": 60})).status == 204
    assert refused(await bob.ask("send", to=TEA, body="more")) == ("forbidden", "group.muted")
    assert (await owner.delete("/v1/groups/tea/mutes/bob")).status == 204
    assert (await bob.ask("send", to=TEA, body="more"))["type"] == "ack"
    assert (await owner("PUT", "/v1/groups/tea/bans/bob")).status == 204
    assert refused(await ann.ask("group", name="tea", action="add", users=["bob"])) == ("forbidden", "group.banned")
    assert (await owner.delete("/v1/groups/tea/bans/bob")).status == 204

    assert (await admin("PUT", "/v1/admin/suspensions/bob", {"reason": "spam"})).status == 204
    assert await bob.closed() == 4503
    assert (await admin.get("/v1/admin/suspensions")).json["suspensions"][0]["reason"] == "spam"
    assert (await member.get("/v1/me")).refusal == (401, "unauthorized")
    assert (await admin.delete("/v1/admin/suspensions/bob")).status == 204
    assert (await member.get("/v1/me")).status == 200
    assert (await admin.post("/v1/admin/revocations", {"user": "bob"})).status == 204
    assert (await member.get("/v1/me")).refusal == (401, "unauthorized")
    assert (await admin.post("/v1/admin/revocations", {})).refusal == (400, "bad_request")
    for rest in (owner, member, admin):
        await rest.aclose()
