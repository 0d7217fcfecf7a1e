"""How far the others of a room have read, and its facts have come to them: for the lists and pages of one user."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gochat.domain.ids import dm_users, is_dm, peer
from gochat.domain.receipts import SMALL_ROOM, tells_got, tells_read
from gochat.domain.relationship import ContactPolicy, Relation, Side
from gochat.store.listing import IN_GROUP
from gochat.store.read import people, rules

#: Users whose positions one list tells: some 1 ms, and 80 KB of its frame at most. The rooms after that tell theirs by
#: `history`.
MOST = 1_000


class ReadPositions(NamedTuple):
    """Positions in one room, by user."""

    reads: Mapping[str, int] = {}
    got: Mapping[str, int] = {}
    """Of users to whose devices more has come than they have read."""
    joined: Mapping[str, int] = {}
    """Where members came in who came later: they have read and got nothing from before."""


NOTHING: Final = ReadPositions()
#: With this seq come the members that a group is made with: nothing was said before.
_FIRST_ADDED: Final = 2


class Receipts:
    """Asked room by room while one list or page is put together."""

    def __init__(self, connection: sqlite3.Connection, user: str, policy: ContactPolicy, now_ms: int) -> None:
        self._connection = connection
        self._user = user
        self._policy = policy
        self._now_ms = now_ms
        self._left = MOST

    def of_room(self, room_pk: int, room: str, low: int) -> ReadPositions:
        """The positions of the others, of a room of either kind; nothing where the user is not in it."""
        if is_dm(room):
            return self.of_private(room_pk, room, low) if self._user in dm_users(room) else NOTHING
        row = self._connection.execute("SELECT members FROM room WHERE num = ?", (room_pk,)).fetchone()
        return self.of_group(room_pk, row[0], low) if row is not None else NOTHING

    def of_group(self, room_pk: int, members: int, low: int) -> ReadPositions:
        """Of the other members: nothing where the group is large. Positions up to `low`, where the group is hidden from
        the user, are left out."""
        if members > SMALL_ROOM or members > self._left:
            return NOTHING
        reads: dict[str, int] = {}
        got: dict[str, int] = {}
        joined: dict[str, int] = {}
        is_member = False
        for user, read, seq, since in self._connection.execute(_MEMBERS, (room_pk,)):
            if user == self._user:
                is_member = True
                continue
            # The seat of a user who joins says that nothing is unread, which is not to have read it.
            if read > since and read > low:
                reads[user] = read
            if seq > read and seq > low:
                got[user] = seq
            if since > max(low, _FIRST_ADDED):
                joined[user] = since
        if not is_member:
            return NOTHING
        self._left -= members - 1
        if got:
            blocked = {user for user, _ in rules.blocks(self._connection, list(got), [self._user])}
            got = {user: seq for user, seq in got.items() if user not in blocked}
        return ReadPositions(reads, got, joined)

    def of_private(self, room_pk: int, room: str, low: int) -> ReadPositions:
        """Of the other user, as far as that is told."""
        other = peer(room, self._user)
        return self.of_privates([(room_pk, other, low)], people.sides(self._connection, self._user, [other]))[0]

    def of_privates(self, rooms: Sequence[tuple[int, str, int]], sides: people.Sides) -> list[ReadPositions]:
        """Of the other user of each of these private rooms: its number, the other, and up to where it is hidden.
        `sides` are those of the user and the others."""
        marks = ", ".join(["(?, ?)"] * len(rooms))
        rows = self._connection.execute(
            f"""WITH asked (user, num) AS (VALUES {marks}) SELECT s.num, s.read, s.got, s.since_seq
                FROM asked a CROSS JOIN seat s ON s.user = a.user AND s.num = a.num""",
            [value for room_pk, other, _ in rooms for value in (other, room_pk)],
        )
        seats = {room_pk: (read, got, since) for room_pk, read, got, since in rows}
        return [
            self._of_other(other, *seats[room_pk], low, sides) if room_pk in seats else NOTHING
            for room_pk, other, low in rooms
        ]

    def _of_other(self, other: str, read: int, got: int, since: int, low: int, sides: people.Sides) -> ReadPositions:
        if other == self._user or self._left <= 0:
            return NOTHING
        theirs = sides.get((other, self._user), people.NO_SIDE)
        mine = sides.get((self._user, other), people.NO_SIDE)
        if theirs[0] and mine[0] and theirs[1] is mine[1] is None:
            tells = tells_too = True  # Nearly always: two contacts, neither of whom has blocked the other.
        else:
            known = (theirs[0] is not None) + (mine[0] is not None)
            relation = Relation((other, self._user), _side(theirs), _side(mine), known)
            tells = tells_read(relation, other, self._policy, self._now_ms)
            tells_too = tells and tells_got(relation, other, self._policy, self._now_ms)
        if not tells:
            return NOTHING
        self._left -= 1
        # Nor has the user read what another one had, whose id it was: that seat begins with what comes next.
        return ReadPositions(
            {other: read} if read >= since and read > low else {},
            {other: got} if tells_too and got > max(read, low) else {},
        )


_MEMBERS = f"SELECT user, read, got, since_seq FROM seat WHERE num = ? AND {IN_GROUP}"


def _side(columns: Sequence[Any]) -> Side:
    """As far as it is asked for here: messages that wait are not counted."""
    contact, blocked_at, declined_ts, asked_at, asked_ts, withheld_at = columns
    return Side(bool(contact), blocked_at, declined_ts, asked_at, asked_ts, withheld_at=withheld_at)
