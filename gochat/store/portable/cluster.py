"""A database that is one node's copy of a cluster's: which cluster that is, and how one becomes a copy or ceases to be.

The row goes along into backups, from which other nodes are made. A database that becomes one of its own again loses it,
and has a new epoch: from then on its facts are numbered otherwise than the cluster's.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from gochat.errors import StoreError
from gochat.store.newest import Newest, Note
from gochat.store.read.source import read_only
from gochat.store.schema import LAST_COMMIT, connect, has_table, new_epoch
from gochat.store.setup import prepare
from gochat.store.write import write_buffer

#: Of a cluster's log (cluster/ports.py).
PARTITIONS: Final = 16
#: Everything that is in a database for a cluster's sake; empty in one of its own.
TABLES: Final = ("cluster", "log_entry", "log_position", "log_node", "log_epoch", "log_answer")
_USED: Final = ("room", "relation", "user", "report", "audit", "suspension", "revocation", "tombstone")
_GREATEST: Final = """SELECT max(n) FROM (SELECT max(num) AS n FROM room UNION ALL SELECT max(num) FROM relation
    UNION ALL SELECT max(id) FROM report UNION ALL SELECT max(id) FROM audit)"""


class Copy(NamedTuple):
    """Says of which cluster a database is a copy."""

    cluster: str
    name: str
    layout: bytes
    """Sealed: see cluster/layout.py."""
    begun: bool = False
    """Whether the cluster's log has been begun. It is begun once: where a server has lost it, nodes put it back."""


class Contents(NamedTuple):
    epoch: str
    is_empty: bool
    greatest: int
    """No room, report or audit entry has a greater number."""


def read(database: Path) -> Copy | None:
    """None where the database is of no cluster. Safe beside a running node. Raises StoreError."""
    try:
        with closing(read_only(database)) as connection:
            if not has_table(connection, "cluster"):
                return None  # An older release wrote it.
            row = connection.execute("SELECT id, name, layout, begun FROM cluster").fetchone()
            if row is None:
                return None
            cluster, name, layout, begun = row
            if not (isinstance(cluster, str) and isinstance(name, str) and isinstance(layout, bytes)):
                raise StoreError(f"{database} is damaged: it does not say of which cluster it is")
            return Copy(cluster, name, layout, bool(begun))
    except sqlite3.Error as error:
        raise StoreError(f"{database} can't be read: {error}") from error


def contents(database: Path) -> Contents:
    """Make the database if there is none, bring it to this release's schema, and say what is in it. Nobody else may use
    it. Raises StoreError."""
    prepare(str(database))
    try:
        with closing(read_only(database)) as connection:
            (epoch,) = connection.execute("SELECT epoch FROM meta").fetchone()
            (greatest,) = connection.execute(_GREATEST).fetchone()
            used = any(connection.execute(f"SELECT EXISTS (SELECT 1 FROM {t})").fetchone()[0] for t in _USED)
            unmerged = write_buffer.unmerged(connection)
    except sqlite3.Error as error:
        raise StoreError(f"{database} can't be read: {error}") from error
    return Contents(epoch, not (used or unmerged), max(greatest or 0, *unmerged, 0))


def mark(database: Path, copy: Copy) -> None:
    """Make the database, which is of no other cluster, a copy of this one's. Raises StoreError."""
    try:
        with closing(connect(str(database))) as connection:
            connection.execute("INSERT OR REPLACE INTO cluster VALUES (1, ?, ?, ?, ?)", copy)
            connection.execute("DELETE FROM log_answer")  # Another node gave them, of whose database this is a backup.
    except sqlite3.Error as error:
        raise StoreError(f"{database} can't be written: {error}") from error


def unmark(database: Path) -> None:
    """Make the database, a copy of a cluster that was never begun, what it was before `mark`. Raises StoreError."""
    try:
        with closing(connect(str(database))) as connection:
            connection.execute("DELETE FROM cluster")
    except sqlite3.Error as error:
        raise StoreError(f"{database} can't be written: {error}") from error


def make_empty(file: Path, copy: Copy, epoch: str) -> None:
    """Make a database of the cluster that holds nothing. Raises StoreError."""
    prepare(str(file))
    mark(file, copy)
    try:
        with closing(connect(str(file))) as connection:
            connection.execute("UPDATE meta SET epoch = ?", (epoch,))
    except sqlite3.Error as error:
        raise StoreError(f"{file} can't be written: {error}") from error


def positions(database: Path) -> dict[int, int]:
    """By partition up to which n of the cluster's log the database has all of it. Raises StoreError."""
    found = dict.fromkeys(range(PARTITIONS), 0)
    try:
        with closing(read_only(database)) as connection:
            if has_table(connection, "log_position"):
                for partition, n in connection.execute("SELECT partition, n FROM log_position"):
                    if partition not in found or not isinstance(n, int):
                        raise StoreError(f"{database} is damaged: its position in the cluster's log is none")
                    found[partition] = n
    except sqlite3.Error as error:
        raise StoreError(f"{database} can't be read: {error}") from error
    return found


def counts(database: Path, instance: str) -> bool:
    """Whether the node is one that the others wait for where the log is repaired, as far as this database, its own,
    says. Raises StoreError."""
    try:
        with closing(read_only(database)) as connection:
            if not has_table(connection, "log_node"):
                return False  # An older release wrote it.
            found = "SELECT EXISTS (SELECT 1 FROM log_node WHERE instance = ? AND state = 'here')"
            return bool(connection.execute(found, (instance,)).fetchone()[0])
    except sqlite3.Error as error:
        raise StoreError(f"{database} can't be read: {error}") from error


def release(database: Path) -> None:
    """Make the database one of its own, with a new epoch. Nobody else may use it. Raises StoreError."""
    try:
        with closing(connect(str(database))) as connection:
            (boot,) = connection.execute("SELECT number FROM boot").fetchone()
            (commit,) = connection.execute(LAST_COMMIT).fetchone()
            now = Newest(new_epoch(), boot, commit)
            connection.execute("BEGIN IMMEDIATE")
            set_free(connection)
            connection.execute("UPDATE meta SET epoch = ?", (now.epoch,))
            connection.execute("COMMIT")
        Note(database, now).close(commit)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{database} can't be written: {error}") from error


def set_free(connection: sqlite3.Connection) -> None:
    """Take away all that is there for a cluster's sake."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE room SET guard = 0 WHERE guard <> 0")
