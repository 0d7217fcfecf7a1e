"""A backup in the place of a node's database, which is stopped. The database that was there is kept aside.

At every moment there is a database in its place: the old one until the new one takes its name. The new one has a new
epoch, so that clients start anew instead of going on from positions in a log that is no more.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from gochat.durable import sync_folder
from gochat.errors import StoreError
from gochat.store import folder, newest
from gochat.store.newest import Newest
from gochat.store.portable import backup
from gochat.store.portable.backup import Checked, Progress
from gochat.store.portable.cluster import set_free
from gochat.store.read.source import read_only
from gochat.store.schema import connect, new_epoch
from gochat.store.setup import prepare

#: Suffixes of the files that stand beside a database while it is in use.
_BESIDE = ("-wal", "-shm")
#: The name of the copy, around random characters.
_PREFIX, _SUFFIX = ".restore-", ".part"


class Staged(NamedTuple):
    """A copy of the backup in the data folder, ready to take the database's place."""

    part: Path
    found: Checked
    """The contents of the backup."""


@contextmanager
def staged(file: Path, database: Path, progress: Progress = lambda done, goal: None) -> Iterator[Staged]:
    """Check the backup, copy it beside the database, and bring the copy to this release's schema. It is gone when the
    block ends, unless `put_in_place` was called; copies of restores that were killed go too. Nobody else may use the
    folder. Raises StoreError: nothing was changed."""
    found = backup.check(file)
    if database.exists() and file.samefile(database):
        raise StoreError(f"{file} is the node's own database")
    try:
        _clear(database.parent, file)
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=database.parent)
    except OSError as error:
        raise StoreError(f"{database.parent} can't be written to: {error.strerror}") from error
    os.close(descriptor)
    part = Path(name)
    try:
        backup.require_space(database.parent, file.stat().st_size)
        with closing(read_only(file)) as source:
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_master").fetchone()
            backup.copy(source, part, progress)
        prepare(name, keep=False)  # The backup itself is what it was before.
        yield Staged(part, found)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{file} can't be restored: {error}") from error
    finally:
        _unlink(part)


def _clear(data: Path, file: Path) -> None:
    """Take away what restores left that were killed: each a whole copy of a backup, with texts that were deleted later.
    The folder is locked, so no living process works on one. The backup itself may be such a copy: it stays."""
    for left in data.glob(f"{_PREFIX}*{_SUFFIX}"):
        if not left.samefile(file):
            _unlink(left)


def put_in_place(copy: Staged, database: Path, *, keep: bool = True, joins: bool = False) -> Path | None:
    """Give the copy a new epoch and the database's name; it is a database of its own, though it was a cluster's. With
    `joins` it stays the cluster's, its epoch stays too, and the folder is no node's of a cluster any more until the
    caller makes it one. Returns where the database that was there is kept, if there was one; `folder.marker_of` says
    where the file is by which it was a node's. Nobody else may use the folder. Raises StoreError: the folder is as it
    was, or has the copy in its place."""
    noted = newest.read(database)
    there = _boot_of(database)
    epoch = copy.found.epoch if joins else new_epoch()
    new = Newest(epoch, max(copy.found.boot, there, noted.boot if noted else 0) + 1, copy.found.commit)
    try:
        with closing(connect(str(copy.part))) as connection:
            if not joins:
                set_free(connection)
            connection.execute("UPDATE meta SET epoch = ?", (new.epoch,))
            connection.execute("UPDATE boot SET number = ?", (new.boot,))
            connection.execute("PRAGMA journal_mode = DELETE")
        _sync(copy.part)
        kept = _aside(database) if database.exists() else None
        try:
            if joins:
                # Before the database goes: with another one the file would make this folder a node that has lost
                # entries, and the other nodes would believe that it has none of them. Without it nobody serves the
                # folder. And before its log goes, for the same reason.
                _marker_aside(database.parent, kept)
            _log_aside(database, kept)
            copy.part.replace(database)
        except BaseException:
            if kept is not None:
                with suppress(OSError):  # Then it is as after a loss of power: folder.cut_short finds it.
                    _put_back(database, kept)
            raise
        sync_folder(database.parent)
        newest.Note(database, new).close(new.commit)
        if kept is not None and not keep:
            _unlink(kept)
            kept = None
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{database} can't be replaced: {error}") from error
    return kept


def undo(data: Path) -> None:
    """Make the folder what it was, where a join was cut short before the database was replaced. Nobody else may use the
    folder. Raises StoreError."""
    kept = folder.cut_short(data)
    if kept is None:
        return
    try:
        _put_back(folder.database(data), kept)
    except OSError as error:
        raise StoreError(f"{data} can't be made what it was before it was to join: {error}") from error


def _put_back(database: Path, kept: Path) -> None:
    """Give everything its name again, unless another database has come. The file by which the folder is a node's comes
    last: the node has its database with its log then, or is none."""
    if not kept.samefile(database):
        return
    log_file = Path(f"{kept}-wal")
    if folder.has_content(log_file):
        log_file.replace(f"{database}-wal")
        sync_folder(database.parent)
    marker = folder.marker_of(kept)
    if marker.exists():
        marker.replace(database.parent / folder.CLUSTER)
        sync_folder(database.parent)
    _unlink(kept)


def _unlink(file: Path) -> None:
    """Take a database away, with what stands beside it. The database last: by its name the others are found."""
    for end in (*_BESIDE, ""):
        Path(f"{file}{end}").unlink(missing_ok=True)


def _aside(database: Path) -> Path:
    """Give the database a second name."""
    _checkpoint(database)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = next(path for n in range(100) if not (path := _named(database, stamp, n)).exists())
    os.link(database, kept)
    return kept


def _checkpoint(database: Path) -> None:
    """Bring the log into the database, if that can be done."""
    # The database that is replaced may be damaged, which is why it is.
    with suppress(sqlite3.Error), closing(connect(str(database))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _log_aside(database: Path, kept: Path | None) -> None:
    """Take away what would be read as the log of the database that comes."""
    if kept is None:
        return
    log_file = Path(f"{database}-wal")
    if log_file.exists():
        # It could not be brought into the database: that is damaged, or the disk is full.
        log_file.replace(f"{kept}-wal")
    Path(f"{database}-shm").unlink(missing_ok=True)


def _marker_aside(data: Path, kept: Path | None) -> None:
    """Take away the file by which the folder is a node's of a cluster; it stays beside the database that is kept."""
    marker = data / folder.CLUSTER
    if not marker.exists():
        return
    if kept is None:
        marker.unlink()
    else:
        sync_folder(data)  # The database's second name: by that a join which was cut short is known (folder.cut_short).
        marker.replace(folder.marker_of(kept))
    sync_folder(data)


def _named(database: Path, stamp: str, n: int) -> Path:
    return database.with_name(f"{database.name}.replaced-{stamp}{f'-{n}' if n else ''}")


def _boot_of(database: Path) -> int:
    """How often a node started on the database that is there, as far as that can be read."""
    if not database.exists():
        return 0
    with suppress(sqlite3.Error, StoreError), closing(read_only(database)) as connection:
        row = connection.execute("SELECT number FROM boot").fetchone()
        if row is not None and isinstance(row[0], int):
            return row[0]
    return 0


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
