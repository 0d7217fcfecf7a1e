"""A room as one file, as it is now or as it was at a point of its log.

Later edits and deletions are undone as far as they can be: a body that was deleted or written over is gone from the
store at once, so its message is marked (`fact.later`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from gochat.domain.ids import is_dm
from gochat.domain.membership import FORMER
from gochat.errors import StoreError
from gochat.ports.archive import Viewer
from gochat.store.portable import file_schema
from gochat.store.portable.membership_history import MembershipHistory
from gochat.store.read.names import unnamed
from gochat.store.read.source import reading
from gochat.store.rows import KINDS, MESSAGE, shown
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.search.tokenizer import CUTTER, index_text

#: Called with what is done and how much there is; may raise to give up.
Progress: TypeAlias = Callable[[int, int], None]

#: Facts between two looks at the progress; some 10 ms.
SLICE = 1000
#: The names of the kinds, by their number in the store.
KIND_NAMES = {number: str(kind.__struct_config__.tag) for kind, number in KINDS.items()}

_FACT = "INSERT INTO fact (seq, ts, kind, sender, target, key, body, data, later) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LATEST = "(SELECT target, max(seq) AS at, ts FROM fact WHERE kind = '{}' GROUP BY target)"
#: The messages as the facts up to `as_of` made them: SQLite gives `ts` of the row that has the maximum.
_FOLD = (
    f"UPDATE fact SET edited_seq = e.at, edited_ts = e.ts FROM {_LATEST.format('edit')} AS e WHERE seq = e.target",
    f"UPDATE fact SET deleted_seq = d.at, deleted_ts = d.ts FROM {_LATEST.format('delete')} AS d WHERE seq = d.target",
    """INSERT INTO reaction SELECT target, sender, emoji, seq, ts FROM (
        SELECT target, sender, json_extract(data, '$.emoji') AS emoji, json_extract(data, '$.on') AS is_on,
            max(seq) AS seq, ts
        FROM fact WHERE kind = 'reaction' GROUP BY 1, 2, 3)
        WHERE is_on AND target NOT IN (SELECT seq FROM fact WHERE deleted_seq IS NOT NULL)""",
)


_EXPIRED = "UPDATE fact SET deleted_seq = ?1, deleted_ts = ?2 WHERE seq = ?1 AND deleted_seq IS NULL"


class Exported(NamedTuple):
    room: str
    facts: int
    messages: int
    members: int
    as_of: int
    head: int


class _Room(NamedTuple):
    room_pk: int
    head: int
    as_of: int


def export_room(
    database: Path,
    room: str,
    target: Path,
    *,
    now_ms: int,
    upto_seq: int | None = None,
    upto_ms: int | None = None,
    reads: bool = True,
    viewer: Viewer | None = None,
    progress: Progress = lambda done, goal: None,
) -> Exported:
    """Write the room to the empty or absent file `target`, up to a seq, or to a time, if one is given. Without `reads`
    it does not tell how far each member has read. It has the names that the viewer may know, or with none, for whoever
    has the database, all. Raises StoreError."""
    with reading(database) as source, file_schema.made(target, file_schema.ROOM_TABLES, file_schema.ROOM_README) as out:
        found = _find(source, room, upto_seq, upto_ms)
        past = MembershipHistory(room)
        messages = 0
        for rows in _slices(source, found):
            progress(rows[0][0] - 1, found.as_of)
            messages += _write(out, rows, past)
        for statement in _FOLD:
            out.execute(statement)
        out.executemany(_EXPIRED, _expired(source, found))
        present = found.as_of == found.head
        _write_members(source, out, found.room_pk, past, viewer, reads=reads and present)
        if present:
            _write_beside(source, out, room, found.room_pk)
        (epoch,) = source.execute("SELECT epoch FROM meta").fetchone()
        file_schema.put(
            out,
            "meta",
            file_schema.stamp(file_schema.ROOM, now_ms)
            | {
                "room": room,
                "epoch": epoch,
                "head": found.head,
                "as_of": found.as_of,
                "title": past.title,
                "history": past.history,
                "post": past.post,
                "closed": past.closed,
            },
        )
        for view in file_schema.ROOM_VIEWS:
            out.execute(view)
        out.execute("INSERT INTO search (search) VALUES ('optimize')")
        progress(found.as_of, found.as_of)
    members = sum(membership.role != FORMER for membership in past.memberships.values())
    return Exported(room, found.as_of, messages, members, found.as_of, found.head)


def _find(source: sqlite3.Connection, room: str, upto_seq: int | None, upto_ms: int | None) -> _Room:
    row = source.execute("SELECT num, head FROM room WHERE id = ?", (room,)).fetchone()
    if row is None or not row[1]:
        raise StoreError(f"there is no room {room}")
    room_pk, head = row
    if upto_seq is not None:
        if not 1 <= upto_seq <= head:
            raise StoreError(f"{room} has facts 1 to {head}, and none of seq {upto_seq}")
        return _Room(room_pk, head, upto_seq)
    if upto_ms is not None:
        # From the newest down: `ts` never falls as seq grows.
        last = source.execute(
            "SELECT id FROM fact WHERE id > ? AND id <= ? AND ts <= ? ORDER BY id DESC LIMIT 1",
            (room_pk << SEQ_BITS, room_pk << SEQ_BITS | head, upto_ms),
        ).fetchone()
        if last is None:
            raise StoreError(f"at that time nothing had happened in {room}")
        return _Room(room_pk, head, last[0] & SEQ_MASK)
    return _Room(room_pk, head, head)


def _slices(source: sqlite3.Connection, room: _Room) -> Iterator[list[Any]]:
    """Rows of `fact` as they go into the file, but for the kind, which has its name there."""
    base = room.room_pk << SEQ_BITS
    cursor = source.execute(
        """SELECT id & ?, ts, kind, sender, target, key, body, data,
            CASE WHEN delete_seq > ? THEN 'deleted' WHEN delete_seq IS NULL AND edit_seq > ? THEN 'edited' END
            FROM fact WHERE id > ? AND id <= ? ORDER BY id""",
        (SEQ_MASK, room.as_of, room.as_of, base, base | room.as_of),
    )
    while rows := cursor.fetchmany(SLICE):
        yield rows


def _expired(source: sqlite3.Connection, room: _Room) -> Iterator[tuple[int, int]]:
    """Messages whose texts went with their age: no fact tells of it."""
    base = room.room_pk << SEQ_BITS
    return source.execute(
        "SELECT id & ?, delete_ts FROM fact WHERE id > ? AND id <= ? AND delete_seq = id & ?",
        (SEQ_MASK, base, base | room.as_of, SEQ_MASK),
    )


def _write(out: sqlite3.Connection, rows: list[Any], past: MembershipHistory) -> int:
    """How many of them are messages."""
    messages = [row for row in rows if row[2] == MESSAGE]
    out.executemany(_FACT, [(*row[:2], KIND_NAMES[row[2]], *row[3:]) for row in rows])
    out.executemany(
        "INSERT INTO search (rowid, body) VALUES (?, ?)",
        [(row[0], index_text(CUTTER.index_words(row[6]))) for row in messages if row[6] is not None],
    )
    for seq, ts, kind, sender, target, key, body, data, _ in rows:
        if seq == 1 or kind != MESSAGE:
            past.apply(shown(past.room, (seq, ts, kind, sender, body, key, target, data, None, None, None), {}))
    return len(messages)


def _write_members(
    source: sqlite3.Connection,
    out: sqlite3.Connection,
    room_pk: int,
    past: MembershipHistory,
    viewer: Viewer | None,
    *,
    reads: bool,
) -> None:
    read = dict(source.execute("SELECT user, read FROM seat WHERE num = ?", (room_pk,))) if reads else {}
    memberships = iter(past.memberships.items())
    while some := list(islice(memberships, SLICE)):
        users = [user for user, _ in some]
        hidden = set() if viewer is None else unnamed(source, viewer, users)
        for user, membership in some:
            (name,) = source.execute("SELECT name FROM user WHERE id = ?", (user,)).fetchone() or (None,)
            name = None if user in hidden else name
            out.execute("INSERT INTO member VALUES (?, ?, ?, ?, ?, ?, ?)", (user, name, *membership, read.get(user)))


def _write_beside(source: sqlite3.Connection, out: sqlite3.Connection, room: str, room_pk: int) -> None:
    """Records of the room that are not in its log: only the present ones are known."""
    for table, columns, wanted in (
        ("sanction", "user, kind, until, ts", not is_dm(room)),
        ("relation", "user, peer, contact, blocked_at, declined_ts, asked_at, asked_ts, withheld_at", is_dm(room)),
        ("relation_change", "n, at, ts, user, change", is_dm(room)),
    ):
        if wanted:
            rows = source.execute(f"SELECT {columns} FROM {table} WHERE num = ?", (room_pk,)).fetchall()
            marks = ", ".join("?" * (columns.count(",") + 1))
            out.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
