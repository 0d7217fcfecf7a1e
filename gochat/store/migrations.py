"""Applies the migrations of `schema.MIGRATIONS`; sqlite-utils keeps the books.

A new database is what all of them make of nothing. A new migration is a row there; where statements are not enough, its
code is a function here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

import sqlite_utils
from sqlite_utils import Migrations

from gochat.store import schema
from gochat.store.listing import BLOCK_BITS, IN_GROUP, relist
from gochat.store.rows import MESSAGE
from gochat.store.search import reindex
from gochat.store.search.cut_first import CUTTER


def _begin_epoch(db: sqlite_utils.Database) -> None:
    db.execute("INSERT INTO meta VALUES (?)", (schema.new_epoch(),))


def _relate(db: sqlite_utils.Database) -> None:
    """Until now anybody could write to anybody; users who did still may.

    The indexes are laid out anew. The writer feeds those of messages from the logs, a slice at a time, while the
    node runs; until it is level older messages are missing in searches.
    """
    db.execute("UPDATE room SET indexed = 0")
    db.execute("DELETE FROM user_word")
    for user, name in db.execute("SELECT id, name FROM user").fetchall():
        words = [(word, user) for word in CUTTER.name_words(user, name)]
        db.conn.executemany("INSERT INTO user_word VALUES (?, ?)", words)
    db.execute(
        "WITH pair AS MATERIALIZED (SELECT num, min(user) AS one, max(user) AS other FROM seat WHERE role = 'dm'"
        " GROUP BY num HAVING one <> other) INSERT INTO relation (user, peer, num, contact)"
        " SELECT one, other, num, 1 FROM pair UNION ALL SELECT other, one, num, 1 FROM pair"
    )


def _end_empty_requests(db: sqlite_utils.Database) -> None:
    """A request whose messages were all deleted no longer asks."""
    db.execute(
        f"""UPDATE relation SET asked_at = NULL, asked_ts = NULL WHERE asked_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM fact f WHERE f.id > (relation.num << {schema.SEQ_BITS}) + relation.asked_at
              AND f.id <= (relation.num << {schema.SEQ_BITS}) + {schema.SEQ_MASK} AND f.kind = 0
              AND f.delete_seq IS NULL)
            AND NOT EXISTS (SELECT 1 FROM tail t, json_each(CAST(t.messages AS TEXT)) j
                WHERE json_extract(j.value, '$[0]') = relation.num)"""
    )


def _list_rooms(db: sqlite_utils.Database) -> None:
    """The tables that lists are read from are made of the logs, in one look at all of them."""
    db.execute(
        f"""INSERT INTO skipped SELECT id >> {schema.SEQ_BITS}, (id & {schema.SEQ_MASK}) >> {BLOCK_BITS}, count(*),
                count(delete_seq) FROM fact WHERE kind <> {MESSAGE} OR delete_seq IS NOT NULL GROUP BY 1, 2"""
    )
    db.execute(f"UPDATE seat SET name = (SELECT id FROM room r WHERE r.num = seat.num) WHERE {IN_GROUP}")
    db.execute(
        f"""UPDATE room SET members = s.members FROM (
                SELECT num, count(*) AS members FROM seat WHERE {IN_GROUP} GROUP BY num) AS s WHERE s.num = room.num"""
    )
    for room_pk, room in db.execute("SELECT num, id FROM room WHERE id LIKE 'dm:%'").fetchall():
        relist(db.conn, room_pk, room)


def _index_anew(db: sqlite_utils.Database) -> None:
    reindex.begin(db.conn)


#: Code that follows the statements of a migration, in the same transaction.
_THEN: Final[dict[str, Callable[[sqlite_utils.Database], None]]] = {
    "m001_first": _begin_epoch,
    "m002_people": _relate,
    "m006_sight": _end_empty_requests,
    "m007_reads": _list_rooms,
    "m008_folding": _index_anew,
}


def _registered() -> Migrations:
    made = Migrations("gochat")
    for name in schema.MIGRATIONS:

        @made(name=name)
        def migrate(db: sqlite_utils.Database, name: str = name) -> None:
            for statement in schema.MIGRATIONS[name].statements:
                db.execute(statement)
            if name in _THEN:
                _THEN[name](db)

    return made


_MIGRATIONS: Final = _registered()


def apply(connection: sqlite3.Connection, *, before: str | None = None) -> None:
    """Apply those that are missing, each in a transaction of its own, or in the one that is open. With `before` only
    those that come before this one."""
    _MIGRATIONS.apply(sqlite_utils.Database(connection), stop_before=before)
