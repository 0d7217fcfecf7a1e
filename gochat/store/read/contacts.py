"""The list of a user's contacts, and of the others with whom there is a private room."""

from __future__ import annotations

import sqlite3
from functools import partial

from gochat.domain.ids import dm
from gochat.protocol.replies import ContactState, RelationState
from gochat.store.mentions import MentionCounts
from gochat.store.read import people
from gochat.store.read.lists import CONTACT, last_of
from gochat.store.read.receipts import Receipts
from gochat.store.read.separate import FAULTS, SeparateRooms


def contacts(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    declined_after: int,
    limit: int,
    cursor: str | None,
    only: RelationState | None,
    rooms: bool,
    separate_rooms: SeparateRooms | None = None,
    receipts: Receipts | None = None,
) -> tuple[list[ContactState], str | None]:
    """`separate_rooms` takes the private rooms whose users are left out; without it an unreadable room raises.
    `receipts`: as in `welcome`."""
    counts = MentionCounts(connection, user)
    try:
        return _contact_states(connection, epoch, user, declined_after, limit, cursor, only, rooms, counts, receipts)
    except FAULTS as error:
        if separate_rooms is None:
            raise
        separate_rooms.bear(error)
    found = people.held(connection, user, declined_after, limit + 1, cursor, only, named=False)
    if rooms:
        known = {entry.user for entry in found}
        found += [
            ContactState(user=other, name=other, state="none")
            for other in _in_private(connection, user, limit + 1, cursor, looks=False)
            if other not in known
        ]
        found.sort(key=lambda entry: entry.user)
    entries: list[ContactState] = []
    for entry in found[:limit]:
        read_one = partial(_one_state, connection, epoch, user, entry, counts, receipts)
        entries += separate_rooms.read(dm(user, entry.user), read_one) or ()
    return entries, found[limit - 1].user if len(found) > limit else None


def _one_state(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    entry: ContactState,
    counts: MentionCounts,
    receipts: Receipts | None,
) -> list[ContactState]:
    """The entry with its name and its room; nothing where there is no more than a room without a message."""
    entry.name = people.stranger(connection, entry.user).name
    if entry.state == "none" and not _shows_a_message(connection, user, entry.user):
        return []
    if entry.state in ("contact", "none"):
        _tell_room(connection, epoch, user, entry, counts, receipts)
    return [entry]


def _shows_a_message(connection: sqlite3.Connection, user: str, other: str) -> bool:
    """Whether the user sees any message of their private room."""
    found = connection.execute(
        """SELECT 1 FROM seat s JOIN room r ON r.num = s.num
           WHERE s.user = ? AND s.name = ? AND r.last >= s.since_seq""",
        (user, other),
    )
    return found.fetchone() is not None


def _contact_states(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    declined_after: int,
    limit: int,
    cursor: str | None,
    only: RelationState | None,
    rooms: bool,
    counts: MentionCounts,
    receipts: Receipts | None,
) -> tuple[list[ContactState], str | None]:
    found = people.held(connection, user, declined_after, limit + 1, cursor, only)
    if rooms:
        known = {entry.user for entry in found}
        for other in _in_private(connection, user, limit + 1, cursor):
            if other not in known:
                found.append(people.stranger(connection, other))
        found.sort(key=lambda entry: entry.user)
    entries = found[:limit]
    for entry in entries:
        if entry.state in ("contact", "none"):
            _tell_room(connection, epoch, user, entry, counts, receipts)
    return entries, entries[-1].user if len(found) > limit else None


def _in_private(
    connection: sqlite3.Connection, user: str, limit: int, cursor: str | None, *, looks: bool = True
) -> list[str]:
    """The others of the user's private rooms, by id; not where a request waits, or somebody is blocked, nor, where this
    `looks` at the rooms, where the user sees no message, for the id had been another's."""
    among, seen = ("JOIN room r ON r.num = s.num", "AND r.last >= s.since_seq") if looks else ("", "")
    found: list[str] = []
    for low, high in ((cursor or "", "group:"), (max(cursor or "", "group;"), "\x7f")):
        rows = connection.execute(
            f"""SELECT s.name FROM seat s {among}
                WHERE s.user = ? AND s.name > ? AND s.name < ? {seen} ORDER BY s.name LIMIT ?""",
            (user, low, high, limit - len(found)),
        )
        found += [name for (name,) in rows]
    return found


def _tell_room(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    entry: ContactState,
    counts: MentionCounts,
    receipts: Receipts | None,
) -> None:
    entry.room, entry.epoch, entry.head, entry.read, entry.unread = dm(user, entry.user), epoch, 0, 0, 0
    row = connection.execute("SELECT num FROM room WHERE id = ?", (entry.room,)).fetchone()
    for room, room_pk, head, read, _, _, unread, mentioned, _, *last, _, low in (
        connection.execute(CONTACT, (user, *row)) if row else ()
    ):
        entry.head, entry.read, entry.unread, entry.last = head, read, unread, last_of(*last)
        entry.mentions = counts.of_room(room_pk, read) if mentioned else 0
        if receipts is not None:
            told = receipts.of_private(room_pk, room, low)
            entry.reads, entry.got = dict(told.reads), dict(told.got)
