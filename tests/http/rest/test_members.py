from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gochat.node import Node
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest, issue
from tests.http.rest.conftest import As

USERS = "/v1/groups/tea/users"


async def put(who: Rest, user: str, role: str | None = None) -> Any:
    return await who("PUT", f"{USERS}/{user}", None if role is None else {"role": role})


async def test_members_come_and_go(as_: As, peer: Callable[..., Any]) -> None:
    ann, bob = as_("ann"), as_("bob")
    await ann.post("/v1/groups", {"name": "tea"})
    listening: Peer = await peer("bob")
    added = await put(ann, "bob")
    assert (added.status, added.headers["location"]) == (201, f"{USERS}/bob")
    assert added.json == {"user": "bob", "name": "bob", "role": "member"}
    fact = await listening.event("member")
    assert (fact["users"], fact["change"], fact["from"]) == (["bob"], "added", "ann")
    again = await put(ann, "bob")
    assert (again.status, again.json, "location" in again.headers) == (200, added.json, False)
    assert (await bob.get(f"{USERS}/ann")).json == {"user": "ann", "name": "ann", "role": "owner"}
    assert (await bob.get(f"{USERS}/carl")).refusal == (404, "not_found")
    for _ in range(2):
        assert (await ann.delete(f"{USERS}/bob")).status == 204
    assert (await listening.event("member"))["change"] == "removed"
    assert (await ann.get(f"{USERS}/bob")).refusal == (404, "not_found")
    assert (await put(ann, "bob")).status == 201, "once more"


async def test_roles(as_: As) -> None:
    ann, bob = as_("ann"), as_("bob")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})
    promoted = await put(ann, "bob", "moderator")
    assert (promoted.status, promoted.json["role"]) == (200, "moderator")
    assert (await put(ann, "bob")).json["role"] == "moderator", "without a role it stays"
    both = await put(ann, "carl", "owner")
    assert (both.status, both.json["role"]) == (201, "owner")
    assert (await put(bob, "dora")).status == 201
    assert (await put(bob, "eve", "owner")).refusal == (403, "forbidden")
    assert (await ann.get(f"{USERS}/eve")).refusal == (404, "not_found"), "refused before anything was done"
    assert (await bob.delete(f"{USERS}/carl")).refusal == (403, "forbidden")
    assert (await put(ann, "bob", "king")).refusal == (400, "bad_request")


async def test_leaving(as_: As) -> None:
    ann, bob = as_("ann"), as_("bob")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob", "carl"]})
    assert (await bob.delete(f"{USERS}/carl")).refusal == (403, "forbidden")
    assert (await bob.delete(f"{USERS}/bob")).status == 204
    assert (await bob.get(USERS)).refusal == (403, "not_member")
    assert (await ann.delete(f"{USERS}/ann")).refusal == (409, "conflict")
    assert (await ann.delete(f"{USERS}/carl?successor=ann")).refusal == (400, "bad_request")
    assert (await ann.delete(f"{USERS}/ann?successor=eve")).refusal == (404, "not_found")
    assert (await ann.delete(f"{USERS}/ann?successor=carl")).status == 204
    assert (await as_("carl").get(f"{USERS}/carl")).json["role"] == "owner"


async def test_members_are_listed_page_by_page(as_: As, node: Node) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob", "carl", "dora", "eve"]})
    pages, path = [], f"{USERS}?limit=2"
    while path:
        answer = await ann("GET", path)
        assert answer.json["room"] == "group:tea"
        pages.append([member["user"] for member in answer.json["members"]])
        path = answer.next if "link" in answer.headers else ""
    assert pages == [["ann", "bob"], ["carl", "dora"], ["eve"]]
    first = (await ann.get(USERS)).json["members"][0]
    assert (first["role"], first["name"], type(first["since"])) == ("owner", "ann", int)
    assert (await as_("zoe").get(USERS)).refusal == (404, "not_found")
    root = Rest(node, issue(node, "root", ["admin"]))
    assert len((await root.get(USERS)).json["members"]) == 5
    assert (await root.get(f"{USERS}/bob")).json["role"] == "member"
    await root.aclose()


async def test_who_may_not(as_: As) -> None:
    ann, eve = as_("ann"), as_("eve")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})
    assert (await put(as_("bob"), "eve")).refusal == (403, "forbidden")
    assert (await put(eve, "eve")).refusal == (404, "not_found")
    assert (await put(eve, "eve", "owner")).refusal == (404, "not_found")
    assert (await eve.get(f"{USERS}/bob")).refusal == (404, "not_found")
    assert (await eve.delete(f"{USERS}/bob")).refusal == (404, "not_found")
    assert (await eve.delete(f"{USERS}/eve")).refusal == (404, "not_found")
    assert (await put(ann, "Bob")).refusal == (400, "bad_request")
    assert (await ann.get(f"{USERS}/B%C3%B6b")).refusal == (400, "bad_request")


async def test_a_role_is_changed_only_where_it_is_what_the_caller_knows(as_: As) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})
    tag = (await ann.get(f"{USERS}/bob")).headers["etag"]
    path, known = f"{USERS}/bob", {"If-Match": tag}
    changed = await ann("PUT", path, {"role": "moderator"}, headers=known)
    assert (changed.status, changed.json["role"]) == (200, "moderator") and changed.headers["etag"] != tag
    for body in ({"role": "owner"}, {}):
        assert (await ann("PUT", path, body, headers=known)).refusal == (412, "conflict")
        assert (await ann("PUT", path, body, headers={"If-Match": "x"})).refusal == (400, "bad_request")
    absent = await ann("PUT", f"{USERS}/carl", {"role": "member"}, headers={"If-Match": "*"})
    assert absent.refusal == (404, "not_found"), "nobody is added where a condition names what is there"
    assert (await ann.get(path)).json["role"] == "moderator"
