"""The order of waiting in one session: its lists never wait behind its own searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from gochat.protocol import requests as req
from gochat.session import queries
from tests.e2e.peer import Peer

Connect = Callable[..., Any]


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> trio.Event:
    """Every search waits until this is set, as it does while others search; then it is the real one."""
    may_go_on, search = trio.Event(), queries.QUERIES[req.Search]

    async def held_up(session: Any, request: Any) -> Any:
        await may_go_on.wait()
        return await search(session, request)

    monkeypatch.setitem(queries.QUERIES, req.Search, held_up)
    return may_go_on


LISTS: list[dict[str, Any]] = [
    {"type": "groups"},
    {"type": "contacts"},
    {"type": "requests"},
    {"type": "members", "room": "group:tea"},
    {"type": "history", "room": "group:tea"},
    {"type": "resume", "room": "group:tea", "seq": 0},
    {"type": "watch", "users": ["bob"]},
]


async def test_lists_do_not_wait_behind_a_search(connect: Connect, stream: str, searching: trio.Event) -> None:
    ann: Peer = await connect("ann", stream)
    await ann.ask("group", name="tea", action="create")
    for number in range(3):
        await ann.send({"type": "search", "id": f"search {number}", "q": "an", "in": "users"})
    for number, frame in enumerate(LISTS):
        await ann.send({"id": number, **frame})
    replies = []
    with trio.fail_after(25):
        while len(replies) < len(LISTS):
            frame = await ann.receive()
            if "id" in frame:
                replies.append(frame)
    assert [frame["id"] for frame in replies] == list(range(len(LISTS))), "in their own order"
    assert not [frame for frame in replies if frame["type"] == "error"]
    searching.set()
    with trio.fail_after(25):
        found = [await _reply(ann) for _ in range(3)]
    assert [frame["id"] for frame in found] == ["search 0", "search 1", "search 2"]


@pytest.mark.parametrize("transport", ["ws", "ws-msgpack"])  # on TCP the end may be half of one: replies are owed
async def test_a_session_that_ends_takes_its_searches_along(
    connect: Connect, node: Any, transport: str, searching: trio.Event
) -> None:
    ann: Peer = await connect("ann", transport)
    bob: Peer = await connect("bob", transport)
    for number in range(3):
        await ann.send({"type": "search", "id": number, "q": "an", "in": "users"})
    assert (await ann.ask("ping"))["type"] == "pong"
    await ann.aclose()
    with trio.fail_after(25):
        while "ann" in node.live.users:
            await trio.lowlevel.checkpoint()
    searching.set()
    assert (await bob.ask("search", q="bo", **{"in": "users"}))["type"] == "results"
    assert node.live.counts.queries["search"] <= 2, "of ann's three only the one that had begun, and bob's"


async def _reply(peer: Peer) -> dict[str, Any]:
    while True:
        frame = await peer.receive()
        if "id" in frame:
            return frame
