"""A user's private rooms: the latest of them, and the list of contacts with all others who have one with the user."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from gochat.domain.ids import dm, peer
from gochat.ports.archive import Viewer
from gochat.protocol.entries import ContactEntry, ContactState, RelationState
from gochat.store.read import names, people
from gochat.store.read.entries import ENTRY, ENTRY_OF, LAST_TS, ListRead, last_of
from gochat.store.read.overlay import column_of
from gochat.store.read.separate import FAULTS
from gochat.store.schema import SEQ_BITS

_LAST: Final = f"(r.num << {SEQ_BITS}) + r.last"
_LAST_TS: Final = column_of("ts", "f", _LAST)
# The latest of a user's private rooms: among the first by `latest`, and those where that may be behind.
_LATEST: Final = f"""{ENTRY} AND s.num IN (
        SELECT s.num FROM (
            SELECT num FROM (SELECT num FROM main.seat WHERE user = ?1 AND latest IS NOT NULL
                ORDER BY latest DESC, num DESC LIMIT ?2)
            UNION SELECT num FROM stale WHERE user = ?1) AS c
        CROSS JOIN seat s ON s.user = ?1 AND s.num = c.num AND s.latest IS NOT NULL
        CROSS JOIN room r ON r.num = s.num AND r.last >= s.since_seq
        LEFT JOIN main.fact f ON f.id = {_LAST}
        WHERE {_LAST_TS} IS NOT NULL ORDER BY {_LAST_TS} DESC, s.num DESC LIMIT ?2)
    ORDER BY {LAST_TS} DESC, s.num DESC"""
# Seats alone, for when what belongs to them is damaged.
_SEATS: Final = """
    SELECT s.num, s.name, s.num IN (SELECT num FROM stale WHERE user = ?1) AS is_stale FROM seat s
    WHERE s.user = ?1 AND s.latest IS NOT NULL ORDER BY is_stale DESC, s.latest DESC, s.num DESC"""


# ------------------------------------------------------------------------------------------------ of the welcome


def latest(reading: ListRead, most: int) -> list[ContactEntry]:
    """The private rooms that were written to last, the latest first."""
    try:
        return _entries(reading, reading.connection.execute(_LATEST, (reading.user, most)).fetchall())
    except FAULTS as error:
        reading.separate_rooms.bear(error)
    return latest_one_by_one(reading, most)


def latest_one_by_one(reading: ListRead, most: int) -> list[ContactEntry]:
    """The same room by room, for when one is damaged."""
    entries: list[ContactEntry] = []
    behind = 0
    for room_pk, other, is_stale in reading.connection.execute(_SEATS, (reading.user,)).fetchall():
        if not is_stale and len(entries) >= most + behind:
            break
        found = reading.separate_rooms.read(dm(reading.user, other), partial(_entry_of, reading, room_pk)) or []
        entries += found
        behind += is_stale and len(found)
    entries.sort(key=lambda entry: entry.last.ts if entry.last else 0, reverse=True)
    return entries[:most]


def _entry_of(reading: ListRead, room_pk: int) -> list[ContactEntry]:
    query = f"{ENTRY_OF} AND r.last >= s.since_seq"
    return _entries(reading, reading.connection.execute(query, (reading.user, room_pk)).fetchall())


def _entries(reading: ListRead, rows: Sequence[tuple[Any, ...]]) -> list[ContactEntry]:
    if not rows:
        return []
    user = reading.user
    others = [peer(row[0], user) for row in rows]
    known, sides = names.users(reading.connection, others), people.sides(reading.connection, user, others)
    unnamed = names.hidden(reading.connection, user, people.blockers(user, others, sides))
    visible = people.acquainted(reading.connection, user, others, sides) | {user}
    told = reading.told_of_privates([(row[1], other, row[-2]) for row, other in zip(rows, others, strict=True)], sides)
    entries = []
    for (room, room_pk, head, read, _, _, unread, mentioned, _, *last, _, _, _), other, positions in zip(
        rows, others, told, strict=True
    ):
        name, seen = known.get(other, (other, None))
        entries.append(
            ContactEntry(
                user=other,
                name=other if other in unnamed else name,
                online=other in visible,
                last_seen=seen if other in visible else None,
                room=room,
                epoch=reading.epoch,
                head=head,
                read=read,
                unread=unread,
                mentions=reading.counts.of_room(room_pk, read) if mentioned else 0,
                last=last_of(*last),
                **positions,
            )
        )
    return entries


# ------------------------------------------------------------------------------------------------ the list


def contacts(
    reading: ListRead,
    declined_after: int,
    limit: int,
    cursor: str | None,
    only: RelationState | None,
    rooms: bool,
) -> tuple[list[ContactState], str | None]:
    """A page of the users to whom the user's state is contact, blocked or declined (or `only` blocked), by id; with
    `rooms` also of those with whom there is a private room and no more."""
    try:
        found = _found(reading, declined_after, limit, cursor, only, rooms, looks=True)
        with_rooms = [entry for entry in found[:limit] if entry.state in ("contact", "none")]
        sides = people.sides(reading.connection, reading.user, [entry.user for entry in with_rooms])
        for entry in with_rooms:
            _tell_room(reading, entry, sides)
        entries = found[:limit]
        named = names.shown(reading.connection, Viewer(reading.user), [entry.user for entry in entries])
        for entry in entries:
            entry.name = named[entry.user]
    except FAULTS as error:
        reading.separate_rooms.bear(error)
        found = _found(reading, declined_after, limit, cursor, only, rooms, looks=False)
        entries = []
        for entry in found[:limit]:
            room = dm(reading.user, entry.user)
            entries += reading.separate_rooms.read(room, partial(_told_of, reading, entry)) or ()
    return entries, found[limit - 1].user if len(found) > limit else None


def _found(
    reading: ListRead,
    declined_after: int,
    limit: int,
    cursor: str | None,
    only: RelationState | None,
    rooms: bool,
    *,
    looks: bool,
) -> list[ContactState]:
    """The users of a page and one more, without their names and rooms; rooms without a message are among them where
    this does not look."""
    connection, user = reading.connection, reading.user
    found = people.held(connection, user, declined_after, limit + 1, cursor, only)
    if rooms:
        known = {entry.user for entry in found}
        found += [
            ContactState(user=other, name=other, state="none")
            for other in _in_private(connection, user, limit + 1, cursor, looks=looks)
            if other not in known
        ]
        found.sort(key=lambda entry: entry.user)
    return found


def _told_of(reading: ListRead, entry: ContactState) -> list[ContactState]:
    """The entry with its name and its room; nothing where there is no more than a room without a message."""
    entry.name = names.shown(reading.connection, Viewer(reading.user), [entry.user])[entry.user]
    if entry.state == "none" and not _shows_a_message(reading.connection, reading.user, entry.user):
        return []
    if entry.state in ("contact", "none"):
        _tell_room(reading, entry, people.sides(reading.connection, reading.user, [entry.user]))
    return [entry]


def _shows_a_message(connection: sqlite3.Connection, user: str, other: str) -> bool:
    """Whether the user sees any message of their private room."""
    found = connection.execute(
        """SELECT 1 FROM seat s JOIN room r ON r.num = s.num
           WHERE s.user = ? AND s.name = ? AND r.last >= s.since_seq""",
        (user, other),
    )
    return found.fetchone() is not None


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


def _tell_room(reading: ListRead, entry: ContactState, sides: people.Sides) -> None:
    connection, user = reading.connection, reading.user
    entry.room, entry.epoch, entry.head, entry.read, entry.unread = dm(user, entry.user), reading.epoch, 0, 0, 0
    row = connection.execute("SELECT num FROM room WHERE id = ?", (entry.room,)).fetchone()
    for _, room_pk, head, read, _, _, unread, mentioned, _, *last, _, low, _ in (
        connection.execute(ENTRY_OF, (user, *row)) if row else ()
    ):
        entry.head, entry.read, entry.unread, entry.last = head, read, unread, last_of(*last)
        entry.mentions = reading.counts.of_room(room_pk, read) if mentioned else 0
        (told,) = reading.told_of_privates([(room_pk, entry.user, low)], sides)
        if told:
            entry.reads, entry.got = dict(told["reads"]), dict(told["got"])
