"""Users on several nodes who do at one moment what excludes each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import trio

from gochat.cluster import faults
from tests.cluster.town import NAMES, Town, all_at_once, facts_of, log_of
from tests.e2e.peer import Peer
from tests.http.rest.client import Answer


async def test_all_who_write_at_once_are_numbered_alike_everywhere(town: Town) -> None:
    keeper = await town.peer("north", "ann")
    await keeper.ask("group", name="tea", action="create", users=["bob", "cat"])
    peers = [keeper, await town.peer("south", "bob"), await town.peer("west", "cat")]
    room, count = "group:tea", 30
    acks: dict[int, str] = {}

    async def write(peer: Peer, who: str) -> None:
        for n in range(count):
            ack = await peer.ask("send", to=room, body=f"{who} {n}")
            assert ack["type"] == "ack", ack
            acks[ack["seq"]] = f"{who} {n}"

    async with trio.open_nursery() as nursery:
        for peer, who in zip(peers, ("ann", "bob", "cat"), strict=True):
            nursery.start_soon(write, peer, who)
    first = min(acks)
    assert sorted(acks) == list(range(first, first + 3 * count)), "dense, and none twice"
    for peer in peers:
        told = [frame for frame in await peer.facts(room, first + 3 * count - 1) if frame["type"] == "message"]
        assert dict(facts_of(told)) == acks, "whoever was acked at a seq is read there"


@pytest.mark.parametrize("tries", [20, pytest.param(1_000, marks=pytest.mark.long)])
async def test_the_same_key_on_all_nodes_is_one_message(town: Town, tries: int) -> None:
    peers = [await town.peer(name, "ann") for name in NAMES]
    for n in range(tries):
        acks = await all_at_once(
            *(partial(peer.ask, "send", to="user:bob", body="once", key=f"k{n}") for peer in peers)
        )
        assert {ack["seq"] for ack in acks} == {n + 1}, acks
        assert sorted(bool(ack.get("duplicate")) for ack in acks) == [False, True, True]


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.long)])
async def test_nothing_lands_above_a_removal(town: Town, tries: int) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    for n in range(tries):
        room = f"group:g{n}"
        await ann.ask("group", name=f"g{n}", action="create", users=["bob"])
        underway, refused = trio.Event(), trio.Event()
        seqs: list[int] = []

        async def flood(
            room: str = room,
            underway: trio.Event = underway,
            refused: trio.Event = refused,
            seqs: list[int] = seqs,
        ) -> None:
            while True:
                reply = await bob.ask("send", to=room, body="again")
                if reply["type"] != "ack":
                    assert reply["code"] == "not_member", reply
                    refused.set()
                    return
                seqs.append(reply["seq"])
                if len(seqs) == 5:
                    underway.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await underway.wait()
            removed = await ann.ask("group", name=f"g{n}", action="remove", users=["bob"])
            assert removed["type"] == "ok", removed
            await refused.wait()
        entries = await log_of(town.rest("west", "ann"), room)
        (gone,) = [each["seq"] for each in entries if each["type"] == "member" and each["change"] == "removed"]
        assert max(seqs) < gone
        assert [each["seq"] for each in entries if each["type"] == "message"] == sorted(seqs)


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.long)])
async def test_nothing_lands_above_a_block(town: Town, tries: int) -> None:
    bob = await town.peer("south", "bob")
    for n in range(tries):
        other = f"u{n}"
        blocker = await town.peer("north", other)
        seqs: list[int] = []
        underway, refused = trio.Event(), trio.Event()

        async def flood(
            other: str = other,
            underway: trio.Event = underway,
            refused: trio.Event = refused,
            seqs: list[int] = seqs,
        ) -> None:
            while True:
                reply = await bob.ask("send", to=f"user:{other}", body="again")
                if reply["type"] != "ack":
                    assert reply["code"] == "blocked", reply
                    refused.set()
                    return
                seqs.append(reply["seq"])
                if len(seqs) == 5:
                    underway.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await underway.wait()
            assert (await blocker.ask("contact", user="bob", action="block"))["type"] == "ok"
            heard = [frame for frame in blocker.events if frame["type"] == "message"]
            await refused.wait()
        await blocker.ask("ping")
        late = [frame["seq"] for frame in blocker.events if frame["type"] == "message"]
        assert len(late) >= len(heard)
        assert max(late, default=0) <= max(seqs)
        assert (await bob.ask("send", to=f"user:{other}", body="after"))["code"] == "blocked"


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.long)])
async def test_what_was_acked_is_read_on_any_other_node_at_once(town: Town, tries: int) -> None:
    """By sign-in, resume and REST, while the other node is slow."""
    ann = await town.peer("north", "ann")
    await ann.ask("send", to="user:bob", body="first")
    live = await town.peer("south", "bob")
    rest = town.rest("south", "bob")
    town.server.strike(faults.Slow(node="south", delay_s=0.02))
    for n in range(tries):
        seq = (await ann.ask("send", to="user:bob", body=f"m{n}"))["seq"]
        page = (await rest("GET", "/v1/messages?room=dm:ann:bob&limit=1")).json
        assert page["head"] == seq
        seq = (await ann.ask("send", to="user:bob", body=f"n{n}"))["seq"]
        fresh = await town.peer("south", "bob")
        (contact,) = fresh.welcome["contacts"]
        assert contact["head"] == seq
        await fresh.aclose()  # A user has so many sessions.
        seq = (await ann.ask("send", to="user:bob", body=f"o{n}"))["seq"]
        resumed = await live.ask("resume", room="dm:ann:bob", seq=seq, epoch=contact["epoch"])
        assert resumed["type"] == "ok" and resumed["head"] == seq, resumed
        assert not [frame for frame in live.events if frame["type"] == "reset"]


@pytest.mark.parametrize("tries", [4, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("names", [("north", "south"), ("north", "north")], ids=["two nodes", "one node"])
async def test_of_two_conditional_changes_at_once_one_holds(town: Town, names: tuple[str, str], tries: int) -> None:
    ann = await town.peer("west", "ann")
    room = "group:tea"
    await ann.ask("group", name="tea", action="create", title="t", users=["bob", "cat"])
    await ann.ask("group", name="tea", action="role", user="bob", role="owner")
    seq = (await ann.ask("send", to=room, body="0"))["seq"]
    rests = [town.rest(names[0], "ann"), town.rest(names[1], "ann")]
    paths: dict[str, tuple[str, Callable[[str], dict[str, str]], str]] = {
        f"/v1/messages/{room}:{seq}": ("PATCH", lambda value: {"body": value}, "body"),
        "/v1/groups/tea": ("PATCH", lambda value: {"title": value}, "title"),
        "/v1/groups/tea/users/cat": ("PUT", lambda value: {"role": value}, "role"),
    }
    for path, (method, body, field) in paths.items():
        for n in range(tries):
            tag = (await rests[0]("GET", path)).headers["etag"]
            values = ("moderator", "owner") if field == "role" else (f"x{n}", f"y{n}")
            answers: list[Answer] = await all_at_once(
                *(
                    partial(rest, method, path, body(value), headers={"If-Match": tag})
                    for rest, value in zip(rests, values, strict=True)
                )
            )
            assert sorted(answer.status for answer in answers) == [200, 412], [answer.body for answer in answers]
            (won,) = [value for answer, value in zip(answers, values, strict=True) if answer.status == 200]
            assert (await town.rest("west", "ann")("GET", path)).json[field] == won
            if field == "role":
                await ann.ask("group", name="tea", action="role", user="cat", role="member")
