"""Lists of people: contacts, requests that wait, who may see whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from gochat.domain.ids import dm, peer
from gochat.ports.archive import Viewer
from gochat.protocol.entries import ContactState, Last, RelationState, RequestEntry
from gochat.store.read.names import share_a_group, shown
from gochat.store.read.overlay import column_of
from gochat.store.read.separate import FAULTS, SeparateRooms
from gochat.store.schema import SEQ_BITS

LAST_CHARS = 200

#: How users stand to each other, by who stands and to whom: contact, blocked_at, declined_ts, asked_at, asked_ts,
#: withheld_at. Two who never did anything to each other are not in it.
Sides: TypeAlias = Mapping[tuple[str, str], tuple[Any, ...]]
#: Two who are nothing to each other.
NO_SIDE: Final = (None,) * 6

# The latest message of a request: nobody but the user who asks has written since.
_LAST = f"(r.num << {SEQ_BITS}) + r.last"
_LAST_ID = column_of("id", "l", _LAST)
_REQUESTS = f"""
    SELECT p.peer, r.id, r.head, {_LAST_ID} - (r.num << {SEQ_BITS}), {column_of("ts", "l", _LAST)},
        {column_of("sender", "l", _LAST)}, coalesce(substr({column_of("body", "l", _LAST)}, 1, {LAST_CHARS}), ''),
        l.delete_ts
    FROM relation p JOIN room r ON r.num = p.num LEFT JOIN main.fact l ON l.id = {_LAST}
    WHERE p.user = ? AND p.asked_at IS NOT NULL AND p.blocked_at IS NULL AND {_LAST_ID} IS NOT NULL """

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
    entries = _entries(connection, user, rows[:limit])
    return entries, entries[-1].user if len(rows) > limit else None


def latest_requests(
    connection: sqlite3.Connection, user: str, most: int, separate_rooms: SeparateRooms
) -> list[RequestEntry]:
    """The latest of them first, for the welcome."""
    try:
        rows = connection.execute(f"{_REQUESTS} ORDER BY p.asked_ts DESC, p.peer LIMIT ?", (user, most)).fetchall()
        return _entries(connection, user, rows)
    except FAULTS as error:
        separate_rooms.bear(error)
    entries: list[RequestEntry] = []
    for (other,) in connection.execute(_ASKERS, (user,)).fetchall():
        if len(entries) == most:
            break
        entries += separate_rooms.read(dm(user, other), partial(_request_of, connection, user, other)) or ()
    return entries


def _request_of(connection: sqlite3.Connection, user: str, other: str) -> list[RequestEntry]:
    rows = connection.execute(f"{_REQUESTS} AND p.peer = ?", (user, other)).fetchall()
    return _entries(connection, user, rows)


def _entries(connection: sqlite3.Connection, user: str, rows: Sequence[tuple[Any, ...]]) -> list[RequestEntry]:
    """The user who asks may have blocked the other since."""
    named = shown(connection, Viewer(user), [row[0] for row in rows])
    return [
        RequestEntry(
            user=other,
            name=named[other],
            room=room,
            head=head,
            last=Last(seq=seq, ts=ts, sender=sender, body=body, deleted=deleted),
        )
        for other, room, head, seq, ts, sender, body, deleted in rows
    ]


def held(
    connection: sqlite3.Connection,
    user: str,
    declined_after: int,
    limit: int,
    cursor: str | None,
    only: RelationState | None,
) -> list[ContactState]:
    """The users to whom the user's state is contact, blocked or declined (or `only` blocked), by id, without their
    names."""
    index, where, values = "relation_blocks", "p.blocked_at IS NOT NULL", []
    if only is None:
        index = "relation_held"
        where = "(contact OR blocked_at IS NOT NULL OR declined_ts IS NOT NULL)"  # The index of these, in its words.
        where += " AND (p.contact OR p.blocked_at IS NOT NULL OR p.declined_ts > ?)"
        values.append(declined_after)
    rows = connection.execute(
        f"""SELECT p.peer,
                CASE WHEN p.blocked_at IS NOT NULL THEN 'blocked' WHEN p.contact THEN 'contact' ELSE 'declined' END
            FROM relation p INDEXED BY {index}
            WHERE p.user = ? AND p.peer > ? AND {where} ORDER BY p.peer LIMIT ?""",
        (user, cursor or "", *values, limit),
    )
    return [ContactState(user=other, name=other, state=state) for other, state in rows]


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


def blockers(user: str, others: Sequence[str], known: Sides) -> list[str]:
    """Those of `others` who have blocked the user."""
    return [other for other in others if known.get((other, user), NO_SIDE)[1] is not None]


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
    return seen | {other for other in by_group if other not in seen and share_a_group(connection, user, other)}


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


def waits(connection: sqlite3.Connection, user: str, room: str) -> bool:
    """Whether nothing of the private room is told to the user now: a request waits, or was declined."""
    return withheld_at(connection, user, room) is not None


def withheld_at(connection: sqlite3.Connection, user: str, room: str) -> int | None:
    """The seq above which that is so."""
    row = connection.execute(
        "SELECT withheld_at FROM relation WHERE user = ? AND peer = ?", (user, peer(room, user))
    ).fetchone()
    return row[0] if row is not None else None
