"""Finds users by id or by the words of their shown name: first users who have the typed text, then users who
have something one letter away from it.

The query is read in two ways: as it stands, since ids have dots in them, and cut into words; a
user must have all of them. Each way, exactly and nearly, is a stage. A stage goes through the words that one of its
words stands for, in order, and checks each user's own words for the rest. A user is listed at the first stage that
finds them, by the first word that it finds: so nobody is listed twice, and the end of one page says where the next one
starts.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from gochat.protocol.entries import UserEntry
from gochat.store.search import reindex
from gochat.store.search.fuzzy import LAST, SHORTEST, is_near, near_beginnings
from gochat.store.search.reindex import Names
from gochat.store.search.searches import Budget
from gochat.store.search.tokenizer import LONGEST, Cutter, typed_id

#: Of many words that are asked for, so many of the longest may lead; to look for near ones takes a millisecond each.
_LEADERS, _NEAR_LEADERS = 4, 2
#: More rows than this are not counted, nor read to narrow down others: that many are met soon enough.
_MANY = 10_000
#: So few rows are gone through as they are, each in some 10 us.
_FEW = 100

_is_id_part = re.compile(r"[a-z0-9][a-z0-9_.-]*").fullmatch

_ROWS = """
    SELECT w.word, w.user, u.name FROM {table} w LEFT JOIN user u ON u.id = w.user
    WHERE (w.word, w.user) > (?, ?) AND w.word < ?
        AND NOT EXISTS (SELECT 1 FROM relation b WHERE b.peer = ? AND b.user = w.user AND b.blocked_at IS NOT NULL)
    ORDER BY w.word, w.user"""

Span = tuple[str, str]
"""Words from one to below the other."""


class _Stage(NamedTuple):
    """One way to read the query."""

    words: tuple[str, ...]
    fuzzy: bool

    def fits(self, word: str, typed: str) -> bool:
        return word.startswith(typed) or (self.fuzzy and is_near(word, typed))

    def has_all(self, words: set[str]) -> bool:
        return all(any(self.fits(word, typed) for word in words) for typed in self.words)


class _Cursor(NamedTuple):
    """The end of a page: the stage, the place of the word that led, and the row."""

    stage: int = 0
    leader: int | None = None
    word: str = ""
    user: str = ""


class _Search(NamedTuple):
    """The stages of a search, and the names that it goes through."""

    connection: sqlite3.Connection
    names: Names
    viewer: str
    stages: list[_Stage]
    budget: Budget


def search_users(
    connection: sqlite3.Connection, viewer: str, q: str, limit: int, cursor: str | None, budget: Budget
) -> tuple[list[UserEntry], str | None]:
    names = reindex.names(connection)[0]
    stages = _stages(q, names.cutter)
    search = _Search(connection, names, viewer, stages, budget)
    after = _parse(cursor, stages)
    entries: list[UserEntry] = []
    ended = after
    for number in range(after.stage, len(stages)):
        for cursor_place, name in _found(search, after if number == after.stage else _Cursor(number)):
            if len(entries) == limit:
                return entries, f"{ended.stage}.{ended.leader} {ended.word} {ended.user}"
            entries.append(UserEntry(cursor_place.user, name or cursor_place.user))
            ended = cursor_place
    return entries, None


def _stages(q: str, cutter: Cutter) -> list[_Stage]:
    whole = typed_id(q)
    words = tuple(dict.fromkeys(word[:LONGEST] for word in cutter.text_words(q)))
    readings: list[tuple[str, ...]] = [(whole[:LONGEST],)] if _is_id_part(whole) else []
    if words and (len(words) > 1 or not readings):
        readings.append(words)
    nearly = [words for words in readings if max(map(len, words)) >= SHORTEST]
    return [_Stage(words, False) for words in readings] + [_Stage(words, True) for words in nearly]


def _found(search: _Search, after: _Cursor) -> Iterator[tuple[_Cursor, str | None]]:
    """Whom this stage finds after that place, in order, and their names."""
    stage, earlier = search.stages[after.stage], search.stages[: after.stage]
    leader, durations, among = _lead(search, stage, after.leader)
    rows = _ROWS.format(table=search.names.table)
    for low, high in durations:
        if high <= after.word:
            continue
        start = max((low, ""), (after.word, after.user))
        for word, user, name in search.connection.execute(rows, (*start, high, search.viewer)):
            search.budget.spend()
            if among is not None and user not in among:
                continue
            own = search.names.cutter.name_words(user, name)
            if (
                stage.has_all(own)
                and word == min(other for other in own if stage.fits(other, stage.words[leader]))
                and not any(other.has_all(own) for other in earlier)
            ):
                yield _Cursor(after.stage, leader, word, user), name


def _lead(search: _Search, stage: _Stage, chosen: int | None) -> tuple[int, list[Span], set[str] | None]:
    """The word to go by, which is the one that the fewest users have, unless an earlier page chose; its spans; and, if
    another word narrows them down, the only users who may be found."""
    longest = sorted(range(len(stage.words)), key=lambda n: -len(stage.words[n]))
    candidates = {n: _ranges(search, stage, n) for n in longest[: _NEAR_LEADERS if stage.fuzzy else _LEADERS]}
    if chosen is not None and chosen not in candidates:
        candidates[chosen] = _ranges(search, stage, chosen)
    if len(candidates) == 1:
        ((leader, durations),) = candidates.items()
        return leader, durations, None
    counts = {n: _count(search, durations) for n, durations in candidates.items()}
    fewest = sorted(counts, key=lambda n: counts[n])
    leader = fewest[0] if chosen is None else chosen
    second = next(n for n in fewest if n != leader)
    among = None
    if counts[leader] > _FEW and counts[second] < _MANY:
        users = f"SELECT user FROM {search.names.table} WHERE word >= ? AND word < ?"
        among = {user for span in candidates[second] for (user,) in search.connection.execute(users, span)}
    return leader, candidates[leader], among


def _ranges(search: _Search, stage: _Stage, number: int) -> list[Span]:
    """Where the words are that one of the stage's words stands for. A word by itself was found exactly before."""
    typed = stage.words[number]
    if not stage.fuzzy:
        return [(typed, typed + LAST)]
    durations = []
    alone = len(stage.words) == 1
    search.budget.spend(len(typed))
    for beginning in near_beginnings(search.connection, typed, search.names.table):
        if alone and typed.startswith(beginning):
            durations += [(beginning, typed), (typed + LAST, beginning + LAST)]
        else:
            durations.append((beginning, beginning + LAST))
    if not alone and not any(low <= typed < high for low, high in durations):
        durations.append((typed, typed + LAST))
    return sorted(durations)


def _count(search: _Search, durations: list[Span]) -> int:
    counted = f"SELECT count(*) FROM (SELECT 1 FROM {search.names.table} WHERE word >= ? AND word < ? LIMIT ?)"
    count = 0
    for span in durations:
        (more,) = search.connection.execute(counted, (*span, _MANY)).fetchone()
        count += more
        if count >= _MANY:
            break
    return count


def _parse(cursor: str | None, stages: list[_Stage]) -> _Cursor:
    """Where the cursor says; the beginning if it says nothing that can be."""
    match = re.fullmatch(r"([0-9])\.([0-9]{1,3}) (\S+) (\S+)", cursor or "")
    if match is None or int(match[1]) >= len(stages) or int(match[2]) >= len(stages[int(match[1])].words):
        return _Cursor()
    return _Cursor(int(match[1]), int(match[2]), match[3], match[4])
