"""Full-text search of messages, newest first, in the rooms that the asker is in.

Where rare words are an index of all rooms says (rare_terms.py). Otherwise rooms are looked into, but none before all
that may be newer than its head has been found: a frequent word takes a look into few rooms. Only one that is frequent
elsewhere takes a look into each, of some 50 us.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from gochat.domain.facts import AnyFact
from gochat.domain.ids import parse_message_id
from gochat.errors import Damaged
from gochat.ports.archive import Viewer
from gochat.store.read import pages
from gochat.store.read.sight import LOW, View, view
from gochat.store.rows import SHOWN, Row
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.search import reindex
from gochat.store.search.index import BLOCK_BITS, OLD, Index, block_mark
from gochat.store.search.rare_terms import possible, rare_terms
from gochat.store.search.searches import Budget
from gochat.store.search.tokenizer import MOST_WORDS, Run, match_text

#: SQLite's largest integer.
_MOST = (1 << 63) - 1
#: Stands for a block's mark until that is known. It is no letter, so no word has it.
_MARK = "\0"
#: Matches that are read at a time.
_AT_ONCE = 64
#: So many are looked into as fast as a word is located.
FEW_BLOCKS = 50

Place = tuple[int, int]
"""`ts` and row id: what results are ordered by."""


class _Room(NamedTuple):
    """A room to search: facts with low < seq <= head, the last of them recorded at `ts`."""

    room_pk: int
    name: str
    low: int
    head: int
    ts: int
    old: int
    """Up to this seq the old index holds it: only while there is one."""


class _Asked(NamedTuple):
    """The words that are looked for in one index."""

    where: Index
    words: list[Run]
    match: str
    others: list[Run]
    """Words that a message must have beside those that are looked for."""

    def cursor_place(self, room: _Room) -> tuple[int, int]:
        """The rows of a room that this index is to be asked for: above the one, up to the other."""
        base = room.room_pk << SEQ_BITS
        if self.where is OLD:
            return base | room.low, base | min(room.old, room.head)
        return base | max(room.low, room.old), base | room.head


def number(connection: sqlite3.Connection, room: str) -> list[int]:
    """The room's number, if there is the room."""
    return [room_pk for (room_pk,) in connection.execute("SELECT num FROM room WHERE id = ?", (room,))]


def messages(
    connection: sqlite3.Connection, user: str, q: str, room: str | None, limit: int, cursor: str | None, budget: Budget
) -> tuple[list[AnyFact], str | None]:
    asked = [_asked(index, q) for index in reindex.indexes(connection)]
    asked = [one for one in asked if one.words and possible(connection, one.where, one.words)]
    if not asked:
        return [], None
    rooms = _rooms(connection, user, room)
    budget.spend(len(rooms))
    before = _parse(cursor, rooms)
    if before is not None:
        rooms = [_as_of(connection, found, before) for found in rooms]
    blocks = None
    if _blocks(rooms) > FEW_BLOCKS:
        upto = None if before is None else {found.room_pk: found.room_pk << SEQ_BITS | found.head for found in rooms}
        located = _located(connection, asked, upto)
        if located is not None:
            blocks = _by_room(located)
            rooms = [
                _up_to(connection, found, located[blocks[found.room_pk][0]])
                for found in rooms
                if found.room_pk in blocks
            ]
    streams = [
        _shown(
            connection,
            _matches(connection, found, asked, blocks[found.room_pk] if blocks is not None else None, budget),
        )
        for found in rooms
    ]
    found = list(itertools.islice(_newest(rooms, streams), limit + 1))
    entries = [
        pages.show(connection, each.name, [row], View(each.room_pk, each.low, each.head))[0]
        for each, row in found[:limit]
    ]
    count = pages.fitting(entries)
    last = entries[count - 1] if len(found) > count else None
    return entries[:count], f"{last.ts}.{last.room}:{last.seq}" if last else None


def _asked(index: Index, q: str) -> _Asked:
    words = index.cutter.asked(q)
    return _Asked(index, words[:MOST_WORDS], match_text(words[:MOST_WORDS], _MARK), words[MOST_WORDS:])


def _located(
    connection: sqlite3.Connection, asked: list[_Asked], upto: Mapping[int, int] | None
) -> dict[int, int] | None:
    """The answers of the indexes together; None where an index can't say."""
    found: dict[int, int] = {}
    for one in asked:
        located = rare_terms(connection, one.where, one.words, upto)
        if located is None:
            return None
        for block, row_id in located.items():
            found[block] = max(row_id, found.get(block, 0))
    return found


def _rooms(connection: sqlite3.Connection, user: str, room: str | None) -> list[_Room]:
    """The rooms the user is in, above what each hides from them."""
    if room is not None:
        seen = view(connection, Viewer(user), room)
        if seen is None or seen.former:
            return []
        return [_Room(seen.room_pk, room, seen.low, seen.head, 0, reindex.old_upto(connection, seen.room_pk))]
    # Messages that wait for an answer are read when the user has looked at their sender, and are not found before.
    return [
        _Room(*row)
        for row in connection.execute(
            f"""SELECT r.num, r.id, {LOW}, r.head, r.ts, coalesce(x.upto, 0)
               FROM seat s JOIN room r ON r.num = s.num LEFT JOIN reindex x ON x.num = r.num
               WHERE s.user = ? AND s.role <> 'former'
                 AND s.num NOT IN (SELECT num FROM relation WHERE user = ? AND withheld_at IS NOT NULL)""",
            (user, user),
        )
    ]


def _blocks(rooms: list[_Room]) -> int:
    """How many blocks the rooms have."""
    return sum((room.head >> BLOCK_BITS) - (room.low >> BLOCK_BITS) + 1 for room in rooms)


def _as_of(connection: sqlite3.Connection, room: _Room, before: Place) -> _Room:
    """The room as far as it is before that place. Its `ts` never falls as the seq grows."""
    base, low, high, ts = room.room_pk << SEQ_BITS, room.low, room.head, room.ts
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute("SELECT ts FROM fact WHERE id = ?", (base | middle,)).fetchone()
        if row is not None and (row[0], base | middle) < before:
            low, ts = middle, row[0]
        else:
            high = middle - 1
    return room._replace(head=low, ts=ts)


def _up_to(connection: sqlite3.Connection, room: _Room, newest: int) -> _Room:
    """The room as far as the newest row that may be found in it."""
    if newest >= room.room_pk << SEQ_BITS | room.head:
        return room
    row = connection.execute("SELECT ts FROM fact WHERE id = ?", (newest,)).fetchone()
    return room._replace(head=newest & SEQ_MASK, ts=row[0]) if row is not None else room


def _by_room(located: Iterable[int]) -> dict[int, list[int]]:
    """The blocks of each room, newest first."""
    blocks: dict[int, list[int]] = {}
    for block in sorted(located, reverse=True):
        blocks.setdefault(block >> SEQ_BITS - BLOCK_BITS, []).append(block)
    return blocks


def _newest(rooms: list[_Room], streams: list[Iterator[Row]]) -> Iterator[tuple[_Room, Row]]:
    """The matches of all rooms, newest first."""
    waiting = [(-room.ts, -((room.room_pk << SEQ_BITS) | room.head), n) for n, room in enumerate(rooms)]
    heapq.heapify(waiting)
    at_hand: dict[int, Row] = {}
    while waiting:
        n = waiting[0][2]
        if n in at_hand:
            yield rooms[n], at_hand[n]
        # Else nothing that was found so far is newer than what this room may have: now it is looked into.
        row = next(streams[n], None)
        if row is None:
            heapq.heappop(waiting)
        else:
            at_hand[n] = row
            heapq.heapreplace(waiting, (-row[1], -row[0], n))


def _shown(connection: sqlite3.Connection, row_ids: Iterable[int]) -> Iterator[Row]:
    """Each row is read when it is asked for: of most rooms that is one."""
    for row_id in row_ids:
        row = connection.execute(f"SELECT {SHOWN} FROM fact WHERE id = ?", (row_id,)).fetchone()
        if row is None:
            raise Damaged(f"room {row_id >> SEQ_BITS} has no fact {row_id & SEQ_MASK}")
        yield row


def _matches(
    connection: sqlite3.Connection, room: _Room, asked: list[_Asked], located: list[int] | None, budget: Budget
) -> Iterator[int]:
    """One room's matches, newest first: block by block, from the head on. Only blocks in which something was located,
    if that is given."""
    base = room.room_pk << SEQ_BITS
    blocks: Iterable[int] = range((base | room.head) >> BLOCK_BITS, ((base | room.low) >> BLOCK_BITS) - 1, -1)
    if located is not None:
        blocks = [block for block in located if block in blocks]
    for block in blocks:
        for one in asked:  # The new index first: messages that the old one still holds are older.
            low, high = one.cursor_place(room)
            high = min(high, (block + 1 << BLOCK_BITS) - 1)
            if max(low, (block << BLOCK_BITS) - 1) < high:
                yield from _in_block(connection, one, block, low, high, budget)


def _in_block(
    connection: sqlite3.Connection, asked: _Asked, block: int, low: int, high: int, budget: Budget
) -> Iterator[int]:
    """Matches in low < row <= high, newest first."""
    table, cutter = asked.where.blocks, asked.where.cutter
    marked = asked.match.replace(_MARK, block_mark(block << BLOCK_BITS))
    while True:
        budget.spend()
        found = connection.execute(
            f"SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid > ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?",
            (marked, low, high, _AT_ONCE),
        ).fetchall()
        for (row_id,) in found:
            if asked.others:
                budget.spend()
                row = connection.execute("SELECT body FROM fact WHERE id = ?", (row_id,)).fetchone()
                if row is not None and not cutter.has(row[0] or "", asked.others):
                    continue
            yield row_id
        if len(found) < _AT_ONCE:
            return
        high = found[-1][0] - 1


def _parse(cursor: str | None, rooms: Iterable[_Room]) -> Place | None:
    """Where a page ended, by the id of its last message: a row id would tell how many rooms there are, and that of a
    room which the asker is not in whether it is there. Of one they have left, all of that very moment comes again."""
    ts, _, message = (cursor or "").partition(".")
    named = parse_message_id(message)
    if named is None or not (ts.isascii() and ts.isdecimal() and len(ts) < 20):
        return None
    room_pk = next((room.room_pk for room in rooms if room.name == named[0]), None)
    return min(int(ts), _MOST), _MOST if room_pk is None else room_pk << SEQ_BITS | min(named[1], SEQ_MASK)
