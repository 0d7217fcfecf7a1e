"""Where a word is, if that is in few messages: the blocks that have it, from an index of all rooms together.

Before the rows of a word are read they are counted: fts5vocab, which is FTS5's own interface to its words, gives the
rows of a word, or of all words that begin with it, one by one, and is stopped after as many as matter. A word that is
nowhere takes 0.1 ms. Frequent words are not read here: a look into the newest blocks of a few rooms finds enough of
them. The tables in which FTS5 keeps its index are its own, and nothing here names one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from itertools import islice

from gochat.store.schema import SEQ_BITS
from gochat.store.search.index import BLOCK_BITS, Index
from gochat.store.search.tokenizer import Run, asked_words

#: Rows that a word may have to be located: 4 ms to count them, 20 ms to read them, two thirds of it to hand them over.
MOST_ROWS = 60_000
#: Where every word has more, two of them may have so many: only the rows that have both are handed over.
MOST_ROWS_OF_TWO = 125_000
#: Words that are counted: of a long run without spaces that is a part. The others only leave less.
MOST_COUNTED = 16
#: Above every character that a word has.
_LAST = "\U0010ffff"


def possible(connection: sqlite3.Connection, index: Index, asked: list[Run]) -> bool:
    """Whether each word is anywhere. Most that are not found are in no message at all."""
    return all(_count(connection, index, word, prefix, 1) for word, prefix in _counted(asked))


def rare_terms(
    connection: sqlite3.Connection, index: Index, asked: list[Run], upto: Mapping[int, int] | None
) -> dict[int, int] | None:
    """The blocks that may have a message with all that is asked for, and the newest row of each that may be one. All
    blocks that have one are among them. None if the words are too frequent to say.

    With `upto`, by the rooms' numbers, only rows up to these.
    """
    counts = [(_count(connection, index, *word, MOST_ROWS + 1), *word) for word in _counted(asked)]
    rare = [(word, prefix) for count, word, prefix in counts if count <= MOST_ROWS]
    if not rare and len(counts) > 1:
        more = ((word, prefix) for _, word, prefix in counts)
        rare = list(
            islice(
                (
                    (word, prefix)
                    for word, prefix in more
                    if _count(connection, index, word, prefix, MOST_ROWS_OF_TWO + 1) <= MOST_ROWS_OF_TWO
                ),
                2,
            )
        )
        rare = rare if len(rare) == 2 else []
    if not rare:
        return None
    match = " AND ".join(f'"{word}" *' if prefix else f'"{word}"' for word, prefix in rare)
    rows = connection.execute(f"SELECT rowid FROM {index.words} WHERE {index.words} MATCH ? ORDER BY rowid", (match,))
    if upto is None:
        return {row_id >> BLOCK_BITS: row_id for (row_id,) in rows}
    return {row_id >> BLOCK_BITS: row_id for (row_id,) in rows if row_id <= upto.get(row_id >> SEQ_BITS, 0)}


def _counted(asked: list[Run]) -> list[tuple[str, bool]]:
    return list(islice(asked_words(asked).items(), MOST_COUNTED))


def _count(connection: sqlite3.Connection, index: Index, word: str, is_prefix: bool, most: int) -> int:
    """How many rows there are of a word; not above `most`."""
    first = index.plain(word)
    (count,) = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {index.rows} WHERE term >= ? AND term < ? LIMIT ?)",
        (first, first + (_LAST if is_prefix else "\1"), most),
    ).fetchone()
    return int(count)
