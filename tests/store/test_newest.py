"""A copy that was put back is noticed, and nothing else is taken for one; what is not gochat's is left alone."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio

from gochat import store as stores
from gochat.errors import StoreError
from gochat.ports.journal import Committed
from gochat.store import migrations, newest, setup
from gochat.store.newest import Newest
from gochat.store.portable.backup import back_up, check
from gochat.store.portable.export_room import export_room
from gochat.store.portable.import_room import import_room
from gochat.store.portable.restore import put_in_place, staged
from tests.appending import append_to
from tests.contracts.journal import DM, message
from tests.store.read.test_damage import small_disk


async def lived(path: Path, *bodies: str) -> str:
    """A node's life on the database; its epoch."""
    async with stores.open(path) as store:
        record = await store.journal.load(DM)
        for body in bodies:
            assert isinstance(await append_to(store.journal, record, [message(DM, record.head + 1, body)]), Committed)
            record.head += 1
        return store.journal.epoch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gochat.db"


def noted(path: Path) -> Newest:
    found = newest.read(path)
    assert found is not None
    return found


def write(path: Path, new: Newest) -> None:
    newest.file_of(path).write_bytes(msgspec.json.encode(new))


def ended_early(path: Path) -> None:
    """The node crashed between a commit and its note."""
    write(path, msgspec.structs.replace(noted(path), commit=1))


def began_and_crashed(path: Path) -> None:
    """After a start was counted, and before that was noted."""
    write(path, msgspec.structs.replace(noted(path), boot=noted(path).boot - 1))


def gone(path: Path) -> None:
    newest.file_of(path).unlink()


def garbled(path: Path) -> None:
    newest.file_of(path).write_bytes(b"\0" * 512)


def of_another(path: Path) -> None:
    write(path, msgspec.structs.replace(noted(path), epoch="another"))


def ahead(path: Path) -> None:
    write(path, msgspec.structs.replace(noted(path), commit=1 << 40))


@pytest.mark.parametrize("what", [lambda _: None, ended_early, began_and_crashed])
async def test_a_database_that_is_as_new_keeps_its_epoch(path: Path, what: Callable[[Path], None]) -> None:
    epoch = await lived(path, "one", "two")
    what(path)
    assert await lived(path, "three") == epoch
    assert noted(path).boot == 2


@pytest.mark.parametrize("what", [gone, garbled, of_another, ahead])
async def test_one_that_may_be_older_gets_another_and_says_so(
    path: Path, what: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    epoch = await lived(path, "one", "two")
    what(path)
    other = await lived(path, "three")
    assert other != epoch
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "is a copy that was put back" in record.getMessage() and str(path) in record.getMessage()
    assert await lived(path) == other, "once"


@pytest.mark.parametrize("lives", [0, 1])
async def test_a_bare_copy_that_was_put_back_is_noticed(path: Path, lives: int) -> None:
    """Also when the node did nothing in the life after it but start."""
    await lived(path, "one", "two")
    shutil.copy(path, path.with_name("copy"))
    epoch = await lived(path, *["three"] * lives)
    shutil.copy(path.with_name("copy"), path)
    assert await lived(path, "another three") != epoch


async def test_a_killed_nodes_note_is_a_second_old_at_most(path: Path) -> None:
    async with stores.open(path) as store:
        record = await store.journal.load(DM)
        done = await append_to(store.journal, record, [message(DM, 1)])
        assert isinstance(done, Committed)
        with trio.fail_after(60):
            while noted(path).commit < done.commit:
                await trio.sleep(0.05)


async def test_what_was_never_noted_keeps_its_epoch(path: Path) -> None:
    """A database of a release that did not count starts."""
    old_database(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        (epoch,) = db.execute("SELECT epoch FROM meta").fetchone()
    assert await lived(path) == epoch


async def test_an_import_is_noted(path: Path, tmp_path: Path) -> None:
    await lived(path, "one")
    async with stores.open(tmp_path / "other.db") as other:
        record = await other.journal.load("dm:cat:dan")
        await append_to(other.journal, record, [message("dm:cat:dan", 1, sender="cat")])
    export_room(tmp_path / "other.db", "dm:cat:dan", tmp_path / "room", now_ms=1)
    shutil.copy(path, tmp_path / "copy")
    before = noted(path).commit
    import_room(tmp_path / "room", path)
    assert noted(path).commit > before


# ---------------------------------------------------------------------------------------------- backup, restore


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


def content_of(file: Path) -> bytes:
    return file.read_bytes()


def damage(path: Path, page: int) -> None:
    """Flip every bit of a page."""
    content = bytearray(path.read_bytes())
    flipped = bytes(byte ^ 0xFF for byte in content[page * 4096 : (page + 1) * 4096])
    path.write_bytes(content[: page * 4096] + flipped + content[(page + 1) * 4096 :])


async def test_a_backup_has_the_tail_and_a_restore_a_new_epoch(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    async with stores.open(path) as store:
        record = await store.journal.load(DM)
        for seq in range(1, 6):
            await append_to(store.journal, record, [message(DM, seq)])
            record.head += 1
        told = await trio.to_thread.run_sync(back_up, path, copy)
        epoch = store.journal.epoch
    assert (told.facts, told.rooms, told.epoch) == (5, 1, epoch)
    await lived(path, "six", "seven")
    with staged(copy, path) as ready:
        kept = put_in_place(ready, path)
    assert kept is not None
    async with stores.open(path) as store:
        assert store.journal.epoch != epoch
        assert await store.archive.head(DM) == 5
    found = modes(tmp_path)
    assert found == dict.fromkeys(["copy", "gochat.db", kept.name, "gochat.newest"], 0o600)
    assert check(kept).facts == 7


async def test_a_restore_over_a_damaged_database_with_its_log_file(path: Path, tmp_path: Path) -> None:
    """The log file that a crash left is not read into the database that comes."""
    copy = tmp_path / "copy"
    await lived(path, "one")
    back_up(path, copy)
    await lived(path, *["more"] * 50)
    async with stores.open(path) as store:
        record = await store.journal.load(DM)
        await append_to(store.journal, record, [message(DM, record.head + 1)])
        log_file = content_of(Path(f"{path}-wal"))
    damage(path, 1)
    Path(f"{path}-wal").write_bytes(log_file)  # noqa: ASYNC240
    with staged(copy, path) as ready:
        put_in_place(ready, path)
    assert "gochat.db-wal" not in modes(tmp_path)
    async with stores.open(path) as store:
        assert await store.archive.head(DM) == 1


async def test_a_restore_that_ends_half_way_leaves_a_database(path: Path, tmp_path: Path) -> None:
    await lived(path, "one")
    copy = tmp_path / "copy"
    back_up(path, copy)
    with staged(copy, path):
        pass  # Nobody said yes.
    async with stores.open(path) as store:
        assert await store.archive.head(DM) == 1
    assert not [name for name in modes(tmp_path) if "restore" in name]


async def test_a_backup_that_does_not_fit_leaves_the_disk_as_it_was(path: Path, tmp_path: Path) -> None:
    await lived(path, "x" * 4000)
    with small_disk(tmp_path / "disk", "4m") as disk:
        with pytest.raises(StoreError, match="MB are needed"):
            back_up(path, disk / "copy")
        assert not (disk / "copy").exists()


async def test_a_damaged_database_gives_no_backup(path: Path, tmp_path: Path) -> None:
    await lived(path, *["SECRET" * 200] * 40)
    damage(path, content_of(path).index(b"SECRET") // 4096)
    with pytest.raises(StoreError, match="is damaged"):
        back_up(path, tmp_path / "copy")


async def test_of_another_kind_or_release_it_is_refused(path: Path, tmp_path: Path) -> None:
    await lived(path, "one")
    export_room(path, DM, tmp_path / "room", now_ms=1)
    shutil.copy(path, tmp_path / "newer")
    with contextlib.closing(sqlite3.connect(tmp_path / "newer")) as db, db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('gochat', 'm999', '')")
    for name, told in (("room", "is an export"), ("newer", "newer release")):
        with pytest.raises(StoreError, match=told), staged(tmp_path / name, path):
            raise AssertionError


# ---------------------------------------------------------------------------------------------- schemas


def old_database(path: Path) -> None:
    """As the release before starts were counted left it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrations.apply(db, before="m004_boot")
        db.execute("UPDATE meta SET epoch = 'old'")


def test_a_note_that_is_there_and_kept_from_us_is_told_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert newest.read(path) is None and not caplog.records
    newest.file_of(path).mkdir()
    assert newest.read(path) is None
    (record,) = caplog.records
    assert str(newest.file_of(path)) in record.getMessage()


async def test_before_a_migration_the_database_is_copied(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old_database(path)
    caplog.set_level(logging.INFO)
    await lived(path, "one")
    kept = path.with_name("gochat.db.schema-3")
    assert kept.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(kept)) as db:
        assert len(db.execute("SELECT name FROM _sqlite_migrations").fetchall()) == 3
    told = [record.getMessage() for record in caplog.records]
    assert any("goes from schema 3 to" in line and str(kept) in line for line in told)
    assert any(line.startswith("m004_boot: ") and len(line) > 20 for line in told), told


def test_a_backup_of_an_older_release_is_restored_without_a_word_of_copies(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy is brought to this release's schema: the backup is what it was before, and no file of that is left."""
    backup = tmp_path / "backup.db"
    old_database(backup)
    before = backup.read_bytes()
    with staged(backup, path) as copy:
        assert [file for file in path.parent.iterdir() if "schema" in file.name] == []
        put_in_place(copy, path)
    assert [record.getMessage() for record in caplog.records] == []
    assert backup.read_bytes() == before
    assert [file.name for file in path.parent.iterdir() if ".part" in file.name] == []


def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        old_database(disk / "gochat.db")
        before = (disk / "gochat.db").read_bytes()
        with pytest.raises(StoreError, match=r"older release.* MB are needed"):
            setup.prepare(str(disk / "gochat.db"))
        assert (disk / "gochat.db").read_bytes()[100:] == before[100:]
        assert not [file for file in disk.iterdir() if ".part" in file.name]


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"gochat\.db is a database of another program"):
        setup.prepare(str(path))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["gochat.db"]


async def test_a_database_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        await lived(disk / "gochat.db", "one")
        await trio.run_process(["mount", "-o", "remount,ro", str(disk)])
        with pytest.raises(StoreError, match="read-only"):
            await lived(disk / "gochat.db")
