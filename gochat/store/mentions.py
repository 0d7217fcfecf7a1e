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

#: Mentions above a read position that a list looks at, the latest ones: it counts up to so many.
COUNTED: Final = 100

#: How many messages above the read position of a seat `s` in a room `r` mention the user, among the latest of these.
#: Those of users whom the user has blocked do not count.
COUNT: Final = f"""(SELECT count(*) FROM (SELECT m.sender FROM mention m
        WHERE m.user = s.user AND m.room_pk = s.num AND m.seq > s.read ORDER BY m.seq DESC LIMIT {COUNTED}) AS c
    WHERE NOT EXISTS (SELECT 1 FROM relation p
        WHERE p.user = s.user AND p.peer = c.sender AND p.blocked_at IS NOT NULL))"""

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
