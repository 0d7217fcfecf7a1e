"""The tables beside the logs equal those that a naive look at the logs gives: after random histories, however these
were merged, and after everything else that changes a database."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Collection
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat import store as stores
from gochat.domain import commands
from gochat.domain.facts import Message
from gochat.domain.ids import dm, dm_users, is_dm, peer
from gochat.domain.turn import RoomRules
from gochat.errors import StoreError
from gochat.store import listing
from gochat.store.health import Health
from gochat.store.listing import BLOCK_BITS
from gochat.store.portable.delete_user import delete_user, release_user
from gochat.store.portable.export_room import export_room
from gochat.store.portable.import_room import import_room
from gochat.store.read import contacts
from gochat.store.read.entries import ListRead
from gochat.store.read.separate import SeparateRooms
from gochat.store.read.source import reading
from gochat.store.read.welcome import welcome
from gochat.store.rows import CLOSED, MEMBER, MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK, connect
from gochat.store.setup import prepare
from gochat.store.write import retention
from gochat.store.write.expiry import Cutoffs
from gochat.store.write.transaction import Writer
from tests.contracts.scribe import Scribe
from tests.store import old_store
from tests.store.conftest import PACES
from tests.store.test_histories import PEOPLE, Noted, aimed, any_commands

GROUPS = ["group:oak", "group:tea"]
PRIVATE = [dm(*pair) for pair in combinations(PEOPLE[:3], 2)] + [dm("ann", "ann")]
ROOMS = [*GROUPS, *PRIVATE]


#: How many private rooms a welcome tells here.
TOLD = 2


class Seat(msgspec.Struct):
    """The part of a seat that follows from the log, and from the relation of two users."""

    name: str | None = None
    latest: int | None = None
    role: str = "dm"


def derived(db: sqlite3.Connection) -> tuple[Any, ...]:
    """As it is kept; `latest` as it is told where the seat is stale."""
    rooms = {
        room_pk: row
        for room_pk, *row in db.execute("SELECT num, head, ts, messages, last, members FROM room WHERE head > 0")
    }
    memberships = {}
    for user, room_pk, name, latest, role, now in db.execute(
        f"""SELECT s.user, s.num, s.name, s.latest, s.role, (
                SELECT f.ts FROM stale t JOIN room r ON r.num = t.num AND r.last >= s.since_seq
                JOIN fact f ON f.id = (r.num << {SEQ_BITS}) + r.last WHERE t.user = s.user AND t.num = s.num)
            FROM seat s"""
    ):
        if latest is not None and now is not None:
            assert latest <= now, "it is behind, if anything"
            latest = now
        memberships[user, room_pk] = Seat(name, latest, role)
    skipped = {
        (room_pk, block): (facts, gone)
        for room_pk, block, facts, gone in db.execute("SELECT num, block, facts, deleted FROM skipped")
    }
    mentions = set(db.execute(f"SELECT user, room_pk << {SEQ_BITS} | seq, sender FROM mention"))
    return rooms, memberships, skipped, dict(db.execute("SELECT id, n FROM fact")), mentions


def recomputed(db: sqlite3.Connection) -> tuple[Any, ...]:
    """The same, from the facts and the relations."""
    rooms: dict[int, list[int]] = {}
    memberships: dict[tuple[str, int], Seat] = {}
    skipped: dict[tuple[int, int], tuple[int, int]] = {}
    counts: dict[int, int] = {}
    mentions: set[tuple[str, int, str]] = set()
    gone_users = {user for (user,) in db.execute("SELECT user FROM tombstone")}
    for room_pk, room in db.execute("SELECT num, id FROM room WHERE head > 0").fetchall():
        roles: dict[str, str] = {}
        head = ts = messages = last = last_ts = 0
        for row_id, ts, kind, deleted, data, sender in db.execute(
            "SELECT id, ts, kind, delete_seq, data, sender FROM fact WHERE id >> ? = ? ORDER BY id", (SEQ_BITS, room_pk)
        ):
            head += 1
            assert row_id & SEQ_MASK == head, "the log is dense"
            if kind == MESSAGE:
                messages, last, last_ts = messages + 1, head, ts
                assert deleted is None or data is None
                users = msgspec.json.decode(data)["mentions"] if data is not None else ()
                mentions.update((user, row_id, sender) for user in users if user not in gone_users)
            elif kind == MEMBER:
                _take(roles, data)
            elif kind == CLOSED:
                roles = dict.fromkeys(roles, "former")
            if kind != MESSAGE or deleted is not None:
                place = (room_pk, head >> BLOCK_BITS)
                facts, gone = skipped.get(place, (0, 0))
                skipped[place] = (facts + 1, gone + (kind == MESSAGE))
            counts[row_id] = messages
        present = [user for user, role in roles.items() if role != "former"]
        rooms[room_pk] = [head, ts, messages, last, len(present)]
        if is_dm(room):
            for user in set(dm_users(room)):
                memberships[user, room_pk] = _private(db, room_pk, room, user, last, last_ts)
        else:
            for user, role in roles.items():
                memberships[user, room_pk] = Seat(room if user in present else None, None, role)
    return rooms, memberships, skipped, counts, mentions


def _take(roles: dict[str, str], data: str) -> None:
    change = msgspec.json.decode(data)
    for user in change["users"]:
        roles[user] = change.get("role", "member") if change["change"] in ("added", "role") else "former"


def _private(db: sqlite3.Connection, room_pk: int, room: str, user: str, last: int, last_ts: int) -> Seat:
    other = peer(room, user)
    hidden = db.execute(
        "SELECT blocked_at IS NOT NULL OR withheld_at IS NOT NULL FROM relation WHERE user = ? AND peer = ?",
        (user, other),
    ).fetchone()
    if hidden is not None and hidden[0]:
        return Seat()
    (since,) = db.execute("SELECT since_seq FROM seat WHERE user = ? AND num = ?", (user, room_pk)).fetchone()
    return Seat(other, last_ts if last >= since else 0)


def _told(db: sqlite3.Connection, user: str) -> list[tuple[int, int]]:
    """The user's latest private rooms, and when they were written to."""
    found = []
    reading = ListRead(db, "e", user, SeparateRooms(Health(), 0))
    entries = welcome(reading, TOLD, (), {}).contacts
    # Two of one moment may come either way.
    one_by_one = contacts.latest_one_by_one(reading, TOLD)
    assert [entry.last.ts for entry in one_by_one] == [entry.last.ts for entry in entries]  # type: ignore[union-attr]
    for entry in entries:
        assert entry.last is not None
        (room_pk,) = db.execute("SELECT num FROM room WHERE id = ?", (entry.room,)).fetchone()
        found.append((room_pk, entry.last.ts))
    return found


def check(database: Path, *, merged: bool = True, without: str | None = None) -> None:
    """`without`: whose id was released, who has no seats in groups any more."""
    with closing(connect(str(database), read_only=True)) as db:
        assert not merged or db.execute("SELECT count(*) FROM tail").fetchone() == (0,)
    # Facts that are not merged are shown as if they were.
    with reading(database) as db:
        kept, naive = derived(db), recomputed(db)
        for user in PEOPLE:
            told = _told(db, user)
            latest = {
                room_pk: membership.latest
                for (each, room_pk), membership in naive[1].items()
                if each == user and membership.latest
            }
            assert told == sorted(latest.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:TOLD]
    for user, room_pk in [
        place for place, membership in naive[1].items() if place[0] == without and membership.role != "dm"
    ]:
        del naive[1][user, room_pk]
    for have, want in zip(kept, naive, strict=True):
        assert have == want


class Expire(msgspec.Struct, frozen=True):
    """Texts from before a share of the time that has passed expire."""

    percent: int
    private: bool


def turns() -> st.SearchStrategy[list[Any]]:
    of_rooms = [
        st.lists(any_commands(room, list(dm_users(room)) if is_dm(room) else PEOPLE), min_size=1, max_size=5)
        for room in ROOMS
    ]
    quiet = st.builds(Expire, st.integers(0, 100), st.booleans())
    return st.lists(st.one_of(*of_rooms, *of_rooms, quiet), max_size=25)


def here(scribe: Scribe) -> Collection[str]:
    return dm_users(scribe.room) if is_dm(scribe.room) else scribe.record.members


async def lived(database: Path, happened: list[Any], pace: str) -> list[str]:
    """The rooms that are there then."""
    async with stores.open(database, pace=PACES[pace]) as store:
        scribes = {room: await Scribe.at(store, room) for room in ROOMS}
        for room in PRIVATE:
            scribes[room].rules = RoomRules()
        for room in GROUPS:
            await scribes[room].made(commands.Create, title="T", users=("bob", "cat"))
        now_ms = 1000
        for turn in happened:
            now_ms += 7
            if isinstance(turn, Expire):
                before = 1000 + (now_ms - 1000) * turn.percent // 100
                await store.retention.sweep(Cutoffs(None, before) if turn.private else Cutoffs(before, None), now_ms)
                continue
            scribe = scribes[turn[0].room]
            scribe.now_ms = now_ms
            for noted in turn:
                if isinstance(noted, Noted) and noted.user in here(scribe):
                    store.journal.note_read(scribe.record, noted.user, min(noted.seq, scribe.head))
            await scribe.turn(*(aimed(scribe, each) for each in turn if not isinstance(each, Noted)))
        await store.journal.flush_positions()
        if pace == "unmerged":
            check(database, merged=False)
    check(database)
    return [room for room, scribe in scribes.items() if scribe.head]


@settings(max_examples=60)
@given(turns(), st.sampled_from(["threaded", "unmerged", "piecemeal"]), st.sampled_from(PEOPLE), st.integers(1, 3))
def test_after_whatever_happened(happened: list[Any], pace: str, user: str, few: int) -> None:
    """`few`: seats of a user that may be stale, for that few rooms are here."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
            patch.setattr(retention, "REST_S", 0)
            patch.setattr(listing, "STALE", few)
            folder = Path(made)
            database, copy = folder / "gochat.db", folder / "new.db"
            for number, room in enumerate(await lived(database, happened, pace)):
                export_room(database, room, folder / f"{number}", now_ms=7)
                import_room(folder / f"{number}", copy)
                check(copy)
            try:
                delete_user(database, user, now_ms=10_000)
            except StoreError as error:
                assert "nothing is kept" in str(error)
                return
            check(database)
            release_user(database, user, now_ms=10_001)
            check(database, without=user)
            async with stores.open(database, pace=PACES[pace]) as store:
                for room in [room for room in PRIVATE if user in dm_users(room)][:2]:
                    scribe = await Scribe.at(store, room)
                    scribe.now_ms = 20_000
                    await scribe.turn(commands.Send(room=room, user=user, body="here again"))
            check(database, without=user)

    trio.run(main)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 11), max_size=60), st.sampled_from(["threaded", "piecemeal"]), st.integers(1, 14))
def test_the_latest_private_rooms_are_told_in_their_order(written: list[int], pace: str, few: int) -> None:
    """However many seats of a user may be stale: none, some, or all twelve."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(listing, "STALE", few)
            database = Path(folder, "gochat.db")
            async with stores.open(database, pace=PACES[pace]) as store:
                scribes = [await Scribe.at(store, dm("ann", f"u{n:02}")) for n in range(12)]
                for now_ms, n in enumerate([*range(12), *written], 1):
                    scribes[n].now_ms = now_ms
                    await scribes[n].said("hi", user="ann" if now_ms % 3 else f"u{n:02}")
                last = sorted(scribes, key=lambda scribe: scribe.log[-1].ts, reverse=True)
                told = (await store.archive.welcome("ann", 4, [])).contacts
                assert [entry.room for entry in told] == [scribe.room for scribe in last[:4]]
            with reading(database) as db:
                one_by_one = contacts.latest_one_by_one(ListRead(db, "e", "ann", SeparateRooms(Health(), 0)), 4)
                assert [entry.room for entry in one_by_one] == [scribe.room for scribe in last[:4]]

    trio.run(main)


@pytest.mark.parametrize(("room", "asks"), [(1, False), (2, True)], ids=["of another room", "of the request"])
def test_a_request_whose_messages_were_deleted_before_the_upgrade(tmp_path: Path, room: int, asks: bool) -> None:
    """It asks no more, whatever else a crash left unmerged; what is unmerged of its own room is not deleted."""
    database = tmp_path / "gochat.db"
    old_store.make(database, [["hi"], ["may I?"]], {})
    late = [[room, [Message(room="group:g1" if room == 1 else "dm:ann:bob", seq=2, ts=9000, sender="bob", body="x")]]]
    with closing(connect(str(database))) as db:
        db.execute("UPDATE room SET id = 'dm:ann:bob', history = 'all' WHERE num = 2")
        db.execute("UPDATE seat SET role = 'dm' WHERE num = 2")
        db.execute("UPDATE fact SET body = NULL, delete_seq = 1, delete_ts = 1 WHERE id >> ? = 2", (SEQ_BITS,))
        db.execute("INSERT INTO relation (user, peer, num, asked_at, withheld_at) VALUES ('ann', 'bob', 2, 0, 0)")
        db.execute("INSERT INTO tail VALUES (1, ?)", (msgspec.json.encode(late),))
    prepare(str(database))
    with closing(connect(str(database))) as db:
        Writer(db)
        found = db.execute("SELECT asked_at IS NOT NULL FROM relation WHERE user = 'ann'").fetchone()
        assert found == (asks,)
