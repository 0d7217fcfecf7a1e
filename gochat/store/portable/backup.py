"""A whole database as one file: copied from one that may be in use, and checked before anybody relies on it.

Copied by SQLite's online backup within one read transaction: it is one moment, the tail included, and what the node
writes meanwhile does not make it begin anew. While it lasts the node's write-ahead log can't be cut.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from gochat.errors import StoreError
from gochat.store.portable import file_schema
from gochat.store.read.source import read_only
from gochat.store.schema import KNOWN, LAST_COMMIT, SEQ_BITS, has_table, migrations_of
from gochat.store.write import write_buffer

#: Called with the pages that are copied and all that there are; may raise to give up.
Progress: TypeAlias = Callable[[int, int], None]
ValueT = TypeVar("ValueT", int, str)

#: Pages that are copied at a time: 1 MB.
_STEP: Final = 256
#: Steps between two syncs: pages that wait to be written must not hold up a commit's own sync.
_SYNC_EVERY: Final = 8
#: Free space beyond what is copied.
_SPARE: Final = 16 << 20
#: Where SQLite's header says who may read and write the file: 2 is a write-ahead log, 1 is none (fileformat2.html).
_VERSIONS_AT, _NO_LOG = 18, b"\1\1"

_HEADS = f"""SELECT id FROM room WHERE head <>
    (SELECT count(*) FROM fact WHERE fact.id > room.num << {SEQ_BITS} AND fact.id <= (room.num << {SEQ_BITS}) + head)"""


class Checked(NamedTuple):
    """The contents of a database."""

    facts: int
    rooms: int
    newest_ms: int | None
    """`ts` of the latest fact."""
    commit: int
    epoch: str
    boot: int
    """How often a node has started on it; 0 where that was not counted yet."""
    schema: int
    """How many migrations it has."""


def back_up(database: Path, target: Path, progress: Progress = lambda done, goal: None) -> Checked:
    """Copy the database to the empty file `target`, and check the copy. Raises StoreError."""
    with closing(read_only(database)) as source:
        try:
            source.execute("BEGIN")
            check_schema(source, database)
            require_space(target.parent, _size(source))
            copy(source, target, progress)
        except sqlite3.Error as error:
            raise StoreError(f"{database} can't be copied: {error}") from error
    return check(target)


def copy(source: sqlite3.Connection, target: Path, progress: Progress = lambda done, goal: None) -> None:
    """Copy all pages to the empty file `target`, at half of the speed that the disk allows. Raises sqlite3.Error, and
    StoreError where the target can't be written."""
    pace = _Pace(target, progress)
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as out:
            # Not synced by SQLite: a file that is not whole is thrown away.
            out.execute("PRAGMA synchronous = OFF")
            out.execute("PRAGMA journal_mode = OFF")
            pace.begin()
            source.backup(out, pages=_STEP, progress=pace.step)
        pace.alone()
    except OSError as error:
        raise StoreError(f"{target} can't be written: {error.strerror}") from error
    finally:
        pace.close()


class _Pace:
    """Takes as long a rest as each step took."""

    def __init__(self, target: Path, progress: Progress) -> None:
        self._file = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._progress = progress
        self._steps = 0
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.monotonic()

    def step(self, _: int, remaining: int, total: int) -> None:
        self._steps += 1
        if self._steps % _SYNC_EVERY == 0:
            os.fsync(self._file)
        self._progress(total - remaining, total)
        if remaining:
            time.sleep(time.monotonic() - self._began)
        self._began = time.monotonic()

    def alone(self) -> None:
        """The copy is a file by itself, which nobody makes a log beside."""
        os.pwrite(self._file, _NO_LOG, _VERSIONS_AT)
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def require_space(folder: Path, size: int) -> None:
    """Raises StoreError unless so many bytes fit."""
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise StoreError(f"{folder} has {free / 1e6:,.0f} MB free; {(size + _SPARE) / 1e6:,.0f} MB are needed")


def _size(connection: sqlite3.Connection) -> int:
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages) * int(size)


# ---------------------------------------------------------------------------------------------- checking


def check_pages(file: Path) -> None:
    """Read all of the database: its pages and indexes are sound. Raises StoreError that says what is wrong."""
    with closing(read_only(file)) as connection:
        _check_pages(connection, file)


def _check_pages(connection: sqlite3.Connection, file: Path) -> None:
    try:
        check_schema(connection, file)
        (sound,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{file} is damaged, or no database: {error}") from error
    if sound != "ok":
        raise StoreError(f"{file} is damaged: {sound}")


def check(file: Path) -> Checked:
    """The same, and every log is dense and ends at its head, and the tail follows."""
    with closing(read_only(file)) as connection:
        _check_pages(connection, file)
        try:
            return _checked(connection, file)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise StoreError(f"{file} is damaged: {error}") from error


def check_schema(connection: sqlite3.Connection, file: Path) -> None:
    """Raises StoreError unless it is a node's database that this release can use, or bring to its own schema."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == file_schema.APPLICATION_ID:
        raise StoreError(f"{file} is an export; `gochat room import` takes the export of a room")
    applied = migrations_of(connection)
    if not applied:
        raise StoreError(f"{file} is no database of gochat")
    if applied - KNOWN:
        raise StoreError(f"{file} was written by a newer release; use that one")


def _checked(connection: sqlite3.Connection, file: Path) -> Checked:
    for (room,) in connection.execute(_HEADS):
        raise StoreError(f"{file} is damaged: the log of {room} has gaps")
    facts, rooms, newest = connection.execute("SELECT sum(head), count(*), max(ts) FROM room").fetchone()
    if not isinstance(newest, int | None):
        raise StoreError(f"{file} is damaged: a room's time is none")
    (rows,) = connection.execute("SELECT count(*) FROM fact").fetchone()
    if rows != (facts or 0):
        raise StoreError(f"{file} is damaged: it holds facts that belong to no log")
    late = write_buffer.unmerged(connection) if has_table(connection, "tail") else {}
    for room_pk, messages in late.items():
        row = connection.execute("SELECT head FROM room WHERE num = ?", (room_pk,)).fetchone()
        if row is None or messages[0].seq != row[0] + 1 or messages[-1].seq != row[0] + len(messages):
            raise StoreError(f"{file} is damaged: what waits for the log of {messages[0].room} does not follow it")
    latest = [newest or 0, *(messages[-1].ts for messages in late.values())]
    if has_table(connection, "folding"):
        _only(connection, "SELECT version FROM folding", int, f"{file} is damaged: the version of its index")
    boot = 0
    if has_table(connection, "boot"):
        boot = _only(connection, "SELECT number FROM boot", int, f"{file} is damaged: the number of its starts")
    last = LAST_COMMIT if has_table(connection, "tail") else "SELECT commits FROM clock"
    return Checked(
        facts=(facts or 0) + sum(map(len, late.values())),
        rooms=rooms,
        newest_ms=max(latest) or None,
        commit=_only(connection, last, int, f"{file} is damaged: the number of its last commit"),
        epoch=_only(connection, "SELECT epoch FROM meta", str, f"{file} is damaged: its epoch"),
        boot=boot,
        schema=len(migrations_of(connection)),
    )


def _only(connection: sqlite3.Connection, query: str, kind: type[ValueT], problem: str) -> ValueT:
    """The value that the query gives. Raises StoreError, whose text begins so, where it gives none of that kind."""
    row = connection.execute(query).fetchone()
    if row is None or not isinstance(row[0], kind):
        raise StoreError(f"{problem} is missing, or of another kind")
    return row[0]
