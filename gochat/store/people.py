"""Lists of people: contacts, requests that wait, who may see whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from gochat.domain.ids import dm, peer
from gochat.protocol.replies import ContactState, Last, RelationState, RequestEntry
from gochat.store.schema import SEQ_BITS

LAST_CHARS = 200

# The latest message of a request: nobody but the one who asks has written since.
_REQUESTS = f"""
    SELECT p.peer, coalesce(nullif(u.name, ''), p.peer), r.id, r.head, l.id - (r.num << {SEQ_BITS}), l.ts, l.sender,
        coalesce(substr(l.body, 1, {LAST_CHARS}), ''), l.delete_ts
    FROM relation p JOIN room r ON r.num = p.num JOIN fact l ON l.id = (r.num << {SEQ_BITS}) + r.last
    LEFT JOIN user u ON u.id = p.peer
    WHERE p.user = ? AND p.asked_at IS NOT NULL AND p.blocked_at IS NULL """

#: The rooms in which they wait.
ASKING = "SELECT r.id FROM relation p JOIN room r ON r.num = p.num WHERE p.user = ? AND p.asked_at IS NOT NULL"


def requests(
    connection: sqlite3.Connection, user: str, limit: int, cursor: str | None
) -> tuple[list[RequestEntry], str | None]:
    """Requests to the user, by who asks."""
    rows = connection.execute(
        f"{_REQUESTS} AND p.peer > ? ORDER BY p.peer LIMIT ?", (user, cursor or "", limit + 1)
    ).fetchall()
    entries = [_request(row) for row in rows[:limit]]
    return entries, entries[-1].user if len(rows) > limit else None


def latest_requests(connection: sqlite3.Connection, user: str, most: int) -> list[RequestEntry]:
    """The latest of them first, for the welcome."""
    rows = connection.execute(f"{_REQUESTS} ORDER BY p.asked_ts DESC, p.peer LIMIT ?", (user, most)).fetchall()
    return [_request(row) for row in rows]


def _request(row: tuple[Any, ...]) -> RequestEntry:
    other, name, room, head, seq, ts, sender, body, deleted = row
    last = Last(seq=seq, ts=ts, sender=sender, body=body, deleted=deleted)
    return RequestEntry(user=other, name=name, room=room, head=head, last=last)


def contacts(
    connection: sqlite3.Connection,
    user: str,
    declined_after: int,
    limit: int,
    cursor: str | None,
    only: RelationState | None,
) -> tuple[list[ContactState], str | None]:
    """The users to whom the user's state is contact, blocked or declined (or `only` one of these), by id."""
    rows = connection.execute(
        """SELECT * FROM (SELECT p.peer, coalesce(nullif(u.name, ''), p.peer),
               CASE WHEN p.blocked_at IS NOT NULL THEN 'blocked' WHEN p.contact THEN 'contact'
                   ELSE 'declined' END AS state
           FROM relation p LEFT JOIN user u ON u.id = p.peer
           WHERE p.user = ? AND p.peer > ? AND (p.contact OR p.blocked_at IS NOT NULL OR p.declined_ts > ?)
           ORDER BY p.peer) WHERE ? IS NULL OR state = ? LIMIT ?""",
        (user, cursor or "", declined_after, only, only, limit + 1),
    ).fetchall()
    entries = [ContactState(user=other, name=name, state=state) for other, name, state in rows[:limit]]
    return entries, entries[-1].user if len(rows) > limit else None


def acquainted(connection: sqlite3.Connection, user: str, others: Sequence[str]) -> set[str]:
    """Those of `others` whose presence the user may see; see ports.Archive."""
    if not others:
        return set()
    marks = ", ".join("?" * len(others))
    seen = {
        other
        for (other,) in connection.execute(
            f"""SELECT DISTINCT o.user FROM seat o JOIN seat s ON s.num = o.num AND s.user = ?
                WHERE o.user IN ({marks}) AND o.role NOT IN ('former', 'dm') AND s.role <> 'former'""",
            [user, *others],
        )
    }
    private = _private(connection, user, others)
    related: set[str] = set()
    contacts: set[str] = set()
    blocked: set[str] = set()
    for holder, held, contact, blocks, waits in connection.execute(
        f"""SELECT user, peer, contact, blocked_at IS NOT NULL, withheld_at IS NOT NULL
            FROM relation WHERE (user = ? AND peer IN ({marks})) OR (peer = ? AND user IN ({marks}))""",
        [user, *others, user, *others],
    ):
        other = held if holder == user else holder
        related.add(other)
        if blocks:
            blocked.add(other)
        if contact:
            contacts.add(other)
            if holder == other:
                seen.add(other)
        elif holder == other and waits:
            private.discard(other)
    return (seen | (private - related) | (private & contacts)) - blocked


def onlookers(connection: sqlite3.Connection, user: str, others: Sequence[str]) -> set[str]:
    """Those of `others` who may see the user's presence."""
    return {other for other in others if acquainted(connection, other, [user])}


def _private(connection: sqlite3.Connection, user: str, others: Sequence[str]) -> set[str]:
    """Those of `others` with whom the user's private room is there."""
    rooms = {dm(user, other): other for other in others}
    marks = ", ".join("?" * len(rooms))
    found = connection.execute(f"SELECT id FROM room WHERE id IN ({marks}) AND head > 0", list(rooms))
    return {rooms[room] for (room,) in found}


def waits(connection: sqlite3.Connection, user: str, room: str) -> bool:
    """Whether nothing of the private room is told to the user now: a request waits, or was declined."""
    return withheld_at(connection, user, room) is not None


def withheld_at(connection: sqlite3.Connection, user: str, room: str) -> int | None:
    """The seq above which that is so."""
    row = connection.execute(
        "SELECT withheld_at FROM relation WHERE user = ? AND peer = ?", (user, peer(room, user))
    ).fetchone()
    return row[0] if row is not None else None
