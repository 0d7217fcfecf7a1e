"""How a node tells its operators of itself: checks, metrics, supervisors, slow sessions, mailboxes."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio

from gochat.actors import mailbox_watch
from gochat.node import Node
from gochat.store.read import overview
from tests.e2e.peer import WAIT_S, Peer, address
from tests.e2e.test_moderation import TEA, Connect, signed_in, token
from tests.e2e.test_overview import actions, paged
from tests.http.rest.client import Rest

PRIVATE = "dm:ann:bob"
SECRET = "nobody else's business"


@pytest.fixture
async def root(node: Node, nursery: trio.Nursery) -> Peer:
    return await signed_in(node, nursery, token(node, "root", admin=True))


async def test_the_overview(root: Peer, connect: Connect, node: Node) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await ann.ask("send", to=TEA, body=SECRET)
    await ann.ask("group", name="tea", action="mute", user="bob")
    await bob.ask("send", to=TEA, body="muted")
    told = await root.ask("overview")
    assert (told["node"], told["ready"]) == ("test", True)
    assert told["server"].startswith("gochat/")
    assert [check["check"] for check in told["checks"]] == ["accepting", "store"]
    metrics = told["metrics"]
    assert metrics["gochat_users_online"] == {"": 3}
    assert metrics["gochat_messages_recorded_total"] == {"": 1}
    assert metrics["gochat_refusals_total"] == {"group.muted": 1}
    assert sum(metrics["gochat_sessions"].values()) == 3
    assert metrics["gochat_commit_seconds_count"][""] > 0
    services, actors = told["supervisors"]
    assert {"wheel", "poller", "sweep"} <= {child["name"] for child in services["children"]}
    assert (services["name"], actors["name"], services["crashes"]) == ("node", "actors", 0)
    assert SECRET not in str(told)


async def test_refusals_by_rest_are_counted_by_their_rule(root: Peer, connect: Connect, node: Node) -> None:
    ann = await connect("ann")
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await ann.ask("group", name="tea", action="mute", user="bob")
    rest = Rest(node, token(node, "bob"))
    assert (await rest.post("/v1/messages", {"to": TEA, "body": "muted"})).json["rule"] == "group.muted"
    assert (await root.ask("overview"))["metrics"]["gochat_refusals_total"] == {"group.muted": 1}
    await rest.aclose()


async def test_rest_tells_the_same(root: Peer, node: Node) -> None:
    rest = Rest(node, token(node, "root", admin=True))
    told, frame = (await rest.get("/v1/admin/overview")).json, await root.ask("overview")
    assert told.keys() == frame.keys() - {"type", "id"}
    assert told["metrics"].keys() == frame["metrics"].keys()
    assert (await rest.get("/v1/admin/mailboxes")).json == {"mailboxes": [], "waiting": 0}
    assert (await rest.get("/v1/admin/sessions?slow=true")).json == {"sessions": []}
    await rest.aclose()


async def test_mailboxes_in_which_mail_waits(
    root: Peer, connect: Connect, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_watch, "LOOK_S", 0.0)
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask("group", name="tea", action="create", users=["bob"])
    await ann.ask("send", to="user:bob", body=SECRET)
    assert (await root.ask("mailboxes"))["mailboxes"] == []
    for room in (TEA, PRIVATE):
        actor = node.gateway.rooms.get(room)
        assert actor is not None
        actor.held = True
    for number in range(3):
        await ann.send({"type": "send", "to": TEA, "body": str(number)})
    await bob.send({"type": "send", "to": PRIVATE, "body": SECRET})
    await ann.ask("ping")
    await bob.ask("ping")
    pages = await paged(root, "mailboxes", 1)
    assert [(entry["kind"], entry.get("id"), entry["waiting"]) for entry in pages] == [
        ("group", TEA, 3),
        ("private", None, 1),
    ]
    assert pages[0]["phase"] == "idle"
    group = (await root.ask("mailboxes"))["mailboxes"][0]
    assert pages[0]["age_ms"] <= group["age_ms"] <= group["turn_ms"]
    before = await actions(root)
    assert "mailboxes.list" not in dict(before)
    named = await root.ask("mailboxes", private=True)
    assert named["mailboxes"][1]["id"] == PRIVATE
    assert named["waiting"] == 4
    assert await actions(root) == [*before, ("mailboxes.list", None)]
    assert SECRET not in str(named)
    for room in (TEA, PRIVATE):
        actor = node.gateway.rooms.get(room)
        assert actor is not None
        actor.release()


async def test_sessions_that_do_not_take_what_is_sent(root: Peer, connect: Connect, node: Node) -> None:
    ann = await connect("ann")
    await ann.ask("group", name="tea", action="create", users=["slow"])
    with trio.socket.socket() as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sleeper.connect(address(node, "tcp"))
        await sleeper.send(b'{"type":"hello","id":1,"token":"%s"}\n' % token(node, "slow").encode())
        assert b"welcome" in await sleeper.recv(65536)
        found: list[Any] = []
        with trio.fail_after(WAIT_S):
            while not found:
                await ann.ask("send", to=TEA, body="x" * 3900)
                ann.events.clear()
                found = (await root.ask("sessions", slow=True))["sessions"]
        assert [(entry["user"], entry["waiting"] > 0) for entry in found] == [("slow", True)]
        assert (await root.ask("sessions", slow=True, user="ann"))["sessions"] == []
        everybody = (await root.ask("sessions"))["sessions"]
        assert [entry["user"] for entry in everybody] == ["ann", "root", "slow"]


async def test_lists_of_ids_that_begin_so(root: Peer, connect: Connect) -> None:
    for user in ("an", "ann", "anton", "bob"):
        await connect(user)
    ann, bob = await connect("ann"), await connect("bob")
    for name in ("tea", "team", "milk", "te"):
        await ann.ask("group", name=name, action="create")
    await ann.ask("send", to="user:bob", body="psst")
    await bob.ask("send", to="user:bob", body="note")
    with trio.fail_after(WAIT_S):  # A first sign-in is stored within a second.
        while len(await paged(root, "users", 9)) < 5:
            await trio.sleep(0.05)
    for prefix, users in (("an", ["an", "ann", "anton"]), ("ann", ["ann"]), ("b", ["bob"]), ("c", []), ("~", None)):
        if users is None:
            assert (await root.ask("users", prefix=prefix))["code"] == "bad_request"
            assert (await root.ask("rooms", prefix=prefix))["code"] == "bad_request"
            continue
        for limit in (1, 2, 50):
            assert [entry["user"] for entry in await _pages(root, "users", limit, prefix=prefix)] == users
    rooms = [entry["room"] for entry in await _pages(root, "rooms", 2, prefix="te")]
    assert rooms == ["group:te", TEA, "group:team"]
    private = [entry["room"] for entry in await _pages(root, "rooms", 2, prefix="ann:", private=True)]
    assert private == [PRIVATE]


async def test_groups_are_found_by_words_of_title_and_id(root: Peer, connect: Connect, node: Node) -> None:
    ann = await connect("ann")
    for name, title in (("tea", "Grüner Tee"), ("t2", "Tea in Green"), ("green-room", ""), ("gone", "Green, too")):
        await ann.ask("group", name=name, action="create", title=title)
    await ann.ask("group", name="gone", action="delete")
    await connect("bob")
    await ann.ask("group", name="t2", action="add", users=["bob"])
    for q, rooms in (
        ("GREEN", ["green-room", "t2"]),
        ("gre tea", ["t2"]),
        ("gruner", ["tea"]),
        ("tee te", ["tea"]),
        ("reen", []),
    ):
        for limit in (1, 50):
            found = [entry["room"].removeprefix("group:") for entry in await _pages(root, "rooms", limit, q=q)]
            assert found == rooms, q
    assert [entry["room"] for entry in await _pages(root, "rooms", 9, q="gre", user="bob")] == ["group:t2"]
    for refused in ({"q": "?!"}, {"q": "tea", "private": True}, {"q": "tea", "prefix": "t"}):
        assert (await root.ask("rooms", **refused))["code"] == "bad_request"
    rest = Rest(node, token(node, "root", admin=True))
    assert [entry["room"] for entry in (await rest.get("/v1/admin/rooms", q="tee")).json["rooms"]] == [TEA]
    await rest.aclose()


async def test_a_page_of_found_groups_looks_at_so_many(
    root: Peer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LOOKED_AT", 2)
    ann = await connect("ann")
    for number in range(5):
        await ann.ask("group", name=f"g{number}", action="create", title="Last" if number == 4 else "First")
    first = await root.ask("rooms", q="last")
    assert (first["rooms"], first["next"]) == ([], "group:g1")
    assert [entry["room"] for entry in await _pages(root, "rooms", 9, q="last")] == ["group:g4"]
    assert len(await _pages(root, "rooms", 9, q="first")) == 4


async def _pages(root: Peer, kind: str, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """All entries; a page may be short where the prefix ends."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        reply = await root.ask(kind, limit=limit, **asked, **cursor)
        found += reply[kind]
        if reply.get("next") is None:
            return found
        cursor = {"cursor": reply["next"]}


async def test_sanctions_of_a_group_are_listed_for_its_moderators(root: Peer, connect: Connect, node: Node) -> None:
    ann, mod, bob = [await connect(user) for user in ("ann", "mod", "bob")]
    await ann.ask("group", name="tea", action="create", users=["mod", "bob", "eve", "zoe"])
    await ann.ask("group", name="tea", action="role", user="mod", role="moderator")
    assert (await mod.ask("sanctions", name="tea"))["sanctions"] == []
    for action, user, seconds in (("ban", "eve", 60), ("mute", "zoe", None), ("mute", "eve", 60)):
        await ann.ask("group", name="tea", action=action, user=user, seconds=seconds)
    found = await _pages(mod, "sanctions", 1, name="tea")
    assert [(each["user"], each["kind"], "until" in each) for each in found] == [
        ("eve", "ban", True),
        ("zoe", "mute", False),
    ]
    assert await _pages(root, "sanctions", 50, name="tea") == found
    await mod.ask("group", name="tea", action="unban", user="eve")
    rest = Rest(node, token(node, "ann"))
    told = (await rest.get("/v1/groups/tea/sanctions")).json
    assert [(each["user"], each["kind"]) for each in told["sanctions"]] == [("zoe", "mute")]
    assert (await rest.get("/v1/groups/none/sanctions")).refusal == (404, "not_found")
    await rest.aclose()
    assert (await root.ask("sanctions", name="none"))["code"] == "not_found"
    assert (await bob.ask("sanctions", name="tea"))["code"] == "forbidden"
