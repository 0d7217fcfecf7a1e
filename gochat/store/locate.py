"""Where a word is, if that is in few messages: the rows that have it, from an index of all rooms together.

Before anything is read of a word it is seen from FTS5's own table of pages how much there is of it, which takes some
0.1 ms. What is frequent is not read here: of that, a look into the newest blocks of a few rooms finds enough.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from typing import NamedTuple

from gochat.store.cut import query_words

#: A page holds some 1,500 rows of a word, and reading them takes 0.3 ms.
MOST_PAGES = 30
#: Words of a query that are located; a few narrow it down well enough.
_MOST_WORDS = 4

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


class Located(NamedTuple):
    """Row ids of messages, among which are all that match; `exact` if all of them do."""

    rows: set[int]
    exact: bool


def locate(connection: sqlite3.Connection, q: str) -> Located | None:
    """The rows that have the rare words of `q`; None if it has none."""
    rare: list[tuple[int, str]] = []
    exact = True
    for word, is_prefix, is_whole in query_words(q):
        pages = _pages(connection, word, is_prefix=is_prefix)
        exact = exact and is_whole
        if pages <= MOST_PAGES:
            rare.append((pages, f'"{word}" *' if is_prefix else f'"{word}"'))
        else:
            exact = False
    if not rare:
        return None
    rare.sort()
    found: set[int] | None = None
    for _, term in rare[:_MOST_WORDS]:
        rows = {
            row for (row,) in connection.execute("SELECT rowid FROM message_word WHERE message_word MATCH ?", (term,))
        }
        found = rows if found is None else found & rows
        if not found:
            break
    return Located(found or set(), exact and len(rare) <= _MOST_WORDS)


def _pages(connection: sqlite3.Connection, word: str, *, is_prefix: bool) -> int:
    """How many pages of the index hold what there is of a word, about."""
    # The index has letters without their marks.
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    first = b"0" + plain.encode()
    asked = {"word": first, "above": first + (b"\xff" if is_prefix else b"\0")}
    return int(connection.execute(_PAGES, asked).fetchone()[0])
