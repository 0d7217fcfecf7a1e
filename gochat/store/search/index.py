"""The full-text indexes: fed from the log, outside the hot path; changed with the log where they were already fed.

Each room remembers up to which seq they hold it. They keep no text of their own, so taking something out needs the text
as it was put in.

In the one, every word begins with the number of a block of messages that lie side by side in one room. So a look-up
reads what that block has of a word, or of all words that begin so, and nothing of other rooms; nor of the past, while
there are newer blocks to look at. The other has the words as they are, of all rooms (rare_terms.py).

While they are made anew for another folding there are two pairs of them: the new one holds what was said since, and
the newest of what was said before; the old one the rest (reindex.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from gochat.store.rows import MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.search import cut_first, tokenizer
from gochat.store.search.tokenizer import Cutter, index_text

#: Facts that are indexed in one go: some 3 ms, which is what a commit may have to wait.
SLICE = 100


#: Bits of a row id within a block. A search looks into each block once, some 30 us, and pays some 0.2 us for
#: each of a block's messages that a short prefix matches.
BLOCK_BITS = 14


class Index(NamedTuple):
    """A pair of indexes, and how texts are cut for them."""

    blocks: str
    """The table with each word behind its block's mark."""
    words: str
    """The table of words as they are."""
    rows: str
    """That one's rows, word by word (fts5vocab)."""
    cutter: Cutter
    plain: Callable[[str], str]
    """A word of the cutter's as `rows` tells it."""


NEW: Final = Index("search", "message_word", "message_word_row", tokenizer.CUTTER, str)
OLD: Final = Index("search_old", "message_word_old", "message_word_old_row", cut_first.CUTTER, cut_first.plain)


def block_mark(row_id: int) -> str:
    """The prefix of all words of this row's block. No prefix begins another: x is no hexadecimal digit."""
    return f"{row_id >> BLOCK_BITS:x}x"


def put(connection: sqlite3.Connection, messages: Sequence[tuple[int, str]], index: Index = NEW) -> None:
    """Put in messages: row ids, ascending, and bodies."""
    cut_up = [(row_id, index.cutter.index_words(body)) for row_id, body in messages]
    connection.executemany(
        f"INSERT INTO {index.blocks} (rowid, body) VALUES (?, ?)",
        [(row_id, index_text(words, block_mark(row_id))) for row_id, words in cut_up],
    )
    connection.executemany(
        f"INSERT INTO {index.words} (rowid, body) VALUES (?, ?)",
        [(row_id, index_text(words)) for row_id, words in cut_up],
    )


def _take_out(connection: sqlite3.Connection, row_id: int, body: str, index: Index) -> None:
    words = index.cutter.index_words(body)
    for table, mark in (index.blocks, block_mark(row_id)), (index.words, ""):
        connection.execute(
            f"INSERT INTO {table} ({table}, rowid, body) VALUES ('delete', ?, ?)", (row_id, index_text(words, mark))
        )


def unindexed_rooms(connection: sqlite3.Connection) -> set[int]:
    """Rooms that have facts which the index does not hold."""
    return {room_pk for (room_pk,) in connection.execute("SELECT num FROM room WHERE indexed < head")}


def feed(connection: sqlite3.Connection, room_pk: int, most: int) -> int | None:
    """Index at most `most` of the room's next facts in the open transaction. How many that were; None: it has more."""
    base = room_pk << SEQ_BITS
    row = connection.execute("SELECT indexed, head FROM room WHERE num = ?", (room_pk,)).fetchone()
    if row is None:
        return 0  # The transaction that would have made the room was rolled back.
    indexed, head = row
    rows = connection.execute(
        "SELECT id, body, kind FROM fact WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (base | indexed, base | head, most),
    ).fetchall()
    put(connection, [(row, body) for row, body, kind in rows if kind == MESSAGE and body is not None])
    upto = rows[-1][0] & SEQ_MASK if rows else head
    connection.execute("UPDATE room SET indexed = ? WHERE num = ?", (upto, room_pk))
    return None if upto < head else len(rows)


def change(connection: sqlite3.Connection, room_pk: int, seq: int, body: str | None) -> None:
    """A message's body becomes another, or none. Called before the row is changed."""
    row = connection.execute(
        """SELECT f.body, ? <= coalesce(x.upto, 0) FROM fact f JOIN room r ON r.num = ?
           LEFT JOIN reindex x ON x.num = r.num WHERE f.id = ? AND r.indexed >= ?""",
        (seq, room_pk, room_pk << SEQ_BITS | seq, seq),
    ).fetchone()
    if row is None:
        return  # Not fed yet: it will be, as it is by then.
    row_id, index = room_pk << SEQ_BITS | seq, OLD if row[1] else NEW
    if row[0] is not None:
        _take_out(connection, row_id, row[0], index)
    if body is not None:
        put(connection, [(row_id, body)], index)
