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

#: Unread mentions that an entry of a list counts up to, and how many it looks at for that at first, the latest ones:
#: those of users whom one has blocked lie between.
COUNTED, SCANNED = 100, 200
#: Where these do not tell, each sender's are counted; so many senders of one entry.
SENDERS: Final = 200
#: Unread mentions, and senders, that all entries of one list look at together, some 5 ms of each.
MOST: Final = 5_000

#: Whether any message above the read position of a seat `s` mentions its user.
ANY: Final = "EXISTS (SELECT 1 FROM mention m WHERE m.user = s.user AND m.room_pk = s.num AND m.seq > s.read)"
_LATEST: Final = """SELECT EXISTS (SELECT 1 FROM relation p
        WHERE p.user = m.user AND p.peer = m.sender AND p.blocked_at IS NOT NULL), m.seq
    FROM mention m WHERE m.user = ? AND m.room_pk = ? AND m.seq > ? ORDER BY m.seq DESC LIMIT ?"""
# From one sender to the next by the index `mention_sender`: however much one of them has written, it is one step.
_OF_SENDERS: Final = f"""WITH RECURSIVE one (sender) AS (
        SELECT (SELECT sender FROM mention WHERE user = ?1 AND room_pk = ?2 ORDER BY sender LIMIT 1)
        UNION ALL SELECT (SELECT sender FROM mention WHERE user = ?1 AND room_pk = ?2 AND sender > one.sender
            ORDER BY sender LIMIT 1) FROM one WHERE one.sender IS NOT NULL LIMIT ?4)
    SELECT CASE WHEN EXISTS (SELECT 1 FROM relation WHERE user = ?1 AND peer = one.sender AND blocked_at IS NOT NULL)
        THEN 0 ELSE (SELECT count(*) FROM (SELECT 1 FROM mention m
            WHERE m.user = ?1 AND m.room_pk = ?2 AND m.sender = one.sender AND m.seq > ?3 LIMIT {COUNTED})) END
    FROM one WHERE one.sender IS NOT NULL"""


class MentionCounts:
    """Asked room by room while one list is put together."""

    def __init__(self, connection: sqlite3.Connection, user: str, most: int = MOST, senders: int = MOST) -> None:
        self._connection = connection
        self._user = user
        self._left = most
        self._senders_left = senders

    def of_room(self, room_pk: int, read: int) -> int:
        """How many messages above the seq `read` mention the user, up to `COUNTED`, without those of users whom the
        user has blocked: however much these have written. At most 1 once the list has looked at its `MOST`, of
        mentions and of senders."""
        counted = looked = 0
        bound = min(SCANNED, self._left) or 1
        for blocked, _ in self._connection.execute(_LATEST, (self._user, room_pk, read, bound)):
            looked += 1
            counted += not blocked
            if counted == COUNTED:
                break
        self._left = max(0, self._left - looked)
        if looked < bound or counted == COUNTED or not self._senders_left:
            return counted
        return max(counted, self._of_senders(room_pk, read))

    def _of_senders(self, room_pk: int, read: int) -> int:
        """The same, sender by sender."""
        counted = 0
        bound = min(SENDERS, self._senders_left)
        for (count,) in self._connection.execute(_OF_SENDERS, (self._user, room_pk, read, bound)):
            self._senders_left -= 1
            counted += count
            if counted >= COUNTED:
                return COUNTED
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
