"""Texts that end with their age: the message stays where it is and shows as deleted, without a fact that says so.

`ts` never falls as seq grows, so what is too old is the beginning of a log; up to where it is gone is kept by room.
Such a message has its own seq for `delete_seq`, which no delete can have.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from gochat.domain.ids import is_dm
from gochat.store import listing, mentions
from gochat.store.health import is_damage
from gochat.store.rows import MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.search import index

#: Facts that are looked at in one go: some 6 ms, which is what a commit may have to wait.
SLICE = 100


class Cutoffs(NamedTuple):
    """Messages from before that time expire; None: none do. Milliseconds."""

    groups_ms: int | None = None
    private_ms: int | None = None

    def of(self, room: str) -> int | None:
        return self.private_ms if is_dm(room) else self.groups_ms


class Old(NamedTuple):
    """A room with facts that are too old."""

    room_pk: int
    room: str
    before_ms: int


class Expired(NamedTuple):
    messages: int
    """How many lost their texts."""
    more: bool
    """Whether there is more in the room."""


def old_rooms(connection: sqlite3.Connection, cutoffs: Cutoffs, after: int, most: int) -> tuple[list[Old], int | None]:
    """Of the next `most` rooms by number, those that have something too old; and after which number to go on."""
    rows = connection.execute(
        f"""SELECT r.num, r.id, (SELECT ts FROM fact WHERE id > (r.num << {SEQ_BITS}) + coalesce(e.upto, 0)
                AND id <= (r.num << {SEQ_BITS}) + r.head ORDER BY id LIMIT 1)
            FROM room r LEFT JOIN expired e ON e.num = r.num WHERE r.num > ? ORDER BY r.num LIMIT ?""",
        (after, most),
    ).fetchall()
    found = []
    for room_pk, room, ts in rows:
        before_ms = cutoffs.of(room)
        if before_ms is not None and ts is not None and ts < before_ms:
            found.append(Old(room_pk, room, before_ms))
    return found, rows[-1][0] if len(rows) == most else None


class Sound(NamedTuple):
    """Results of `old_rooms` for rooms that can be read."""

    found: list[Old]
    after: int | None
    left_out: dict[int, str]
    """The numbers of rooms that a damaged page hides, and the error."""


def old_sound_rooms(connection: sqlite3.Connection, cutoffs: Cutoffs, after: int, most: int) -> Sound:
    """The same where some of these rooms can't be read: each is looked at by itself. Raises sqlite3.Error where their
    numbers can't be read either."""
    numbers = [
        room_pk
        for (room_pk,) in connection.execute("SELECT num FROM room WHERE num > ? ORDER BY num LIMIT ?", (after, most))
    ]
    found: list[Old] = []
    left_out: dict[int, str] = {}
    for room_pk in numbers:
        try:
            found += old_rooms(connection, cutoffs, room_pk - 1, 1)[0]
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            left_out[room_pk] = str(error)
    return Sound(found, numbers[-1] if len(numbers) == most else None, left_out)


def expire(connection: sqlite3.Connection, old: Old, now_ms: int) -> Expired:
    """Take the texts of the next old messages, in the open transaction."""
    base = old.room_pk << SEQ_BITS
    row = connection.execute("SELECT upto FROM expired WHERE num = ?", (old.room_pk,)).fetchone()
    upto = row[0] if row else 0
    rows = connection.execute(
        "SELECT id, ts, kind = ? AND delete_seq IS NULL FROM fact WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (MESSAGE, base | upto, base | SEQ_MASK, SLICE),
    ).fetchall()
    gone: list[int] = []
    for row_id, ts, has_text in rows:
        if ts >= old.before_ms:
            break
        upto = row_id & SEQ_MASK
        if has_text:
            index.change(connection, old.room_pk, upto, None)
            mentions.drop(connection, old.room_pk, upto)
            connection.execute(
                "UPDATE fact SET body = NULL, data = NULL, delete_seq = ?, delete_ts = ? WHERE id = ?",
                (upto, now_ms, row_id),
            )
            gone.append(upto)
    listing.skip(connection, old.room_pk, (), gone)
    connection.execute("INSERT OR REPLACE INTO expired VALUES (?, ?)", (old.room_pk, upto))
    return Expired(len(gone), len(rows) == SLICE and rows[-1][0] == base | upto)


class Withdrawal(NamedTuple):
    """A request of which no message has a text any more."""

    asked: str
    requester: str
    room: str
    room_pk: int


def spent_requests(
    connection: sqlite3.Connection, after: tuple[str, str], most: int
) -> tuple[list[Withdrawal], tuple[str, str] | None]:
    """Of the next `most` requests that wait those that look like it, where texts expired; and where to go on.
    Unmerged messages are not seen: the room knows of them."""
    rows = connection.execute(
        f"""SELECT p.user, p.peer, r.id, p.num, e.num IS NOT NULL AND NOT EXISTS (SELECT 1 FROM fact f
                WHERE f.id > (p.num << {SEQ_BITS}) + p.asked_at AND f.id <= (p.num << {SEQ_BITS}) + {SEQ_MASK}
                  AND f.kind = {MESSAGE} AND f.delete_seq IS NULL)
            FROM relation p INDEXED BY relation_asked JOIN room r ON r.num = p.num LEFT JOIN expired e ON e.num = p.num
            WHERE p.asked_at IS NOT NULL AND (p.user, p.peer) > (?, ?) ORDER BY p.user, p.peer LIMIT ?""",
        (*after, most),
    ).fetchall()
    found = [Withdrawal(*row) for *row, spent in rows if spent]
    return found, (rows[-1][0], rows[-1][1]) if len(rows) == most else None


class Count(NamedTuple):
    """The messages that would expire."""

    messages: int
    rooms: int
    oldest_ms: int | None


def count(connection: sqlite3.Connection, cutoffs: Cutoffs) -> tuple[Count, Count]:
    """Of groups, and of private rooms. Reads every message that would."""
    found: dict[bool, list[Count]] = {False: [], True: []}
    after: int | None = 0
    while after is not None:
        olds, after = old_rooms(connection, cutoffs, after, 1000)
        for old in olds:
            base = old.room_pk << SEQ_BITS
            messages, oldest = connection.execute(
                """SELECT count(*), min(ts) FROM fact WHERE id > ? AND id <= ? AND ts < ? AND kind = ?
                    AND delete_seq IS NULL""",
                (base, base | SEQ_MASK, old.before_ms, MESSAGE),
            ).fetchone()
            if messages:
                found[is_dm(old.room)].append(Count(messages, 1, oldest))
    groups, private = (
        Count(sum(each.messages for each in of), len(of), min((each.oldest_ms or 0 for each in of), default=None))
        for of in found.values()
    )
    return groups, private
