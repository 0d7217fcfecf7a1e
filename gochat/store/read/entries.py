"""The entries of a user's lists of rooms: how a row is read, and what each list does where a room is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from gochat.protocol.entries import Last
from gochat.store import mentions
from gochat.store.listing import BLOCK_BITS
from gochat.store.mentions import MentionCounts
from gochat.store.read import people
from gochat.store.read.overlay import column_of
from gochat.store.read.receipts import Receipts
from gochat.store.read.separate import FAULTS, SeparateRooms
from gochat.store.read.sight import LOW
from gochat.store.schema import SEQ_BITS

# The row id of a room's latest message, where the user of the seat sees it.
_LAST: Final = f"CASE WHEN r.last > 0 AND r.last > {LOW} THEN (r.num << {SEQ_BITS}) + r.last END"
#: The time of that message, to order by.
LAST_TS: Final = column_of("ts", "l", _LAST)
#: One row of a list of rooms; a condition on the seat `s` may follow. Senders have read their own messages, so none of
#: these is above `read`: the number of unread messages is a difference of two counts, less the messages deleted
#: between. The deleted ones are counted one by one in the block of `read` alone; for the blocks above it there are
#: sums.
ENTRY: Final = f"""
    SELECT r.id, r.num, r.head, s.read, r.title, s.role,
        r.messages - coalesce((SELECT n FROM fact WHERE id = (r.num << {SEQ_BITS}) + s.read), 0)
          - (SELECT count(*) FROM main.fact d WHERE d.delete_seq IS NOT NULL AND d.id > (r.num << {SEQ_BITS}) + s.read
             AND d.id < (r.num << {SEQ_BITS}) + (((s.read >> {BLOCK_BITS}) + 1) << {BLOCK_BITS}))
          - (SELECT coalesce(sum(deleted), 0) FROM skipped k
             WHERE k.num = r.num AND k.block > (s.read >> {BLOCK_BITS})),
        {mentions.ANY},
        s.since_seq, {column_of("id", "l", _LAST)} - (r.num << {SEQ_BITS}), {LAST_TS},
        {column_of("sender", "l", _LAST)}, substr({column_of("body", "l", _LAST)}, 1, {people.LAST_CHARS}),
        l.delete_ts, r.members, {LOW}, r.post
    FROM seat s JOIN room r ON r.num = s.num
    LEFT JOIN main.fact l ON l.id = {_LAST}
    WHERE s.user = ? """
#: The row of one room.
ENTRY_OF: Final = ENTRY + "AND s.num = ?"


class ListRead:
    """One reading of one user's lists. Damaged rooms are left out, and are in `separate_rooms`, as far as that takes
    them; otherwise an unreadable room raises."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        epoch: str,
        user: str,
        separate_rooms: SeparateRooms,
        receipts: Receipts | None = None,
    ) -> None:
        """`receipts` tells how far the others of the rooms have read; without it nothing is told of that."""
        self.connection = connection
        self.epoch = epoch
        self.user = user
        self.separate_rooms = separate_rooms
        self.counts = MentionCounts(connection, user)
        self._receipts = receipts

    def rows_of(self, room: str, query: str, room_pk: int) -> list[Any] | None:
        """The rows that a query gives of one of the user's rooms; None where the room is damaged."""
        return self.separate_rooms.read(room, lambda: self.connection.execute(query, (self.user, room_pk)).fetchall())

    def mentions(self, room_pk: int, read: int) -> int:
        """How many unread messages mention the user; one where they can't be read, for there is one."""
        try:
            return self.counts.of_room(room_pk, read)
        except FAULTS as error:
            self.separate_rooms.bear(error)
            return 1

    def told_of_group(self, room_pk: int, members: int, low: int) -> dict[str, Any]:
        """The fields that tell how far the others are; nothing where that can't be read."""
        if self._receipts is None:
            return {}
        try:
            return self._receipts.of_group(room_pk, members, low)._asdict()
        except FAULTS as error:
            self.separate_rooms.bear(error)
            return {}

    def told_of_privates(self, rooms: Sequence[tuple[int, str, int]], sides: people.Sides) -> list[dict[str, Any]]:
        """The same of the others of private rooms; see `Receipts.of_privates`. Raises what damage raises."""
        if self._receipts is None:
            return [{} for _ in rooms]
        return [{"reads": each.reads, "got": each.got} for each in self._receipts.of_privates(rooms, sides)]


def last_of(seq: int | None, ts: int, sender: str, body: str | None, deleted: int | None) -> Last | None:
    return Last(seq=seq, ts=ts, sender=sender, body=body or "", deleted=deleted) if seq is not None else None
