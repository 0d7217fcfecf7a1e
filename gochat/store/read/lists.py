"""Lists: the welcome, groups, members, users."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from gochat.domain.facts import AnyFact, Edit, Message
from gochat.domain.ids import dm, dm_users, is_dm, peer
from gochat.errors import Damaged
from gochat.ports import Group, Snapshot, Viewer
from gochat.protocol.replies import (
    ContactEntry,
    GroupEntry,
    Last,
    MemberEntry,
    RoomEntry,
)
from gochat.store import mentions
from gochat.store.health import is_damage
from gochat.store.listing import BLOCK_BITS, IN_GROUP
from gochat.store.mentions import MentionCounts
from gochat.store.read import pages, people
from gochat.store.read.receipts import Receipts
from gochat.store.read.separate import FAULTS, SeparateRooms
from gochat.store.read.sight import LOW, View, view
from gochat.store.schema import LAST_COMMIT, SEQ_BITS

#: Facts that a welcome brings along of all rooms that a client resumes, and the characters in them. More facts
#: that are missing are read piece by piece, as there is space for them.
MISSED, MISSED_CHARS = 200, 100_000

#: Bytes of a frame's 1 MiB that the groups of a welcome may take, in JSON, the longer of the encodings.
WELCOME_BYTES = 900_000

_encode = msgspec.json.Encoder().encode

# One row of a list of rooms. Senders have read their own messages, so none of these is above `read`: the number of
# unread messages is a difference of two counts, less the messages deleted between. The deleted ones are counted one by
# one in the block of `read` alone; for the blocks above it there are sums.
_ENTRY = f"""
    SELECT r.id, r.num, r.head, s.read, r.title, s.role,
        r.messages - coalesce((SELECT n FROM fact WHERE id = (r.num << {SEQ_BITS}) + s.read), 0)
          - (SELECT count(*) FROM fact d WHERE d.delete_seq IS NOT NULL AND d.id > (r.num << {SEQ_BITS}) + s.read
             AND d.id < (r.num << {SEQ_BITS}) + (((s.read >> {BLOCK_BITS}) + 1) << {BLOCK_BITS}))
          - (SELECT coalesce(sum(deleted), 0) FROM skipped k
             WHERE k.num = r.num AND k.block > (s.read >> {BLOCK_BITS})),
        {mentions.ANY},
        s.since_seq, l.id - (r.num << {SEQ_BITS}), l.ts, l.sender, substr(l.body, 1, {people.LAST_CHARS}), l.delete_ts,
        r.members, {LOW}
    FROM seat s JOIN room r ON r.num = s.num
    LEFT JOIN fact l ON l.id = (r.num << {SEQ_BITS}) + r.last AND r.last > 0
        AND r.last > {LOW}
    WHERE s.user = ? """
# A group's name among those of a user's seats: no user id has a colon.
_GROUPS = "s.name > ? AND s.name >= 'group:' AND s.name < 'group;'"
_IN_GROUPS = f"{_ENTRY} AND {_GROUPS}"
# The latest of a user's private rooms: among the first by `latest`, and those where that may be behind.
_CONTACTS = f"""{_ENTRY} AND s.num IN (
        SELECT s.num FROM (
            SELECT num FROM (SELECT num FROM seat WHERE user = ?1 AND latest IS NOT NULL
                ORDER BY latest DESC, num DESC LIMIT ?2)
            UNION SELECT num FROM stale WHERE user = ?1) AS c
        CROSS JOIN seat s ON s.user = ?1 AND s.num = c.num AND s.latest IS NOT NULL
        CROSS JOIN room r ON r.num = s.num AND r.last >= s.since_seq
        CROSS JOIN fact f ON f.id = (r.num << {SEQ_BITS}) + r.last
        ORDER BY f.ts DESC, s.num DESC LIMIT ?2)
    ORDER BY l.ts DESC, s.num DESC"""
# The user's groups that somebody owns: from what the owner has, or from what the user has, whichever is less.
_OWNED = """SELECT o.num FROM seat o INDEXED BY seat_owner CROSS JOIN seat s ON s.user = ?1 AND s.num = o.num
    AND s.name IS NOT NULL WHERE o.user = ?2 AND o.role = 'owner' AND o.name > ?3 ORDER BY o.name LIMIT ?4"""
_OWNED_AMONG = f"""SELECT s.num FROM seat s CROSS JOIN seat o ON o.user = ?2 AND o.num = s.num AND o.role = 'owner'
    WHERE s.user = ?1 AND {_GROUPS.replace("?", "?3")} ORDER BY s.name LIMIT ?4"""
CONTACT = _ENTRY + "AND s.num = ?"
_GROUP_HEADS = "SELECT s.name, r.head, s.since_seq FROM seat s JOIN room r ON r.num = s.num WHERE s.user = ?"
# Seats alone, for when what belongs to them is damaged.
_GROUP_SEATS = f"SELECT s.num, s.name, s.since_seq FROM seat s WHERE s.user = ? AND {_GROUPS} ORDER BY s.name"
_CONTACT_SEATS = """
    SELECT s.num, s.name, t.num IS NOT NULL FROM seat s LEFT JOIN stale t ON t.user = s.user AND t.num = s.num
    WHERE s.user = ? AND s.latest IS NOT NULL ORDER BY t.num IS NULL, s.latest DESC, s.num DESC"""


def welcome(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    contacts: int,
    rooms: Sequence[str],
    held: Mapping[str, int],
    separate_rooms: SeparateRooms,
    receipts: Receipts | None = None,
) -> Snapshot:
    """`receipts` tells how far the others of the rooms have read; without it nothing is told of that."""
    counts = MentionCounts(connection, user)
    (commit,) = connection.execute(LAST_COMMIT).fetchone()
    heads, former, hidden = _positions(connection, user, rooms, separate_rooms)
    # The private rooms first: of groups there may be more than can tell it.
    private = _contacts(connection, epoch, user, contacts, separate_rooms, counts, receipts) if contacts else []
    entries, others, since = (
        _groups(connection, epoch, user, separate_rooms, counts, receipts) if contacts else ([], {}, {})
    )
    return Snapshot(
        commit=commit,
        contacts=private,
        rooms=entries,
        others=others,
        since=since,
        requests=people.latest_requests(connection, user, contacts, separate_rooms) if contacts else [],
        unreadable=separate_rooms.rooms,
        former=former,
        heads=heads,
        hidden=hidden,
        missed=_missed(connection, user, heads, hidden, held) if held else {},
    )


def last_of(seq: int | None, ts: int, sender: str, body: str | None, deleted: int | None) -> Last | None:
    return Last(seq=seq, ts=ts, sender=sender, body=body or "", deleted=deleted) if seq is not None else None


def _group_rows(
    connection: sqlite3.Connection, user: str, separate_rooms: SeparateRooms, begun: dict[str, int]
) -> Iterator[tuple[Any, ...]]:
    """By name. Of groups that are left out `begun` gets told where the user came in: they are heard all the same."""
    after = ""
    try:
        for row in connection.execute(f"{_IN_GROUPS} ORDER BY s.name", (user, after)):
            yield row
            after = row[0]
        return
    except FAULTS as error:
        separate_rooms.bear(error)
    for room_pk, room, since in connection.execute(_GROUP_SEATS, (user, after)).fetchall():
        rows = _one(connection, separate_rooms, room, CONTACT, user, room_pk)
        if rows is None:
            begun[room] = since
        yield from rows or ()


def _groups(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    separate_rooms: SeparateRooms,
    counts: MentionCounts,
    receipts: Receipts | None,
) -> tuple[list[RoomEntry], dict[str, int], dict[str, int]]:
    """The groups by name, as many as fit a welcome; the heads of the others; and where the user came in, of those where
    that was not the beginning."""
    entries: list[RoomEntry] = []
    others: dict[str, int] = {}
    begun: dict[str, int] = {}
    size = 0
    for room, room_pk, head, read, title, role, unread, mentioned, since, *last, members, low in _group_rows(
        connection, user, separate_rooms, begun
    ):
        entry = RoomEntry(
            room=room,
            title=title,
            role=role,
            epoch=epoch,
            head=head,
            read=read,
            unread=unread,
            mentions=_mentions(counts, separate_rooms, room_pk, read) if mentioned else 0,
            last=last_of(*last),
            **_told_of_group(receipts, separate_rooms, room_pk, members, low),
        )
        size += len(_encode(entry)) + 1
        if size > WELCOME_BYTES:
            break
        entries.append(entry)
        if since > 1:
            begun[room] = since
    else:
        return entries, others, begun
    for room, head, since in _other_groups(connection, user, entries[-1].room, separate_rooms):
        if head is not None:
            others[room] = head
        if since > 1:
            begun[room] = since
    return entries, others, begun


def _mentions(counts: MentionCounts, separate_rooms: SeparateRooms | None, room_pk: int, read: int) -> int:
    """How many unread messages mention the user; one where they can't be read, for there is one."""
    try:
        return counts.of_room(room_pk, read)
    except FAULTS as error:
        if separate_rooms is None:
            raise
        separate_rooms.bear(error)
        return 1


def _told_of_group(
    receipts: Receipts | None, separate_rooms: SeparateRooms | None, room_pk: int, members: int, low: int
) -> dict[str, Any]:
    """The fields that tell how far the others are; nothing where that can't be read."""
    try:
        return {} if receipts is None else receipts.of_group(room_pk, members, low)._asdict()
    except FAULTS as error:
        if separate_rooms is None:
            raise
        separate_rooms.bear(error)
        return {}


def _other_groups(
    connection: sqlite3.Connection, user: str, after: str, separate_rooms: SeparateRooms
) -> list[tuple[str, int | None, int]]:
    """Name, head and where the user came in; without the head those that are left out."""
    try:
        return connection.execute(f"{_GROUP_HEADS} AND {_GROUPS}", (user, after)).fetchall()
    except FAULTS as error:
        separate_rooms.bear(error)
    found: list[tuple[str, int | None, int]] = []
    for room_pk, room, since in connection.execute(_GROUP_SEATS, (user, after)).fetchall():
        rows = _one(connection, separate_rooms, room, f"{_GROUP_HEADS} AND s.num = ?", user, room_pk)
        found += [(room, None, since)] if rows is None else rows
    return found


def _one(
    connection: sqlite3.Connection, separate_rooms: SeparateRooms, room: str, query: str, user: str, room_pk: int
) -> list[Any] | None:
    """The rows that a query gives of one of the user's rooms; None where the room is damaged."""
    return separate_rooms.read(room, lambda: connection.execute(query, (user, room_pk)).fetchall())


def _contacts(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    most: int,
    separate_rooms: SeparateRooms,
    counts: MentionCounts,
    receipts: Receipts | None,
) -> list[ContactEntry]:
    try:
        rows = connection.execute(_CONTACTS, (user, most)).fetchall()
        return _contact_entries(connection, epoch, user, rows, counts, receipts)
    except FAULTS as error:
        separate_rooms.bear(error)
    return contacts_apart(connection, epoch, user, most, separate_rooms, counts, receipts)


def contacts_apart(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    most: int,
    separate_rooms: SeparateRooms,
    counts: MentionCounts,
    receipts: Receipts | None = None,
) -> list[ContactEntry]:
    """The same room by room, for when one is damaged."""
    entries: list[ContactEntry] = []
    behind = 0
    for room_pk, other, is_stale in connection.execute(_CONTACT_SEATS, (user,)).fetchall():
        if not is_stale and len(entries) >= most + behind:
            break
        read_one = partial(_one_contact, connection, epoch, user, room_pk, counts, receipts)
        found = separate_rooms.read(dm(user, other), read_one) or []
        entries += found
        behind += is_stale and len(found)
    entries.sort(key=lambda entry: entry.last.ts if entry.last else 0, reverse=True)
    return entries[:most]


def _one_contact(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    room_pk: int,
    counts: MentionCounts,
    receipts: Receipts | None,
) -> list[ContactEntry]:
    rows = connection.execute(f"{CONTACT} AND r.last >= s.since_seq", (user, room_pk)).fetchall()
    return _contact_entries(connection, epoch, user, rows, counts, receipts)


def _contact_entries(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    rows: Sequence[tuple[Any, ...]],
    counts: MentionCounts,
    receipts: Receipts | None,
) -> list[ContactEntry]:
    others = [peer(row[0], user) for row in rows]
    known = users(connection, others)
    visible = people.acquainted(connection, user, others) | {user}
    entries = []
    for room, room_pk, head, read, _, _, unread, mentioned, _, *last, _, low in rows:
        other = peer(room, user)
        name, seen = known.get(other, (other, None))
        entries.append(
            ContactEntry(
                user=other,
                name=name,
                online=other in visible,
                last_seen=seen if other in visible else None,
                room=room,
                epoch=epoch,
                head=head,
                read=read,
                unread=unread,
                mentions=counts.of_room(room_pk, read) if mentioned else 0,
                last=last_of(*last),
                **({} if receipts is None else receipts.of_private(room_pk, room, low)._asdict()),
            )
        )
    return entries


def _positions(
    connection: sqlite3.Connection, user: str, rooms: Sequence[str], separate_rooms: SeparateRooms
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Of these rooms: heads of those the user is in, where the user's time in the others ended, and up to which seq
    they are hidden."""
    heads: dict[str, int] = {}
    former: dict[str, int] = {}
    hidden: dict[str, int] = {}
    for room in rooms:
        if is_dm(room) and (room.count(":") != 2 or user not in dm_users(room)):
            continue
        try:
            seen = _heard(connection, user, room)
        except FAULTS as error:
            separate_rooms.bear(error)
            # Whoever is not in a room does not learn that it is damaged, nor that it is there.
            if is_dm(room) or _is_in(connection, user, room):
                separate_rooms.leave_out(room, error)
            continue
        if seen is None:
            continue
        if seen.former:
            former[room] = seen.head
        else:
            heads[room] = seen.head
        if seen.low:
            hidden[room] = seen.low
    return heads, former, hidden


def _heard(connection: sqlite3.Connection, user: str, room: str) -> View | None:
    """A private room that waits for an answer is not heard yet."""
    if is_dm(room) and people.waits(connection, user, room):
        return None
    return view(connection, Viewer(user), room, closed=True)


def _is_in(connection: sqlite3.Connection, user: str, group: str) -> bool:
    found = connection.execute("SELECT 1 FROM seat WHERE user = ? AND name = ?", (user, group))
    return found.fetchone() is not None


def _missed(
    connection: sqlite3.Connection,
    user: str,
    heads: Mapping[str, int],
    hidden: Mapping[str, int],
    held: Mapping[str, int],
) -> dict[str, list[AnyFact]]:
    """The facts between what is held and the head, room by room while they are few."""
    found: dict[str, list[AnyFact]] = {}
    facts, chars = MISSED, MISSED_CHARS
    for room, seq in held.items():
        head, low = heads.get(room, 0), max(seq, hidden.get(room, 0))
        if not 0 < head - low <= facts or chars <= 0:
            continue
        try:
            found[room] = pages.replay(connection, room, low, head, facts, Viewer(user), chars=chars)
        except (sqlite3.Error, Damaged) as error:
            if not is_damage(error):
                raise
            continue  # A damaged room keeps nobody out: its replay, piece by piece, meets the same and says so.
        facts -= len(found[room])
        chars -= sum(len(fact.body or "") for fact in found[room] if isinstance(fact, Message | Edit))
    return found


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


def groups(
    connection: sqlite3.Connection,
    epoch: str,
    user: str,
    owner: str | None,
    limit: int,
    cursor: str | None,
    separate_rooms: SeparateRooms | None = None,
    receipts: Receipts | None = None,
) -> tuple[list[GroupEntry], str | None]:
    """`separate_rooms` takes the groups that are left out of the page; without it an unreadable group raises.
    `receipts`: as in `welcome`."""
    after, most, counts = cursor or "", limit + 1, MentionCounts(connection, user)
    owned = _OWNED if owner == user or (owner and _owns_fewer(connection, owner, user)) else _OWNED_AMONG
    try:
        if owner is None:
            rows = connection.execute(f"{_IN_GROUPS} ORDER BY s.name LIMIT ?", (user, after, most)).fetchall()
        else:
            entry = _ENTRY.replace("?", "?1")
            rows = connection.execute(
                f"{entry} AND s.num IN ({owned}) ORDER BY s.name", (user, owner, after, most)
            ).fetchall()
    except FAULTS as error:
        if separate_rooms is None:
            raise
        separate_rooms.bear(error)
    else:
        return _group_entries(epoch, rows[:limit], separate_rooms, counts, receipts), rows[limit - 1][0] if len(
            rows
        ) > limit else None
    if owner is None:
        memberships = connection.execute(f"{_GROUP_SEATS} LIMIT ?", (user, after, most)).fetchall()
    else:
        among = f"SELECT num, name FROM seat WHERE user = ?1 AND num IN ({owned}) ORDER BY name"
        memberships = connection.execute(among, (user, owner, after, most)).fetchall()
    rows = [
        row
        for room_pk, room, *_ in memberships[:limit]
        for row in _one(connection, separate_rooms, room, CONTACT, user, room_pk) or ()
    ]
    return _group_entries(epoch, rows, separate_rooms, counts, receipts), memberships[limit - 1][1] if len(
        memberships
    ) > limit else None


def _group_entries(
    epoch: str,
    rows: Sequence[tuple[Any, ...]],
    separate_rooms: SeparateRooms | None,
    counts: MentionCounts,
    receipts: Receipts | None,
) -> list[GroupEntry]:
    return [
        GroupEntry(
            room=room,
            title=title,
            role=role,
            members=size,
            epoch=epoch,
            head=head,
            read=read,
            unread=unread,
            mentions=_mentions(counts, separate_rooms, room_pk, read) if mentioned else 0,
            last=last_of(*last),
            **_told_of_group(receipts, separate_rooms, room_pk, size, low),
        )
        for room, room_pk, head, read, title, role, unread, mentioned, _, *last, size, low in rows
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
                f"SELECT count(*) FROM (SELECT 1 FROM seat INDEXED BY {index} WHERE user = ? AND {where} LIMIT ?)",
                (each, most),
            ).fetchone()
            if count < most:
                return each == owner
        most *= 4


def members(
    connection: sqlite3.Connection, viewer: Viewer, room: str, limit: int, cursor: str | None
) -> tuple[list[MemberEntry], str | None] | None:
    seen = view(connection, viewer, room)
    if seen is None or seen.former:
        return None
    if is_dm(room):
        both = sorted(set(dm_users(room)))
        known = users(connection, both)
        return [MemberEntry(user=u, name=known.get(u, (u, None))[0], role="member", since=0) for u in both], None
    rows = connection.execute(
        f"""SELECT s.user, coalesce(nullif(u.name, ''), s.user), s.role, s.since_ts
           FROM seat s LEFT JOIN user u ON u.id = s.user
           WHERE s.num = ? AND s.{IN_GROUP} AND s.user > ? ORDER BY s.user LIMIT ?""",
        (seen.room_pk, cursor or "", limit + 1),
    ).fetchall()
    entries = [MemberEntry(user=user, name=name, role=role, since=ts) for user, name, role, ts in rows[:limit]]
    return entries, entries[-1].user if len(rows) > limit else None


def users(connection: sqlite3.Connection, asked: Sequence[str]) -> dict[str, tuple[str, int | None]]:
    """Shown name and time last seen of those that ever signed in."""
    if not asked:
        return {}
    marks = ", ".join("?" * len(asked))
    rows = connection.execute(f"SELECT id, name, last_seen FROM user WHERE id IN ({marks})", list(asked))
    return {user: (name or user, seen) for user, name, seen in rows}
