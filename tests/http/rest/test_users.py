from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import trio

from gochat.node import Node
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest, issue
from tests.http.rest.conftest import As


async def test_me(node: Node, as_: As, peer: Callable[..., Any]) -> None:
    rest = Rest(node, issue(node, "ann", ["chat:read", "groups:write"], name="Ann A."))
    me = (await rest.get("/v1/me")).json
    await rest.aclose()
    assert (me["user"], me["name"], me["scopes"]) == ("ann", "Ann A.", ["chat:read", "groups:write"])
    assert 0 < me["expires"] - time.time() * 1000 <= 3_600_000
    socket: Peer = await peer("ann")
    assert me["limits"] == socket.welcome["limits"]
    bare = await as_("bob", []).get("/v1/me")
    assert (bare.status, bare.json["name"], bare.json["scopes"]) == (200, "bob", [])


async def test_users_are_found_page_by_page(as_: As, peer: Callable[..., Any]) -> None:
    for user in ("anna", "annabel", "annika"):
        socket: Peer = await peer(user)
    with trio.fail_after(60):
        # Names are written in the background, within a second.
        while len((await socket.ask("search", q="ann", **{"in": "users"}))["users"]) < 3:
            pass
    rest = as_("bob")
    answer = await rest.get("/v1/users", q="ann", limit=2)
    assert [user["user"] for user in answer.json["users"]] == ["anna", "annabel"]
    assert [user["user"] for user in (await rest("GET", answer.next)).json["users"]] == ["annika"]
    assert (await rest.get("/v1/users", q="zzz")).json == {"users": []}
    for query in ("", "?q=", "?q=" + "x" * 201, "?q=a&limit=0", "?q=a&in=messages"):
        assert (await rest("GET", f"/v1/users{query}")).refusal == (400, "bad_request")
