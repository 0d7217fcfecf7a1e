"""A session keeps a replica, on a real node: what the file has is what the node has, however the program ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gochat.client import Chat, Replica, Reset, facts
from gochat.client import following as following_module
from gochat.client.replica import Began
from gochat.client.sync import connect as connect_sync
from gochat.domain import folding
from gochat.node import Node
from tests.client.conftest import Start, enter, url
from tests.client.peer import Peer, Visit, listed, message
from tests.client.talk import event, talking
from tests.tokens import issue

TEA = "group:tea"
WAIT_S = 60.0
#: Told of each message: enough to see that none is lost, doubled, or of another time.
Row = tuple[int, str | None]


async def stored(chat: Chat, room: str = TEA) -> list[Row]:
    """The messages of a room as the server has them, without those that were deleted."""
    rows = [
        (fact.seq, fact.body)
        async for page in chat.history(room, messages=True)
        for fact in page.entries
        if isinstance(fact, facts.Message)
    ]
    return sorted(rows)


def kept(replica: Replica, room: str = TEA) -> list[Row]:
    return [(m.seq, m.body) for m in replica.messages(room, limit=10_000) if m.deleted is None]


async def until(done: Callable[[], bool]) -> None:
    with trio.fail_after(WAIT_S):
        while not done():
            await trio.sleep(0.01)


@asynccontextmanager
async def following(node: Node, path: Path, user: str = "ann") -> AsyncIterator[tuple[Chat, Replica, list[object]]]:
    """A session of the user that reads all events."""
    events: list[object] = []

    async def read(chat: Chat) -> None:
        while True:
            events.append(await anext(chat))

    async with trio.open_nursery() as nursery, enter(node, user, replica=path) as chat:
        nursery.start_soon(read, chat)
        assert chat.replica is not None
        yield chat, chat.replica, events
        nursery.cancel_scope.cancel()


async def is_level(bob: Chat, replica: Replica, room: str = TEA) -> None:
    """Wait until the file is the node's room."""
    page = await bob.page(room, limit=1)
    level = (room, page.head, page.epoch)
    # In this order: as soon as a room is there, what is wanted of it is known.
    await until(lambda: level in [each[:3] for each in replica.rooms()] and replica.wanted() is None)
    assert kept(replica, room) == await stored(bob, room)


def seqs(events: list[object]) -> list[int]:
    return [event.seq for event in events if isinstance(event, facts.Fact) and event.room == TEA]


async def heard(events: list[object], expected: list[int]) -> None:
    """Wait until the application has read so many events: these and no others."""
    await until(lambda: len(seqs(events)) >= len(expected))
    assert seqs(events) == expected


async def test_what_was_before_what_comes_and_what_was_missed(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    async with enter(node, "bob") as bob:
        await bob.create_group("tea", users=["ann"])
        await bob.send("user:ann", "a private word")
        for number in range(230):
            await bob.send(TEA, f"before {number}")
        await bob.delete(TEA, 7)
        async with following(node, path) as (chat, replica, events):
            await is_level(bob, replica)
            await is_level(bob, replica, "dm:ann:bob")
            assert events == [], "what was before is no event"
            await bob.send(TEA, "live")
            await bob.edit(TEA, 5, "edited")
            await bob.react(TEA, 5, "👍")
            await bob.delete(TEA, 6)
            await chat.send(TEA, "my own")
            await is_level(bob, replica)
            await heard(events, list(range(234, 239)))
            assert replica.search("edited")[0].seq == 5 and len(replica.search("before", limit=999)) == 227
        await bob.edit(TEA, 8, "edited while away")
        await bob.delete(TEA, 9)
        await bob.send(TEA, "while away")
        async with following(node, path) as (_, replica, events):
            await is_level(bob, replica)
            await heard(events, [239, 240, 241])
        again = Replica(path)
        assert kept(again) == await stored(bob), "it is read without a connection"


async def test_far_behind_with_edits_whose_texts_pages_do_not_tell(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    async with enter(node, "bob") as bob:
        await bob.create_group("tea", users=["ann"])
        for number in range(3):
            await bob.send(TEA, f"before {number}")
        async with following(node, path) as (_, replica, _):
            await is_level(bob, replica)
        await bob.edit(TEA, 3, "edited")
        for number in range(300):
            await bob.send(TEA, f"missed {number}")
        async with following(node, path) as (_, replica, events):
            await is_level(bob, replica)
            assert (3, "edited") in kept(replica)
            await heard(events, list(range(6, 307)))


async def test_rooms_come_and_go(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    async with enter(node, "bob") as bob:
        await bob.create_group("tea", users=["ann"])
        await bob.create_group("old", users=["cat"])
        for number in range(3):
            await bob.send("group:old", f"{number}")
        async with following(node, path) as (_, replica, _):
            await is_level(bob, replica)
            await bob.add_users("old", ["ann"])
            await is_level(bob, replica, "group:old")
            await bob.remove_users("old", ["ann"])
            await until(lambda: any(each.room == "group:old" and each.seq == 6 for each in replica.rooms()))
            assert len(kept(replica, "group:old")) == 3, "former members may read what was"
        await bob.send("group:old", "not for ann")
        await bob.remove_users("tea", ["ann"])
        async with following(node, path) as (_, replica, _):
            await until(lambda: replica.rooms() == [])
            await bob.add_users("tea", ["ann"])
            await is_level(bob, replica)


async def test_another_user_and_another_log(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    async with start() as node, enter(node, "bob") as bob:
        await bob.create_group("tea", users=["ann", "eve"])
        await bob.send(TEA, "hello")
        async with following(node, path) as (_, replica, _):
            await is_level(bob, replica)
        async with following(node, path, "eve") as (_, replica, _):
            assert replica.user == "eve"
            await is_level(bob, replica)
    # The same names on an empty node, as after a copy was put back.
    (tmp_path / "data").rename(tmp_path / "old")
    async with start() as node, enter(node, "bob") as bob:
        await bob.create_group("tea", users=["eve"])
        await bob.send(TEA, "another world")
        async with following(node, path, "eve") as (_, replica, events):
            await is_level(bob, replica)
            assert [type(event) for event in events] == [Reset]
            await bob.send(TEA, "goes on")
            await is_level(bob, replica)


# ---------------------------------------------------------------------------------------------- on bad days


def changed(kind: str, seq: int, target: int, **fields: object) -> dict[str, object]:
    return {"type": kind, "room": TEA, "seq": seq, "ts": seq, "from": "bob", "target": target, **fields}


def opened(path: Path, *began: Began) -> Replica:
    """A file of ann's with these rooms, of which all is here."""
    replica = Replica(path)
    replica.belongs_to("ann")
    replica.store(began)
    for each in began:
        replica.cannot_fetch(each.room)
    return replica


async def page_for(visit: Visit, head: int, epoch: str = "e1") -> None:
    """Answer the next question for messages with all of them, as they were at that head."""
    history = await visit.expect("history")
    entries = [message(seq) for seq in range(1, min(head + 1, history["before"]))]
    await visit.reply(history, "page", room=TEA, epoch=epoch, entries=entries, head=head, complete=True)


async def test_a_message_that_is_deleted_while_its_page_comes_stays_deleted(peer: Peer, tmp_path: Path) -> None:
    replica = opened(tmp_path / "ann.db")
    async with talking(peer, listed(3), replica=replica) as (chat, visit):
        history = await visit.expect("history")
        await visit.send(changed("delete", 4, 1), changed("edit", 5, 2, body="new"))
        assert [(await event(chat)).seq for _ in range(2)] == [4, 5]
        entries = [message(seq) for seq in (1, 2, 3)]
        await visit.reply(history, "page", room=TEA, epoch="e1", entries=entries, head=3, complete=True)
        again = await visit.expect("history")
        assert again["before"] == 3, "the text of the second is to be fetched"
        entries = [message(2) | {"body": "new", "edited": 5}]
        await visit.reply(again, "page", room=TEA, epoch="e1", entries=entries, head=5, complete=True)
        await until(lambda: kept(replica) == [(2, "new"), (3, "m3")] and replica.wanted() is None)


async def test_a_node_that_is_behind_is_not_asked_all_the_time(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = trio.sleep

    async def noting(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(following_module, "_AGAIN_S", 0.0123)
    monkeypatch.setattr(trio, "sleep", noting)
    replica = opened(tmp_path / "ann.db")
    async with talking(peer, listed(3), replica=replica) as (_, visit):
        for _ in range(3):
            await page_for(visit, head=2)
        await page_for(visit, head=3)
        assert slept.count(0.0123) == 3
        await until(lambda: kept(replica) == [(1, "m1"), (2, "m2"), (3, "m3")])


async def test_what_is_kept_of_rooms_that_no_list_can_name_stays(peer: Peer, tmp_path: Path) -> None:
    """The server's database is damaged, and the file may have the only copy."""
    rooms = ["dm:ann:bob", "dm:ann:cat", "group:damaged", "group:left"]
    replica = opened(tmp_path / "ann.db", *(Began(room, 4, "e1") for room in rooms))
    contacts = [
        {"user": user, "name": user, "online": False, **listed(0, f"dm:ann:{user}")}
        for user in (f"user{number:02}" for number in range(15))
    ]
    async with talking(peer, contacts=contacts, rooms_next="c", replica=replica) as (chat, visit):
        await visit.reply(await visit.expect("groups"), "groups", groups=[], unreadable=["group:damaged"])
        asked = await visit.expect("contacts")
        await visit.reply(asked, "contacts", contacts=[], next="d", unreadable=["dm:ann:bob"])
        await visit.reply(await visit.expect("contacts"), "contacts", contacts=[], unreadable=["dm:ann:cat"])
        assert [(await event(chat)).unreadable for _ in range(3)] == [[room] for room in (rooms[2], *rooms[:2])]
        await until(lambda: sorted(each.room for each in replica.rooms() if each.seq == 4) == rooms[:3])


async def test_rooms_that_incomplete_lists_do_not_name_are_kept(peer: Peer, tmp_path: Path) -> None:
    """The node is cut off from the others, where the user may have come into the room."""
    replica = opened(tmp_path / "ann.db", Began("group:new", 4, "e1"))
    async with talking(peer, incomplete=True, rooms_next="c", replica=replica) as (chat, visit):
        await visit.reply(await visit.expect("groups"), "groups", groups=[])
        for seq in (1, 2):
            await visit.send(message(seq))
            await event(chat)
        assert "group:new" in [room.room for room in replica.rooms()]
    async with talking(peer, replica=replica):
        await until(lambda: "group:new" not in [room.room for room in replica.rooms()])


async def fact_before_the_list(chat: Chat, visit: Visit) -> None:
    """The server tells fact 41 of the room, and then in its list that the room has so many."""
    groups = await visit.expect("groups")
    await visit.send(message(41))
    assert (await event(chat)).seq == 41
    await visit.reply(groups, "groups", groups=[listed(41) | {"members": 2}])
    assert (await event(chat)).groups[0].room == TEA


@pytest.mark.parametrize("epoch", ["e1", None], ids=["", "of an older server"])
async def test_another_log_whose_fact_comes_before_the_list_replaces_the_one_that_was_kept(
    peer: Peer, tmp_path: Path, epoch: str | None
) -> None:
    replica = opened(tmp_path / "ann.db", Began(TEA, 40, "old log"))
    async with talking(peer, rooms_next="c", replica=replica, epoch=epoch) as (chat, visit):
        await fact_before_the_list(chat, visit)
        await page_for(visit, head=41)
        await until(lambda: [row[0] for row in kept(replica)] == list(range(1, 42)))
        assert replica.rooms()[0][:3] == (TEA, 41, "e1")


async def test_the_log_that_was_kept_goes_on_with_a_fact_that_comes_before_the_list(peer: Peer, tmp_path: Path) -> None:
    replica = opened(tmp_path / "ann.db", Began(TEA, 40, "e1"))
    async with talking(peer, rooms_next="c", replica=replica) as (chat, visit):
        await fact_before_the_list(chat, visit)
        await until(lambda: replica.rooms()[0][:2] == (TEA, 41))
        assert kept(replica) == [(41, "m41")] and replica.wanted() is None


async def test_rooms_are_kept_in_the_order_that_their_lists_tell(peer: Peer, tmp_path: Path) -> None:
    rooms = [
        listed(2, f"group:{name}") | {"last": {"seq": 2, "ts": ts, "from": "bob", "body": "x"}}
        for name, ts in (("a", 10), ("b", 30), ("c", 20))
    ]
    replica = opened(tmp_path / "ann.db")
    async with talking(peer, *rooms, replica=replica) as (_, visit):
        asked = await visit.expect("history")
        assert asked["room"] == "group:b", "the latest is fetched first"
        assert [each.room for each in replica.rooms()] == ["group:b", "group:c", "group:a"]


async def test_scripts_have_it_too(node: Node, tmp_path: Path) -> None:
    def script() -> None:
        with connect_sync(url(node), token=issue(node, "ann"), replica=tmp_path / "ann.db") as chat:
            chat.send("user:bob", "from a script")
            assert chat.next_event(WAIT_S) is not None and chat.replica is not None
            assert chat.replica.messages("dm:ann:bob")[0].body == "from a script"

    with trio.fail_after(WAIT_S):
        await trio.to_thread.run_sync(script)


async def test_a_file_that_can_not_be_written_ends_the_session(node: Node, tmp_path: Path) -> None:
    replica = Replica(tmp_path / "ann.db")

    async def work() -> None:
        async with enter(node, "ann", replica=replica) as chat:
            replica.close()
            await chat.send("user:bob", "hello")
            await anext(chat)

    with trio.fail_after(WAIT_S), pytest.raises(sqlite3.Error):
        await work()


async def test_a_file_that_two_tasks_find_broken_ends_the_session_by_one_exception(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica, failed = Replica(tmp_path / "ann.db"), threading.Event()

    def store(news: object) -> bool:
        failed.set()
        raise sqlite3.OperationalError("disk I/O error")

    def wanted(unreadable: object) -> None:
        assert failed.wait(WAIT_S)
        raise sqlite3.OperationalError("disk I/O error, too")

    async def work() -> None:
        async with enter(node, "ann", replica=replica) as chat:
            await chat.send("user:bob", "hello")
            await anext(chat)

    monkeypatch.setattr(replica, "store", store)
    monkeypatch.setattr(replica, "wanted", wanted)
    with trio.fail_after(WAIT_S), pytest.raises(sqlite3.OperationalError):
        await work()
    replica.close()


#: Prints the place of each fact that it is handed, and nothing else.
PROGRAM = """
import os, sys, trio
from gochat.client import connect, facts
async def main():
    async with connect(sys.argv[1], token=os.environ["GOCHAT_TOKEN"], replica=sys.argv[2]) as chat:
        print("ready", flush=True)
        async for event in chat:
            if isinstance(event, facts.Fact):
                print(event.room, event.seq, flush=True)
trio.run(main)
"""


async def spoken(bob: Chat, count: int) -> None:
    """Messages, and an edit or a deletion of an earlier one after every few."""
    seqs: list[int] = []
    for number in range(count):
        seqs.append((await bob.send(TEA, f"text {number}")).seq)
        if number % 5 == 3:
            await bob.edit(TEA, seqs[number // 2], f"edited by {number}")
        if number % 9 == 7:
            await bob.delete(TEA, seqs.pop(number // 3))
            seqs.insert(number // 3, seqs[-1])


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.long)])
async def test_kills_lose_nothing_and_double_nothing(node: Node, tmp_path: Path, kills: int) -> None:
    path = tmp_path / "ann.db"
    environment = os.environ | {"GOCHAT_TOKEN": issue(node, "ann")}
    line = [sys.executable, "-c", PROGRAM, url(node), str(path)]
    handed: list[str] = []

    async def run(stop_after: int) -> None:
        """Run the program until it was handed so many facts, and kill it in the middle of all else."""
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(line, env=environment, stdout=subprocess.PIPE)
            printed, rest = 0, b""
            assert process.stdout is not None
            while printed <= stop_after:
                data = await process.stdout.receive_some()
                assert data, "the program ended by itself"
                *whole, rest = (rest + data).split(b"\n")
                handed.extend(each.decode() for each in whole if each != b"ready")
                if b"ready" in whole:
                    nursery.start_soon(spoken, bob, 25)
                printed += len(whole)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()

    with trio.fail_after(WAIT_S * (1 + kills // 5)):
        async with enter(node, "bob") as bob:
            await bob.create_group("tea", users=["ann"])
            await spoken(bob, 20)
            for kill in range(kills):
                await run(kill * 7 % 20)
            async with following(node, path) as (_, replica, _):
                await is_level(bob, replica)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        words = {
            (word, id_)
            for id_, body in db.execute("SELECT id, body FROM message")
            for word in folding.words(body or "")
        }
        assert set(db.execute("SELECT word, id FROM word")) == words
    db.close()
    assert handed and len(set(handed)) == len(handed), [each for each in set(handed) if handed.count(each) > 1]
