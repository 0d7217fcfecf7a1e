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
from gochat.domain.record import RoomRecord
from gochat.ports.archive import Viewer
from gochat.protocol import replies
from gochat.protocol.entries import MemberEntry
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
