"""Transactions that are not synced: their work follows from what is recorded, and a power failure costs no more than
doing it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unsynced(connection: sqlite3.Connection) -> Iterator[None]:
    """Have transactions in this block skip the sync. The next commit after it syncs, and with it all that they wrote.

    However the block ends, a transaction that it has left open is rolled back, and commits on the connection are synced
    again: a lock that another process held must not leave a connection behind whose commits are acked and not durable.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        # SQLite refuses to change the pragma within a transaction.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA synchronous = FULL")
