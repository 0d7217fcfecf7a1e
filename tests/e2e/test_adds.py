"""The bounds of adding others to groups: a budget for those who do not know the user, and nobody is added again to a
group that they left; over every transport and REST."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gochat.auth.claims import DEFAULT_SCOPES
from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest, issue

Connect = Callable[..., Any]
BUDGET = 5
POLICY = {"strangers": "request", "add_budget": BUDGET}
SPENT = ("rate_limited", "group.add_budget")


@pytest.fixture
async def node(start: Start) -> AsyncIterator[Node]:
    async with start(policy=POLICY) as running_node:
        yield running_node


async def group(peer: Peer, name: str, action: str, *users: str, **fields: Any) -> Any:
    reply = await peer.ask("group", name=name, action=action, **({"users": users} if users else {}), **fields)
    return "ok" if reply["type"] == "ok" else (reply["code"], reply.get("rule"))


async def test_strangers_count_in_all_groups_together_and_contacts_do_not(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    fred: Peer = await connect("fred", transport)
    assert (await fred.ask("contact", user="ann", action="add"))["state"] == "contact"
    assert await group(ann, "tea", "create", "b1", "b2", "fred") == "ok"
    assert await group(ann, "jam", "create") == "ok"
    assert await group(ann, "jam", "add", "b1", "b1", "fred") == "ok", "twice in one request is once"
    assert await group(ann, "jam", "add", "b2", "b3", "b4") == SPENT
    reply = await ann.ask("group", name="cake", action="create", users=["b5", "b6", "b7"])
    assert (reply["code"], reply["rule"]) == SPENT and 0 < reply["retry_after_ms"] <= 86_400_000
    assert (await ann.ask("members", room="group:cake"))["code"] == "not_found", "all of it, or nothing"
    members = (await ann.ask("members", room="group:jam"))["members"]
    assert [member["user"] for member in members] == ["ann", "b1", "fred"]
    assert await group(ann, "jam", "add", "b2", "b3") == "ok", "what was refused counted for nothing"
    assert await group(ann, "jam", "add", "b1", "b2", "b3", "fred") == "ok", "who is a member is not added"
    assert await group(ann, "jam", "add", "b4") == SPENT
    assert await group(fred, "own", "create", "ann") == "ok", "another user's budget is another"


async def test_the_budget_outlives_the_node(start: Start, nursery: Any) -> None:
    for last in (False, True):
        async with start(policy=POLICY) as node:
            ann = await Peer.open(node, "tcp", nursery)
            await ann.hello("ann", token=issue(node, "ann", DEFAULT_SCOPES))
            if not last:
                assert await group(ann, "tea", "create", "b1", "b2", "b3", "b4") == "ok"
            else:
                assert await group(ann, "tea", "add", "c1", "c2") == SPENT
                assert await group(ann, "tea", "add", "c1") == "ok"
                assert await group(ann, "tea", "add", "c2") == SPENT
            await ann.aclose()


async def test_rest_has_the_same_budget(connect: Connect, node: Node) -> None:
    ann: Peer = await connect("ann")
    assert await group(ann, "tea", "create", "b1", "b2", "b3") == "ok"
    rest = Rest(node, issue(node, "ann", DEFAULT_SCOPES))
    for user, status in (("b4", 200), ("b5", 200), ("b6", 429)):
        answer = await rest("PUT", f"/v1/groups/tea/users/{user}", {})
        assert answer.status == status or (status == 200 and answer.status in (201, 204)), answer.body
    assert answer.json["rule"] == "group.add_budget"
    await rest.aclose()


async def test_no_limit_and_admins(start: Start, nursery: Any) -> None:
    many = [f"u{number}" for number in range(50)]
    async with start(policy=POLICY | {"add_budget": 0}) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann", token=issue(node, "ann", DEFAULT_SCOPES))
        assert await group(ann, "tea", "create", *many) == "ok"
        await ann.aclose()
    async with start(policy=POLICY) as node:
        root = await Peer.open(node, "tcp", nursery)
        await root.hello("root", token=issue(node, "root", [*DEFAULT_SCOPES, "admin"]))
        assert await group(root, "all", "create", *many) == "ok"
        await root.aclose()


@pytest.mark.parametrize("goes", ["leave", "remove"])
async def test_who_left_comes_back_only_by_a_contact(connect: Connect, transport: str, goes: str) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    assert await group(ann, "tea", "create", "bob", "cat") == "ok"
    left = await group(bob, "tea", "leave") if goes == "leave" else await group(ann, "tea", "remove", "bob")
    assert left == "ok"
    if goes == "remove":
        assert await group(ann, "tea", "add", "bob") == "ok", "it was not bob's wish to go"
        assert await group(bob, "tea", "leave") == "ok"
    assert await group(ann, "tea", "add", "bob", "dan") == ("declined", "group.left")
    members = (await ann.ask("members", room="group:tea"))["members"]
    assert [member["user"] for member in members] == ["ann", "cat"], "nobody of them was added"
    assert (await bob.ask("contact", user="ann", action="add"))["state"] == "contact"
    assert await group(ann, "tea", "add", "bob", "dan") == "ok"
    assert await group(bob, "tea", "leave") == "ok"
    assert await group(ann, "tea", "add", "bob") == "ok", "still a contact"
