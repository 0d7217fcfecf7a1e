"""The form of an exported file: an SQLite database that explains itself to a reader with nothing but `sqlite3`.

Times are milliseconds since 1970, UTC, in tables, and text in views.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gochat import __version__
from gochat.errors import StoreError

#: PRAGMA application_id: "goch".
APPLICATION_ID: Final = 0x676F6368
#: PRAGMA user_version, and `meta.format`. A reader refuses a later one.
FORMAT: Final = 1
ROOM: Final = "room"
USER: Final = "user"

_TIME = "strftime('%Y-%m-%dT%H:%M:%fZ', {} / 1000.0, 'unixepoch')"


def time_of(column: str) -> str:
    """The SQL that shows a column of milliseconds."""
    return _TIME.format(column)


ROOM_TABLES: Final = (
    """CREATE TABLE meta (
        format INTEGER NOT NULL, kind TEXT NOT NULL, room TEXT NOT NULL, epoch TEXT NOT NULL,
        head INTEGER NOT NULL,  -- seq of the room's last fact when the file was made
        as_of INTEGER NOT NULL, -- seq of the last fact in this file: the room is shown as it was then
        made_at INTEGER NOT NULL, gochat TEXT NOT NULL,
        title TEXT NOT NULL, history TEXT NOT NULL, post TEXT NOT NULL, closed INTEGER NOT NULL)""",
    """CREATE TABLE fact (
        seq INTEGER PRIMARY KEY, -- 1, 2, 3, ... without gaps
        ts INTEGER NOT NULL,
        kind TEXT NOT NULL,      -- message, edit, delete, reaction, member, group, closed
        sender TEXT NOT NULL,
        target INTEGER,          -- seq: of a message what it replies to; else the message that it is about
        key TEXT,                -- by which the sender's client can repeat a message without doubling it
        body TEXT,               -- of a message, with its last edit; NULL once deleted
        data TEXT,               -- JSON: what other kinds have; of a message the users whom it mentions
        edited_seq INTEGER, edited_ts INTEGER, deleted_seq INTEGER, deleted_ts INTEGER,
        later TEXT)              -- what happened to the message after `as_of`: edited, deleted""",
    """CREATE TABLE member (
        user TEXT PRIMARY KEY, name TEXT,
        role TEXT NOT NULL,      -- owner, moderator, member; former
        since_seq INTEGER NOT NULL, since_ts INTEGER NOT NULL,
        left_seq INTEGER,        -- of who is no longer there
        read INTEGER)            -- seq up to which the user has read; NULL: not told""",
    """CREATE TABLE reaction (
        target INTEGER NOT NULL, user TEXT NOT NULL, emoji TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL,
        PRIMARY KEY (target, user, emoji))""",
    """CREATE TABLE sanction (
        user TEXT NOT NULL, kind TEXT NOT NULL, until INTEGER, ts INTEGER NOT NULL, PRIMARY KEY (user, kind))""",
    """CREATE TABLE relation (
        user TEXT NOT NULL, peer TEXT NOT NULL, contact INTEGER NOT NULL, blocked_at INTEGER, declined_ts INTEGER,
        asked_at INTEGER, asked_ts INTEGER, withheld_at INTEGER, PRIMARY KEY (user, peer))""",
    """CREATE TABLE relation_change (
        n INTEGER PRIMARY KEY, at INTEGER NOT NULL, ts INTEGER NOT NULL, user TEXT NOT NULL, change TEXT NOT NULL)""",
    """CREATE VIRTUAL TABLE search USING fts5 (
        body, content='', prefix='2 3', tokenize="unicode61 remove_diacritics 2 categories 'L* M* N* Co Cn'")""",
)

ROOM_VIEWS: Final = (
    f"""CREATE VIEW messages AS SELECT seq, {time_of("ts")} AS time, sender, body, target AS reply_to,
        {time_of("edited_ts")} AS edited, {time_of("deleted_ts")} AS deleted, later,
        (SELECT group_concat(emoji || ' ' || count, ', ') FROM (SELECT emoji, count(*) AS count FROM reaction
            WHERE target = fact.seq GROUP BY emoji ORDER BY emoji)) AS reactions
        FROM fact WHERE kind = 'message' ORDER BY seq""",
    f"""CREATE VIEW members AS SELECT user, coalesce(nullif(name, ''), user) AS name, role,
        {time_of("since_ts")} AS since FROM member WHERE role <> 'former' ORDER BY user""",
    f"""CREATE VIEW former_members AS SELECT user, coalesce(nullif(name, ''), user) AS name,
        {time_of("since_ts")} AS since, {time_of("f.ts")} AS until
        FROM member JOIN fact f ON f.seq = left_seq ORDER BY user""",
    f"""CREATE VIEW log AS SELECT seq, {time_of("ts")} AS time, kind, sender, target, data FROM fact ORDER BY seq""",
)

ROOM_README: Final = (
    "A room of a gochat server: everything that happened in it, up to meta.as_of.",
    "messages, members, former_members, log are views to look at; fact, member, reaction are the tables behind them.",
    "Times in tables are milliseconds since 1970, UTC.",
    "A deleted message has no body: the server does not keep one.",
    "later = 'edited': the message was edited after meta.as_of; what it said then is not kept, so the new body stands.",
    "later = 'deleted': it was deleted after meta.as_of, and what it said is not kept.",
    "Find words:  SELECT m.* FROM search JOIN messages m ON m.seq = search.rowid WHERE search MATCH 'green tea';",
    "Words are in the index without accents, strokes and points: for Łódź write lodz.",
    "Beginnings too:  ... MATCH 'gre*'. Scripts without spaces, and Korean, are indexed in pairs: for three characters"
    " ABC write MATCH '\"AB BC\"'.",
    "Who wrote most:  SELECT sender, count(*) FROM messages GROUP BY sender ORDER BY 2 DESC;",
    "Back into a server:  gochat room import FILE.",
)  # fmt: skip

USER_TABLES: Final = (
    """CREATE TABLE meta (
        format INTEGER NOT NULL, kind TEXT NOT NULL, user TEXT NOT NULL, epoch TEXT NOT NULL,
        made_at INTEGER NOT NULL, gochat TEXT NOT NULL)""",
    """CREATE TABLE profile (user TEXT NOT NULL, name TEXT, last_seen INTEGER)""",
    """CREATE TABLE room (
        room TEXT PRIMARY KEY, title TEXT NOT NULL, role TEXT NOT NULL, since_seq INTEGER NOT NULL,
        since_ts INTEGER NOT NULL, left_seq INTEGER, read INTEGER NOT NULL)""",
    """CREATE TABLE message (
        room TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL, sender TEXT NOT NULL, body TEXT,
        reply_to INTEGER, key TEXT, edited_ts INTEGER, deleted_ts INTEGER, PRIMARY KEY (room, seq))""",
    """CREATE TABLE action (
        room TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL, kind TEXT NOT NULL, target INTEGER, data TEXT,
        PRIMARY KEY (room, seq))""",
    """CREATE TABLE reaction (
        room TEXT NOT NULL, target INTEGER NOT NULL, emoji TEXT NOT NULL, ts INTEGER NOT NULL,
        PRIMARY KEY (room, target, emoji))""",
    """CREATE TABLE relation (
        peer TEXT PRIMARY KEY, contact INTEGER NOT NULL, blocked_at INTEGER, declined_ts INTEGER)""",
    """CREATE TABLE relation_change (peer TEXT NOT NULL, ts INTEGER NOT NULL, change TEXT NOT NULL)""",
    """CREATE TABLE report (
        room TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL, reason TEXT, closed_ts INTEGER)""",
    """CREATE TABLE sanction (room TEXT NOT NULL, kind TEXT NOT NULL, until INTEGER, ts INTEGER NOT NULL)""",
    """CREATE TABLE suspension (ts INTEGER NOT NULL, until INTEGER, reason TEXT)""",
    """CREATE TABLE silent_room (room TEXT PRIMARY KEY, until INTEGER)""",
    """CREATE TABLE quiet_hours (begin_minute INTEGER NOT NULL, end_minute INTEGER NOT NULL, tz TEXT NOT NULL)""",
    """CREATE TABLE mention_notice (wanted TEXT NOT NULL) -- in silent rooms too""",
    """CREATE TABLE push_device (endpoint TEXT PRIMARY KEY, ts INTEGER NOT NULL)""",
    """CREATE TABLE mail_address (address TEXT NOT NULL)""",
    """CREATE TABLE notification (
        id TEXT NOT NULL, channel TEXT NOT NULL, device INTEGER NOT NULL, room TEXT NOT NULL, ts INTEGER NOT NULL,
        tries INTEGER NOT NULL, given_up_ts INTEGER, PRIMARY KEY (id, channel, device))""",
    """CREATE TABLE notified (room TEXT PRIMARY KEY, seq INTEGER NOT NULL, ts INTEGER NOT NULL)""",
)

USER_VIEWS: Final = (
    f"""CREATE VIEW messages AS SELECT room, seq, {time_of("ts")} AS time, sender, body, reply_to,
        {time_of("edited_ts")} AS edited, {time_of("deleted_ts")} AS deleted FROM message ORDER BY ts, room, seq""",
    f"""CREATE VIEW rooms AS SELECT room, title, role, {time_of("since_ts")} AS since FROM room ORDER BY room""",
)

USER_README: Final = (
    "What a gochat server keeps of one user (meta.user).",
    "messages, rooms are views to look at; the tables behind them have times in milliseconds since 1970, UTC.",
    "message: what the user wrote, everywhere; and what others wrote to the user in private rooms. Not what others"
    " wrote in groups.",
    "action: what else the user did in rooms: edits, deletes, reactions, members, titles.",
    "relation: contacts, blocks and declined requests of the user; not what others hold of the user.",
    "report: what the user reported to moderators. sanction, suspension: what was decided about the user.",
    "silent_room, quiet_hours, mention_notice: the user's wishes for notifications.",
    "push_device, mail_address: where notifications go.",
    "notification: those that wait, or could not be delivered. notified: the latest one of each room.",
)  # fmt: skip


@contextmanager
def made(target: Path, tables: Iterable[str], readme: Iterable[str]) -> Iterator[sqlite3.Connection]:
    """A new database in the empty or absent file `target`, in one open transaction that is committed at the end. The
    caller sees to it that the file is taken away when it does not come that far."""
    # Without a journal, and not synced: a file that is not whole is thrown away.
    connection = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
    try:
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            f"application_id = {APPLICATION_ID}",
            f"user_version = {FORMAT}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        for statement in tables:
            connection.execute(statement)
        connection.execute("CREATE TABLE readme (text TEXT NOT NULL)")
        connection.executemany("INSERT INTO readme VALUES (?)", [(line,) for line in readme])
        yield connection
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{target} can't be written: {error}") from error
    finally:
        connection.close()


def put(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))


def stamp(kind: str, made_ms: int) -> dict[str, Any]:
    """The columns that every `meta` has."""
    return {"format": FORMAT, "kind": kind, "made_at": made_ms, "gochat": __version__}
