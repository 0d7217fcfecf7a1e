"""The suite of `ports.Archive`: what is read is what was recorded, as it is now, and no more than one may see.

Given like the journal's suite: a fixture `store` with a `journal` and an `archive` of one fresh store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import trio

from gochat.domain import commands, facts
from gochat.domain.facts import AnyFact
from gochat.domain.receipts import SMALL_ROOM
from gochat.domain.record import RoomRecord
from gochat.domain.turn import RoomRules
from gochat.ports import Viewer
from gochat.protocol import replies
from gochat.protocol.replies import GroupEntry, Last, MemberEntry, UserEntry
from gochat.store.read.receipts import Receipts
from tests.appending import append_to
from tests.contracts.journal import DM, SOON, TEA, message
from tests.contracts.scribe import Scribe

FRAME_BYTES = 1 << 20
ANN, BOB, ZOE, ADMIN = Viewer("ann"), Viewer("bob"), Viewer("zoe"), Viewer("root", admin=True)
NEWEST = {"before": None, "after": None}


async def entries(store: Any, viewer: Viewer, room: str, **bounds: int | None) -> list[AnyFact]:
    page = await store.archive.page(viewer, room, **(NEWEST | {"limit": 200} | bounds))
    assert page is not None
    return list(page.entries)


def seqs(found: list[AnyFact]) -> list[int]:
    return [fact.seq for fact in found]


async def until(answer: Callable[[], Awaitable[Any]], expected: Any, within_s: float = SOON) -> None:
    """Ask again until that is the answer: the index is fed, and notes are written, a moment later."""
    with trio.move_on_after(within_s):
        while await answer() != expected:
            await trio.sleep(0.01)
    assert await answer() == expected


async def tea_of(store: Any, *users: str, room: str = TEA, **fields: Any) -> Scribe:
    scribe = await Scribe.at(store, room)
    await scribe.made(commands.Create, users=users, **fields)
    return scribe


class ArchiveContract:
    # ------------------------------------------------------------------------------------------ pages

    async def test_the_newest_page_and_its_bounds(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said(*(f"m{n}" for n in range(1, 11)))
        assert await entries(store, ANN, DM) == dm.log
        assert seqs(await entries(store, BOB, DM, limit=3)) == [8, 9, 10]
        assert seqs(await entries(store, BOB, DM, before=8, limit=3)) == [5, 6, 7]
        assert seqs(await entries(store, BOB, DM, after=8, limit=3)) == [9, 10]
        assert seqs(await entries(store, BOB, DM, after=0, limit=3)) == [1, 2, 3]
        for empty in ({"before": 1}, {"before": 0}, {"before": -5}, {"after": 10}, {"after": 1 << 70}):
            page = await store.archive.page(ANN, DM, **(NEWEST | empty), limit=5)
            assert (page.entries, page.head) == ([], 10)
        assert seqs(await entries(store, ANN, DM, before=1 << 70, limit=1)) == [10]
        assert seqs(await entries(store, ANN, DM, after=-(1 << 70), limit=1)) == [1]

    async def test_rooms_beside_it_do_not_show(self, store: Any) -> None:
        scribes = [await Scribe.at(store, room) for room in ("dm:ann:x", "dm:ann:y", "dm:ann:z")]
        for scribe in scribes:
            await scribe.said("a", "b")
        for scribe in scribes:
            for bounds in ({}, {"after": 0}, {"before": 99}):
                assert await entries(store, ANN, scribe.room, **bounds) == scribe.log
            assert await store.archive.replay(scribe.room, 0, 99, 99) == scribe.log
            assert await store.archive.replay(scribe.room, -1, 1 << 33, 99) == scribe.log

    async def test_everything_is_shown_as_it_is_now(self, store: Any) -> None:
        tea = await tea_of(store, "bob", "cat", title="Tea", history="since_join", post="moderators")
        await tea.made(commands.Configure, post="members", history="all")
        one, two, _ = await tea.said("one", "two", "three", user="bob")
        reply = await tea.made(commands.Send, "cat", body="yes", key="k", reply_to=two)
        await tea.made(commands.Edit, "bob", seq=one, body="ONE")
        await tea.made(commands.Edit, "bob", seq=one, body="1")
        for user in ("ann", "bob", "cat"):
            await tea.made(commands.React, user, seq=one, emoji="👍", on=True)
            await tea.made(commands.React, user, seq=two, emoji="x", on=True)
        await tea.made(commands.React, "cat", seq=one, emoji="👍", on=False)
        await tea.made(commands.React, "bob", seq=one, emoji="\x01", on=True)
        await tea.made(commands.Edit, "bob", seq=two, body="TWO")
        await tea.made(commands.Delete, "ann", seq=two)
        await tea.made(commands.SetRole, member="bob", role="moderator")
        await tea.made(commands.Remove, "bob", users=("cat",))
        await tea.made(commands.Leave, "bob")
        page = await entries(store, ANN, TEA)
        assert page == tea.shown()
        assert page[one - 1] == facts.Message(
            room=TEA,
            seq=one,
            ts=tea.log[one - 1].ts,
            sender="bob",
            body="1",
            edited=tea.log[reply.seq + 1].ts,
            reactions={"👍": 2, "\x01": 1},
        )
        gone = page[two - 1]
        assert isinstance(gone, facts.Message)
        assert (gone.body, gone.edited, gone.reactions, gone.deleted is None) == (None, None, None, False)
        assert await store.archive.replay(TEA, 0, tea.head, 200) == tea.shown(edits=True)

    async def test_a_replayed_edit_tells_the_present_body_and_after_a_delete_none(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("helo")
        await dm.made(commands.Edit, seq=1, body="hell")
        await dm.made(commands.Edit, seq=1, body="hello")
        first, *edits = await store.archive.replay(DM, 0, 9, 9)
        assert [first.body, *(edit.body for edit in edits)] == ["hello"] * 3
        assert [edit.body for edit in (await entries(store, ANN, DM))[1:]] == [None, None]
        await dm.made(commands.Delete, seq=1)
        assert [getattr(fact, "body", None) for fact in await store.archive.replay(DM, 0, 9, 9)] == [None] * 4

    @pytest.mark.parametrize("limit", [1, 7, 50])
    async def test_pages_in_both_directions_join_to_the_log_while_it_grows(self, store: Any, limit: int) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said(*map(str, range(40)))
        up: list[AnyFact] = []
        down: list[AnyFact] = []
        replayed: list[AnyFact] = []
        grown, start = 0, dm.head
        with trio.fail_after(SOON):
            while True:
                page = await store.archive.page(ANN, DM, before=None, after=len(up), limit=limit)
                up += page.entries
                replayed += await store.archive.replay(DM, len(replayed), page.head, limit)
                lowest = down[0].seq if down else start + 1
                down = (await store.archive.page(ANN, DM, before=lowest, after=None, limit=limit)).entries + down
                if grown < 20:
                    grown += 1
                    await dm.said(f"more {grown}")
                elif len(up) == len(replayed) == dm.head and len(down) == start:
                    break
        assert up == replayed == dm.log
        assert down == dm.log[:start]

    async def test_a_moment_is_one_moment_while_it_is_written(self, store: Any) -> None:
        """Each transaction adds ten: no reading sees a part of one."""
        record: RoomRecord = await store.journal.load(DM)
        done = trio.Event()

        async def write() -> None:
            for turn in range(30):
                await append_to(store.journal, record, [message(DM, 10 * turn + n) for n in range(1, 11)])
            done.set()

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                while not done.is_set():
                    page = await store.archive.page(ANN, DM, **NEWEST, limit=200)
                    assert page.head % 10 == 0 and seqs(page.entries)[-1:] == ([page.head] if page.head else [])
                    snapshot = await store.archive.welcome("bob", 15, [DM])
                    for contact in snapshot.contacts:
                        assert contact.head == contact.unread == snapshot.heads[DM]
                        assert contact.head % 10 == 0 and contact.last is not None and contact.last.seq == contact.head

    @pytest.mark.parametrize("character", ["a", '"', "\\", "\x01", "é", "漢", "😀", "\u2028"], ids=ascii)
    async def test_a_page_fits_a_frame(self, store: Any, character: str) -> None:
        record = await store.journal.load("dm:" + "a" * 64 + ":" + "b" * 64)
        viewer = Viewer("a" * 64)
        body, key = character * 4000, character * 60
        batch = [
            message(record.room, seq, body, sender="a" * 64, key=f"{key}{seq}", ts=1 << 50) for seq in range(1, 201)
        ]
        await append_to(store.journal, record, batch)
        await self.fits(store, viewer, record.room, body)
        short = await store.journal.load("dm:" + "a" * 64 + ":" + "c" * 64)
        batch = [
            message(short.room, seq, character, sender="a" * 64, key=f"{key}{seq}", ts=1 << 50) for seq in range(1, 201)
        ]
        await append_to(store.journal, short, batch)
        assert len(await entries(store, viewer, short.room)) == 200
        await self.fits(store, viewer, short.room, character)

    async def test_a_page_of_many_reactions_fits_a_frame(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said(*"1234567")
        for seq, many in enumerate((6000, 900, 900, 900, 900, 900, 6000), 1):
            emoji = ["\x01" * 27 + f"{n:05}" for n in range(many)]
            await dm.turn(*(commands.React(room=DM, user="ann", seq=seq, emoji=each, on=True) for each in emoji))
            await dm.made(commands.React, "bob", seq=seq, emoji=emoji[-1], on=True)
        assert len(await entries(store, ANN, DM, before=8)) < 7, "else nothing is tested here"
        await self.fits(store, ANN, DM, "1", after=0)
        await self.fits(store, ANN, DM, "7", before=8)
        first, *_, last = await store.archive.replay(DM, 0, 7, 7)
        for fact in (first, last):
            assert isinstance(fact, facts.Message) and fact.reactions is not None
            assert len(msgspec.json.encode(fact)) < FRAME_BYTES
            assert max(fact.reactions.values()) == 2, "the most frequent ones are told"

    @staticmethod
    async def fits(store: Any, viewer: Viewer, room: str, body: str, **bounds: int) -> None:
        page = await store.archive.page(viewer, room, **(NEWEST | bounds), limit=200)
        nearest = 0 if "after" in bounds else -1
        assert page.entries and page.entries[nearest].body == body
        frame = replies.Page(
            id="\x01" * 64, room=room, epoch="e" * 32, entries=page.entries, head=page.head, complete=True
        )
        assert len(msgspec.json.encode(frame)) < FRAME_BYTES
        assert len(msgspec.msgpack.encode(frame)) < FRAME_BYTES

    # ------------------------------------------------------------------------------------------ who may read

    async def test_who_may_read_a_group(self, store: Any) -> None:
        tea = await tea_of(store, "bob")
        await tea.said("hi")
        assert await store.archive.page(ZOE, TEA, **NEWEST, limit=5) is None
        assert await store.archive.page(ANN, "group:none", **NEWEST, limit=5) is None
        assert await store.archive.members(ZOE, TEA, 5, None) is None
        assert await entries(store, BOB, TEA) == await entries(store, ADMIN, TEA) == tea.log
        await tea.made(commands.Remove, users=("bob",))
        await tea.said("secret")
        former = await store.archive.page(BOB, TEA, **NEWEST, limit=9)
        assert (former.entries, former.head) == (tea.log[:-1], tea.head - 1), "up to where it ended"
        assert seqs((await store.archive.page(BOB, TEA, before=None, after=2, limit=9)).entries) == [3, 4]
        assert await store.archive.page(Viewer("bob", after_leaving=False), TEA, **NEWEST, limit=5) is None
        assert await store.archive.members(BOB, TEA, 5, None) is None
        assert [await store.archive.membership(user, TEA) for user in ("ann", "bob", "zoe")] == [
            "owner",
            "former",
            None,
        ]
        assert await store.archive.membership("ann", "group:none") is None

    async def test_a_closed_group_is_gone(self, store: Any) -> None:
        tea = await tea_of(store, "bob")
        await tea.said("hello")
        await until(lambda: self.found(store, "ann", "hello"), [2 + 1])
        await tea.made(commands.Close)
        for viewer in (ANN, BOB, ADMIN):
            assert await store.archive.page(viewer, TEA, **NEWEST, limit=5) is None
            assert await store.archive.members(viewer, TEA, 5, None) is None
            assert await store.archive.membership(viewer.user, TEA) is None
        assert await self.found(store, "ann", "hello") == []
        assert await store.archive.groups("ann", None, 5, None) == ([], None)
        snapshot = await store.archive.welcome("bob", 15, [TEA])
        assert (snapshot.rooms, snapshot.heads, snapshot.former) == ([], {}, {TEA: tea.head})
        assert await store.archive.replay(TEA, 0, tea.head, 99) == tea.log, "those who were in it hear its end"
        assert await store.archive.acquainted("ann", ["bob"]) == set()

    async def test_a_dm_is_there_for_its_two_users(self, store: Any) -> None:
        assert await store.archive.membership("ann", DM) == "member"
        assert await store.archive.membership("zoe", DM) is None
        page = await store.archive.page(ANN, DM, **NEWEST, limit=5)
        assert (page.entries, page.head, await store.archive.head(DM)) == ([], 0, 0)
        assert await store.archive.replay(DM, 0, 5, 5) == []
        assert await store.archive.page(ZOE, DM, **NEWEST, limit=5) is None
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
        assert await store.archive.page(ZOE, DM, **NEWEST, limit=5) is None
        assert await entries(store, BOB, DM) == await entries(store, ADMIN, DM) == dm.log
        assert await store.archive.members(BOB, DM, 5, None) == (
            [MemberEntry(user=user, name=user, role="member", since=0) for user in ("ann", "bob")],
            None,
        )
        assert await store.archive.members(ZOE, DM, 5, None) is None

    async def test_ones_own_room(self, store: Any) -> None:
        own = await Scribe.at(store, "dm:ann:ann")
        await own.said("a note")
        assert await entries(store, ANN, own.room) == own.log
        (contact,) = (await store.archive.welcome("ann", 15, [])).contacts
        assert (contact.user, contact.unread) == ("ann", 0)
        members, _ = await store.archive.members(ANN, own.room, 5, None)
        assert [member.user for member in members] == ["ann"]

    async def test_since_join_hides_what_was_before(self, store: Any) -> None:
        tea = await tea_of(store, "bob", history="since_join")
        await tea.said("earlier")
        await tea.made(commands.Add, users=("cat",))
        joined = tea.head
        await tea.said("later")
        cat = Viewer("cat")
        for bounds in ({}, {"after": 0}, {"before": tea.head + 1}):
            assert await entries(store, cat, TEA, **bounds) == tea.log[joined - 1 :]
        assert await entries(store, cat, TEA, before=joined) == []
        assert await entries(store, BOB, TEA) == tea.log[2:], "bob joined with the third fact"
        assert await entries(store, ADMIN, TEA) == tea.log
        await until(lambda: self.found(store, "bob", "earlier later"), [])
        await until(lambda: self.found(store, "bob", "earlier"), [joined - 1])
        assert await self.found(store, "cat", "earlier") == []
        await until(lambda: self.found(store, "cat", "later"), [joined + 1])
        await tea.made(commands.Configure, history="all")
        assert await entries(store, cat, TEA) == tea.log
        assert await self.found(store, "cat", "earlier") == [joined - 1]
        await tea.made(commands.Configure, history="since_join")
        await tea.made(commands.Remove, users=("bob",))
        await tea.made(commands.Add, users=("bob",))
        assert await entries(store, BOB, TEA) == tea.log[-1:], "who comes again begins anew"

    # ------------------------------------------------------------------------------------------ welcome

    async def test_a_welcome_has_the_latest_private_rooms_and_all_groups(self, store: Any) -> None:
        journal = store.journal
        for n, peer in enumerate(("bob", "cat", "dan", "eve")):
            dm = await Scribe.at(store, f"dm:ann:{peer}")
            dm.now_ms = 1000 * (n + 1)
            await dm.said("x" * 300 if peer == "eve" else f"to {peer}")
        for name in ("tea", "coffee"):
            await tea_of(store, "ann", room=f"group:{name}", title=name.title())
        await tea_of(store, room="group:others")
        snapshot = await store.archive.welcome("ann", 3, [])
        assert [contact.room for contact in snapshot.contacts] == ["dm:ann:eve", "dm:ann:dan", "dm:ann:cat"]
        assert snapshot.contacts[0].last == Last(seq=1, ts=4000, sender="ann", body="x" * 200)
        assert [room.room for room in snapshot.rooms] == ["group:coffee", "group:others", "group:tea"]
        room = snapshot.rooms[-1]
        assert (room.title, room.role, room.epoch, room.head, room.last) == ("Tea", "owner", journal.epoch, 1, None)
        again = await Scribe.at(store, "dm:ann:bob")
        again.now_ms = 9000
        await again.said("again", user="bob")
        first, *_ = (await store.archive.welcome("ann", 3, [])).contacts
        assert (first.user, first.name, first.head, first.read, first.unread, first.online) == (
            "bob",
            "bob",
            2,
            1,
            1,
            True,
        )
        assert (await store.archive.welcome("nobody", 15, [])).contacts == []

    async def test_a_welcome_holds_every_fact_up_to_its_commit_and_none_after(self, store: Any) -> None:
        scribes = [await Scribe.at(store, f"dm:ann:u{n}") for n in range(5)]
        rooms = [scribe.room for scribe in scribes]
        going = len(scribes)

        async def write(scribe: Scribe) -> None:
            nonlocal going
            for _ in range(15):
                await scribe.said("x", "y")
            going -= 1

        snapshots = []
        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                for scribe in scribes:
                    nursery.start_soon(write, scribe)
                while going:
                    snapshots.append(await store.archive.welcome("ann", 15, rooms))
        for snapshot in snapshots:
            for scribe in scribes:
                held = sum(commit <= snapshot.commit for commit in scribe.commits)
                assert snapshot.heads[scribe.room] == held
        commits = [snapshot.commit for snapshot in snapshots]
        assert commits == sorted(commits)

    async def test_a_welcome_tells_of_rooms_asked_for_whether_one_is_in_them(self, store: Any) -> None:
        tea = await tea_of(store, "bob")
        await tea.made(commands.Remove, users=("bob",))
        ended = tea.head
        await tea.said("more")
        asked = [TEA, DM, "dm:cat:dan", "group:none", "dm:odd", "nonsense", "dm:a:b:c"]
        snapshot = await store.archive.welcome("bob", 0, asked)
        assert (snapshot.former, snapshot.heads) == ({TEA: ended}, {DM: 0})
        assert (await store.archive.welcome("ann", 15, asked)).heads == {TEA: tea.head, DM: 0}
        assert (await store.archive.welcome("zoe", 15, asked)).heads == {}
        await tea.made(commands.Add, users=("bob",))
        snapshot = await store.archive.welcome("bob", 15, [TEA])
        assert (snapshot.former, snapshot.heads) == ({}, {TEA: tea.head})

    async def test_unread_is_what_others_said_and_did_not_take_back(self, store: Any) -> None:
        tea = await tea_of(store, "bob", "cat")
        said = await tea.said("one", "two", "three", "four")
        await tea.made(commands.Delete, seq=said[1])
        await tea.made(commands.React, seq=said[0], emoji="+", on=True)
        for user in ("ann", "bob", "cat"):
            (room,) = (await store.archive.welcome(user, 15, [])).rooms
            assert room.unread == tea.unread(user)
            assert room.last is not None and (room.last.seq, room.last.body) == (said[3], "four")
        await tea.made(commands.Delete, seq=said[3])
        (room,) = (await store.archive.welcome("bob", 15, [])).rooms
        assert room.unread == tea.unread("bob") == 2
        assert room.last is not None and (room.last.seq, room.last.body) == (said[3], "")

    async def test_mentions_are_counted_beside_unread_until_they_are_read_edited_or_deleted(self, store: Any) -> None:
        tea = await tea_of(store, "bob", "cat")

        async def told(user: str) -> tuple[int, int]:
            """By the welcome, and by the list of groups."""
            (room,) = (await store.archive.welcome(user, 15, [])).rooms
            ((listed,), _) = await store.archive.groups(user, None, 9, None)
            return room.mentions, listed.mentions

        one, two, three, _ = await tea.said("@bob", "@bob and @cat", "hi", "@bob.")
        assert (await told("ann"), await told("bob"), await told("cat")) == ((0, 0), (3, 3), (1, 1))
        await tea.made(commands.Edit, seq=two, body="@cat alone")
        await tea.made(commands.Edit, seq=three, body="now @cat too")
        assert (await told("bob"), await told("cat")) == ((2, 2), (2, 2))
        await tea.made(commands.Delete, seq=three)
        assert await told("cat") == (1, 1)
        store.journal.note_read(tea.record, "bob", one)
        await store.journal.flush_reads()
        assert await told("bob") == (1, 1)
        await tea.said("to write is to have read", user="bob")
        assert await told("bob") == (0, 0)

    async def test_mentions_by_a_user_who_is_blocked_do_not_count(self, store: Any) -> None:
        tea, dm = await tea_of(store, "bob"), await Scribe.at(store, DM)
        await tea.said("@bob", "@bob again")
        await dm.said("@bob here")

        async def told() -> list[int]:
            snapshot = await store.archive.welcome("bob", 15, [])
            listed, _ = await store.archive.contacts("bob", 9, None, rooms=True)
            return [each.mentions for each in (*snapshot.rooms, *snapshot.contacts, *listed)]

        assert await told() == [2, 1, 1]
        await dm.made(commands.Contact, "bob", action="block")
        assert await told() == [0, 0], "the private room is not listed"
        await dm.made(commands.Contact, "bob", action="unblock")
        assert await told() == [2, 1, 1]

    async def test_mentions_are_counted_up_to_a_hundred(self, store: Any) -> None:
        tea = await tea_of(store, "bob")
        for _ in range(3):
            await tea.said(*["@bob"] * 50)
        (room,) = (await store.archive.welcome("bob", 15, [])).rooms
        assert (room.unread, room.mentions) == (150, 100)

    async def test_mentions_by_a_user_who_is_blocked_hide_no_others(self, store: Any) -> None:
        tea, dm = await tea_of(store, "bob", "cat"), await Scribe.at(store, "dm:bob:cat")
        await dm.made(commands.Contact, "bob", action="block")
        await tea.said("@bob")
        for _ in range(3):
            await tea.said(*["@bob"] * 50, user="cat")
        (room,) = (await store.archive.welcome("bob", 15, [])).rooms
        assert (room.unread, room.mentions) == (151, 1)

    async def test_a_group_tells_how_far_each_of_the_others_has_read(self, store: Any) -> None:
        tea = await tea_of(store, "bob", "cat")
        said = await tea.said("one", "two")
        await tea.said("three", user="cat")
        store.journal.note_read(tea.record, "bob", said[0])
        await store.journal.flush_reads()
        expected = {"ann": {"bob": 3, "cat": 5}, "bob": {"ann": 4, "cat": 5}, "cat": {"ann": 4, "bob": 3}}
        for user, reads in expected.items():
            (room,) = (await store.archive.welcome(user, 15, [])).rooms
            ((listed,), _) = await store.archive.groups(user, None, 9, None)
            page = await store.archive.page(Viewer(user), TEA, **NEWEST, limit=1)
            assert room.reads == listed.reads == page.reads == reads
        assert (await store.archive.page(ADMIN, TEA, **NEWEST, limit=1)).reads == {}, "who is not in it"
        await tea.made(commands.Remove, users=("cat",))
        assert (await store.archive.page(Viewer("cat"), TEA, **NEWEST, limit=1)).reads == {}, "who is in it no more"
        assert (await store.archive.page(BOB, TEA, **NEWEST, limit=1)).reads == {"ann": 4}

    async def test_a_large_group_tells_nothing_of_that(self, store: Any) -> None:
        tea = await tea_of(store, *(f"u{number}" for number in range(SMALL_ROOM - 1)))
        (room,) = (await store.archive.welcome("ann", 15, [])).rooms
        assert len(room.reads) == SMALL_ROOM - 1
        await tea.made(commands.Add, users=("bob",))
        (room,) = (await store.archive.welcome("ann", 15, [])).rooms
        assert room.reads == (await store.archive.page(ANN, TEA, **NEWEST, limit=1)).reads == {}

    async def test_a_list_tells_so_many_positions_and_pages_tell_the_others(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in "abc":
            await tea_of(store, "bob", "cat", room=f"group:{name}")
        dm = await Scribe.at(store, DM)
        await dm.made(commands.Contact, "bob", action="add")
        await dm.said("hi")
        await dm.said("ho", user="bob")
        monkeypatch.setattr(Receipts.__init__, "__defaults__", (7,))
        snapshot = await store.archive.welcome("ann", 15, [])
        assert snapshot.contacts[0].reads == {"bob": 2}, "private rooms first"
        assert [len(room.reads) for room in snapshot.rooms] == [2, 2, 0]
        assert len((await store.archive.page(ANN, "group:c", **NEWEST, limit=1)).reads) == 2

    async def test_since_join_hides_positions_in_what_it_hides(self, store: Any) -> None:
        tea = await tea_of(store, "bob", history="since_join")
        await tea.said("one", user="bob")
        came = await tea.made(commands.Add, users=("zoe",))
        (room,) = (await store.archive.welcome("zoe", 15, [])).rooms
        assert room.reads == (await store.archive.page(ZOE, TEA, **NEWEST, limit=1)).reads == {}
        store.journal.note_read(tea.record, "bob", came.seq)
        await store.journal.flush_reads()
        (room,) = (await store.archive.welcome("zoe", 15, [])).rooms
        assert room.reads == {"bob": came.seq}
        (room,) = (await store.archive.welcome("ann", 15, [])).rooms
        assert room.reads == {"bob": came.seq, "zoe": came.seq}

    async def test_a_private_room_tells_it_to_those_whom_the_reader_lets_write(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        dm.rules = RoomRules()

        async def told(user: str) -> dict[str, int]:
            page = await store.archive.page(Viewer(user), DM, **NEWEST, limit=1)
            for entry in (await store.archive.welcome(user, 15, [])).contacts:
                assert entry.reads == page.reads
            return dict(page.reads)

        async def reads(seq: int) -> None:
            store.journal.note_read(dm.record, "bob", seq)
            await store.journal.flush_reads()

        await dm.said("may I?")
        await reads(1)
        assert await told("ann") == await told("bob") == {}, "bob has not answered"
        await dm.made(commands.Contact, "bob", action="accept")
        assert (await told("ann"), await told("bob")) == ({"bob": 1}, {"ann": 1})
        await dm.made(commands.Contact, "bob", action="remove")
        assert (await told("ann"), await told("bob")) == ({}, {"ann": 1}), "ann lets bob write, and not the other way"
        await dm.made(commands.Contact, "bob", action="add")
        await dm.made(commands.Contact, "ann", action="block")
        assert (await told("ann"), await told("bob")) == ({}, {})
        assert (await store.archive.page(ADMIN, DM, **NEWEST, limit=1)).reads == {}

    async def test_a_former_member_sees_the_mentions_of_then(self, store: Any) -> None:
        tea = await tea_of(store, "bob", "cat")
        kept, edited = await tea.said("@bob", "@cat")
        await tea.made(commands.Remove, users=("bob",))
        await tea.made(commands.Edit, seq=edited, body="@cat and more")
        page = await entries(store, BOB, TEA)
        shown = [(fact.body, fact.mentions) for fact in page if isinstance(fact, facts.Message)]
        assert shown == [("@bob", ["bob"]), (None, None)], "a text that came later is not told, nor whom it mentions"
        assert (await entries(store, ANN, TEA))[kept - 1].mentions == ["bob"]

    # ------------------------------------------------------------------------------------------ lists

    async def test_lists_are_paged_by_cursor(self, store: Any) -> None:
        users = tuple(f"u{n:02}" for n in range(25))
        tea = await tea_of(store, *users, title="Tea")
        for n in range(7):
            await tea_of(store, "ann", room=f"group:g{n}")
        for user in users:
            store.journal.note_user(user, name=f"User {user}")

        async def collect(ask_for: Callable[[str | None], Awaitable[Any]]) -> list[Any]:
            found, cursor = await ask_for(None)
            while cursor is not None:
                more, cursor = await ask_for(cursor)
                found = found + more
                assert more
            return list(found)

        members = await collect(lambda cursor: store.archive.members(ANN, TEA, 4, cursor))
        assert [member.user for member in members] == sorted(("ann", *users))
        assert members[0] == MemberEntry(user="ann", name="ann", role="owner", since=1000)
        for size in (1, 4, 8, 9):
            groups = await collect(lambda cursor, size=size: store.archive.groups("ann", None, size, cursor))
            assert [group.room for group in groups] == [*(f"group:g{n}" for n in range(7)), TEA]
        reads = dict.fromkeys(users, 2)  # To come in is to have read up to there.
        assert groups[-1] == GroupEntry(
            room=TEA,
            title="Tea",
            role="owner",
            members=26,
            epoch=store.journal.epoch,
            head=2,
            read=1,
            unread=0,
            reads=reads,
        )
        assert (await store.archive.groups("u01", "ann", 50, None))[0][0].role == "member"
        assert await store.archive.groups("ann", "u01", 50, None) == ([], None)
        await tea.made(commands.Remove, users=("u03",))
        assert (await store.archive.groups("u01", None, 50, None))[0][0].members == 25

        async def users_found() -> list[UserEntry]:
            return await collect(lambda cursor: store.archive.search_users("ann", "user", 4, cursor))

        await until(users_found, [UserEntry(user, f"User {user}") for user in users])

    async def test_acquainted_are_those_who_share_a_room(self, store: Any) -> None:
        others = ["bob", "cat", "dan", "eve"]
        assert await store.archive.acquainted("ann", others) == set()
        tea = await tea_of(store, "bob", "cat")
        dm = await Scribe.at(store, "dm:ann:dan")
        assert await store.archive.acquainted("ann", others) == {"bob", "cat"}
        await dm.said("hi")
        assert await store.archive.acquainted("ann", others) == {"bob", "cat", "dan"}
        assert await store.archive.acquainted("bob", ["ann", "dan"]) == {"ann"}
        await tea.made(commands.Remove, users=("cat",))
        assert await store.archive.acquainted("ann", ["cat"]) == set()
        assert await store.archive.acquainted("cat", ["ann", "bob"]) == set()
        assert await store.archive.acquainted("ann", []) == set()

    async def test_sanctions_that_hold_now(self, store: Any) -> None:
        tea = await tea_of(store, "bob", "cat", "dan", "eve")
        hundred_years = 100 * 365 * 86_400
        await tea.made(commands.Mute, member="bob")
        await tea.made(commands.Mute, member="cat", seconds=60)  # Over: the suite's time is that of 1970.
        await tea.made(commands.Mute, member="dan", seconds=hundred_years)
        await tea.made(commands.Ban, member="dan")
        await tea.made(commands.Mute, member="eve")
        await tea.made(commands.Unmute, member="eve")
        store.journal.note_user("bob", name="Bob")

        async def listed() -> list[tuple[str, str, str, bool]]:
            found: list[tuple[str, str, str, bool]] = []
            cursor: str | None = None
            while True:
                page, cursor = await store.archive.sanctions(TEA, 1, cursor)
                found += [(each.user, each.name, each.kind, each.until is None) for each in page]
                if cursor is None:
                    return found

        holding = [("bob", "Bob", "mute", True), ("dan", "dan", "ban", True), ("dan", "dan", "mute", False)]
        await until(listed, holding)
        assert await store.archive.sanctions("group:none", 9, None) == ([], None)
