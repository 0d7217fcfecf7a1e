"""Where a word is, if that is in few messages: the blocks that have it, from an index of all rooms together.

Before anything is read of a word it is seen from FTS5's own table of pages how much there is of it, which takes some
0.1 ms. What is frequent is not read here: of that, a look into the newest blocks of a few rooms finds enough.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Mapping
from itertools import accumulate

from gochat.store.cut import query_words
from gochat.store.index import BLOCK_BITS
from gochat.store.schema import SEQ_BITS

#: A page holds some 2,500 rows of a word, which take 0.6 ms, two thirds of it to hand them over. So a word by itself
#: may have this many pages, ...
MOST_PAGES = 25
#: ... and words of which only the rows that have all of them are handed over may have more, together.
MOST_PAGES_TOGETHER = 100

# The first page of each segment that begins past the word, less the last one that begins before it: fts5_structure(5)
# calls this table the %_idx table. A page's entry is its first word, or what tells that from the word before; terms
# begin with a 0, and the number has a flag in its lowest bit. A page amid one word's rows has no entry.
_PAGES = """
    WITH RECURSIVE segment (id) AS (
        SELECT min(segid) FROM message_word_idx
        UNION ALL
        SELECT (SELECT min(segid) FROM message_word_idx WHERE segid > segment.id) FROM segment WHERE id IS NOT NULL)
    SELECT coalesce(sum(
        coalesce(
            (SELECT pgno >> 1 FROM message_word_idx WHERE segid = id AND term >= :above ORDER BY term LIMIT 1),
            (SELECT d.id & 0x7fffffff FROM message_word_data d WHERE d.id <= (segment.id << 37) + 0x7fffffff
             ORDER BY d.id DESC LIMIT 1))
        - coalesce(
            (SELECT pgno >> 1 FROM message_word_idx WHERE segid = id AND term < :word ORDER BY term DESC LIMIT 1), 1)
    ), 0) FROM segment WHERE id IS NOT NULL"""


def locate(connection: sqlite3.Connection, q: str, upto: Mapping[int, int] | None) -> dict[int, int] | None:
    """The blocks that may have a message with every word of `q`, and the newest row of each that may be one. All blocks
    that have one are among them. None if the words of `q` are too frequent to say.

    With `upto`, by the rooms' numbers, only rows up to these.
    """
    terms = sorted(
        (_pages(connection, word, is_prefix=is_prefix), f'"{word}" *' if is_prefix else f'"{word}"')
        for word, is_prefix in query_words(q)
    )
    totals = list(accumulate(pages for pages, _ in terms))
    count = sum(total <= MOST_PAGES_TOGETHER for total in totals)
    if count == 0 or (count == 1 and totals[0] > MOST_PAGES):
        return None
    match = " AND ".join(term for _, term in terms[:count])
    rows = connection.execute("SELECT rowid FROM message_word WHERE message_word MATCH ? ORDER BY rowid", (match,))
    if upto is None:
        return {row_id >> BLOCK_BITS: row_id for (row_id,) in rows}
    return {row_id >> BLOCK_BITS: row_id for (row_id,) in rows if row_id <= upto.get(row_id >> SEQ_BITS, 0)}


def _pages(connection: sqlite3.Connection, word: str, *, is_prefix: bool) -> int:
    """How many pages of the index hold what there is of a word, about."""
    # The index has letters without their marks.
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    first = b"0" + plain.encode()
    asked = {"word": first, "above": first + (b"\xff" if is_prefix else b"\0")}
    return int(connection.execute(_PAGES, asked).fetchone()[0])
