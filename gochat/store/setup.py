"""Makes a database, brings one to this release's schema, and begins a node's life on it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from gochat.domain.folding import VERSION
from gochat.errors import StoreError
from gochat.store.newest import Newest, Note, read, why_older
from gochat.store.portable import backup, file_schema
from gochat.store.schema import KNOWN, LAST_COMMIT, MEMORY, MIGRATIONS, connect, migrations_of, new_epoch
from gochat.store.search import reindex

log = logging.getLogger(__name__)


def prepare(path: str, *, keep: bool = True) -> None:
    """Make the database if there is none, and bring it to this release's schema. Before that it is copied to a file
    beside it, named by the schema it had; with `keep` false, where it is a copy itself, it is not. Raises StoreError,
    and has changed nothing where the file is not gochat's or can't be written."""
    try:
        if path != MEMORY:
            _check_place(Path(path))
        with closing(connect(path)) as connection:
            migrate(connection, path, keep=keep)
    except sqlite3.Error as error:
        raise StoreError(f"{path} can't be used: {error}") from error


def _check_place(path: Path) -> None:
    """Make an empty file where there is none; otherwise look at what there is without touching it."""
    if not path.exists():
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            raise StoreError(f"{path} can't be made: {error.strerror}") from error
        return
    look(path)


def look(path: Path) -> int | None:
    """How many of this release's migrations the database has; None where it is empty. It is opened read only, which
    must not happen beside a running node. Raises StoreError where a node could not use it, and sqlite3.Error."""
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise StoreError(f"{path} can't be used: it, or its folder, is read-only for the user who runs this")
    with closing(connect(str(path), read_only=True)) as connection:
        applied = _applied(connection, str(path))
    return None if applied is None else len(applied)


def _applied(connection: sqlite3.Connection, path: str) -> set[str] | None:
    """The migrations that the database has; None where it is empty. Raises StoreError where it is not gochat's, or is
    a newer release's."""
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
        return None
    if connection.execute("PRAGMA application_id").fetchone() == (file_schema.APPLICATION_ID,):
        raise StoreError(f"{path} is an export, and no node's database; `gochat room import` takes it")
    applied = migrations_of(connection)
    if not applied:
        raise StoreError(f"{path} is a database of another program; name another node.data folder")
    if applied - KNOWN:
        raise StoreError(f"{path} was written by a newer release; use that one, or another node.data folder")
    return applied


def migrate(connection: sqlite3.Connection, path: str, *, keep: bool = True) -> None:
    """Bring the database to this release's schema. Raises StoreError for one that is of a newer release."""
    applied = _applied(connection, path)
    if applied is None or applied != KNOWN:
        _apply(connection, Path(path), applied, keep=keep)
    (version,) = connection.execute("SELECT version FROM folding").fetchone()
    if version > VERSION:
        raise StoreError(f"{path} was written by a newer release; use that one, or another node.data folder")
    if version < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        reindex.begin(connection)
        connection.execute("COMMIT")


def _apply(connection: sqlite3.Connection, path: Path, applied: set[str] | None, *, keep: bool) -> None:
    """Apply the migrations that are missing; all of them to an empty file."""
    from gochat.store.migrations import apply  # sqlite-utils takes a seventh of a node's start to load

    if applied is None:
        # All in one transaction: a start that is cut short leaves the file empty.
        connection.execute("BEGIN IMMEDIATE")
        apply(connection)
        connection.execute("COMMIT")
        return
    kept = _keep(connection, path, len(applied)) if keep and str(path) != MEMORY else None
    if kept is not None:
        log.warning("%s goes from schema %d to %d; as it was it is in %s", path, len(applied), len(KNOWN), kept)
    for name in sorted(KNOWN - applied):
        log.info("%s: %s", name, MIGRATIONS[name].told)
    began = time.monotonic()
    apply(connection)
    log.info("%s has schema %d, after %.1f s", path, len(KNOWN), time.monotonic() - began)


def _keep(connection: sqlite3.Connection, path: Path, schema: int) -> Path:
    """Copy the database as it is. Raises StoreError: then nothing is changed."""
    kept = path.with_name(f"{path.name}.schema-{schema}")
    part = path.with_name(f".{kept.name}.part")
    try:
        part.unlink(missing_ok=True)
        size = path.stat().st_size
        # A quarter more, for what the migration writes.
        backup.require_space(path.parent, size + size // 4)
        backup.copy(connection, part)
        backup.check_pages(part)
        part.replace(kept)
    except (OSError, sqlite3.Error, StoreError) as error:
        raise StoreError(
            f"{path} is of an older release, and can't be copied before it is brought to this one: {error}"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return kept


def begin(path: str) -> Note:
    """Count a start of the node. A database that is older than what was noted beside it gets a new epoch, and the log
    says so. Raises StoreError."""
    database = Path(path)
    noted = read(database)
    try:
        with closing(connect(path)) as connection:
            (epoch,) = connection.execute("SELECT epoch FROM meta").fetchone()
            (boot,) = connection.execute("SELECT number FROM boot").fetchone()
            (commit,) = connection.execute(LAST_COMMIT).fetchone()
            why = why_older(Newest(epoch, boot, commit), noted)
            if why is not None:
                epoch = new_epoch()
                log.warning("%s is a copy that was put back: %s. It has a new epoch: clients start anew", path, why)
            boot = max(boot, noted.boot if noted is not None else 0) + 1
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE meta SET epoch = ?", (epoch,))
            connection.execute("UPDATE boot SET number = ?", (boot,))
            connection.execute("COMMIT")
        return Note(database, Newest(epoch, boot, commit))
    except sqlite3.Error as error:
        raise StoreError(f"{path} can't be used: {error}") from error
    except OSError as error:
        raise StoreError(f"{path}: how new it is can't be noted beside it: {error.strerror}") from error


def note(database: Path) -> None:
    """A command has written to the database: note how new it is. One that no node has started on needs no note."""
    with closing(connect(str(database), read_only=True)) as connection:
        (epoch,) = connection.execute("SELECT epoch FROM meta").fetchone()
        (boot,) = connection.execute("SELECT number FROM boot").fetchone()
        (commit,) = connection.execute(LAST_COMMIT).fetchone()
    noted = read(database)
    if noted is not None and why_older(Newest(epoch, boot, commit), noted) is None:
        Note(database, Newest(epoch, boot, commit)).close(commit)
