"""Notes beside the facts: how far users have read, and facts have come to them; names; when users were last seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from gochat.store.bulk import BulkInsert
from gochat.store.rows import Row
from gochat.store.search import reindex

_READS = BulkInsert(
    "UPDATE seat SET read = v.column3 FROM (",
    3,
    ") AS v WHERE seat.user = v.column1 AND seat.num = v.column2 AND seat.read < v.column3",
)
_GOT = BulkInsert(
    "UPDATE seat SET got = v.column3 FROM (",
    3,
    ") AS v WHERE seat.user = v.column1 AND seat.num = v.column2 AND seat.got < v.column3",
)


class Notes(NamedTuple):
    """The notes beside the facts: of (user, room) the highest seq that was read, and that came to a device; names,
    times last seen."""

    reads: dict[tuple[str, int], int]
    users: dict[str, tuple[str | None, int | None]]
    got: dict[tuple[str, int], int]

    def split_off(self) -> list[Notes]:
        """The same, one by one."""
        return [
            *(Notes({place: seq}, {}, {}) for place, seq in self.reads.items()),
            *(Notes({}, {user: noted}, {}) for user, noted in self.users.items()),
            *(Notes({}, {}, {place: seq}) for place, seq in self.got.items()),
        ]


#: Nothing was noted.
NO_NOTES = Notes({}, {}, {})


def raise_reads(connection: sqlite3.Connection, reads: Sequence[Row]) -> None:
    """Raise read positions to (user, room's number, seq), where they are lower."""
    if reads:
        _READS.run(connection, reads)


def write(connection: sqlite3.Connection, notes: Notes) -> None:
    raise_reads(connection, [(user, room_pk, seq) for (user, room_pk), seq in notes.reads.items()])
    if notes.got:
        _GOT.run(connection, [(user, room_pk, seq) for (user, room_pk), seq in notes.got.items()])
    for user, (name, last_seen) in notes.users.items():
        old = connection.execute("SELECT name FROM user WHERE id = ?", (user,)).fetchone()
        renamed = old is None or (name is not None and name != old[0])
        if renamed or last_seen is not None:
            connection.execute(
                "INSERT INTO user VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " name = coalesce(excluded.name, name), last_seen = coalesce(excluded.last_seen, last_seen)",
                (user, name, last_seen),
            )
        if renamed:
            for names in reindex.names(connection):
                names.change(connection, user, old, name)
