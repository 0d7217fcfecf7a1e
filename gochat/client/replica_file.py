"""The file of a replica: its tables, how it is opened, and how all that was in it goes for good.

SQLite overwrites the rows that it deletes (`secure_delete`). That holds for tables, and not for what FTS5 keeps: words
of a deleted text stay in its segments until these are merged, which may be never. So the words of the messages have a
table of their own.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from gochat.client.errors import ClientError
from gochat.domain import folding

#: How long a lock of another program is waited for, in milliseconds; less where nothing but old bytes is at stake.
_BUSY_MS: Final = 30_000
_BUSY_LOG_MS: Final = 1_000

_APPLICATION: Final = 0x67636872
#: Of the tables and of the folding by which words were cut: a file of another one begins anew.
_VERSION: Final = 2 << 8 | folding.VERSION
_TABLES: Final = ("found", "word", "change", "message", "room", "owner")
_SCHEMA: Final = """
CREATE TABLE owner (one INTEGER PRIMARY KEY CHECK (one = 1), user TEXT NOT NULL);
CREATE TABLE room (
    room TEXT PRIMARY KEY,
    epoch TEXT,               -- of its log; NULL until the server has told it
    began INTEGER NOT NULL,   -- the seq at which it began: changes up to there are known from pages alone
    seq INTEGER NOT NULL,     -- all facts up to this one are in the messages
    floor INTEGER NOT NULL,   -- the messages from here on are here
    whole INTEGER NOT NULL,   -- 1: nothing older is to be fetched
    touched INTEGER NOT NULL  -- the time of the latest fact, as far as it is known
) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    stale INTEGER NOT NULL DEFAULT 0,  -- 1: it was edited, and the new text is still to be fetched
    body TEXT,                         -- also in the fact; apart for the search
    fact BLOB NOT NULL,                -- JSON
    UNIQUE (room, seq)
);
CREATE INDEX stale ON message (room, seq) WHERE stale;
CREATE TABLE change (
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,     -- of a late edit or deletion: pages that were read before it do not know of it
    target INTEGER NOT NULL,
    deleted INTEGER NOT NULL, -- 1: it was a deletion
    PRIMARY KEY (room, seq)
) WITHOUT ROWID;
CREATE TABLE word (word TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (word, id)) WITHOUT ROWID;
CREATE TRIGGER message_in AFTER INSERT ON message BEGIN
    INSERT INTO word SELECT value, new.id FROM json_each(words_of(new.body));
END;
CREATE TRIGGER message_out AFTER DELETE ON message BEGIN
    DELETE FROM word WHERE id = old.id AND word IN (SELECT value FROM json_each(words_of(old.body)));
END;
CREATE TRIGGER message_new AFTER UPDATE OF body ON message BEGIN
    DELETE FROM word WHERE id = old.id AND word IN (SELECT value FROM json_each(words_of(old.body)));
    INSERT INTO word SELECT value, new.id FROM json_each(words_of(new.body));
END;
"""


class NotAReplica(ClientError):
    """The file is there and is something else."""


def opened(path: Path) -> sqlite3.Connection:
    """The file, made where it is not there; only its owner may read it. Raises NotAReplica, OSError, and sqlite3.Error
    for a damaged file."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def begin_anew(db: sqlite3.Connection) -> None:
    """All that is in it goes; old bytes are overwritten or cut off."""
    with transaction(db):
        for table in ("owner", "room", "change", "message", "word"):
            db.execute(f"DELETE FROM {table}")
    db.execute("VACUUM")
    cut_log(db)


def cut_log(db: sqlite3.Connection) -> None:
    """Cut off the log file beside the file: pages as they were lie there. Where another program reads just then, they
    stay until the next time."""
    db.execute(f"PRAGMA busy_timeout = {_BUSY_LOG_MS}")
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    db.create_function("words_of", 1, _words_of, deterministic=True)
    try:
        ((application,),) = db.execute("PRAGMA application_id").fetchall()
        ((version,),) = db.execute("PRAGMA user_version").fetchall()
        ((tables,),) = db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except sqlite3.DatabaseError as error:
        raise NotAReplica(f"{path} is no replica: {error}") from None
    if tables and application != _APPLICATION:
        raise NotAReplica(f"{path} is no replica, but another database")
    if stat.S_IMODE(path.stat().st_mode) != 0o600:
        path.chmod(0o600)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON", "temp_store = MEMORY"):
        db.execute(f"PRAGMA {pragma}")
    if not tables or version != _VERSION:
        _make(db, old=bool(tables))


def _make(db: sqlite3.Connection, *, old: bool) -> None:
    """Make the tables. All that another version wrote goes, and is fetched again. Two programs may come here at
    once."""
    with transaction(db):
        ((version,),) = db.execute("PRAGMA user_version").fetchall()
        if version == _VERSION:
            return
        for name in _TABLES:
            db.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _statements(_SCHEMA):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {_VERSION}")
    if old:
        cut_log(db)


def _words_of(body: str | None) -> str:
    """The words of a text, each once: a JSON list."""
    return msgspec.json.encode(sorted(set(folding.words(body or "")))).decode()


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: together they would leave the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
