"""Stretches of a room's log, shown as they are now."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from gochat.domain.display_text import bare_emoji
from gochat.domain.facts import AnyFact
from gochat.domain.ids import is_dm
from gochat.domain.sight import redact
from gochat.errors import Damaged
from gochat.ports.archive import Facts, Viewer
from gochat.store.listing import BLOCK_BITS, full_blocks
from gochat.store.read import people
from gochat.store.read.receipts import Receipts
from gochat.store.read.sight import View, view
from gochat.store.rows import EDIT, MESSAGE, REACTION, SHOWN, Row, Text, shown
from gochat.store.schema import SEQ_BITS, SEQ_MASK

#: A server's frame holds 1 MiB; entries may fill this much of it, measured in JSON, the longer of the encodings.
PAGE_BYTES = 1_000_000
#: Different reactions that are told of one message, the most frequent ones: no fact may outgrow a frame.
MOST_EMOJI = 1000


#: The work that one page of messages may take: WORK blocks that are passed over, or fewer that are looked into, each as
#: costly as LOOK of the others. Some 5 ms in all.
WORK, LOOK = 4096, 128
#: Nothing is left in that direction.
_DONE: Final = -1

_encode = msgspec.json.Encoder().encode


def page(
    connection: sqlite3.Connection,
    viewer: Viewer,
    room: str,
    before: int | None,
    after: int | None,
    limit: int,
    messages: bool = False,
    receipts: Receipts | None = None,
) -> Facts | None:
    """`receipts` tells how far the others of the room have read; without it nothing is told of that."""
    seen = view(connection, viewer, room)
    if seen is None or (seen.former and not viewer.after_leaving):
        return None
    facts = (_messages_page if messages else _page)(connection, room, seen, before, after, limit)
    if receipts is not None and not seen.former:
        facts.reads, facts.got, facts.joined = receipts.of_room(seen.room_pk, room, seen.low)
    return facts


def _page(
    connection: sqlite3.Connection, room: str, seen: View, before: int | None, after: int | None, limit: int
) -> Facts:
    base = seen.room_pk << SEQ_BITS
    if after is not None:
        low = min(max(after, seen.low), SEQ_MASK)
        rows = _rows(connection, base | low, base | seen.head, "ASC", limit)
    else:
        high = seen.head if before is None else min(before - 1, seen.head)
        rows = _rows(connection, base | seen.low, base | max(high, 0), "DESC", limit)
        rows.reverse()
    entries = show(connection, room, rows, seen)
    if after is None:
        entries.reverse()
    entries = entries[: fitting(entries)]
    if after is None:
        entries.reverse()
    return Facts(entries, seen.head)


def _messages_page(
    connection: sqlite3.Connection, room: str, seen: View, before: int | None, after: int | None, limit: int
) -> Facts:
    """The same, of messages alone that are not deleted."""
    if after is not None:
        range_, down = _Range(seen.room_pk, min(max(after, seen.low), SEQ_MASK), seen.head), False
    else:
        high = seen.head if before is None else min(before - 1, seen.head)
        range_, down = _Range(seen.room_pk, seen.low, max(high, 0)), True
    rows, end = _messages(connection, range_, limit, down)
    # Block by block: the reactions that are counted are those to what lies between the first and the last of the rows.
    entries = [
        fact
        for _, of_block in groupby(rows, key=lambda row: row[0] >> BLOCK_BITS)
        for fact in show(connection, room, list(of_block), seen)
    ]
    fit = fitting(entries)
    if fit < len(entries):
        entries, end = entries[:fit], None
    following = entries[-1].seq if end is None else end
    if down:
        entries.reverse()
    return Facts(entries, seen.head, following if end != _DONE else None)


class _Range(NamedTuple):
    """Facts of a room with low < seq <= high."""

    room_pk: int
    low: int
    high: int


def _messages(connection: sqlite3.Connection, range_: _Range, limit: int, down: bool) -> tuple[list[Row], int | None]:
    """The first messages of the stretch, or with `down` the last ones, the latest first; and where that ended: None at
    the last one that is given, a bound that all is looked at up to, or _DONE.

    Blocks without a message are passed over. In the others each fact is looked at: WORK bounds both together.
    """
    order, step = ("DESC", -1) if down else ("ASC", 1)
    first, last = (range_.low + 1) >> BLOCK_BITS, range_.high >> BLOCK_BITS
    full = full_blocks(connection, range_.room_pk, first, last, order)
    passed = next(full, None)
    rows: list[Row] = []
    size = work = 0
    for block in range(first, last + 1)[::step]:
        if work >= WORK:
            # All of the blocks before this one is looked at.
            return rows, (block + 1 << BLOCK_BITS) if down else (block << BLOCK_BITS) - 1
        if block == passed:
            passed = next(full, None)
            work += 1
            continue
        work += LOOK
        for row in _shown_in(connection, range_, block, order, limit + 1 - len(rows)):
            size += len(row[4] or "")
            if len(rows) == limit or (rows and size > PAGE_BYTES):
                return rows, None
            rows.append(row)
    return rows, _DONE


def _shown_in(connection: sqlite3.Connection, range_: _Range, block: int, order: str, limit: int) -> sqlite3.Cursor:
    base = range_.room_pk << SEQ_BITS
    low, high = max(range_.low, (block << BLOCK_BITS) - 1), min(range_.high, (block + 1 << BLOCK_BITS) - 1)
    return connection.execute(
        f"""SELECT {SHOWN} FROM fact WHERE id > ? AND id <= ? AND kind = {MESSAGE} AND delete_seq IS NULL
            ORDER BY id {order} LIMIT ?""",
        (base + low, base + high, limit),
    )


def replay(
    connection: sqlite3.Connection,
    room: str,
    after: int,
    upto: int,
    limit: int,
    reader: Viewer | None = None,
    chars: int = PAGE_BYTES,
) -> list[AnyFact]:
    """Facts after < seq <= upto, `limit` at most, and about as many as have `chars` characters; one always. Without
    `reader` all that there is."""
    if reader is not None and is_dm(room):
        withheld_at = people.withheld_at(connection, reader.user, room)
        upto = upto if withheld_at is None else min(upto, withheld_at)
    # The deletion of a group is its last fact, and told to those who were in it.
    seen = view(connection, reader or Viewer("", admin=True), room, closed=True)
    if seen is None or not seen.room_pk:
        return []
    base, low, high = seen.room_pk << SEQ_BITS, min(max(after, seen.low), seen.head), min(max(upto, 0), seen.head)
    return show(connection, room, _rows(connection, base | low, base | high, "ASC", limit, chars), seen, edits=True)


def fitting(entries: Sequence[AnyFact]) -> int:
    """How many of the entries, from the first on, fit a frame; one always does."""
    size = 0
    for count, fact in enumerate(entries):
        size += len(_encode(fact)) + 1
        if count and size > PAGE_BYTES:
            return count
    return len(entries)


def show(
    connection: sqlite3.Connection, room: str, rows: Sequence[Row], seen: View, *, edits: bool = False
) -> list[AnyFact]:
    """The facts of rows of one room, ascending or descending, as the reader is told them. With `edits` an edit tells
    the present body of its message."""
    if not rows:
        return []
    upto = seen.head if seen.former else None

    def text_of(row_id: int) -> Text:
        found = connection.execute("SELECT body, data, edit_seq FROM fact WHERE id = ?", (row_id,)).fetchone()
        return found[:2] if found and (upto is None or (found[2] or 0) <= upto) else (None, None)

    reactions: dict[int, dict[str, int]] = {}
    first, last = sorted((rows[0][0], rows[-1][0]))
    for target, emoji, count in _counts(connection, seen, first, last):
        reactions.setdefault(target, {})[emoji] = count
    for target, counts in reactions.items():
        if len(counts) > 1:
            counts = reactions[target] = _by_emoji(counts)
        if len(counts) > MOST_EMOJI:
            reactions[target] = dict(sorted(counts.items(), key=lambda item: -item[1])[:MOST_EMOJI])
    for row in rows:
        if row[9] is not None:
            reactions.pop(row[0], None)
    facts = [shown(room, row, reactions, text_of if edits and row[2] == EDIT else None, upto) for row in rows]
    return [redact(fact, seen.low) for fact in facts] if seen.low else facts


def _by_emoji(counts: dict[str, int]) -> dict[str, int]:
    """The counts of what is one emoji, written in two ways, as one: under the longer, which has all its selectors."""
    if not any("\ufe0f" in emoji for emoji in counts):
        return counts
    shown: dict[str, str] = {}
    found: dict[str, int] = {}
    for emoji in sorted(counts, key=len, reverse=True):
        file_schema = shown.setdefault(bare_emoji(emoji), emoji)
        found[file_schema] = found.get(file_schema, 0) + counts[emoji]
    return found


def _counts(connection: sqlite3.Connection, seen: View, first: int, last: int) -> Iterable[tuple[int, str, int]]:
    """How often messages with first <= row id <= last had each emoji: row id, emoji, count."""
    if not seen.former:
        return connection.execute(
            "SELECT target, emoji, count(*) FROM reaction WHERE target BETWEEN ? AND ? AND is_on"
            " GROUP BY target, emoji",
            (first, last),
        )
    # A reaction that was changed later is asked of the log: what it was last, as far as the reader sees.
    # `+` takes the column's affinity from it: an expression of an index has none, and would not be used.
    return connection.execute(
        f"""SELECT x.target, x.emoji, count(*) FROM reaction x WHERE x.target BETWEEN :first AND :last AND
            CASE WHEN x.seq <= :head THEN x.is_on ELSE coalesce((
                SELECT json_extract(f.data, '$.on') FROM main.fact f
                WHERE f.kind = {REACTION} AND f.id >> {SEQ_BITS} = :num AND f.target = x.target & {SEQ_MASK}
                  AND f.sender = x.user AND json_extract(f.data, '$.emoji') = +x.emoji AND f.id <= :upto
                ORDER BY f.id DESC LIMIT 1), 0) END
            GROUP BY x.target, x.emoji""",
        {
            "first": first,
            "last": last,
            "head": seen.head,
            "num": seen.room_pk,
            "upto": seen.room_pk << SEQ_BITS | seen.head,
        },
    )


def _rows(
    connection: sqlite3.Connection, low: int, high: int, order: str, limit: int, chars: int = PAGE_BYTES
) -> list[Row]:
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
