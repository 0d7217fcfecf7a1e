"""Makes the indexes anew, for another folding, while the node runs.

The indexes of that moment become the old ones. Messages that come are put into the new ones. Those that are there are
put in too, of each room from the newest down, so that in every room the new index holds all from some seq on and the
old one all below: a search asks each for its own, and finds all. Users are searched by their old words until all
have new ones. At the end the old indexes are dropped.

Each step is a transaction that takes along how far it came: killed at any moment, the next start goes on from there.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import Final, NamedTuple

from gochat.domain.folding import VERSION
from gochat.domain.plurals import counted
from gochat.store import schema
from gochat.store.rows import MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.search import cut_first, tokenizer
from gochat.store.search.index import NEW, OLD, Index, put
from gochat.store.search.tokenizer import Cutter

log = logging.getLogger(__name__)

#: Facts, or users, of one step: some 1 ms, and some 20 ms where FTS5 merges what it has, which a commit may have to
#: wait.
SLICE: Final = 64
#: How often the log says how far it is, seconds.
TELL_EVERY_S: Final = 60.0


def _left(count: int) -> str:
    return counted(count, "message or user", "messages and users")


class Names(NamedTuple):
    """Words that users are found by."""

    table: str
    cutter: Cutter

    def change(
        self, connection: sqlite3.Connection, user: str, before: tuple[str | None] | None, name: str | None
    ) -> None:
        """The user's name becomes another. `before`: the old one, if the user was known. Its words are known from it:
        they are not looked for among everybody's."""
        old = self.cutter.name_words(user, before[0]) if before is not None else set()
        new = self.cutter.name_words(user, name)
        for statement, words in (
            (f"DELETE FROM {self.table} WHERE word = ? AND user = ?", old - new),
            (f"INSERT OR IGNORE INTO {self.table} VALUES (?, ?)", new - old),
        ):
            connection.executemany(statement, [(word, user) for word in words])


NEW_NAMES: Final = Names("user_word", tokenizer.CUTTER)
OLD_NAMES: Final = Names("user_word_old", cut_first.CUTTER)


def indexes(connection: sqlite3.Connection) -> list[Index]:
    """Where messages are looked for; the one with the newer ones first."""
    return [NEW, OLD] if connection.execute("SELECT 1 FROM reindex LIMIT 1").fetchone() else [NEW]


def names(connection: sqlite3.Connection) -> list[Names]:
    """Where the words of users are kept. Users are looked for in the first, which has those of all."""
    return [NEW_NAMES] if _users_upto(connection) is None else [OLD_NAMES, NEW_NAMES]


def old_upto(connection: sqlite3.Connection, room_pk: int) -> int:
    """Up to which seq a room is in the old index; 0: not at all."""
    row = connection.execute("SELECT upto FROM reindex WHERE num = ?", (room_pk,)).fetchone()
    return int(row[0]) if row else 0


def begin(connection: sqlite3.Connection) -> None:
    """Have everything indexed anew, in the open transaction: the folding before this one made the present indexes.

    Where that was not done yet either, messages are found again as they are put in.
    """
    execute = connection.execute
    if len(names(connection)) > 1:
        execute(f"DROP TABLE {OLD_NAMES.table}")
    execute(f"ALTER TABLE {NEW_NAMES.table} RENAME TO {OLD_NAMES.table}")
    execute(schema.USER_WORDS)
    execute("UPDATE folding SET version = ?, users = ''", (VERSION,))
    _drop(connection, NEW.rows)
    if len(indexes(connection)) > 1:
        _drop(connection, OLD.blocks, OLD.words, OLD.rows, NEW.blocks, NEW.words)
        execute("DELETE FROM reindex")
        execute("UPDATE room SET indexed = 0")
    elif execute("SELECT 1 FROM room WHERE indexed > 0 LIMIT 1").fetchone():
        for new, old in (NEW.blocks, OLD.blocks), (NEW.words, OLD.words):
            execute(f"ALTER TABLE {new} RENAME TO {old}")
        execute(f"CREATE VIRTUAL TABLE {OLD.rows} USING fts5vocab ({OLD.words}, instance)")
        execute("INSERT INTO reindex SELECT num, indexed FROM room WHERE indexed > 0")
    else:
        _drop(connection, NEW.blocks, NEW.words)
    for statement in schema.SEARCH:
        execute(statement)
    if not execute("SELECT 1 FROM user LIMIT 1").fetchone():
        _end_users(connection)


def step(connection: sqlite3.Connection, most: int = SLICE) -> int | None:
    """Index at most so many users or facts anew, in the open transaction. How many that were; None: nothing is left."""
    after = _users_upto(connection)
    if after is not None:
        return _some_users(connection, after, most)
    row = connection.execute("SELECT num, upto FROM reindex LIMIT 1").fetchone()
    return _some_facts(connection, row[0], row[1], most) if row else None


def _some_users(connection: sqlite3.Connection, after: str, most: int) -> int:
    found = connection.execute("SELECT id, name FROM user WHERE id > ? ORDER BY id LIMIT ?", (after, most)).fetchall()
    for user, name in found:
        NEW_NAMES.change(connection, user, None, name)
    if len(found) < most:
        _end_users(connection)
    else:
        connection.execute("UPDATE folding SET users = ?", (found[-1][0],))
    return len(found)


def _end_users(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE folding SET users = NULL")
    _drop(connection, OLD_NAMES.table)


def _some_facts(connection: sqlite3.Connection, room_pk: int, upto: int, most: int) -> int:
    base = room_pk << SEQ_BITS
    rows = connection.execute(
        "SELECT id, body, kind FROM fact WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT ?", (base, base | upto, most)
    ).fetchall()
    put(connection, [(row, body) for row, body, kind in reversed(rows) if kind == MESSAGE and body is not None])
    rest = (rows[-1][0] & SEQ_MASK) - 1 if rows else 0
    if rest > 0:
        connection.execute("UPDATE reindex SET upto = ? WHERE num = ?", (rest, room_pk))
        return upto - rest
    connection.execute("DELETE FROM reindex WHERE num = ?", (room_pk,))
    if len(indexes(connection)) == 1:
        _drop(connection, OLD.blocks, OLD.words, OLD.rows)
    return upto


def _users_upto(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT users FROM folding").fetchone()
    return row[0] if row else None


def _drop(connection: sqlite3.Connection, *tables: str) -> None:
    for table in tables:
        connection.execute(f"DROP TABLE IF EXISTS {table}")


class Progress:
    """How far it is; for the log and the metrics."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        """With None nothing is left."""
        self.under_way, self.left = False, 0
        self._begun_at = self._told_at = time.monotonic()
        if connection is None:
            return
        (facts,) = connection.execute("SELECT coalesce(sum(upto), 0) FROM reindex").fetchone()
        users, after = 0, _users_upto(connection)
        if after is not None:
            (users,) = connection.execute("SELECT count(*) FROM user WHERE id > ?", (after,)).fetchone()
        self.under_way = bool(facts) or after is not None
        self.left = facts + users
        """Facts and users."""
        if self.left:
            log.info("indexed anew for searches, while the node runs: %s", _left(self.left))

    def note(self, done: int | None) -> None:
        """Take in the result of a step."""
        now = time.monotonic()
        if done is None:
            self.under_way, self.left = False, 0
            log.info("everything is indexed anew, after %.0f s", now - self._begun_at)
            return
        self.left = max(0, self.left - done)
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            log.info("still to be indexed anew: %s", _left(self.left))
