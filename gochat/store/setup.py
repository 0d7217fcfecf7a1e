"""Makes a database, or brings one to this release's schema."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gochat.errors import StoreError
from gochat.store.schema import APPLIED, APPLIED_INDEX, FIRST, KNOWN, connect, new_epoch


def prepare(path: str) -> None:
    """Make the database if there is none, and bring it to this release's schema. Raises StoreError."""
    if path != ":memory:" and not Path(path).exists():
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            raise StoreError(f"{path} can't be made: {error.strerror}") from error
    try:
        connection = connect(path)
        try:
            migrate(connection, path)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path} can't be used: {error}") from error


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the database to this release's schema. Raises StoreError for one that is of a newer release."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        _create(connection)
        return
    applied: set[str] = set()
    if "_sqlite_migrations" in tables:
        applied = {name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")}
    if applied - KNOWN:
        raise StoreError(f"{path} was written by a newer release; use that one, or another node.data folder")
    if applied != KNOWN:
        from gochat.store.migrations import apply  # sqlite-utils takes a seventh of a node's start to load

        apply(connection)


def _create(connection: sqlite3.Connection) -> None:
    """What the migrations make of nothing, in one transaction and without loading what they need. A test compares."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in FIRST:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES (?)", (new_epoch(),))
    connection.execute(APPLIED)
    connection.execute(APPLIED_INDEX)
    for name in sorted(KNOWN):
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, datetime('now'))",
            ("gochat", name),
        )
    connection.execute("COMMIT")
