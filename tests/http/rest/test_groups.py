from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.e2e.peer import Peer
from tests.http.rest.conftest import As


async def test_a_group_from_creation_to_deletion(as_: As, peer: Callable[..., Any]) -> None:
    ann, bob = as_("ann"), as_("bob")
    listening: Peer = await peer("bob")
    made = await ann.post("/v1/groups", {"name": "tea", "title": "Tea", "users": ["bob"], "post": "moderators"})
    assert (made.status, made.headers["location"]) == (201, "/v1/groups/tea")
    group = made.json
    assert group == {
        "name": "tea",
        "room": "group:tea",
        "title": "Tea",
        "role": "owner",
        "members": 2,
        "history": "all",
        "post": "moderators",
    }
    assert (await listening.event("member"))["users"] == ["bob"]
    assert (await ann.get("/v1/groups/tea")).json == group
    assert (await bob.get("/v1/groups/tea")).json == group | {"role": "member"}
    refused = await bob.post("/v1/messages", {"to": "group:tea", "body": "x"})
    assert (refused.refusal, refused.json["rule"]) == ((403, "forbidden"), "group.post")

    changed = await ann.patch(
        "/v1/groups/tea", {"title": "Green tea", "post": "members"}, If_Match=made.headers["etag"]
    )
    assert (changed.status, changed.json) == (200, group | {"title": "Green tea", "post": "members"})
    stale = await ann.patch("/v1/groups/tea", {"title": "Tea"}, If_Match=made.headers["etag"])
    assert stale.refusal == (412, "conflict")
    assert (await ann.patch("/v1/groups/tea", {}, If_Match='"old"')).refusal == (400, "bad_request"), (
        "its form is first"
    )
    tag = changed.headers["etag"]
    assert (await ann("GET", "/v1/groups/tea", headers={"If-None-Match": tag})).status == 304
    await ann.post("/v1/messages", {"to": "group:tea", "body": "x"})
    assert (await ann.get("/v1/groups/tea")).headers["etag"] == tag, "what is said in a group is no change of it"

    assert (await ann.delete("/v1/groups/tea", If_Match='"old"')).refusal == (412, "conflict")
    assert (await ann.delete("/v1/groups/tea")).status == 204
    assert (await listening.event("closed"))["room"] == "group:tea"
    for who in (ann, bob, as_("root", ["admin"])):
        assert (await who.get("/v1/groups/tea")).refusal == (404, "not_found")
    assert (await ann.post("/v1/groups", {"name": "tea"})).refusal == (409, "conflict")


async def test_groups_are_listed_page_by_page(as_: As) -> None:
    ann = as_("ann")
    for name in ("a", "b", "c", "d", "e"):
        await (ann if name < "d" else as_("bob")).post("/v1/groups", {"name": name, "users": ["ann", "bob"]})
    names, path = [], "/v1/groups?limit=2"
    while path:
        answer = await ann("GET", path)
        assert len(answer.json["groups"]) <= 2
        names += [group["name"] for group in answer.json["groups"]]
        assert ("next" in answer.json) == ("link" in answer.headers)
        path = answer.next if "link" in answer.headers else ""
    assert names == ["a", "b", "c", "d", "e"]
    answer = await ann.get("/v1/groups", owner="bob", limit=1)
    assert [group["name"] for group in answer.json["groups"]] == ["d"]
    assert [group["name"] for group in (await ann("GET", answer.next)).json["groups"]] == ["e"]
    (listed,) = answer.json["groups"]
    assert isinstance(listed.pop("epoch"), str)
    assert listed == {
        "name": "d",
        "room": "group:d",
        "title": "",
        "role": "member",
        "members": 2,
        "head": 2,
        "read": 2,
        "unread": 0,
    }
    assert (await as_("eve").get("/v1/groups")).json == {"groups": []}


async def test_who_may_not(as_: As) -> None:
    ann, bob, eve = as_("ann"), as_("bob"), as_("eve")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob", "carl"]})
    assert (await bob.patch("/v1/groups/tea", {"title": "x"})).refusal == (403, "forbidden")
    assert (await bob.delete("/v1/groups/tea")).refusal == (403, "forbidden")
    await ann.delete("/v1/groups/tea/users/bob")
    for who, refusal in ((bob, (403, "not_member")), (eve, (404, "not_found"))):
        assert (await who.get("/v1/groups/tea")).refusal == refusal
        assert (await who.patch("/v1/groups/tea", {"title": "x"})).refusal == refusal
        assert (await who.delete("/v1/groups/tea")).refusal == refusal
    root = as_("root", ["admin"])
    assert (await root.patch("/v1/groups/tea", {"title": "by admin"})).json["title"] == "by admin"
    assert "role" not in (await root.get("/v1/groups/tea")).json
    assert (await root.get("/v1/groups/none")).refusal == (404, "not_found")


REFUSED: list[Any] = [
    {}, {"name": ""}, {"name": "Tea"}, {"name": "t" * 65}, {"name": "tea", "users": ["Bob"]},
    {"name": "tea", "users": ["u"] * 201}, {"name": "tea", "title": "x" * 201}, {"name": "tea", "title": "a\0"},
    {"name": "tea", "post": "all"}, {"name": "tea", "owner": "bob"},
]  # fmt: skip


async def test_what_can_not_be_created(as_: As) -> None:
    ann = as_("ann")
    for body in REFUSED:
        assert (await ann.post("/v1/groups", body)).refusal == (400, "bad_request"), body
    assert (await ann.get("/v1/groups")).json == {"groups": []}


async def test_what_may_be_left_out_may_be_null(as_: As) -> None:
    ann = as_("ann")
    body = {"name": "tea", "title": None, "users": None, "history": None, "post": None}
    assert (await ann.post("/v1/groups", body)).json == (await ann.post("/v1/groups", {"name": "two"})).json | {
        "name": "tea",
        "room": "group:tea",
    }
    changed = await ann.patch("/v1/groups/tea", {"title": "Tea", "history": None, "post": None})
    assert changed.json["title"] == "Tea"


async def test_an_empty_change(as_: As) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea"})
    for body in ({}, {"titel": "x"}, {"title": None}):
        assert (await ann.patch("/v1/groups/tea", body)).refusal == (400, "bad_request")


async def test_a_founder_that_may_not_read(as_: As) -> None:
    bot = as_("bot", ["groups:write"])
    made = await bot.post("/v1/groups", {"name": "tea", "title": "Tea"})
    assert (made.status, made.json) == (201, {"name": "tea", "room": "group:tea"})
    assert (await bot.patch("/v1/groups/tea", {"title": "x"})).status == 204
    assert (await bot("PUT", "/v1/groups/tea/users/bob")).json == {"user": "bob"}
    assert (await bot("PUT", "/v1/groups/tea/users/bob")).status == 204
    assert (await bot.get("/v1/groups/tea")).refusal == (403, "forbidden")
    assert (await bot.patch("/v1/groups/tea", {"title": "x"}, If_Match="*")).refusal == (403, "forbidden")
