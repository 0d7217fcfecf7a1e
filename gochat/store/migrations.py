"""The migrations, each applied once to a database, in order; sqlite-utils keeps the books.

A new migration is added below, its name to `schema.KNOWN`, and what it makes of a new database to `schema.FIRST`.
"""

from __future__ import annotations

import sqlite3

import sqlite_utils
from sqlite_utils import Migrations

from gochat.store import schema

migrations = Migrations("gochat")


@migrations()
def m001_first(db: sqlite_utils.Database) -> None:
    """Rooms and their logs; what follows from the logs; users; the full-text index."""
    for statement in schema.ROOMS:
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES (?)", (schema.new_epoch(),))


@migrations()
def m002_people(db: sqlite_utils.Database) -> None:
    """Relations between users, moderation, audit. Until now anybody could write to anybody; who did still may."""
    for statement in schema.PEOPLE:
        db.execute(statement)
    db.execute(
        "INSERT INTO relation (user, peer, num, contact) SELECT s.user, t.user, s.num, 1 FROM seat s"
        " JOIN seat t ON t.num = s.num AND t.user <> s.user WHERE s.role = 'dm' AND t.role = 'dm'"
    )


def apply(connection: sqlite3.Connection) -> None:
    """Apply those that are missing."""
    migrations.apply(sqlite_utils.Database(connection))
