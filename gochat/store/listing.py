"""Data beside the logs, so that a list costs by the rows it returns, not by all there are (docs/decisions/reads.md).

Of each user's rooms in `seat`: `name`, by which they are listed, a group's id or the other user of a private room; and
`latest`, the time of a private room's latest message, or of an earlier one while the seat is in `stale`: a few of each
user's rooms, so that the next message there moves nothing. Both are NULL where the room is not listed: the user is in
the group no more, or the private room is blocked, waits for an answer, or has no message yet. Of each group in `room`:
how many `members` it has. Of each block of seqs in `skipped`: how many facts of it are no message that is shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gochat.domain.ids import dm_users, peer
from gochat.store.bulk import BulkInsert
from gochat.store.rows import MESSAGE, Row
from gochat.store.schema import SEQ_BITS

#: Seqs of a block: bits, and number.
BLOCK_BITS = 10
BLOCK = 1 << BLOCK_BITS

#: A live seat in a group, as the partial index on these says it.
IN_GROUP = "role IN ('owner', 'moderator', 'member')"

_encode = msgspec.json.Encoder().encode

#: Seats of a user that may be stale. A list of the latest rooms looks at as many more.
STALE = 32

_STALE = BulkInsert("INSERT OR IGNORE INTO stale (user, num)", 2)
_COUNTS = BulkInsert(
    "SELECT v.column1, (SELECT count(*) FROM stale WHERE user = v.column1) FROM (",
    1,
    ") AS v",
)
_SKIPPED = BulkInsert(
    "INSERT INTO skipped (num, block, facts, deleted)",
    4,
    "ON CONFLICT (num, block) DO UPDATE SET facts = facts + excluded.facts, deleted = deleted + excluded.deleted",
)


def let_stale(connection: sqlite3.Connection, rows: Sequence[Row]) -> set[int]:
    """Messages came in these private rooms, for each of their seats: (user, room's number). They are stale from now
    on. A user who has too many then has all of them brought up to date. The rooms in which a seat is stale no more."""
    _STALE.run(connection, rows)
    fresh: set[int] = set()
    for user, count in _COUNTS.rows(connection, [(user,) for user in {user for user, _ in rows}]):
        if count <= STALE:
            continue
        fresh.update(room_pk for (room_pk,) in connection.execute("SELECT num FROM stale WHERE user = ?", (user,)))
        connection.execute(
            f"""UPDATE seat SET latest = f.ts FROM stale s JOIN room r ON r.num = s.num
                JOIN fact f ON f.id = (r.num << {SEQ_BITS}) + r.last
                WHERE s.user = ? AND seat.user = s.user AND seat.num = s.num AND seat.latest < f.ts
                    AND r.last >= seat.since_seq""",
            (user,),
        )
        connection.execute("DELETE FROM stale WHERE user = ?", (user,))
    return fresh


def relist(connection: sqlite3.Connection, room_pk: int, room: str) -> None:
    """A private room is new, or what its users hold of each other has changed: list it for either, or no longer. Where
    a user sees nothing of it, for the id had been another's, it waits at the end and is not listed before a message
    comes."""
    for user in set(dm_users(room)):
        other = peer(room, user)
        connection.execute(
            f"""UPDATE seat SET (name, latest) = (
                    SELECT ?, CASE WHEN r.last >= seat.since_seq THEN f.ts ELSE 0 END
                    FROM room r JOIN fact f ON f.id = (r.num << {SEQ_BITS}) + r.last
                    WHERE r.num = seat.num AND r.last >= 1 AND NOT EXISTS (
                        SELECT 1 FROM relation p WHERE p.user = ? AND p.peer = ?
                        AND (p.blocked_at IS NOT NULL OR p.withheld_at IS NOT NULL)))
                WHERE user = ? AND num = ? AND role = 'dm'""",
            (other, user, other, user, room_pk),
        )


def skip(connection: sqlite3.Connection, room_pk: int, seqs: Iterable[int], deleted: Iterable[int] = ()) -> None:
    """Count facts that are no message, and messages that are deleted now and were not before."""
    counts: dict[int, list[int]] = {}
    for seq in seqs:
        counts.setdefault(seq >> BLOCK_BITS, [0, 0])[0] += 1
    for seq in deleted:
        count = counts.setdefault(seq >> BLOCK_BITS, [0, 0])
        count[0] += 1
        count[1] += 1
    _SKIPPED.run(connection, [(room_pk, block, *count) for block, count in counts.items()])


def is_shown(connection: sqlite3.Connection, room_pk: int, seq: int) -> bool:
    """Whether the fact is a message that is not deleted."""
    row = connection.execute("SELECT kind, delete_seq FROM fact WHERE id = ?", (room_pk << SEQ_BITS | seq,)).fetchone()
    return row is not None and row[0] == MESSAGE and row[1] is None


def full_blocks(connection: sqlite3.Connection, room_pk: int, low: int, high: int, order: str) -> Iterator[int]:
    """The blocks low..high that hold no message to be shown."""
    for (block,) in connection.execute(
        f"""SELECT block FROM skipped WHERE num = ? AND facts = {BLOCK} AND block BETWEEN ? AND ?
            ORDER BY block {order}""",
        (room_pk, low, high),
    ):
        yield block


def seats_among(connection: sqlite3.Connection, user: str, room_pks: Sequence[int] | None) -> list[int]:
    """Those of the rooms, or all where that is not known, that the user is or was in. Costs by how many the tail has,
    not by how many the user is in."""
    if room_pks is None:
        return [room_pk for (room_pk,) in connection.execute("SELECT num FROM seat WHERE user = ?", (user,))]
    found = connection.execute(
        "SELECT s.num FROM json_each(?) AS v CROSS JOIN seat s ON s.user = ? AND s.num = v.value",
        (_encode(list(room_pks)).decode(), user),
    )
    return [room_pk for (room_pk,) in found]
