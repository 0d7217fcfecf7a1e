"""A new device finds every room, and all that is unread in it; and messages among what was deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from gochat.client.rooms import Rooms
from gochat.node import Node
from gochat.store.read import groups
from tests.client.conftest import enter
from tests.e2e.peer import Peer

Connect = Callable[..., Any]
ROOMS = 20


async def listed(peer: Peer, kind: str, limit: int, **fields: Any) -> list[dict[str, Any]]:
    """All entries of a list. Every page but the last one is full, and the last one has no `next`."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        reply = await peer.ask(kind, limit=limit, **cursor, **fields)
        assert reply["type"] == kind, reply
        found += reply[kind]
        if "next" not in reply:
            return found
        assert len(reply[kind]) == limit
        cursor = {"cursor": reply["next"]}


@pytest.fixture
async def talk(connect: Connect) -> None:
    """ann is in as many private rooms, and in as many groups, with one message unread in each."""
    ann: Peer = await connect("ann")
    for number in range(ROOMS):
        bob: Peer = await connect(f"b{number:02}")
        await bob.ask("send", to="user:ann", body=f"hello from {number}")
        await bob.ask("group", name=f"g{number:02}", action="create", users=["ann"])
        await bob.ask("send", to=f"group:g{number:02}", body="hello, all")
        await bob.aclose()
    await ann.ask("send", to="group:g03", body="read by writing")
    await ann.aclose()


@pytest.mark.parametrize("limit", [1, 5, ROOMS, 200])
async def test_every_room_is_found_with_what_is_unread(
    connect: Connect, talk: None, transport: str, limit: int
) -> None:
    ann: Peer = await connect("ann", transport, device="new")
    assert len(ann.welcome["contacts"]) == 15
    assert await listed(ann, "contacts", limit) == [], "none of them is a contact: strangers may write here"
    private = await listed(ann, "contacts", limit, rooms=True)
    assert [(each["user"], each["state"], each["head"], each["read"], each["unread"]) for each in private] == [
        (f"b{number:02}", "none", 1, 0, 1) for number in range(ROOMS)
    ]
    assert [each["last"]["body"] for each in private] == [f"hello from {number}" for number in range(ROOMS)]
    told = {each["room"]: each["head"] for each in ann.welcome["contacts"]}
    assert told.items() <= {each["room"]: each["head"] for each in private}.items()
    groups = await listed(ann, "groups", limit)
    assert [(each["room"], each["members"], each["unread"]) for each in groups] == [
        (f"group:g{number:02}", 2, 0 if number == 3 else 1) for number in range(ROOMS)
    ]
    for each in groups:
        entry = next(entry for entry in ann.welcome["rooms"] if entry["room"] == each["room"])
        assert entry == {field: value for field, value in each.items() if field != "members"}


async def test_a_welcome_that_is_full_says_so_and_all_groups_are_heard(
    connect: Connect, talk: None, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "rooms_next" not in (await connect("ann", transport)).welcome
    monkeypatch.setattr(groups, "WELCOME_BYTES", 1000)
    ann: Peer = await connect("ann", transport, device="small")
    told = [each["room"] for each in ann.welcome["rooms"]]
    assert 0 < len(told) < ROOMS
    rest = await ann.ask("groups", cursor=ann.welcome["rooms_next"])
    assert told + [each["room"] for each in rest["groups"]] == [f"group:g{number:02}" for number in range(ROOMS)]
    last: Peer = await connect("b19")
    await last.ask("send", to="group:g19", body="to a group that was not told")
    assert (await ann.event("message"))["room"] == "group:g19"


async def test_a_blocked_and_a_declined_room_are_listed_without_their_state(
    connect: Connect, talk: None, transport: str
) -> None:
    ann: Peer = await connect("ann", transport)
    await ann.ask("contact", user="b01", action="add")
    await ann.ask("contact", user="b02", action="block")
    by_user = {each["user"]: each for each in await listed(ann, "contacts", 7, rooms=True)}
    assert by_user["b01"]["state"] == "contact" and by_user["b01"]["unread"] == 1
    assert by_user["b02"] == {"user": "b02", "name": "b02", "state": "blocked"}
    again: Peer = await connect("ann", transport)
    assert "b02" not in [each["user"] for each in again.welcome["contacts"]]
    await ann.ask("contact", user="b02", action="unblock")
    by_user = {each["user"]: each for each in await listed(ann, "contacts", 7, rooms=True)}
    assert by_user["b02"]["state"] == "none" and by_user["b02"]["head"] == 1


async def test_messages_alone(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    for number in range(3, 43):
        assert (await ann.ask("send", to="group:tea", body=str(number)))["seq"] == number
    for number in range(3, 43):
        if number % 10:
            await ann.ask("delete", room="group:tea", seq=number)
    for direction, bound, expected in (
        ("after", 0, [10, 20, 30, 40]),
        ("before", None, [40, 30, 20, 10]),
        ("after", 10, [20, 30, 40]),
        ("before", 30, [20, 10]),
    ):
        for limit in (1, 2, 3, 4, 200):
            seqs: list[int] = []
            asked: dict[str, Any] = {} if bound is None else {direction: bound}
            while True:
                page = await ann.ask("history", room="group:tea", limit=limit, messages=True, **asked)
                found = [fact["seq"] for fact in page["entries"]]
                assert found == sorted(found) and page["head"] == 78
                seqs += found if direction == "after" else found[::-1]
                if "next" not in page:
                    break
                assert len(found) == limit, "another page is there"
                asked = {direction: page["next"]}
            assert seqs == expected, (direction, bound, limit)
    dense = await ann.ask("history", room="group:tea", limit=200, after=0)
    assert [fact["seq"] for fact in dense["entries"]] == list(range(1, 79)) and "next" not in dense


async def test_the_client_knows_every_room_after_it_signed_in(
    node: Node, talk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "WELCOME_BYTES", 1000)
    async with enter(node, "ann", device="client") as chat:
        rooms = Rooms(chat.welcome)
        with trio.fail_after(25):
            while len(rooms.contacts) < ROOMS or len(rooms.groups) < ROOMS:
                rooms.take(await anext(chat))
        assert [entry.unread for entry in rooms.contacts] == [1] * ROOMS
        assert sum(entry.unread for entry in rooms.groups) == ROOMS - 1
        found = [entry.user async for entry in chat.contacts(rooms=True)]
        assert found == [f"b{number:02}" for number in range(ROOMS)]
        pages = [page async for page in chat.history("group:g00", messages=True, limit=1)]
        assert [[fact.seq for fact in page.entries] for page in pages] == [[3]]
