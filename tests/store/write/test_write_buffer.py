"""Facts that are committed and not merged: no reader notices, and no writer waits long."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from gochat import store as stores
from gochat.domain import facts
from gochat.domain.record import RoomRecord
from gochat.errors import StoreError
from gochat.metrics import Commits
from gochat.ports.journal import Committed, DuplicateKeys
from gochat.store import Store, schema, setup
from gochat.store.read import pages
from gochat.store.read.overlay import overlay
from gochat.store.read.recent import said_since
from gochat.store.read.source import reading
from gochat.store.write import write_buffer
from gochat.store.write.committer import Committer, MergePace
from gochat.store.write.logs import Batch
from gochat.store.write.write_buffer import WriteBuffer, weigh
from tests.appending import append_to
from tests.contracts.journal import DM, SOON, message
from tests.store.conftest import PACES

ROOMS = [f"dm:ann:u{n:03}" for n in range(40)]


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Callable[[], sqlite3.Connection]]:
    path = str(tmp_path / "gochat.db")
    setup.prepare(path)
    with contextlib.ExitStack() as opened:

        def open_one() -> sqlite3.Connection:
            """The first one writes; there can't be another."""
            read_only = bool(schema.Writing.open)
            return opened.enter_context(contextlib.closing(schema.connect(path, read_only=read_only)))

        yield open_one


def talk(committer: Committer, rooms: list[str], first: int, count: int) -> None:
    """Commits of one message a room."""
    for seq in range(first, first + count):
        batches = [Batch(room, room_pk, [message(room, seq, key=f"k{seq}")]) for room_pk, room in enumerate(rooms, 1)]
        assert all(isinstance(result, int) for result in committer.commit(batches, None))


def rows(connection: sqlite3.Connection) -> tuple[int, int]:
    """Rows of the tail, and of the logs."""
    found = connection.execute("SELECT (SELECT count(*) FROM tail), (SELECT count(*) FROM fact)").fetchone()
    return int(found[0]), int(found[1])


# ---------------------------------------------------------------------------------------------- merging


def test_while_commits_come_a_merge_keeps_pace_and_ends(opens: Callable[[], sqlite3.Connection]) -> None:
    write_buffer = WriteBuffer()
    committer = Committer(opens, write_buffer, MergePace(quiet_s=1e6, at=400, after_s=1e6, slice=10))
    talk(committer, ROOMS, 1, 1)
    most = turns = 0
    with contextlib.closing(opens()) as reader:
        for seq in range(2, 102):
            talk(committer, ROOMS, seq, 1)
            most = max(most, write_buffer.facts)
            committer.idle()
            turns += rows(reader)[0] <= 10
        assert 400 <= most < 800
        assert turns > 10, "rows of the tail are deleted lot by lot"
        committer.close()
        assert rows(reader) == (0, 40 * 101)


@pytest.mark.parametrize("length", [1, 400, 4_000])
@pytest.mark.parametrize("burst", [1, 40], ids=["steady", "bursts"])
def test_long_messages_take_no_more_memory_than_short_ones(
    opens: Callable[[], sqlite3.Connection], length: int, burst: int
) -> None:
    """However long the bodies are, and however many come in one commit: what is unmerged has a bound in bytes."""
    write_buffer, counts, full = WriteBuffer(), Commits(), 4 << 20
    pace = MergePace(quiet_s=1e6, at=400, after_s=1e6, slice=10, at_bytes=full // 4, full_bytes=full)
    committer = Committer(opens, write_buffer, pace, counts)
    talk(committer, ROOMS, 1, 1)
    body, most, seq = "\N{TEACUP WITHOUT HANDLE}" * length, 0, 2
    for _ in range(50):
        batches = [
            Batch(room, room_pk, [message(room, seq + n, key=f"k{seq + n}", body=body) for n in range(burst)])
            for room_pk, room in enumerate(ROOMS, 1)
        ]
        assert all(isinstance(result, int) for result in committer.commit(batches, None))
        seq += burst
        most = max(most, write_buffer.bytes)
        held = write_buffer.pending(range(1, 41))
        assert write_buffer.bytes >= sum(weigh(messages) for messages in held.values())
        committer.idle()
        assert counts.unmerged_bytes == write_buffer.bytes
        if seq > 200:
            break
    assert 0 < most <= full
    with contextlib.closing(opens()) as reader:
        committer.close()
        assert rows(reader) == (0, 40 * (seq - 1))
        assert write_buffer.bytes == 0
        assert reader.execute("SELECT count(*) FROM fact WHERE body = ?", (body,)).fetchone()[0] == 40 * (seq - 2)


def test_in_a_quiet_moment_all_is_merged(opens: Callable[[], sqlite3.Connection]) -> None:
    write_buffer, counts = WriteBuffer(), Commits()
    committer = Committer(opens, write_buffer, MergePace(quiet_s=0, slice=1), counts)
    talk(committer, ROOMS, 1, 3)
    assert write_buffer.facts == counts.unmerged == 80, "the first message makes the room, and is written at once"
    while committer.idle() == 0:
        assert counts.unmerged == write_buffer.facts
    assert (write_buffer.facts, write_buffer.holds(), counts.unmerged) == (0, False, 0)
    with contextlib.closing(opens()) as reader:
        assert rows(reader) == (0, 120)


def test_a_commit_of_messages_writes_one_row(opens: Callable[[], sqlite3.Connection]) -> None:
    committer = Committer(opens, WriteBuffer(), PACES["unmerged"])
    talk(committer, ROOMS, 1, 1)
    with contextlib.closing(opens()) as reader:
        before = rows(reader)
        talk(committer, ROOMS, 2, 5)
        assert rows(reader) == (before[0] + 5, before[1])


def test_what_is_rare_brings_the_rest_of_its_room_along(opens: Callable[[], sqlite3.Connection]) -> None:
    write_buffer = WriteBuffer()
    committer = Committer(opens, write_buffer, PACES["unmerged"])
    talk(committer, ROOMS[:3], 1, 4)
    edit = facts.Edit(room=ROOMS[1], seq=5, ts=2000, sender="ann", target=3, body="ho")
    told = committer.commit([Batch(ROOMS[0], 1, [message(ROOMS[0], 5)]), Batch(ROOMS[1], 2, [edit])], None)
    assert all(isinstance(result, int) for result in told)
    assert not write_buffer.holds([ROOMS[1]])
    assert write_buffer.holds([ROOMS[0]])
    with contextlib.closing(opens()) as reader:
        shown = pages.replay(reader, ROOMS[1], 0, 9, 9)
        assert [(fact.seq, getattr(fact, "body", None)) for fact in shown] == [
            (1, "hi"),
            (2, "hi"),
            (3, "ho"),
            (4, "hi"),
            (5, "ho"),
        ]


def files(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_a_store_that_is_closed_stays_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path, pace=PACES["unmerged"]) as store:
        await talked(store, DM, 3)
    assert sorted(files(tmp_path)) == [path.name, "gochat.newest"], "the log file is in the database"
    assert not caplog.records
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert rows(connection) == (0, 3)
    committer = Committer(partial(schema.connect, str(path)), WriteBuffer(), MergePace(retry_s=0))
    committer.close()
    assert committer.idle() is None
    with pytest.raises(StoreError, match="closed"):
        committer.merge([1])


# ---------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "body",
    ["x" * 100, "\xe4" * 100, "\N{TEACUP WITHOUT HANDLE}" * 100, "\N{GRINNING FACE}" * 100],
    ids=["ascii", "latin", "tea", "face"],
)
def test_no_message_takes_more_memory_than_is_counted(body: str) -> None:
    """Measured as a message comes from a client, encoded as it is for the table and for those who hear it."""
    frame = json.dumps({"type": "message", "room": DM, "seq": 1, "ts": 1, "from": "ann", "key": "k" * 36, "body": body})
    decode, count = msgspec.json.Decoder(facts.Message).decode, 1_000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        messages = [decode(frame) for _ in range(count)]
        for message in messages:
            msgspec.json.encode(message)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.3 < (after - before) / weigh(messages) <= 1


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
                        results[record.room] = await append_to(
                            store.journal, record, [message(record.room, 3, key=key)]
                        )

                    nursery.start_soon(append)
            assert results[DM] == DuplicateKeys({("ann", "k"): results[DM].found["ann", "k"]})
            assert results[DM].found["ann", "k"].seq == 2
            assert isinstance(results["dm:ann:cat"], Committed)
            assert await store.archive.head(DM) == 2
            assert await store.archive.head("dm:ann:cat") == 3


async def appended(store: Store, record: RoomRecord, *messages: Any) -> Committed:
    result = await append_to(store.journal, record, list(messages))
    assert isinstance(result, Committed)
    return result


# ---------------------------------------------------------------------------------------------- reading


async def test_a_welcome_amid_commits_has_all_up_to_its_number_and_nothing_later(tmp_path: Path) -> None:
    """Of a room that talks, and of one that the readers are not in; more of these than there are threads."""
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
        pace = MergePace(quiet_s=1e6, at=50, slice=1)
        async with stores.open(tmp_path / "gochat.db", pace=pace) as store, trio.open_nursery() as readers:
            for _ in range(5):
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
        with contextlib.closing(schema.connect(str(tmp_path / "gochat.db"), read_only=True)) as reader:
            assert (await store.archive.welcome("cat", 15, [])).commit == done.commit
            assert rows(reader) == (1, 2), "nothing was merged for cat"
            assert (await store.archive.welcome("bob", 15, [])).contacts[0].head == 2
            assert rows(reader)[1] == 3, "what bob reads was"


# ---------------------------------------------------------------------------------------------- beside a node


@pytest.fixture
def unmerged(tmp_path: Path, opens: Callable[[], sqlite3.Connection]) -> Path:
    committer = Committer(opens, WriteBuffer(), PACES["unmerged"])
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


@contextlib.contextmanager
def table_gone(path: Path) -> Iterator[sqlite3.Connection]:
    """Whoever writes to the tail fails."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("ALTER TABLE tail RENAME TO gone")
        yield vandal
        vandal.execute("ALTER TABLE gone RENAME TO tail")


async def test_after_a_failed_commit_rooms_are_as_they_are_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    with trio.fail_after(SOON):
        async with stores.open(path, pace=PACES["unmerged"]) as store:
            record = await store.journal.load(DM)
            for seq in (1, 2, 3):
                await appended(store, record, message(DM, seq))
            with table_gone(path), pytest.raises(StoreError, match="no such table"):
                await append_to(store.journal, record, [message(DM, 4)])
            assert (await store.journal.load(DM)).head == 3
            await appended(store, record, message(DM, 4))
            assert await store.archive.head(DM) == 4


async def test_while_nothing_can_be_written_all_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who only reads waits for the lock: who did would wait for longer than this test may take."""
    monkeypatch.setattr(schema, "BUSY_MS", 50)
    path = tmp_path / "gochat.db"
    with trio.fail_after(SOON):
        async with stores.open(path, pace=MergePace(quiet_s=1e6, retry_s=1e6)) as store:
            for room in (DM, "dm:cat:dan"):
                await talked(store, room, 3)
            with locked(path):
                with pytest.raises(StoreError):
                    await append_to(store.journal, await store.journal.load(DM), [message(DM, 4)])
                await waits_for(store, monkeypatch, 2 * SOON)
                for room in (DM, "dm:cat:dan"):
                    assert await store.archive.head(room) == 3
                    assert (await store.journal.load(room)).head == 3
                for user in ("ann", "cat"):
                    (contact,) = (await store.archive.welcome(user, 15, [])).contacts
                    assert (contact.head, contact.read) == (3, 3)
                await waits_for(store, monkeypatch, 5)
            assert (await store.journal.load(DM)).head == 3
            await appended(store, await store.journal.load(DM), message(DM, 4))


async def waits_for(store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the connection that writes, and those that are opened later, wait so long for a lock."""
    monkeypatch.setattr(schema, "BUSY_MS", round(seconds * 1000))

    def wait(committer: Committer) -> None:
        if committer._writer is not None:
            committer._writer.connection.execute(f"PRAGMA busy_timeout = {schema.BUSY_MS}")

    await store.notices._committer.call(wait)


async def talked(store: Store, room: str, count: int) -> None:
    record = await store.journal.load(room)
    for seq in range(1, count + 1):
        await appended(store, record, message(room, seq, sender=room.split(":")[1]))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds SQLite's lock, for longer than a writer waits."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_log_that_takes_nothing_costs_no_other_room(tmp_path: Path) -> None:
    """A page was lost: the log has a fact above its head."""
    path, other = tmp_path / "gochat.db", "dm:cat:dan"
    with trio.fail_after(SOON):
        async with stores.open(path, pace=PACES["unmerged"]) as store:
            for room in (DM, other):
                await talked(store, room, 2)
            damaged = await store.journal.load("dm:ann:zoe")
            await appended(store, damaged, message(damaged.room, 1))
            await appended(store, damaged, message(damaged.room, 2))
            vandalize(path, "INSERT INTO fact (id, ts, kind, sender, n) VALUES (?, 1002, 0, 'ann', 2)", damaged.room_pk)
            assert (await store.archive.head(other), await store.archive.head(damaged.room)) == (2, 2)
            with pytest.raises(StoreError, match="damaged"):
                await append_to(store.journal, damaged, [message(damaged.room, 3)])
            await appended(store, await store.journal.load(other), message(other, 3))
        async with stores.open(path) as store:
            assert (await store.archive.head(other), await store.archive.head(damaged.room)) == (3, 2)
            with pytest.raises(StoreError, match="damaged"):
                await append_to(store.journal, damaged, [message(damaged.room, 3)])
            vandalize(path, "DELETE FROM fact WHERE id = ?", damaged.room_pk)
            await appended(store, damaged, message(damaged.room, 3))
            found = await store.archive.replay(damaged.room, 0, 9, 9)
            assert [fact.seq for fact in found] == [1, 2, 3], "what had waited is where it belongs"


def vandalize(path: Path, statement: str, room_pk: int) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute(statement, (room_pk << schema.SEQ_BITS | 2,))


async def test_a_node_that_cannot_merge_what_a_crash_left_does_not_start(
    tmp_path: Path, opens: Callable[[], sqlite3.Connection]
) -> None:
    committer = Committer(opens, WriteBuffer(), PACES["unmerged"])
    talk(committer, ROOMS[:2], 1, 3)
    committer.read("nobody", lambda connection: connection.close())  # as a crash leaves it
    with contextlib.closing(sqlite3.connect(tmp_path / "gochat.db", isolation_level=None)) as vandal:
        vandal.execute("UPDATE tail SET messages = 'nonsense'")
    with trio.fail_after(SOON):
        with pytest.raises(StoreError, match="can't be opened"):
            async with stores.open(tmp_path / "gochat.db"):
                pass


# ---------------------------------------------------------------------------------------------- deleting


@pytest.mark.parametrize("length", [1, 700])
@pytest.mark.parametrize("merged", [False, True])
def test_a_deleted_text_is_nowhere_in_the_file(tmp_path: Path, opens: Any, *, merged: bool, length: int) -> None:
    """Neither in the tail nor in a page that was in use, as soon as the log is in the file."""
    write_buffer, count = WriteBuffer(), 60
    committer = Committer(opens, write_buffer, MergePace(quiet_s=1e6 if not merged else 0))
    batch = Batch(DM, 1, [])
    committer.commit([batch._replace(facts=[message(DM, 1)])], None)
    for seq in range(2, 2 + count):
        committer.commit([batch._replace(facts=[message(DM, seq, f"SECRET{seq:04} " * length)])], None)
    while merged and committer.idle() == 0:
        pass
    head = 1 + count
    for seq in range(2, 2 + count):
        gone = facts.Delete(room=DM, seq=head + seq - 1, ts=3000, sender="ann", target=seq)
        committer.commit([batch._replace(facts=[gone])], None)

    def all_in_the_file(connection: sqlite3.Connection) -> tuple[int]:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return connection.execute("SELECT count(*) FROM fact WHERE body IS NOT NULL").fetchone()

    assert committer.read("nobody", all_in_the_file) == (1,)
    assert b"SECRET" not in (tmp_path / "gochat.db").read_bytes()


def test_a_message_that_two_rows_have_is_unmerged_once(opens: Callable[[], sqlite3.Connection]) -> None:
    """A row that is written anew for a room whose log takes nothing has the messages of later rows as well."""
    connection = opens()
    messages = [message(DM, seq) for seq in range(1, 5)]
    write_buffer.append(connection, 1, {1: messages})
    write_buffer.append(connection, 2, {1: messages[3:]})
    write_buffer.append(connection, 3, {1: [messages[3], message(DM, 5)]})
    assert [each.seq for each in write_buffer.unmerged(connection)[1]] == [1, 2, 3, 4, 5]


def test_rows_that_are_written_anew_are_looked_into_together_with_later_ones() -> None:
    buffer = WriteBuffer()
    for number in (1, 2, 3):
        buffer.expect(number, {1: [message(DM, number)]})
    assert buffer.rows_of(1, 2) == [2]
    buffer.rewrite(1)
    buffer.expect(1, {1: [message(DM, 3)]})
    assert buffer.rows_of(1, 2) == [1, 2, 3]
