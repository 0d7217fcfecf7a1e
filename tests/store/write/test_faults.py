"""Crashes, full disks, failing writes, damage: what was acked is there, what is not there was not acked."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from gochat import store as stores
from gochat.domain.record import RoomRecord
from gochat.errors import Damaged, Full, StoreError
from gochat.ports.archive import Viewer
from gochat.ports.journal import Committed
from gochat.store import Store, schema, setup
from gochat.store.schema import SEQ_BITS
from gochat.store.write.committer import MergePace
from tests.appending import append_to
from tests.contracts.journal import DM, SOON, TEA, message
from tests.contracts.scribe import Scribe
from tests.handles import open_files

#: Appends to ten rooms at once for ever, and says after each what was acked: `room head`.
WRITER = """
import resource, signal, sys
import trio
from gochat import store as stores
from gochat.errors import StoreError
from tests.appending import append_to
from tests.contracts.journal import message

limit, hard = int(sys.argv[2]), resource.RLIM_INFINITY
BODY = "x" * 1000

async def write(journal, room, refused):
    record = await journal.load(room)
    while True:
        batch = [message(room, record.head + n, BODY) for n in range(1, 4)]
        try:
            await append_to(journal, record, batch)
        except StoreError as error:
            print(f"refused {room} {error.unknown}", flush=True)
            refused.set()
            await trio.sleep(0.01)
            record = await journal.load(room)
            continue
        record.head += 3
        print(f"acked {room} {record.head}", flush=True)

async def main():
    refused = trio.Event()
    async with stores.open(sys.argv[1]) as store, trio.open_nursery() as nursery:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        for n in range(10):
            nursery.start_soon(write, store.journal, f"dm:ann:u{n}", refused)
        if limit:
            await refused.wait()
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            print("freed", flush=True)

trio.run(main)
"""


@contextlib.contextmanager
def writing(path: Path, limit: int = 0) -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(limit)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def check_whole(path: Path, acked: dict[str, int]) -> None:
    """Every acked fact is there, every room is dense, and the file is sound."""

    async def check() -> None:
        async with stores.open(path) as store:
            for room, head in acked.items():
                record = await store.journal.load(room)
                assert record.head >= head
                found: list[int] = []
                while len(found) < record.head:
                    found += [fact.seq for fact in await store.archive.replay(room, len(found), record.head, 1000)]
                assert found == list(range(1, record.head + 1))
                assert isinstance(await append_to(store.journal, record, [message(room, record.head + 1)]), Committed)

    trio.run(check)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_was_acked_survives_a_kill(tmp_path: Path) -> None:
    path, acked = tmp_path / "gochat.db", dict[str, int]()
    for rounds in range(2):
        count = 0
        with writing(path) as process:
            assert process.stdout is not None
            for line in process.stdout:
                _, room, head = line.split()
                acked[room] = int(head)
                count += 1
                if count == 300:
                    process.send_signal(signal.SIGKILL)
                    break
            # Lines that were printed before the kill and not yet read were acked too.
            acked.update((line.split()[1], int(line.split()[2])) for line in process.stdout if line.endswith("\n"))
        assert count == 300, rounds
        check_whole(path, acked)


def test_a_full_disk_that_is_freed_needs_no_restart(tmp_path: Path) -> None:
    path, acked, refused, after = tmp_path / "gochat.db", dict[str, int](), 0, 0
    with writing(path, limit=600_000) as process:
        assert process.stdout is not None
        freed = False
        for line in process.stdout:
            word, *rest = line.split()
            freed |= word == "freed"
            refused += word == "refused"
            if word == "acked":
                acked[rest[0]] = int(rest[1])
                after += freed
            if after == 100:
                break
    assert refused and after == 100 and len(acked) == 10
    check_whole(path, acked)


# ---------------------------------------------------------------------------------------------- failing writes


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file of this process grows beyond the log file's present size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_commit_that_fails_is_unknown_and_the_next_one_works(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        record, other = RoomRecord(room=DM, room_pk=1), RoomRecord(room="dm:ann:cat", room_pk=2)
        first = await append_to(store.journal, record, [message(DM, 1, key="k")])
        store.journal.note_read(record, "bob", 1)
        with full_disk(path), pytest.raises(StoreError) as caught:
            await append_to(store.journal, record, [message(DM, 2, "lost", key="l")])
        assert caught.value.unknown
        assert (store.commits.failed, store.commits.facts, store.commits.messages) == (1, 1, 1)
        with trio.fail_after(SOON):
            result = await append_to(store.journal, other, [message(other.room, 1)])
            assert isinstance(first, Committed) and isinstance(result, Committed) and result.commit > first.commit
            loaded = await store.journal.load(DM)
            assert isinstance(
                await append_to(store.journal, loaded, [message(DM, loaded.head + 1, key="l")]), Committed
            )
            await store.journal.flush_positions()
        assert [fact.seq for fact in await store.archive.replay(DM, 0, 9, 9)] == list(range(1, loaded.head + 2))
        (contact,) = (await store.archive.welcome("bob", 15, [])).contacts
        assert contact.read == 1, "a note outlives the commit that failed"


async def test_a_damaged_tail_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path, pace=MergePace(retry_s=1e6)) as store:
        record = RoomRecord(room=DM, room_pk=1)
        await append_to(store.journal, record, [message(DM, seq) for seq in range(1, 6)])
        with full_disk(path), pytest.raises(StoreError):
            await append_to(store.journal, record, [message(DM, 6)])
        open_before = open_files()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
            row = vandal.execute("SELECT * FROM fact WHERE id = ?", (1 << SEQ_BITS | 4,)).fetchone()
            vandal.execute("DELETE FROM fact WHERE id = ?", (row[0],))
            for _ in range(3):
                with trio.fail_after(SOON), pytest.raises(StoreError, match="damaged"):
                    await append_to(store.journal, record, [message(DM, 6)])
            assert [fact.seq for fact in await store.archive.replay(DM, 0, 3, 9)] == [1, 2, 3], "what is whole is read"
            with pytest.raises(Damaged, match="has no fact 4"):
                await store.archive.replay(DM, 0, 9, 9)
            other = RoomRecord(room="dm:ann:zoe", room_pk=2)
            assert isinstance(await append_to(store.journal, other, [message("dm:ann:zoe", 1)]), Committed), (
                "so do others"
            )
            vandal.execute(f"INSERT INTO fact VALUES ({', '.join('?' * len(row))})", row)
        loaded = await store.journal.load(DM)
        assert isinstance(await append_to(store.journal, loaded, [message(DM, loaded.head + 1)]), Committed)
        assert open_files() <= open_before + 12, "connections that were refused are closed"


# ---------------------------------------------------------------------------------------------- bounds, ends


async def test_when_too_many_wait_the_next_is_full(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db", most_waiting=3) as store:
        outcomes: list[str] = []

        async def append(n: int) -> None:
            try:
                await append_to(store.journal, RoomRecord(room=f"dm:ann:u{n}", room_pk=n), [message(f"dm:ann:u{n}", 1)])
                outcomes.append("committed")
            except Full:
                outcomes.append("full")

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                for n in range(1, 6):
                    nursery.start_soon(append, n)
            assert sorted(outcomes) == ["committed"] * 3 + ["full"] * 2
            await append(6)
        assert outcomes[-1] == "committed"


@pytest.mark.parametrize("texts", [["x" * 4000], ["é" * 500], ["y"] * 10])
async def test_when_too_much_waits_the_next_is_full(tmp_path: Path, texts: list[str]) -> None:
    """Whatever it is: long texts, wide ones, many. A refused message is not recorded, and is taken later."""
    async with stores.open(tmp_path / "gochat.db", most_bytes=8000) as store:
        outcomes: list[str] = []

        async def append(n: int) -> None:
            room = f"dm:ann:u{n}"
            try:
                facts = [message(room, seq, body) for seq, body in enumerate(texts, 1)]
                await append_to(store.journal, RoomRecord(room=room, room_pk=n), facts)
                outcomes.append("committed")
            except Full as full:
                assert "wait for a commit" in str(full)
                outcomes.append("full")

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                for n in range(1, 6):
                    nursery.start_soon(append, n)
            assert sorted(outcomes) == ["committed"] * 2 + ["full"] * 3
            await append(6)
        assert outcomes[-1] == "committed"
        heads = [await store.archive.head(f"dm:ann:u{n}") for n in range(1, 7)]
        assert sorted(heads) == [0, 0, 0, *[len(texts)] * 3]


async def test_closing_writes_what_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        epoch = store.journal.epoch
        dm = await Scribe.at(store, DM)
        await dm.said("one")
        store.journal.note_read(dm.record, "bob", 1)
        store.journal.note_user("bob", name="Bob", last_seen=3)
    with pytest.raises(StoreError, match="closing"):
        await append_to(store.journal, dm.record, [message(DM, 2)])
    async with stores.open(path) as store:
        assert store.journal.epoch == epoch
        (contact,) = (await store.archive.welcome("bob", 15, [])).contacts
        assert contact.read == 1
        assert await store.archive.users(["bob"]) == {"bob": ("Bob", 3)}
        assert (await store.journal.load(TEA)).room_pk > dm.record.room_pk, "a number is never given again"
        again = await Scribe.at(store, DM)
        assert again.record == dm.folded()


async def test_a_cancelled_block_is_closed_in_order(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    with trio.fail_after(SOON / 4), trio.CancelScope() as scope:
        async with stores.open(path) as store:
            await append_to(store.journal, RoomRecord(room=DM, room_pk=1), [message(DM, 1)])
            store.journal.note_read(RoomRecord(room=DM, room_pk=1), "bob", 1)
            scope.cancel()
            await trio.sleep_forever()
    async with stores.open(path) as store:
        (contact,) = (await store.archive.welcome("bob", 15, [])).contacts
        assert contact.read == 1


async def test_closing_on_a_full_disk_gives_up_soon(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    with trio.fail_after(SOON / 4):
        async with stores.open(path) as store:
            await append_to(store.journal, RoomRecord(room=DM, room_pk=1), [message(DM, 1)])
            store.journal.note_read(RoomRecord(room=DM, room_pk=1), "bob", 1)
            disk = full_disk(path)
            disk.__enter__()
    disk.__exit__(None, None, None)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# ---------------------------------------------------------------------------------------------- opening


async def opened(path: Path | str, *, inline: bool = False) -> Store:
    async with stores.open_inline(path) if inline else stores.open(path) as store:
        return store


def permissions(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_the_files_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        await append_to(store.journal, RoomRecord(room=DM, room_pk=1), [message(DM, 1)])
        await store.archive.page(Viewer("ann"), DM, before=None, after=None, limit=1)
        modes = permissions(tmp_path)
    assert modes == dict.fromkeys(["gochat.db", "gochat.db-shm", "gochat.db-wal", "gochat.newest"], 0o600)


def test_every_migration_is_known() -> None:
    with contextlib.closing(schema.connect(":memory:")) as connection:
        setup.migrate(connection, ":memory:")
        applied = {name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")}
    assert applied == schema.KNOWN


@pytest.mark.parametrize("inline", [False, True])
async def test_a_newer_schema_is_refused(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "gochat.db"
    await opened(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('gochat', 'm999_later', '')"
        )
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"gochat\.db was written by a newer release"):
        await opened(path, inline=inline)
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is no database\n" * 1000)
    for path in (text, tmp_path, tmp_path / "none" / "gochat.db"):
        with pytest.raises(StoreError, match=str(path)):
            await opened(path)
    assert text.read_text().startswith("this is no database")
    with pytest.raises(ValueError, match="inline"):
        await opened(":memory:")
