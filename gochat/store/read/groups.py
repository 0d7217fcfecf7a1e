"""Groups: a user's list of them, one of them, and its members."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from gochat.domain.ids import dm_users, is_dm
from gochat.ports.archive import Group, Viewer
from gochat.protocol.entries import GroupEntry, MemberEntry, RoomEntry
from gochat.store.listing import IN_GROUP
from gochat.store.read.entries import ENTRY, ENTRY_OF, ListRead, last_of
from gochat.store.read.names import shown
from gochat.store.read.separate import FAULTS
from gochat.store.read.sight import view

#: Bytes of a frame's 1 MiB that the groups of a welcome may take, in JSON, the longer of the encodings.
WELCOME_BYTES = 900_000
#: No entry of them is longer, without the positions of others; nor are these, of all entries together. So the size of
#: few groups need not be known.
ENTRY_BYTES, POSITIONS_BYTES = 4_000, 300_000

_encode = msgspec.json.Encoder().encode

# A group's name among those of a user's seats: no user id has a colon.
_GROUPS: Final = "s.name > ? AND s.name >= 'group:' AND s.name < 'group;'"
_IN_GROUPS: Final = f"{ENTRY} AND {_GROUPS}"
# The user's groups that somebody owns: from what the owner has, or from what the user has, whichever is less.
_OWNED: Final = """SELECT o.num FROM main.seat o INDEXED BY seat_owner
    CROSS JOIN main.seat s ON s.user = ?1 AND s.num = o.num AND s.name IS NOT NULL
    WHERE o.user = ?2 AND o.role = 'owner' AND o.name > ?3 ORDER BY o.name LIMIT ?4"""
_OWNED_AMONG: Final = f"""SELECT s.num FROM main.seat s CROSS JOIN main.seat o ON o.user = ?2 AND o.num = s.num
    AND o.role = 'owner' WHERE s.user = ?1 AND {_GROUPS.replace("?", "?3")} ORDER BY s.name LIMIT ?4"""
_GROUP_HEADS: Final = "SELECT s.name, r.head, s.since_seq FROM seat s JOIN room r ON r.num = s.num WHERE s.user = ?"
# Seats alone, for when what belongs to them is damaged.
_GROUP_SEATS: Final = f"SELECT s.num, s.name, s.since_seq FROM seat s WHERE s.user = ? AND {_GROUPS} ORDER BY s.name"


# ------------------------------------------------------------------------------------------------ of the welcome


def welcomed(reading: ListRead) -> tuple[list[RoomEntry], dict[str, int], dict[str, int]]:
    """The groups by name, as many as fit a welcome; the heads of the others; and where the user came in, of those where
    that was not the beginning."""
    entries: list[RoomEntry] = []
    others: dict[str, int] = {}
    begun: dict[str, int] = {}
    size: int | None = None
    for row in _rows(reading, begun):
        room, room_pk, head, read, title, role, unread, mentioned, since, *last, members, low, post = row
        entry = RoomEntry(
            room=room,
            title=title,
            role=role,
            post=None if post == "members" else post,
            epoch=reading.epoch,
            head=head,
            read=read,
            unread=unread,
            mentions=reading.mentions(room_pk, read) if mentioned else 0,
            last=last_of(*last),
            **reading.told_of_group(room_pk, members, low),
        )
        if size is None and (len(entries) + 1) * ENTRY_BYTES + POSITIONS_BYTES > WELCOME_BYTES:
            size = sum(len(_encode(each)) + 1 for each in entries)
        if size is not None:
            size += len(_encode(entry)) + 1
            if size > WELCOME_BYTES:
                break
        entries.append(entry)
        if since > 1:
            begun[room] = since
    else:
        return entries, others, begun
    for room, head, since in _others(reading, entries[-1].room):
        if head is not None:
            others[room] = head
        if since > 1:
            begun[room] = since
    return entries, others, begun


def _rows(reading: ListRead, begun: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    """By name. Of groups that are left out `begun` gets told where the user came in: they are heard all the same."""
    after = ""
    try:
        for row in reading.connection.execute(f"{_IN_GROUPS} ORDER BY s.name", (reading.user, after)):
            yield row
            after = row[0]
        return
    except FAULTS as error:
        reading.separate_rooms.bear(error)
    for room_pk, room, since in reading.connection.execute(_GROUP_SEATS, (reading.user, after)).fetchall():
        rows = reading.rows_of(room, ENTRY_OF, room_pk)
        if rows is None:
            begun[room] = since
        yield from rows or ()


def _others(reading: ListRead, after: str) -> list[tuple[str, int | None, int]]:
    """Name, head and where the user came in; without the head those that are left out."""
    try:
        return reading.connection.execute(f"{_GROUP_HEADS} AND {_GROUPS}", (reading.user, after)).fetchall()
    except FAULTS as error:
        reading.separate_rooms.bear(error)
    found: list[tuple[str, int | None, int]] = []
    for room_pk, room, since in reading.connection.execute(_GROUP_SEATS, (reading.user, after)).fetchall():
        rows = reading.rows_of(room, f"{_GROUP_HEADS} AND s.num = ?", room_pk)
        found += [(room, None, since)] if rows is None else rows
    return found


# ------------------------------------------------------------------------------------------------ the list


def groups(reading: ListRead, owner: str | None, limit: int, cursor: str | None) -> tuple[list[GroupEntry], str | None]:
    """A page of the user's groups, by id: of all, or of those that `owner` owns."""
    connection, user = reading.connection, reading.user
    after, most = cursor or "", limit + 1
    owned = _OWNED if owner == user or (owner and _owns_fewer(connection, owner, user)) else _OWNED_AMONG
    try:
        if owner is None:
            rows = connection.execute(f"{_IN_GROUPS} ORDER BY s.name LIMIT ?", (user, after, most)).fetchall()
        else:
            entry = ENTRY.replace("?", "?1")
            rows = connection.execute(
                f"{entry} AND s.num IN ({owned}) ORDER BY s.name", (user, owner, after, most)
            ).fetchall()
    except FAULTS as error:
        reading.separate_rooms.bear(error)
    else:
        return _entries(reading, rows[:limit]), rows[limit - 1][0] if len(rows) > limit else None
    if owner is None:
        memberships = connection.execute(f"{_GROUP_SEATS} LIMIT ?", (user, after, most)).fetchall()
    else:
        among = f"SELECT num, name FROM seat WHERE user = ?1 AND num IN ({owned}) ORDER BY name"
        memberships = connection.execute(among, (user, owner, after, most)).fetchall()
    rows = [row for room_pk, room, *_ in memberships[:limit] for row in reading.rows_of(room, ENTRY_OF, room_pk) or ()]
    return _entries(reading, rows), memberships[limit - 1][1] if len(memberships) > limit else None


def _entries(reading: ListRead, rows: Sequence[tuple[Any, ...]]) -> list[GroupEntry]:
    return [
        GroupEntry(
            room=room,
            title=title,
            role=role,
            members=size,
            post=None if post == "members" else post,
            epoch=reading.epoch,
            head=head,
            read=read,
            unread=unread,
            mentions=reading.mentions(room_pk, read) if mentioned else 0,
            last=last_of(*last),
            **reading.told_of_group(room_pk, size, low),
        )
        for room, room_pk, head, read, title, role, unread, mentioned, _, *last, size, low, post in rows
    ]


def _owns_fewer(connection: sqlite3.Connection, owner: str, user: str) -> bool:
    """Whether the one owns fewer groups than the other is in. Counts no further than the fewer reach, or little."""
    most = 16
    while True:
        for each, index, where in (
            (owner, "seat_owner", "role = 'owner'"),
            (user, "seat_name", "name >= 'group:' AND name < 'group;'"),
        ):
            (count,) = connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM main.seat INDEXED BY {index} WHERE user = ? AND {where} LIMIT ?)",
                (each, most),
            ).fetchone()
            if count < most:
                return each == owner
        most *= 4


# ------------------------------------------------------------------------------------------------ one room


def membership(connection: sqlite3.Connection, user: str, room: str) -> str | None:
    if is_dm(room):
        return "member" if user in dm_users(room) else None
    row = connection.execute(
        "SELECT s.role, r.closed FROM room r JOIN seat s ON s.num = r.num AND s.user = ? WHERE r.id = ?", (user, room)
    ).fetchone()
    return None if row is None or row[1] else row[0]


def group(connection: sqlite3.Connection, viewer: Viewer, room: str) -> Group | None:
    row = connection.execute(
        f"""SELECT r.title, s.role, r.members, r.history, r.post, r.closed OR r.head = 0
            FROM room r LEFT JOIN seat s ON s.num = r.num AND s.user = ? AND s.{IN_GROUP} WHERE r.id = ?""",
        (viewer.user, room),
    ).fetchone()
    if row is None or row[5] or (row[1] is None and not viewer.admin):
        return None
    title, role, count, history, post, _ = row
    return Group(title=title, role=role, members=count, history=history, post=post)


def members(
    connection: sqlite3.Connection, viewer: Viewer, room: str, limit: int, cursor: str | None
) -> tuple[list[MemberEntry], str | None] | None:
    seen = view(connection, viewer, room)
    if seen is None or seen.former:
        return None
    if is_dm(room):
        both = sorted(set(dm_users(room)))
        named = shown(connection, viewer, both)
        return [MemberEntry(user=user, name=named[user], role="member", since=0) for user in both], None
    rows = connection.execute(
        f"""SELECT s.user, coalesce(nullif(u.name, ''), s.user), s.role, s.since_ts
           FROM seat s LEFT JOIN user u ON u.id = s.user
           WHERE s.num = ? AND s.{IN_GROUP} AND s.user > ? ORDER BY s.user LIMIT ?""",
        (seen.room_pk, cursor or "", limit + 1),
    ).fetchall()
    entries = [MemberEntry(user=user, name=name, role=role, since=ts) for user, name, role, ts in rows[:limit]]
    return entries, entries[-1].user if len(rows) > limit else None
