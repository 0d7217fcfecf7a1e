"""Stretches of a room's log, shown as they are now."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gochat.domain.facts import AnyFact
from gochat.domain.ids import dm_users, is_dm
from gochat.errors import Damaged
from gochat.ports import Asker, Facts
from gochat.store import people
from gochat.store.rows import EDIT, SHOWN, Row, shown
from gochat.store.schema import SEQ_BITS, SEQ_MASK

#: A server's frame holds 1 MiB; entries may fill this much of it, measured in JSON, the longer of the encodings.
PAGE_BYTES = 1_000_000
#: Different reactions that are told of one message, the most frequent ones: no fact may outgrow a frame.
MOST_EMOJI = 1000


_encode = msgspec.json.Encoder().encode


class View(NamedTuple):
    """A room as one user may see it: facts with low < seq <= high."""

    num: int
    low: int
    head: int
    former: bool = False
    """The user is in the group no more: `head` is where that was recorded."""


def view(connection: sqlite3.Connection, asker: Asker, room: str) -> View | None:
    """What the asker may see of the room now; None where that is nothing. A DM is always there for its two users."""
    row = connection.execute("SELECT num, head, history, closed FROM room WHERE id = ?", (room,)).fetchone()
    if is_dm(room):
        if asker.user not in dm_users(room) and not asker.admin:
            return None
        return View(row[0], 0, row[1]) if row else View(0, 0, 0)
    if row is None or row[3]:
        return None
    num, head, history, _ = row
    seat = connection.execute(
        "SELECT role, since_seq, left_seq FROM seat WHERE user = ? AND num = ?", (asker.user, num)
    ).fetchone()
    if asker.admin:
        return View(num, 0, head)
    if seat is None:
        return None
    low = seat[1] - 1 if history == "since_join" else 0
    if seat[0] == "former":
        return View(num, low, seat[2], former=True)
    return View(num, low, head)


def page(
    connection: sqlite3.Connection, asker: Asker, room: str, before: int | None, after: int | None, limit: int
) -> Facts | None:
    seen = view(connection, asker, room)
    if seen is None or (seen.former and not asker.after_leaving):
        return None
    base = seen.num << SEQ_BITS
    if after is not None:
        low = min(max(after, seen.low), SEQ_MASK)
        rows = _rows(connection, base | low, base | seen.head, "ASC", limit)
    else:
        high = seen.head if before is None else min(before - 1, seen.head)
        rows = _rows(connection, base | seen.low, base | max(high, 0), "DESC", limit)
        rows.reverse()
    entries = show(connection, room, rows)
    if after is None:
        entries.reverse()
    entries = entries[: fitting(entries)]
    if after is None:
        entries.reverse()
    return Facts(entries, seen.head)


def replay(
    connection: sqlite3.Connection, room: str, after: int, upto: int, limit: int, reader: str | None = None,
    chars: int = PAGE_BYTES,
) -> list[AnyFact]:  # fmt: skip
    """Facts after < seq <= upto, `limit` at most, and about as many as have `chars` characters; one always."""
    if reader is not None and is_dm(room):
        withheld_at = people.withheld_at(connection, reader, room)
        upto = upto if withheld_at is None else min(upto, withheld_at)
    row = connection.execute("SELECT num, head FROM room WHERE id = ?", (room,)).fetchone()
    if row is None:
        return []
    base, low, high = row[0] << SEQ_BITS, min(max(after, 0), row[1]), min(max(upto, 0), row[1])
    return show(connection, room, _rows(connection, base | low, base | high, "ASC", limit, chars), edits=True)


def fitting(entries: Sequence[AnyFact]) -> int:
    """How many of the entries, from the first on, fit a frame; one always does."""
    size = 0
    for count, fact in enumerate(entries):
        size += len(_encode(fact)) + 1
        if count and size > PAGE_BYTES:
            return count
    return len(entries)


def show(connection: sqlite3.Connection, room: str, rows: Sequence[Row], *, edits: bool = False) -> list[AnyFact]:
    """The facts of rows of one room. With `edits` an edit tells the present body of its message."""
    if not rows:
        return []

    def body_of(row_id: int) -> str | None:
        found = connection.execute("SELECT body FROM fact WHERE id = ?", (row_id,)).fetchone()
        return found[0] if found else None

    reactions: dict[int, dict[str, int]] = {}
    for target, emoji, count in connection.execute(
        "SELECT target, emoji, count(*) FROM reaction WHERE target BETWEEN ? AND ? AND is_on GROUP BY target, emoji",
        (rows[0][0], rows[-1][0]),
    ):
        reactions.setdefault(target, {})[emoji] = count
    for target, counts in reactions.items():
        if len(counts) > MOST_EMOJI:
            reactions[target] = dict(sorted(counts.items(), key=lambda item: -item[1])[:MOST_EMOJI])
    for row in rows:
        if row[9] is not None:
            reactions.pop(row[0], None)
    return [shown(room, row, reactions, body_of if edits and row[2] == EDIT else None) for row in rows]


def _rows(
    connection: sqlite3.Connection, low: int, high: int, order: str, limit: int, chars: int = PAGE_BYTES
) -> list[Row]:  # fmt: skip
    """Rows with low < id <= high, in that order, about as many as fit a page; the bound they begin at comes first.
    Raises Damaged where one is missing: a log has no gaps."""
    found: list[Row] = []
    size = 0
    step = 1 if order == "ASC" else -1
    due = low + 1 if step > 0 else high
    for row in connection.execute(
        f"SELECT {SHOWN} FROM fact WHERE id > ? AND id <= ? ORDER BY id {order} LIMIT ?", (low, high, limit)
    ):
        if row[0] != due:
            break
        size += len(row[4] or "") + len(row[7] or "")
        if found and size > chars:
            return found
        found.append(row)
        due += step
    if len(found) < min(limit, high - low):
        raise Damaged(f"room {due >> SEQ_BITS} has no fact {due & SEQ_MASK}")
    return found
