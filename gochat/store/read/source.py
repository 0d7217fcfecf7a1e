"""Opening what is exported from: a node's database, read only, at one moment. Safe beside a running node."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gochat.errors import Damaged, StoreError
from gochat.store.health import is_damage
from gochat.store.read.overlay import overlay
from gochat.store.schema import KNOWN, connect, migrations_of


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection inside one read transaction. Raises StoreError, also for what goes wrong inside the block.

    While it lasts the node's write-ahead log can't be cut, and grows by what is written meanwhile.
    """
    with reading_all(read_only(database), database) as connection:
        yield connection


@contextmanager
def reading_all(connection: sqlite3.Connection, database: Path) -> Iterator[sqlite3.Connection]:
    """The same on a connection to `database`, which is closed at the end."""
    try:
        connection.execute("BEGIN")
        _check(connection, database)
        overlay(connection)
        yield connection
    except sqlite3.Error as error:
        if is_damage(error):
            raise Damaged(f"{database} is damaged: {error}") from error
        raise StoreError(f"{database} can't be read: {error}") from error
    finally:
        connection.close()


def read_only(file: Path) -> sqlite3.Connection:
    """A connection that can't write, and makes no file. Raises StoreError."""
    if not file.is_file():
        raise StoreError(f"there is no file {file}")
    try:
        return connect(str(file), read_only=True)
    except sqlite3.Error as error:
        raise StoreError(f"{file} can't be opened: {error}") from error


def _check(connection: sqlite3.Connection, database: Path) -> None:
    applied = migrations_of(connection)
    if not applied:
        raise StoreError(f"{database} is no database of gochat")
    if applied - KNOWN:
        raise StoreError(f"{database} was written by a newer release; use that one")
    if applied != KNOWN:
        raise StoreError(f"{database} is of an older release; start this one on it first")
