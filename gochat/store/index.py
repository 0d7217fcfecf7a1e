"""The full-text index: fed from the log, outside the hot path; changed with the log where it was already fed.

Each room remembers up to which seq the index holds it. The index keeps no text of its own, so taking something out
needs the text as it was put in.
"""

from __future__ import annotations

import sqlite3

from gochat.store.cut import index_text
from gochat.store.rows import MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK

#: Facts that are indexed in one go: some 3 ms, which is what a commit may have to wait.
SLICE = 100


def room_word(num: int) -> str:
    """The word that stands for a room, so that a search is cut down to rooms inside the index."""
    return f"r{num}"


def behind(connection: sqlite3.Connection) -> set[int]:
    """Rooms that have facts which the index does not hold."""
    return {num for (num,) in connection.execute("SELECT num FROM room WHERE indexed < head")}


def feed(connection: sqlite3.Connection, num: int, most: int) -> int | None:
    """Index at most `most` of the room's next facts in the open transaction. How many that were; None: it has more."""
    base = num << SEQ_BITS
    (indexed, head) = connection.execute("SELECT indexed, head FROM room WHERE num = ?", (num,)).fetchone()
    rows = connection.execute(
        "SELECT id, body, kind FROM fact WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (base | indexed, base | head, most),
    ).fetchall()
    connection.executemany(
        "INSERT INTO search (rowid, room, body) VALUES (?, ?, ?)",
        [(row, room_word(num), index_text(body)) for row, body, kind in rows if kind == MESSAGE and body is not None],
    )
    upto = rows[-1][0] & SEQ_MASK if rows else head
    connection.execute("UPDATE room SET indexed = ? WHERE num = ?", (upto, num))
    return None if upto < head else len(rows)


def change(connection: sqlite3.Connection, num: int, seq: int, body: str | None) -> None:
    """A message's body becomes another, or none. Called before the row is changed."""
    row = connection.execute(
        "SELECT f.body FROM fact f JOIN room r ON r.num = ? WHERE f.id = ? AND r.indexed >= ?",
        (num, num << SEQ_BITS | seq, seq),
    ).fetchone()
    if row is None:
        return  # Not fed yet: it will be, as it is by then.
    row_id, word = num << SEQ_BITS | seq, room_word(num)
    if row[0] is not None:
        connection.execute(
            "INSERT INTO search (search, rowid, room, body) VALUES ('delete', ?, ?, ?)",
            (row_id, word, index_text(row[0])),
        )
    if body is not None:
        connection.execute("INSERT INTO search (rowid, room, body) VALUES (?, ?, ?)", (row_id, word, index_text(body)))
