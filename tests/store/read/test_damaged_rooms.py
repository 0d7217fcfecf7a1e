"""Damage of one room, or of the index: it costs no other room, and lists name what they leave out."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import store as stores
from gochat.domain.facts import Edit, Member, Message
from gochat.domain.relationship import RelationChange
from gochat.domain.side_records import Related
from gochat.errors import Damaged, StoreError
from gochat.ports.journal import Committed
from gochat.store import Store
from gochat.store.health import Health
from gochat.store.schema import SEQ_BITS
from tests.appending import append_to
from tests.contracts.journal import DM, SOON, message
from tests.store.read.test_damage import UNMERGED, flipped, leaf_of, talked


async def test_a_damaged_room_costs_no_other_and_trying_again_ends(tmp_path: Path) -> None:
    path, other = tmp_path / "gochat.db", "dm:cat:dan"
    async with stores.open(path) as store:
        await talked(store, DM, ["SECRETONE " + "x" * 300 for _ in range(200)])
        await talked(store, other, ["y" * 300 for _ in range(200)])
    flipped(path, path, leaf_of(path, b"SECRETONE"))
    async with stores.open(path) as store:
        with pytest.raises(Damaged, match=r"gochat\.db is damaged"):
            await store.archive.replay(DM, 0, 200, 200)
        assert store.health.damage is not None and store.health.failed_reads > 0
        assert len(await store.archive.replay(other, 0, 200, 200)) == 200
        await talked(store, other, ["more", "and more"])
        assert await store.archive.head(other) == 202
        assert store.health.problem is not None, "it stays until somebody sees to it"


async def test_a_damaged_log_is_merged_apart_and_committed_apart(tmp_path: Path) -> None:
    """A transaction that met a damaged page can't be committed, whatever was rolled back in it."""
    path, other = tmp_path / "gochat.db", "dm:cat:dan"
    async with stores.open(path) as store:
        await talked(store, other, ["y" * 300] * 51)
        await talked(store, DM, ["x" * 300] * 50 + ["SECRETONE " + "x" * 300])
    flipped(path, path, leaf_of(path, b"SECRETONE"))
    async with stores.open(path, pace=UNMERGED) as store:
        for room in (DM, other):
            await talked(store, room, ["more"])
        told: dict[str, Any] = {}

        async def edit(room: str) -> None:
            record = await store.journal.load(room)
            fact = Edit(room=room, seq=record.head + 1, ts=5000, sender=room.split(":")[1], target=51, body="edited")
            try:
                told[room] = await append_to(store.journal, record, [fact])
            except StoreError as error:
                told[room] = error

        async with trio.open_nursery() as nursery:
            for room in (DM, other):
                nursery.start_soon(edit, room)
        assert isinstance(told[DM], Damaged) and isinstance(told[other], Committed)
        assert len(await store.archive.replay(other, 0, 99, 99)) == 53
        with pytest.raises(Damaged):
            await store.archive.replay(DM, 0, 99, 99)
        await talked(store, other, ["and more"])
        assert store.health.writing is None and store.health.damage is not None
    async with stores.open(path) as store:
        assert await store.archive.head(other) == 54


async def asked(store: Store, user: str) -> None:
    """The user asks ann."""
    record = await store.journal.load(f"dm:ann:{user}")
    assert record.relation is not None
    change = RelationChange(1, 0, 1000, user, "ask")
    relation = record.relation.apply(change)
    facts = [message(record.room, 1, "hi", sender=user)]
    assert isinstance(await append_to(store.journal, record, facts, [Related(change, relation)]), Committed)


@pytest.mark.parametrize(
    ("bad", "left_out"),
    [
        (
            "UPDATE fact SET body = CAST(x'ff' AS TEXT) WHERE id >> 34 IN (SELECT num FROM room WHERE id LIKE '%:b11')",
            ["dm:ann:b11"],
        ),
        ("UPDATE room SET title = CAST(x'ff' AS TEXT) WHERE id = 'group:g07'", ["group:g07"]),
        ("UPDATE user SET name = CAST(x'ff' AS TEXT) WHERE id = 'b13'", ["dm:ann:b13"]),
        ("UPDATE user SET name = CAST(x'ff' AS TEXT) WHERE id = 's03'", ["dm:ann:s03"]),
        (
            "UPDATE fact SET body = CAST(x'ff' AS TEXT) WHERE id >> 34 IN (SELECT num FROM room WHERE id LIKE '%12')",
            ["dm:ann:b12", "dm:ann:s12", "group:g12"],
        ),
    ],
)
async def test_a_welcome_names_what_it_leaves_out(tmp_path: Path, bad: str, left_out: list[str]) -> None:
    """Wherever the damage is; the lists are whole but for that, and a single room's asker gets the error."""
    path = tmp_path / "gochat.db"
    groups = [f"group:g{n:02}" for n in range(14)]
    async with stores.open(path) as store:
        for room in groups:
            made = Member(
                room=room, seq=1, ts=1000, sender="ann", users=["ann"], change="added", role="owner", title="T"
            )
            record = await store.journal.load(room)
            assert isinstance(await append_to(store.journal, record, [made, message(room, 2, "x")]), Committed)
        for n in range(20):
            await talked(store, f"dm:ann:b{n:02}", ["y"])
        for n in range(14):
            await asked(store, f"s{n:02}")
        for user in ("b13", "s03"):
            store.journal.note_user(user, name="N")
    async with stores.open(path) as store:
        before = await store.archive.welcome("ann", 15, groups)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        assert vandal.execute(bad).rowcount
    async with stores.open(path) as store:
        snapshot = await store.archive.welcome("ann", 15, groups)
        assert snapshot.rooms == [entry for entry in before.rooms if entry.room not in left_out]
        assert snapshot.requests == [entry for entry in before.requests if entry.room not in left_out]
        known = [entry for entry in before.contacts if entry.room not in left_out]
        assert snapshot.contacts[: len(known)] == known and len(snapshot.contacts) == 15
        assert sorted(snapshot.unreadable) == left_out
        assert store.health.damage is not None
        heard = [room for room in snapshot.unreadable if room.startswith("group:")]
        assert all(snapshot.since[room] == 1 for room in heard), "groups are heard all the same"


async def test_an_index_that_takes_nothing_fails_searches_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        await talked(store, DM, ["one", "two"])
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
            vandal.execute("UPDATE search_data SET block = x'ffffffffffffffff'")
        with trio.fail_after(SOON):
            await talked(store, DM, ["three"])
            while store.health.damage is None:
                await trio.sleep(0.01)
            with pytest.raises(Damaged):
                await store.archive.search_messages("ann", "three", None, 10, None)
            await talked(store, DM, ["four"])
            assert [f.body for f in await store.archive.replay(DM, 2, 4, 9) if isinstance(f, Message)] == [
                "three",
                "four",
            ]
            assert store.health.writing is None


async def test_what_the_index_finds_is_there(tmp_path: Path) -> None:
    """A row that was lost is no message that never was."""
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        await talked(store, DM, ["one", "two"])
        with trio.fail_after(SOON):
            while store.commits.backlog or store.commits.unmerged:
                await trio.sleep(0.01)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
            vandal.execute("DELETE FROM fact WHERE id = ?", (1 << SEQ_BITS | 1,))
        with pytest.raises(Damaged, match="has no fact 1"):
            await store.archive.search_messages("ann", "one", None, 10, None)


def test_what_is_told_of_a_damaged_text_does_not_hold_it(caplog: pytest.LogCaptureFixture) -> None:
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError, match="psst") as met,
    ):
        connection.execute("SELECT CAST(x'70737374ff0a0a70737374' AS TEXT) AS body").fetchone()
    told = Health("gochat.db").failed("reading failed", met.value)
    assert isinstance(told, Damaged)
    assert "Could not decode to UTF-8" in str(told)
    assert "psst" not in str(told) + caplog.text


@pytest.mark.parametrize(
    ("bad", "left_out"),
    [
        (
            "UPDATE fact SET body = CAST(x'ff' AS TEXT) WHERE id >> 34 IN (SELECT num FROM room WHERE id LIKE '%3')",
            ["dm:ann:b3", "group:g3"],
        ),
        ("UPDATE room SET title = CAST(x'ff' AS TEXT) WHERE id = 'group:g5'", ["group:g5"]),
        ("UPDATE user SET name = CAST(x'ff' AS TEXT) WHERE id = 'b4'", ["dm:ann:b4"]),
    ],
)
async def test_pages_of_groups_and_contacts_name_what_they_leave_out(
    tmp_path: Path, bad: str, left_out: list[str]
) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        for n in range(7):
            room = f"group:g{n}"
            made = Member(room=room, seq=1, ts=1, sender="ann", users=["ann"], change="added", role="owner", title="T")
            record = await store.journal.load(room)
            assert isinstance(await append_to(store.journal, record, [made, message(room, 2, "x")]), Committed)
            await talked(store, f"dm:ann:b{n}", ["y"])
            store.journal.note_user(f"b{n}", name=f"B{n}")
        for n in range(2, 6):
            record = await store.journal.load(f"dm:ann:b{n}")
            assert record.relation is not None
            change = RelationChange(1, 1, 1000, "ann", "add")
            related = Related(change, record.relation.apply(change))
            assert isinstance(await append_to(store.journal, record, [], [related]), Committed)

    async def groups(store: Store, owner: str | None, limit: int, unreadable: list[str] | None) -> list[str]:
        found, cursor = await store.archive.groups("ann", owner, limit, None, unreadable)
        while cursor is not None:
            more, cursor = await store.archive.groups("ann", owner, limit, cursor, unreadable)
            found += more
        return [f"{entry.room} {entry.unread} {entry.last and entry.last.body}" for entry in found]

    async def contacts(store: Store, rooms: bool, limit: int, unreadable: list[str] | None) -> list[str]:
        found, cursor = await store.archive.contacts("ann", limit, None, rooms=rooms, unreadable=unreadable)
        while cursor is not None:
            more, cursor = await store.archive.contacts("ann", limit, cursor, rooms=rooms, unreadable=unreadable)
            found += more
        return [f"dm:ann:{each.user} {each.name} {each.state} {each.last and each.last.body}" for each in found]

    async def all_of(store: Store, limit: int, unreadable: list[str] | None) -> list[list[str]]:
        return [
            await groups(store, None, limit, unreadable),
            await groups(store, "ann", limit, unreadable),
            await contacts(store, True, limit, unreadable),
            await contacts(store, False, limit, unreadable),
        ]

    async with stores.open(path) as store:
        whole = await all_of(store, 50, None)
        assert [len(each) for each in whole] == [7, 7, 7, 4]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        assert vandal.execute(bad).rowcount
    async with stores.open(path) as store:
        for limit in (1, 3, 50):
            unreadable: list[str] = []
            expected = [[line for line in each if line.split()[0] not in left_out] for each in whole]
            assert await all_of(store, limit, unreadable) == expected
            assert sorted(set(unreadable)) == left_out
        with pytest.raises(Damaged):
            await all_of(store, 50, None)
        assert store.health.damage is not None
