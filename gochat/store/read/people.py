"""Lists of people: contacts, requests that wait, who may see whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from gochat.domain.ids import dm, peer
from gochat.ports.archive import Viewer
from gochat.protocol.entries import ContactState, Last, RelationState, RequestEntry
from gochat.store.listing import IN_GROUP
from gochat.store.read.separate import FAULTS, SeparateRooms
from gochat.store.schema import SEQ_BITS

LAST_CHARS = 200

#: How users stand to each other, by who stands and to whom: contact, blocked_at, declined_ts, asked_at, asked_ts,
#: withheld_at. Two who never did anything to each other are not in it.
Sides: TypeAlias = Mapping[tuple[str, str], tuple[Any, ...]]
#: Two who are nothing to each other.
NO_SIDE: Final = (None,) * 6

# The latest message of a request: nobody but the user who asks has written since.
_REQUESTS = f"""
    SELECT p.peer, coalesce(nullif(u.name, ''), p.peer), r.id, r.head, l.id - (r.num << {SEQ_BITS}), l.ts, l.sender,
        coalesce(substr(l.body, 1, {LAST_CHARS}), ''), l.delete_ts
    FROM relation p JOIN room r ON r.num = p.num JOIN fact l ON l.id = (r.num << {SEQ_BITS}) + r.last
    LEFT JOIN user u ON u.id = p.peer
    WHERE p.user = ? AND p.asked_at IS NOT NULL AND p.blocked_at IS NULL """

_ASKERS = """
    SELECT p.peer FROM relation p WHERE p.user = ? AND p.asked_at IS NOT NULL AND p.blocked_at IS NULL
    ORDER BY p.asked_ts DESC, p.peer"""

# With this index the user's other relations need not be passed over.
_BY_PEER = _REQUESTS.replace("relation p", "relation p INDEXED BY relation_asked")


def requests(
    connection: sqlite3.Connection, user: str, limit: int, cursor: str | None
) -> tuple[list[RequestEntry], str | None]:
    """Requests to the user, by the id of the user who asks."""
    rows = connection.execute(
        f"{_BY_PEER} AND p.peer > ? ORDER BY p.peer LIMIT ?", (user, cursor or "", limit + 1)
    ).fetchall()
    entries = [_request(row) for row in rows[:limit]]
    return entries, entries[-1].user if len(rows) > limit else None


def latest_requests(
    connection: sqlite3.Connection, user: str, most: int, separate_rooms: SeparateRooms
) -> list[RequestEntry]:
    """The latest of them first, for the welcome."""
    try:
        rows = connection.execute(f"{_REQUESTS} ORDER BY p.asked_ts DESC, p.peer LIMIT ?", (user, most)).fetchall()
        return [_request(row) for row in rows]
    except FAULTS as error:
        separate_rooms.bear(error)
    entries: list[RequestEntry] = []
    for (other,) in connection.execute(_ASKERS, (user,)).fetchall():
        if len(entries) == most:
            break
        entries += separate_rooms.read(dm(user, other), partial(_request_of, connection, user, other)) or ()
    return entries


def _request_of(connection: sqlite3.Connection, user: str, other: str) -> list[RequestEntry]:
    return [_request(row) for row in connection.execute(f"{_REQUESTS} AND p.peer = ?", (user, other))]


def _request(row: tuple[Any, ...]) -> RequestEntry:
    other, name, room, head, seq, ts, sender, body, deleted = row
    last = Last(seq=seq, ts=ts, sender=sender, body=body, deleted=deleted)
    return RequestEntry(user=other, name=name, room=room, head=head, last=last)


def held(
    connection: sqlite3.Connection,
    user: str,
    declined_after: int,
    limit: int,
    cursor: str | None,
    only: RelationState | None,
    *,
    named: bool = True,
) -> list[ContactState]:
    """The users to whom the user's state is contact, blocked or declined (or `only` blocked), by id; by their ids alone
    where they are not `named`."""
    name, names = (
        ("coalesce(nullif(u.name, ''), p.peer)", "LEFT JOIN user u ON u.id = p.peer") if named else ("p.peer", "")
    )
    index, where, values = "relation_blocks", "p.blocked_at IS NOT NULL", []
    if only is None:
        index = "relation_held"
        where = "(contact OR blocked_at IS NOT NULL OR declined_ts IS NOT NULL)"  # The index of these, in its words.
        where += " AND (p.contact OR p.blocked_at IS NOT NULL OR p.declined_ts > ?)"
        values.append(declined_after)
    rows = connection.execute(
        f"""SELECT p.peer, {name},
                CASE WHEN p.blocked_at IS NOT NULL THEN 'blocked' WHEN p.contact THEN 'contact' ELSE 'declined' END
            FROM relation p INDEXED BY {index} {names}
            WHERE p.user = ? AND p.peer > ? AND {where} ORDER BY p.peer LIMIT ?""",
        (user, cursor or "", *values, limit),
    )
    return [ContactState(user=other, name=name, state=state) for other, name, state in rows]


def stranger(connection: sqlite3.Connection, user: str) -> ContactState:
    """Somebody with whom one has no more than a private room."""
    row = connection.execute("SELECT name FROM user WHERE id = ?", (user,)).fetchone()
    return ContactState(user=user, name=(row[0] if row else None) or user, state="none")


def users(connection: sqlite3.Connection, asked: Sequence[str]) -> dict[str, tuple[str, int | None]]:
    """Shown name and time last seen of those that ever signed in."""
    if not asked:
        return {}
    marks = ", ".join("?" * len(asked))
    rows = connection.execute(f"SELECT id, name, last_seen FROM user WHERE id IN ({marks})", list(asked))
    return {user: (name or user, seen) for user, name, seen in rows}


def names(connection: sqlite3.Connection, viewer: Viewer, asked: Sequence[str]) -> dict[str, str]:
    """Shown names of those that ever signed in, as far as the asker may know them; see ports.Archive."""
    found = {user: name for user, (name, _) in users(connection, asked).items()}
    if viewer.admin or not found:
        return found
    marks = ", ".join("?" * len(found))
    blockers = connection.execute(
        f"SELECT user FROM relation WHERE peer = ? AND user IN ({marks}) AND blocked_at IS NOT NULL",
        [viewer.user, *found],
    ).fetchall()
    for (blocker,) in blockers:
        if not _share_a_group(connection, viewer.user, blocker):
            del found[blocker]
    return found


def sides(connection: sqlite3.Connection, user: str, others: Sequence[str]) -> Sides:
    """How the user stands to each of the others, and each of them to the user."""
    marks = ", ".join("?" * len(others))
    columns = "user, peer, contact, blocked_at, declined_ts, asked_at, asked_ts, withheld_at"
    rows = connection.execute(
        f"""SELECT {columns} FROM relation WHERE user = ? AND peer IN ({marks})
            UNION ALL SELECT {columns} FROM relation WHERE peer = ? AND user IN ({marks})""",
        [user, *others, user, *others],
    )
    return {row[:2]: row[2:] for row in rows}


def acquainted(
    connection: sqlite3.Connection, user: str, others: Sequence[str], known: Sides | None = None
) -> set[str]:
    """Those of `others` whose presence the user may see; see ports.Archive. `known`: their sides, where the caller has
    them."""
    if not others:
        return set()
    known = sides(connection, user, others) if known is None else known
    seen: set[str] = set()
    by_room: list[str] = []
    by_group: list[str] = []
    # The relation of the two decides nearly always, and costs least.
    for other in others:
        mine, theirs = known.get((user, other), NO_SIDE), known.get((other, user), NO_SIDE)
        if mine[1] is not None or theirs[1] is not None:
            continue  # One has blocked the other.
        if theirs[0]:
            seen.add(other)
            continue
        by_group.append(other)
        are_strangers = mine is NO_SIDE and theirs is NO_SIDE
        if theirs[5] is None and (are_strangers or mine[0]):
            by_room.append(other)
    if by_room:
        seen |= _private(connection, user, by_room)
    return seen | {other for other in by_group if other not in seen and _share_a_group(connection, user, other)}


def onlookers(connection: sqlite3.Connection, user: str, others: Sequence[str]) -> set[str]:
    """Those of `others` who may see the user's presence."""
    return {other for other in others if acquainted(connection, other, [user])}


def _private(connection: sqlite3.Connection, user: str, others: Sequence[str]) -> set[str]:
    """Those of `others` with whom the user has a private room in which both see a message: an id that was released
    begins anew."""
    rooms = {dm(user, other): other for other in others}
    marks = ", ".join("?" * len(rooms))
    found = connection.execute(f"SELECT id, num, last FROM room WHERE id IN ({marks}) AND last > 0", list(rooms))
    return {
        rooms[room]
        for room, room_pk, last in found.fetchall()
        if not connection.execute(
            "SELECT 1 FROM seat WHERE num = ? AND user IN (?, ?) AND since_seq > ?", (room_pk, user, rooms[room], last)
        ).fetchone()
    }


def _share_a_group(connection: sqlite3.Connection, user: str, other: str) -> bool:
    """Looks at the groups of the user who is in fewer; private rooms are not looked at."""
    few, many = _fewer_groups_first(connection, user, other)
    row = connection.execute(
        f"""SELECT 1 FROM seat a CROSS JOIN seat b ON b.user = ? AND b.num = a.num AND b.{IN_GROUP}
            WHERE a.user = ? AND a.name >= 'group:' AND a.name < 'group;' LIMIT 1""",
        (many, few),
    ).fetchone()
    return row is not None


def _fewer_groups_first(connection: sqlite3.Connection, one: str, other: str) -> tuple[str, str]:
    """Counts no further than the fewer of the two reach, or little."""
    most = 16
    while True:
        for each, rest in ((one, other), (other, one)):
            (count,) = connection.execute(
                """SELECT count(*) FROM (SELECT 1 FROM seat WHERE user = ? AND name >= 'group:' AND name < 'group;'
                   LIMIT ?)""",
                (each, most),
            ).fetchone()
            if count < most:
                return each, rest
        most *= 4


def waits(connection: sqlite3.Connection, user: str, room: str) -> bool:
    """Whether nothing of the private room is told to the user now: a request waits, or was declined."""
    return withheld_at(connection, user, room) is not None


def withheld_at(connection: sqlite3.Connection, user: str, room: str) -> int | None:
    """The seq above which that is so."""
    row = connection.execute(
        "SELECT withheld_at FROM relation WHERE user = ? AND peer = ?", (user, peer(room, user))
    ).fetchone()
    return row[0] if row is not None else None
