"""The half of the suite of `ports.Archive` about lists: the welcome, and pages of rooms, members and users."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from gochat.domain import commands, facts
from gochat.domain.receipts import SMALL_ROOM
from gochat.domain.turn import RoomRules
from gochat.ports.archive import Viewer
from gochat.protocol.entries import GroupEntry, Last, MemberEntry, UserEntry
from gochat.store.read import receipts
from tests.contracts.archive import ADMIN, ANN, BOB, NEWEST, ZOE, entries, tea_of, until
from tests.contracts.journal import DM, SOON, TEA
from tests.contracts.scribe import Scribe


class ArchiveListsContract:
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
        await store.journal.flush_positions()
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
        await store.journal.flush_positions()
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

    @pytest.mark.parametrize("history", ["all", "since_join"])
    async def test_to_join_is_not_to_have_read(self, store: Any, history: str) -> None:
        tea = await tea_of(store, "bob", history=history)
        (said,) = await tea.said("one")

        async def told() -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
            (room,) = (await store.archive.welcome("ann", 15, [])).rooms
            ((listed,), _) = await store.archive.groups("ann", None, 9, None)
            page = await store.archive.page(ANN, TEA, **NEWEST, limit=1)
            for one in (listed, page):
                assert (one.reads, one.got, one.joined) == (room.reads, room.got, room.joined)
            return room.reads, room.got, room.joined

        came = await tea.made(commands.Add, users=("cat",))
        reads, got, joined = await told()
        assert (reads, got, joined["cat"]) == ({}, {}, came.seq), "nobody has read anything, cat least of all"
        assert joined.get("bob", 0) < said
        (room,) = (await store.archive.welcome("cat", 15, [])).rooms
        assert (room.read, room.unread) == (came.seq, 0)
        (more,) = await tea.said("two")
        store.journal.note_got(tea.record, "cat", more)
        await store.journal.flush_positions()
        assert (await told())[:2] == ({}, {"cat": more})
        store.journal.note_read(tea.record, "cat", more)
        store.journal.note_read(tea.record, "bob", said)
        await store.journal.flush_positions()
        assert (await told())[:2] == ({"bob": said, "cat": more}, {}), "the first message not by cat: see `joined`"
        await tea.made(commands.Remove, users=("cat",))
        await tea.made(commands.Add, users=("cat",))
        assert (await told())[:2] == ({"bob": said}, {}), "a member who comes back begins anew"

    async def test_a_large_group_tells_nothing_of_that(self, store: Any) -> None:
        tea = await tea_of(store, *(users := tuple(f"u{number}" for number in range(SMALL_ROOM - 1))))
        (said,) = await tea.said("one")
        for user in users:
            store.journal.note_read(tea.record, user, said)
        await store.journal.flush_positions()
        (room,) = (await store.archive.welcome("ann", 15, [])).rooms
        assert len(room.reads) == SMALL_ROOM - 1
        await tea.made(commands.Add, users=("bob",))
        (room,) = (await store.archive.welcome("ann", 15, [])).rooms
        assert room.reads == (await store.archive.page(ANN, TEA, **NEWEST, limit=1)).reads == {}

    async def test_a_list_tells_so_many_positions_and_pages_tell_the_others(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in "abc":
            group = await tea_of(store, "bob", "cat", room=f"group:{name}")
            await group.said("one", user="bob")
            await group.said("two", user="cat")
        dm = await Scribe.at(store, DM)
        await dm.made(commands.Contact, "bob", action="add")
        await dm.said("hi")
        await dm.said("ho", user="bob")
        monkeypatch.setattr(receipts, "MOST", 7)
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
        await store.journal.flush_positions()
        (room,) = (await store.archive.welcome("zoe", 15, [])).rooms
        assert room.reads == {"bob": came.seq}
        (room,) = (await store.archive.welcome("ann", 15, [])).rooms
        assert room.reads == {"bob": came.seq}

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
            await store.journal.flush_positions()

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
        assert groups[-1] == GroupEntry(
            room=TEA,
            title="Tea",
            role="owner",
            members=26,
            epoch=store.journal.epoch,
            head=2,
            read=1,
            unread=0,
        )
        assert (await store.archive.groups("u01", "ann", 50, None))[0][0].role == "member"
        await tea.made(commands.Configure, post="owner")
        assert (await store.archive.groups("u01", None, 50, None))[0][0].post == "owner"
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

    async def test_names_are_told_as_search_tells_them_and_of_those_in_the_same_group(self, store: Any) -> None:
        for user in ("ann", "bob", "cat", "dan"):
            store.journal.note_user(user, name=f"The {user}")
        tea = await tea_of(store, "bob", "cat")

        async def names(viewer: Viewer = ANN) -> dict[str, str]:
            return dict(await store.archive.names(viewer, ["bob", "cat", "dan", "nobody", "ann"]))

        all_of_them = {user: f"The {user}" for user in ("ann", "bob", "cat", "dan")}
        await until(names, all_of_them)
        for blocker in ("bob", "dan"):
            await (await Scribe.at(store, f"dm:ann:{blocker}")).made(commands.Contact, blocker, action="block")
        assert await names() == {user: name for user, name in all_of_them.items() if user != "dan"}
        assert await names(Viewer("root", admin=True)) == await names(Viewer("bob")) == all_of_them
        await tea.made(commands.Remove, users=("bob",))
        assert (await names()).keys() == {"ann", "cat"}
        assert await store.archive.names(Viewer("ann"), []) == {}

    async def test_no_list_tells_the_name_of_a_user_who_has_blocked_the_reader(self, store: Any) -> None:
        """Whatever room or relation leads there; members of one group see each other's names all the same."""
        for user in ("ann", "bob", "cat", "dan", "eve"):
            store.journal.note_user(user, name=f"The {user}")
        await tea_of(store, "bob", room="group:shared")
        everybody = ["ann", "bob", "cat", "dan", "eve"]
        await until(lambda: store.archive.names(ADMIN, everybody), {user: f"The {user}" for user in everybody})
        wanted = {"ann": "The ann", "bob": "The bob", "cat": "cat", "dan": "The dan", "eve": "eve"}
        for other in ("bob", "cat", "dan"):
            dm = await Scribe.at(store, f"dm:ann:{other}")
            await dm.made(commands.Contact, other, action="add")
            await dm.said("hi")
            if other != "dan":
                await dm.made(commands.Contact, other, action="block")
        asks = await Scribe.at(store, "dm:ann:eve")
        asks.rules = RoomRules()
        await asks.said("may I?", user="eve")
        await asks.made(commands.Contact, "eve", action="block")
        requests, _ = await store.archive.requests("ann", 9, None)
        snapshot = await store.archive.welcome("ann", 15, [])
        rooms, _ = await store.archive.contacts("ann", 9, None, None, True, [])
        for other in ("bob", "cat"):
            await (await Scribe.at(store, f"dm:ann:{other}")).made(commands.Contact, "ann", action="add")
        contacts, _ = await store.archive.contacts("ann", 9, None)
        for user in ("bob", "cat", "dan", "eve"):
            members, _ = await store.archive.members(ANN, f"dm:ann:{user}", 9, None)
            assert {each.user: each.name for each in members} == {user: wanted[user], "ann": "The ann"}
        members, _ = await store.archive.members(ADMIN, "dm:ann:cat", 9, None)
        assert [each.name for each in members] == ["The ann", "The cat"]
        for entries_of in (requests, snapshot.requests, snapshot.contacts, rooms, contacts):
            assert entries_of
            assert {each.user: each.name for each in entries_of} == {
                each.user: wanted[each.user] for each in entries_of
            }

    async def test_sanctions_tell_the_names_that_the_asker_may_know(self, store: Any) -> None:
        tea = await tea_of(store, "bob", "cat")
        await tea.made(commands.Ban, member="bob")
        await tea.made(commands.Mute, member="cat")
        for user in ("bob", "cat"):
            store.journal.note_user(user, name=f"The {user}")
            await (await Scribe.at(store, f"dm:ann:{user}")).made(commands.Contact, user, action="block")

        async def listed(viewer: Viewer) -> list[str]:
            return [each.name for each in (await store.archive.sanctions(viewer, TEA, 9, None))[0]]

        async def as_an_admin() -> list[str]:
            return await listed(ADMIN)

        await until(as_an_admin, ["The bob", "The cat"])
        assert await listed(ANN) == ["bob", "The cat"]

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
                page, cursor = await store.archive.sanctions(ANN, TEA, 1, cursor)
                found += [(each.user, each.name, each.kind, each.until is None) for each in page]
                if cursor is None:
                    return found

        holding = [("bob", "Bob", "mute", True), ("dan", "dan", "ban", True), ("dan", "dan", "mute", False)]
        await until(listed, holding)
        assert await store.archive.sanctions(ANN, "group:none", 9, None) == ([], None)
