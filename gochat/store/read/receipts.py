"""How far the others of a room have read, and its facts have come to them: for the lists and pages of one user."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

from gochat.domain.ids import dm_users, is_dm, peer
from gochat.domain.receipts import SMALL_ROOM, tells_got, tells_read
from gochat.domain.relationship import ContactPolicy, Relation, Side
from gochat.store.listing import IN_GROUP
from gochat.store.read import rules

#: Users whose positions one list tells: some 4 ms, and 150 KB of its frame. The rooms after that tell theirs by
#: `history`.
MOST: Final = 2_000


class Told(NamedTuple):
    """Positions in one room, by user."""

    reads: Mapping[str, int] = {}
    got: Mapping[str, int] = {}
    """Of users to whose devices more has come than they have read."""


NOTHING: Final = Told()


class Receipts:
    """Asked room by room while one list or page is put together."""

    def __init__(
        self, connection: sqlite3.Connection, user: str, policy: ContactPolicy, now_ms: int, most: int = MOST
    ) -> None:
        self._connection = connection
        self._user = user
        self._policy = policy
        self._now_ms = now_ms
        self._left = most

    def of_room(self, room_pk: int, room: str, low: int) -> Told:
        """The positions of the others, of a room of either kind; nothing where the user is not in it."""
        if is_dm(room):
            return self.of_private(room_pk, room, low) if self._user in dm_users(room) else NOTHING
        row = self._connection.execute("SELECT members FROM room WHERE num = ?", (room_pk,)).fetchone()
        return self.of_group(room_pk, row[0], low) if row is not None else NOTHING

    def of_group(self, room_pk: int, members: int, low: int) -> Told:
        """Of the other members: nothing where the group is large. Positions up to `low`, where the group is hidden from
        the user, are left out."""
        if members > SMALL_ROOM or members > self._left:
            return NOTHING
        rows = self._connection.execute(
            f"SELECT user, read, got FROM seat WHERE num = ? AND {IN_GROUP}", (room_pk,)
        ).fetchall()
        if all(user != self._user for user, _, _ in rows):
            return NOTHING
        self._left -= len(rows)
        rows = [row for row in rows if row[0] != self._user]
        got = {user: seq for user, read, seq in rows if seq > read and seq > low}
        if got:
            blocked = {user for user, _ in rules.blocks(self._connection, list(got), [self._user])}
            got = {user: seq for user, seq in got.items() if user not in blocked}
        return Told({user: read for user, read, _ in rows if read > low}, got)

    def of_private(self, room_pk: int, room: str, low: int) -> Told:
        """Of the other user, as far as that is told."""
        other = peer(room, self._user)
        if other == self._user or self._left <= 0:
            return NOTHING
        relation = self._relation(room)
        if not tells_read(relation, other, self._policy, self._now_ms):
            return NOTHING
        self._left -= 1
        row = self._connection.execute(
            "SELECT read, got FROM seat WHERE user = ? AND num = ?", (other, room_pk)
        ).fetchone()
        if row is None:
            return NOTHING
        read, got = row
        tells = got > read and got > low and tells_got(relation, other, self._policy, self._now_ms)
        return Told({other: read} if read > low else {}, {other: got} if tells else {})

    def _relation(self, room: str) -> Relation:
        """As far as it is asked for here: messages that wait, and changes, are not counted."""
        one, other = users = dm_users(room)
        sides = {
            user: Side(bool(contact), blocked_at, declined_ts, asked_at, withheld_at=withheld_at)
            for user, contact, blocked_at, declined_ts, asked_at, withheld_at in self._connection.execute(
                """SELECT user, contact, blocked_at, declined_ts, asked_at, withheld_at FROM relation
                   WHERE (user = ?1 AND peer = ?2) OR (user = ?2 AND peer = ?1)""",
                users,
            )
        }
        return Relation(users, sides.get(one, Side()), sides.get(other, Side()), len(sides))
