"""Recent messages and edits, for programs that look at them beside a running node."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from gochat.store.rows import EDIT, MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.write.write_buffer import unmerged

#: A page is a read transaction of its own: an open one would keep the writer from shortening its WAL.
PAGE = 2_000


class Said(NamedTuple):
    """A message, or an edit of one."""

    room: str
    seq: int
    ts: int
    sender: str
    body: str | None
    """A message's present body; None for an edit, and once the message is deleted."""


def said_since(connection: sqlite3.Connection, since_ms: int) -> Iterator[Said]:
    """Room by room, in the order of each; at the end, once more by room, messages that the node has not merged."""
    # The tail first: messages that are merged meanwhile are then in both, and not in neither.
    connection.execute("BEGIN")
    late = unmerged(connection)
    connection.execute("COMMIT")
    above = {room_pk: messages[0].seq for room_pk, messages in late.items()}
    rooms: dict[int, str] = {}
    last = -1
    while True:
        rows = connection.execute(
            f"SELECT id, ts, kind, sender, body FROM fact WHERE id > ? AND ts >= ? AND kind IN ({MESSAGE}, {EDIT})"
            " ORDER BY id LIMIT ?",
            (last, since_ms, PAGE),
        ).fetchall()
        for row_id, ts, kind, sender, body in rows:
            room_pk = row_id >> SEQ_BITS
            if room_pk in above and row_id & SEQ_MASK >= above[room_pk]:
                continue
            room = rooms.get(room_pk)
            if room is None:
                room = rooms[room_pk] = _room(connection, room_pk)
            yield Said(room, row_id & SEQ_MASK, ts, sender, body if kind == MESSAGE else None)
        if len(rows) < PAGE:
            break
        last = rows[-1][0]
    for messages in late.values():
        for message in messages:
            if message.ts >= since_ms:
                yield Said(message.room, message.seq, message.ts, message.sender, message.body)


def _room(connection: sqlite3.Connection, room_pk: int) -> str:
    row = connection.execute("SELECT id FROM room WHERE num = ?", (room_pk,)).fetchone()
    return str(row[0]) if row is not None else ""


def contacts(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """(user, peer) for each peer in a user's contacts."""
    return set(connection.execute("SELECT user, peer FROM relation WHERE contact"))
