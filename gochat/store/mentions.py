"""The messages that mention a user, by user: what lists count them by.

A message's own row says whom it mentions (`data`). A row here is for finding it: it comes with the message, goes with
the mention, and stays when it has been read, as a reaction does. Only those above a read position are ever looked at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from gochat.store.bulk import BulkInsert
from gochat.store.rows import Row, mentions_in
from gochat.store.schema import SEQ_BITS

#: Unread mentions that an entry of a list counts up to, and how many it looks at for that, the latest ones: those of
#: users whom one has blocked lie between.
COUNTED, SCANNED = 100, 1_000
#: Unread mentions that all entries of one list look at together, some 5 ms; after that each looks at its latest alone.
MOST: Final = 5_000

#: Whether any message above the read position of a seat `s` mentions its user.
ANY: Final = "EXISTS (SELECT 1 FROM mention m WHERE m.user = s.user AND m.room_pk = s.num AND m.seq > s.read)"
_LATEST: Final = """SELECT EXISTS (SELECT 1 FROM relation p
        WHERE p.user = m.user AND p.peer = m.sender AND p.blocked_at IS NOT NULL)
    FROM mention m WHERE m.user = ? AND m.room_pk = ? AND m.seq > ? ORDER BY m.seq DESC LIMIT ?"""


class MentionCounts:
    """Asked room by room while one list is put together."""

    def __init__(self, connection: sqlite3.Connection, user: str, most: int = MOST) -> None:
        self._connection = connection
        self._user = user
        self._left = most

    def of_room(self, room_pk: int, read: int) -> int:
        """How many messages above the seq `read` mention the user, up to `COUNTED`, without those of users whom the
        user has blocked; at most 1 once the list has looked at its `MOST`."""
        counted = 0
        rows = self._connection.execute(_LATEST, (self._user, room_pk, read, min(SCANNED, self._left) or 1))
        for (blocked,) in rows:
            self._left = max(0, self._left - 1)
            counted += not blocked
            if counted == COUNTED:
                break
        return counted


_ADD = BulkInsert("INSERT OR REPLACE INTO mention (user, room_pk, seq, sender)", 4)


def rows(room_pk: int, seq: int, sender: str, users: Sequence[str]) -> list[Row]:
    """The rows of a message that mentions `users`."""
    return [(user, room_pk, seq, sender) for user in users]


def add(connection: sqlite3.Connection, mentioned: Sequence[Row]) -> None:
    """Keep the rows of messages that are recorded in this transaction."""
    if mentioned:
        _ADD.run(connection, mentioned)


def drop(connection: sqlite3.Connection, room_pk: int, seq: int) -> None:
    """The message mentions nobody any more. Called before its row says so."""
    row = connection.execute("SELECT data FROM fact WHERE id = ?", (room_pk << SEQ_BITS | seq,)).fetchone()
    for user in (mentions_in(row[0]) or ()) if row is not None else ():
        connection.execute("DELETE FROM mention WHERE user = ? AND room_pk = ? AND seq = ?", (user, room_pk, seq))


def change(connection: sqlite3.Connection, room_pk: int, seq: int, sender: str, users: Sequence[str] | None) -> None:
    """The sender's message mentions these users now, and no others. Called before its row says so."""
    drop(connection, room_pk, seq)
    add(connection, rows(room_pk, seq, sender, users or ()))
