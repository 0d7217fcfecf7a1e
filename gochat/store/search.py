"""Full-text search of messages, newest first, in the rooms that the asker is in.

One look-up a room: inside a room row ids grow with time, so FTS5 gives its newest matches without sorting all of them.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Iterator

from gochat.domain.facts import AnyFact
from gochat.ports import Asker
from gochat.store import pages
from gochat.store.cut import match_text
from gochat.store.index import room_word
from gochat.store.rows import SHOWN, Row
from gochat.store.schema import SEQ_BITS

_MOST = (1 << 63) - 1
_COLUMNS = ", ".join(f"f.{column.strip()}" for column in SHOWN.split(","))


def messages(
    connection: sqlite3.Connection, user: str, q: str, room: str | None, limit: int, cursor: str | None
) -> tuple[list[AnyFact], str | None]:
    match = match_text(q)
    if match is None:
        return [], None
    before = _parse(cursor)
    streams = [_matches(connection, num, name, low, match, before) for num, name, low in _rooms(connection, user, room)]
    newest = heapq.merge(*streams, key=lambda found: (-found[1][1], -found[1][0]))
    found = list(itertools.islice(newest, limit + 1))
    entries = [pages.show(connection, name, [row])[0] for name, row in found[:limit]]
    count = pages.fitting(entries)
    last = found[count - 1][1] if len(found) > count else None
    return entries[:count], f"{last[1]}.{last[0]}" if last else None


def _rooms(connection: sqlite3.Connection, user: str, room: str | None) -> list[tuple[int, str, int]]:
    """Number and id of the rooms the user is in, and the seq up to which each is hidden from them."""
    if room is not None:
        seen = pages.view(connection, Asker(user), room)
        return [(seen.num, room, seen.low)] if seen is not None and not seen.former else []
    return list(
        connection.execute(
            """SELECT r.num, r.id, CASE r.history WHEN 'since_join' THEN s.since_seq - 1 ELSE 0 END
               FROM seat s JOIN room r ON r.num = s.num WHERE s.user = ? AND s.role <> 'former'""",
            (user,),
        )
    )


def _matches(
    connection: sqlite3.Connection, num: int, name: str, low: int, match: str, before: tuple[int, int] | None
) -> Iterator[tuple[str, Row]]:
    ts, row_id = before or (1 << 62, 1 << 62)
    for row in connection.execute(
        f"""SELECT {_COLUMNS} FROM search JOIN fact f ON f.id = search.rowid
            WHERE search MATCH ? AND search.rowid > ? AND search.rowid < ? AND (f.ts, f.id) < (?, ?)
            ORDER BY search.rowid DESC""",
        (f"room : {room_word(num)} AND body : ({match})", num << SEQ_BITS | low, (num + 1) << SEQ_BITS, ts, row_id),
    ):
        yield name, row


def _parse(cursor: str | None) -> tuple[int, int] | None:
    ts, _, row_id = (cursor or "").partition(".")
    if not (ts.isdecimal() and row_id.isdecimal() and len(ts) < 20 > len(row_id)):
        return None
    return min(int(ts), _MOST), min(int(row_id), _MOST)
