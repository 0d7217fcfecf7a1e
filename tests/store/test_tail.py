"""What is committed and not merged: nobody who reads notices, and nobody who writes waits long."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import store as stores
from gochat.domain import facts
from gochat.domain.record import RoomRecord
from gochat.ports import Clash, Committed
from gochat.store import Store, pages, schema, setup
from gochat.store.committer import Committer, Pace
from gochat.store.logs import Batch
from gochat.store.overlay import overlay
from gochat.store.portable.source import reading
from gochat.store.recent import said_since
from gochat.store.tail import Tail
from tests.contracts.journal import DM, SOON, TEA, message
from tests.store.conftest import PACES

ROOMS = [f"dm:ann:u{n:03}" for n in range(40)]


@pytest.fixture
def opens(tmp_path: Path) -> Callable[[], sqlite3.Connection]:
    path = str(tmp_path / "gochat.db")
    setup.prepare(path)
    return partial(schema.connect, path)


def talk(committer: Committer, rooms: list[str], first: int, count: int) -> None:
    """Commits of one message a room."""
    for seq in range(first, first + count):
        batches = [Batch(room, num, [message(room, seq, key=f"k{seq}")]) for num, room in enumerate(rooms, 1)]
        assert all(isinstance(result, int) for result in committer.commit(batches, None))


def rows(connection: sqlite3.Connection) -> tuple[int, int]:
    """Rows of the tail, and of the logs."""
    found = connection.execute("SELECT (SELECT count(*) FROM tail), (SELECT count(*) FROM fact)").fetchone()
    return int(found[0]), int(found[1])


# ---------------------------------------------------------------------------------------------- merging


def test_while_commits_come_a_merge_keeps_pace_and_ends(opens: Callable[[], sqlite3.Connection]) -> None:
    tail = Tail()
    committer = Committer(opens, tail, Pace(quiet_s=1e6, at=400, after_s=1e6, slice=10))
    talk(committer, ROOMS, 1, 1)
    most = turns = 0
    with contextlib.closing(opens()) as reader:
        for seq in range(2, 102):
            talk(committer, ROOMS, seq, 1)
            most = max(most, tail.facts)
            committer.idle()
            turns += rows(reader)[0] <= 10
        assert 400 <= most < 800
        assert turns > 10, "rows of the tail are deleted lot by lot"
        committer.close()
        assert rows(reader) == (0, 40 * 101)


def test_in_a_quiet_moment_all_is_merged(opens: Callable[[], sqlite3.Connection]) -> None:
    tail = Tail()
    committer = Committer(opens, tail, Pace(quiet_s=0, slice=1))
    talk(committer, ROOMS, 1, 3)
    assert tail.facts == 80, "the first message makes the room, and is written at once"
    while committer.idle() == 0:
        pass
    assert (tail.facts, tail.holds()) == (0, False)
    with contextlib.closing(opens()) as reader:
        assert rows(reader) == (0, 120)


def test_a_commit_of_messages_writes_one_row(opens: Callable[[], sqlite3.Connection]) -> None:
    committer = Committer(opens, Tail(), PACES["unmerged"] or Pace())
    talk(committer, ROOMS, 1, 1)
    with contextlib.closing(opens()) as reader:
        before = rows(reader)
        talk(committer, ROOMS, 2, 5)
        assert rows(reader) == (before[0] + 5, before[1])


def test_what_is_rare_brings_the_rest_of_its_room_along(opens: Callable[[], sqlite3.Connection]) -> None:
    tail = Tail()
    committer = Committer(opens, tail, PACES["unmerged"] or Pace())
    talk(committer, ROOMS[:3], 1, 4)
    edit = facts.Edit(room=ROOMS[1], seq=5, ts=2000, sender="ann", target=3, body="ho")
    told = committer.commit([Batch(ROOMS[0], 1, [message(ROOMS[0], 5)]), Batch(ROOMS[1], 2, [edit])], None)
    assert all(isinstance(result, int) for result in told)
    assert not tail.holds([ROOMS[1]])
    assert tail.holds([ROOMS[0]])
    with contextlib.closing(opens()) as reader:
        shown = pages.replay(reader, ROOMS[1], 0, 9, 9)
        assert [(fact.seq, getattr(fact, "body", None)) for fact in shown] == [
            (1, "hi"), (2, "hi"), (3, "ho"), (4, "hi"), (5, "ho"),
        ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- keys


async def test_a_key_in_the_tail_is_known_and_costs_nobody_else(tmp_path: Path) -> None:
    with trio.fail_after(SOON):
        async with stores.open(tmp_path / "gochat.db", pace=PACES["unmerged"]) as store:
            dm, other = await store.journal.load(DM), await store.journal.load("dm:ann:cat")
            for record in (dm, other):
                await appended(store, record, message(record.room, 1))
                await appended(store, record, message(record.room, 2, key="k"))
            results: dict[str, Any] = {}
            async with trio.open_nursery() as nursery:
                for record, key in ((dm, "k"), (other, "l")):

                    async def append(record: RoomRecord = record, key: str = key) -> None:
                        results[record.room] = await store.journal.append(record, [message(record.room, 3, key=key)])

                    nursery.start_soon(append)
            assert results[DM] == Clash({("ann", "k"): results[DM].found["ann", "k"]})
            assert results[DM].found["ann", "k"].seq == 2
            assert isinstance(results["dm:ann:cat"], Committed)
            assert await store.archive.head(DM) == 2
            assert await store.archive.head("dm:ann:cat") == 3


async def appended(store: Store, record: RoomRecord, *messages: Any) -> Committed:
    result = await store.journal.append(record, list(messages))
    assert isinstance(result, Committed)
    return result


# ---------------------------------------------------------------------------------------------- reading


async def test_a_welcome_amid_commits_has_all_up_to_its_number_and_nothing_later(tmp_path: Path) -> None:
    """Of a room that talks, and of one that the reader is not in."""
    commits: dict[int, int] = {}
    welcomes: list[tuple[int, int]] = []

    async def write(room: str) -> None:
        record = await store.journal.load(room)
        for seq in range(1, 300):
            done = await appended(store, record, message(room, seq, sender="bob"))
            if room == DM:
                commits[done.commit] = seq

    async def read() -> None:
        while True:
            snapshot = await store.archive.welcome("ann", 15, [])
            head = snapshot.contacts[0].head if snapshot.contacts else 0
            welcomes.append((snapshot.commit, head))

    with trio.fail_after(SOON):
        pace = Pace(quiet_s=1e6, at=50, slice=1)
        async with stores.open(tmp_path / "gochat.db", pace=pace) as store, trio.open_nursery() as readers:
            readers.start_soon(read)
            async with trio.open_nursery() as writers:
                writers.start_soon(write, DM)
                writers.start_soon(write, "dm:bob:cat")
            readers.cancel_scope.cancel()
    assert len({head for _, head in welcomes}) > 5
    for commit, head in welcomes:
        assert head == max((seq for number, seq in commits.items() if number <= commit), default=0)


async def test_who_is_in_no_room_that_talks_reads_beside_the_writer(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db", pace=PACES["unmerged"]) as store:
        for room in (DM, "dm:cat:dan"):
            record = await store.journal.load(room)
            await appended(store, record, message(room, 1, sender=room.split(":")[1]))
        done = await appended(store, await store.journal.load(DM), message(DM, 2))
        with contextlib.closing(schema.connect(str(tmp_path / "gochat.db"))) as reader:
            assert (await store.archive.welcome("cat", 15, [])).commit == done.commit
            assert rows(reader) == (1, 2), "nothing was merged for cat"
            assert (await store.archive.welcome("bob", 15, [])).contacts[0].head == 2
            assert rows(reader)[1] == 3, "what bob reads was"


# ---------------------------------------------------------------------------------------------- beside a node


@pytest.fixture
def unmerged(tmp_path: Path, opens: Callable[[], sqlite3.Connection]) -> Path:
    committer = Committer(opens, Tail(), PACES["unmerged"] or Pace())
    talk(committer, ROOMS[:3], 1, 5)
    with contextlib.closing(opens()) as reader:
        assert rows(reader) == (4, 3)
    return tmp_path / "gochat.db"


def test_a_program_beside_the_node_sees_what_is_not_merged(unmerged: Path) -> None:
    with reading(unmerged) as connection:
        assert [fact.seq for fact in pages.replay(connection, ROOMS[1], 0, 9, 9)] == [1, 2, 3, 4, 5]
        found = connection.execute("SELECT head, messages, last FROM room").fetchall()
        assert found == [(5, 5, 5)] * 3
        assert connection.execute("SELECT n FROM fact ORDER BY id").fetchall() == [(n,) for n in (1, 2, 3, 4, 5)] * 3
        assert connection.execute("SELECT read FROM seat WHERE user = 'ann'").fetchall() == [(5,)] * 3
        overlay_again = connection.execute("SELECT count(*) FROM main.fact").fetchone()
        assert overlay_again == (3,), "the database itself is not written"


def test_what_was_said_lately_has_what_is_not_merged(unmerged: Path) -> None:
    with contextlib.closing(schema.connect(str(unmerged), read_only=True)) as connection:
        said = sorted((each.room, each.seq) for each in said_since(connection, 1003))
    assert said == [(room, seq) for room in ROOMS[:3] for seq in (3, 4, 5)]


def test_an_empty_tail_needs_no_overlay(tmp_path: Path, opens: Callable[[], sqlite3.Connection]) -> None:
    with contextlib.closing(opens()) as connection:
        overlay(connection)
        assert connection.execute("SELECT count(*) FROM temp.sqlite_master").fetchone() == (0,)


# ---------------------------------------------------------------------------------------------- faults


async def test_rooms_that_failed_a_commit_are_read_as_they_are_on_disk(tmp_path: Path) -> None:
    """The writer let go of its connection: what the tail held is merged by the next, before anybody reads."""
    path = tmp_path / "gochat.db"
    with trio.fail_after(SOON):
        async with stores.open(path, pace=PACES["unmerged"]) as store:
            record = await store.journal.load(TEA.replace("group", "dm:ann"))
            for seq in (1, 2, 3):
                await appended(store, record, message(record.room, seq))
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
                vandal.execute("ALTER TABLE tail RENAME TO gone")
                with pytest.raises(Exception, match="no such table"):
                    await store.journal.append(record, [message(record.room, 4)])
                vandal.execute("ALTER TABLE gone RENAME TO tail")
            assert (await store.journal.load(record.room)).head == 3
            await appended(store, record, message(record.room, 4))
            assert await store.archive.head(record.room) == 4
