"""Contacts, requests and blocks by REST, under the rules that a node has by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from gochat.node import Node
from tests.e2e.peer import WAIT_S
from tests.http.rest.conftest import As
from tests.tokens import issue


async def test_a_request_by_one_door_is_accepted_by_the_other(as_: As, peer: Callable[..., Any]) -> None:
    ann, bob = as_("ann"), as_("bob")
    live = await peer("ann")
    for body in ("1", "2", "3"):
        assert (await ann.post("/v1/messages", {"to": "user:bob", "body": body})).status == 201
    waits = await ann.post("/v1/messages", {"to": "user:bob", "body": "4"})
    assert (waits.refusal, waits.json["rule"]) == ((403, "declined"), "request.waits")
    (request,) = (await bob.get("/v1/requests")).json["requests"]
    assert (request["user"], request["room"], request["last"]["body"]) == ("ann", "dm:ann:bob", "3")
    accepted = await bob("PUT", "/v1/requests/ann")
    assert (accepted.status, accepted.json) == (200, {"user": "ann", "name": "ann", "state": "contact"})
    assert await live.event("contact") == {"type": "contact", "user": "bob", "state": "contact"}
    assert (await ann.post("/v1/messages", {"to": "user:bob", "body": "4"})).status == 201
    (listed,) = (await bob.get("/v1/contacts")).json["contacts"]
    assert isinstance(listed.pop("epoch"), str)
    assert listed.pop("last")["body"] == "4"
    assert listed == {
        "user": "ann",
        "name": "ann",
        "state": "contact",
        "room": "dm:ann:bob",
        "head": 4,
        "read": 0,
        "unread": 4,
        "reads": {"ann": 4},
    }
    assert (await bob("PUT", "/v1/requests/ann")).status == 200, "as it is"
    assert (await bob("PUT", "/v1/requests/zoe")).refusal == (404, "not_found")


async def test_declining(as_: As) -> None:
    ann, bob = as_("ann"), as_("bob")
    await ann.post("/v1/messages", {"to": "user:bob", "body": "hi"})
    assert (await bob.delete("/v1/requests/ann")).status == 204
    refused = await ann.post("/v1/messages", {"to": "user:bob", "body": "hi"})
    assert (refused.refusal, refused.json["rule"]) == ((403, "declined"), "request.declined")
    assert (await bob.get("/v1/requests")).json == {"requests": []}


async def test_blocks(as_: As) -> None:
    ann, bob = as_("ann"), as_("bob")
    for user in ("ann", "cat", "dan"):
        assert (await bob("PUT", f"/v1/blocks/{user}")).json["state"] == "blocked"
    assert (await bob("PUT", "/v1/contacts/eve")).json["state"] == "contact"
    assert (await bob("PUT", "/v1/contacts/ann")).refusal == (409, "conflict")
    assert (await ann.post("/v1/messages", {"to": "user:bob", "body": "hi"})).refusal == (403, "blocked")
    assert (await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})).refusal == (403, "blocked")
    await ann.post("/v1/groups", {"name": "tea"})
    assert (await ann("PUT", "/v1/groups/tea/users/bob")).refusal == (403, "blocked")
    first = await bob.get("/v1/blocks", limit=2)
    assert [each["user"] for each in first.json["contacts"]] == ["ann", "cat"]
    assert [each["user"] for each in (await bob("GET", first.next)).json["contacts"]] == ["dan"]
    assert len((await bob.get("/v1/contacts")).json["contacts"]) == 4
    for _ in range(2):
        assert (await bob.delete("/v1/blocks/ann")).status == 204
    assert (await ann.post("/v1/messages", {"to": "user:bob", "body": "hi"})).status == 201
    assert (await bob("PUT", "/v1/blocks/BOB")).refusal == (400, "bad_request")
    assert (await bob("PUT", "/v1/blocks/bob")).refusal == (400, "bad_request")


async def test_names_are_for_readers(as_: As) -> None:
    writer = as_("bob", ["chat:write"])
    assert (await writer("PUT", "/v1/contacts/ann")).json == {"user": "ann", "state": "contact"}
    assert (await writer.get("/v1/contacts")).refusal == (403, "forbidden")


async def test_a_user_who_has_blocked_the_caller_is_told_by_the_id(
    as_: As, peer: Callable[..., Any], node: Node
) -> None:
    """By every answer that tells a name."""
    bob, eve = await peer("bob", token=issue(node, "bob", name="Secret")), as_("eve")
    with trio.fail_after(WAIT_S):
        while (await eve("PUT", "/v1/contacts/bob")).json["name"] != "Secret":
            pass  # A name is noted a moment after the sign-in.
    assert (await bob.ask("contact", user="eve", action="block"))["state"] == "blocked"
    for path in ("/v1/contacts", "/v1/blocks"):
        assert (await eve("PUT", f"{path}/bob")).json["name"] == "bob"
        assert [each["name"] for each in (await eve.get(path)).json["contacts"]] == ["bob"]
