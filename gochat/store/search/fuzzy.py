"""Words that are one letter away from a typed word: one too many, one missing, another one, or two swapped.

The typed word may be the beginning of a longer one, so it is held against the beginnings of words. Nothing is stored
for this: from each beginning of the typed word, the sorted words say which letters follow it somewhere, and a look for
each says whether the rest is there too. A few hundred looks, however many words there are.
"""

from __future__ import annotations

import sqlite3

from gochat.store.search.tokenizer import is_dense

#: Shorter words are near to half of all others: those are taken as they were typed.
SHORTEST = 4
#: Above every letter. No word has it: it is no character.
LAST = "\U0010ffff"

# Another first letter, or a missing one, is looked for among letters that may be meant: not a Chinese one for a Latin
# one. There are thousands of those, and words of scripts without spaces are found from any letter on anyway.
_BANDS = ("", "\u3040", "\ua4d0", "\uf900", "\U00010000", "\U00020000", LAST)

_LETTERS = """
    WITH RECURSIVE following (letter) AS (
        SELECT (SELECT substr(word, :at, 1) FROM {table} WHERE word > :low AND word < :high ORDER BY word LIMIT 1)
        UNION ALL
        SELECT (SELECT substr(word, :at, 1) FROM {table}
                WHERE word > :stem || letter || :last AND word < :high ORDER BY word LIMIT 1)
        FROM following WHERE letter IS NOT NULL)
    SELECT letter,
        EXISTS (SELECT 1 FROM {table}
                WHERE word >= :stem || letter || :other AND word < :stem || letter || :other || :last),
        EXISTS (SELECT 1 FROM {table}
                WHERE word >= :stem || letter || :missing AND word < :stem || letter || :missing || :last)
    FROM following WHERE letter <> :own"""


def is_near(word: str, typed: str) -> bool:
    """Whether some beginning of `word` is one letter away from `typed`, which `word` does not begin with."""
    if len(typed) < SHORTEST:
        return False
    at = 0
    while at < len(word) and at < len(typed) and word[at] == typed[at]:
        at += 1
    rest = typed[at + 1 :]
    if at == len(typed):
        return False
    if word.startswith(rest, at) or (
        word[at : at + 2] == typed[at + 1 : at + 2] + typed[at] and word.startswith(typed[at + 2 :], at + 2)
    ):
        return True
    if not word[at:] or (at == 0 and _band(word) != _band(typed)) or (at == 0 and is_dense(typed[0])):
        return False
    return word.startswith(rest, at + 1) or word.startswith(typed[at:], at + 1)


def near_beginnings(connection: sqlite3.Connection, typed: str, table: str = "user_word") -> list[str]:
    """The beginnings that are near to `typed` and that words of the table have, in order. No word has two of them."""
    if len(typed) < SHORTEST:
        return []
    found: set[str] = set()
    letters = _LETTERS.format(table=table)
    for at, own in enumerate(typed):
        stem, rest = typed[:at], typed[at + 1 :]
        if stem and not _any(connection, table, stem):
            break
        found.add(stem + rest)
        if rest and rest[0] != own:
            found.add(stem + rest[0] + own + rest[1:])
        if stem or not is_dense(own):
            low, high = (stem, stem + LAST) if stem else _band(typed)
            asked = {
                "at": at + 1,
                "low": low,
                "high": high,
                "stem": stem,
                "own": own,
                "last": LAST,
                "other": rest,
                "missing": own + rest,
            }
            for letter, other, missing in connection.execute(letters, asked):
                if other:
                    found.add(stem + letter + rest)
                if missing:
                    found.add(stem + letter + own + rest)
    apart: list[str] = []
    for beginning in sorted(found):
        if not (apart and beginning.startswith(apart[-1])) and _any(connection, table, beginning):
            apart.append(beginning)
    return apart


def _any(connection: sqlite3.Connection, table: str, beginning: str) -> bool:
    row = connection.execute(
        f"SELECT 1 FROM {table} WHERE word >= ? AND word < ? LIMIT 1", (beginning, beginning + LAST)
    ).fetchone()
    return row is not None


def _band(word: str) -> tuple[str, str]:
    """The letters among which the first one's like are looked for: from one to below the other."""
    above = next(edge for edge in _BANDS[1:] if word[0] < edge)
    return _BANDS[_BANDS.index(above) - 1], above
