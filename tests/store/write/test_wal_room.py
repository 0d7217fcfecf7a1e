"""Commits find room in the log file, and whatever is made of that, nothing of what they wrote is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gochat.store import schema
from gochat.store.write.wal_room import ROOM, WalRoom


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(schema.connect(str(path))) as connection:
        connection.execute("CREATE TABLE word (n INTEGER PRIMARY KEY, text TEXT)")
        yield connection


def size(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def write(connection: sqlite3.Connection, n: int, text: str = "") -> None:
    connection.execute("INSERT INTO word VALUES (?, ?)", (n, text))


def words(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [n for (n,) in connection.execute("SELECT n FROM word ORDER BY n")]


def test_commits_write_into_the_room_until_it_is_used_up(path: Path, writing: sqlite3.Connection) -> None:
    room, used = WalRoom(str(path)), size(path)
    room.keep()
    assert size(path) == used + ROOM
    for n in range(10):
        write(writing, n)
        room.keep()
    assert size(path) == used + ROOM
    write(writing, 10, "x" * 2 * ROOM)
    longer = size(path)
    assert longer > used + 2 * ROOM
    room.keep()
    assert size(path) == longer + ROOM


def test_what_was_committed_before_and_into_the_room_is_found_after_a_kill(
    path: Path, writing: sqlite3.Connection, tmp_path: Path
) -> None:
    """As the files are then: with the room, or with nothing or a piece of it."""
    room = WalRoom(str(path))
    write(writing, 1)
    used = size(path)
    room.keep()
    write(writing, 2)
    for place, length in enumerate((used + ROOM, used + ROOM // 2 + 1)):
        copy = tmp_path / f"copy{place}.db"
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
        os.truncate(f"{copy}-wal", length)
        assert words(copy) == [1, 2]


def test_a_log_file_that_was_begun_anew_gets_room_again(path: Path, writing: sqlite3.Connection) -> None:
    room = WalRoom(str(path))
    room.keep()
    writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    room.keep()
    assert size(path) == 0
    write(writing, 1)
    used = size(path)
    room.keep()
    assert size(path) == used + ROOM
    assert words(path) == [1]


@pytest.mark.parametrize("lack", ["permission", "space"])
def test_without_room_commits_go_on(
    path: Path, writing: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    used, tries = size(path), []

    def refuse(*_: object) -> int:
        tries.append(1)
        raise OSError(lack)

    monkeypatch.setattr(os, "open" if lack == "permission" else "pwrite", refuse)
    room = WalRoom(str(path))
    for _ in range(3):
        room.keep()
    assert size(path) == used and len(tries) == 1, "it tries again once there is more to keep"
    write(writing, 1)
    room.keep()
    assert len(tries) == 2 and words(path) == [1]


def test_a_database_in_memory_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(schema.connect(schema.MEMORY)) as connection:
        WalRoom(schema.file_of(connection)).keep()
    WalRoom(str(tmp_path / "none.db")).keep()
    assert not list(tmp_path.iterdir())
