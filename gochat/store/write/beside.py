"""What is recorded beside the log: relations, sanctions, reports, the audit log; and what the rules need of it.

Writing runs in the transaction that records the facts it belongs to. The current state of a relation is a row for each
of the two users; the changes that led there are a log of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gochat.domain import relationship
from gochat.domain.beside import (
    Added,
    AnyBeside,
    AnyStanding,
    Audited,
    Deleted,
    Related,
    ReportClosed,
    Reported,
    Revoked,
    Sanctioned,
    SanctionKind,
    Suspended,
)
from gochat.domain.ids import is_dm
from gochat.domain.relationship import DAY_MS, Relation, Side
from gochat.store.listing import relist
from gochat.store.rows import MEMBER
from gochat.store.schema import SEQ_BITS


def write(connection: sqlite3.Connection, num: int, room: str, entries: Sequence[AnyBeside]) -> None:
    """Record the entries, which belong to one room."""
    for entry in entries:
        if isinstance(entry, Related):
            _relate(connection, num, room, entry)
        elif isinstance(entry, Sanctioned):
            _sanction(connection, num, entry)
        elif isinstance(entry, Added):
            # Those of another day count no more.
            connection.execute("DELETE FROM added WHERE user = ? AND ts <= ?", (entry.user, entry.ts - DAY_MS))
            connection.execute(
                "INSERT INTO added (user, ts, users) VALUES (?, ?, ?)", (entry.user, entry.ts, entry.users)
            )
        elif isinstance(entry, Reported):
            _report(connection, num, room, entry)
        elif isinstance(entry, Audited):
            connection.execute(
                "INSERT INTO audit (ts, actor, action, room, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
                (entry.ts, entry.actor, entry.action, entry.room or room or None, entry.subject, entry.detail),
            )
        elif isinstance(entry, ReportClosed):
            connection.execute(
                "UPDATE report SET closed_ts = ?, closed_by = ? WHERE id = ? AND closed_ts IS NULL",
                (entry.ts, entry.user, entry.report),
            )
        else:
            _stand(connection, entry)


def _report(connection: sqlite3.Connection, num: int, room: str, entry: Reported) -> None:
    """The same again, while it is open, is nothing new: neither in the list nor in the audit log."""
    inserted = connection.execute(
        "INSERT OR IGNORE INTO report (ts, num, seq, user, rule, reason) VALUES (?, ?, ?, ?, ?, ?)",
        (entry.ts, num, entry.seq, entry.user, entry.rule, entry.reason),
    ).rowcount
    if inserted and entry.user is not None:
        connection.execute(
            "INSERT INTO audit (ts, actor, action, room, subject) VALUES (?, ?, 'message.report', ?, ?)",
            (entry.ts, entry.user, room, f"{room}:{entry.seq}"),
        )


def _stand(connection: sqlite3.Connection, entry: AnyStanding) -> None:
    if isinstance(entry, Revoked):
        connection.execute(
            "INSERT INTO revocation VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET ts = max(ts, excluded.ts)",
            (entry.kind, entry.value, entry.ts),
        )
    elif entry.on:
        connection.execute(
            "INSERT OR REPLACE INTO suspension VALUES (?, ?, ?, ?, ?)",
            (entry.user, entry.ts, entry.until, entry.actor, entry.reason),
        )
    else:
        connection.execute("DELETE FROM suspension WHERE user = ?", (entry.user,))


def _relate(connection: sqlite3.Connection, num: int, room: str, entry: Related) -> None:
    change, after = entry.change, entry.after
    connection.execute(
        "INSERT INTO relation_change VALUES (?, ?, ?, ?, ?, ?)",
        (num, change.n, change.at, change.ts, change.user, change.change),
    )
    for user in after.users:
        side = after.of(user)
        connection.execute(
            "INSERT OR REPLACE INTO relation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                user, after.peer(user), num, side.contact, side.blocked_at, side.declined_ts, side.asked_at,
                side.asked_ts, side.withheld_at,
            ),
        )  # fmt: skip
    relist(connection, num, room)


def _sanction(connection: sqlite3.Connection, num: int, entry: Sanctioned) -> None:
    if entry.on:
        connection.execute(
            "INSERT OR REPLACE INTO sanction VALUES (?, ?, ?, ?, ?)",
            (num, entry.user, entry.kind, entry.until, entry.ts),
        )
    else:
        connection.execute(
            "DELETE FROM sanction WHERE num = ? AND user = ? AND kind = ?", (num, entry.user, entry.kind)
        )


# ---------------------------------------------------------------------------------------------- for the rules


def relation(connection: sqlite3.Connection, num: int, room: str) -> Relation | None:
    """The relation of a private room's two users, as its changes made it."""
    made = relationship.of_room(room) if is_dm(room) else None
    if made is None:
        return None
    sides: dict[str, Side] = {}
    for user, contact, blocked_at, declined_ts, asked_at, asked_ts, withheld_at in connection.execute(
        "SELECT user, contact, blocked_at, declined_ts, asked_at, asked_ts, withheld_at FROM relation"
        " WHERE (user = ? AND peer = ?) OR (user = ? AND peer = ?)",
        (*made.users, made.users[1], made.users[0]),
    ):
        waiting = _messages_above(connection, num, asked_at) if asked_at is not None else 0
        sides[user] = Side(bool(contact), blocked_at, declined_ts, asked_at, asked_ts, waiting, withheld_at)
    (changes,) = connection.execute("SELECT coalesce(max(n), 0) FROM relation_change WHERE num = ?", (num,)).fetchone()
    one, other = made.users
    return Relation(made.users, sides.get(one, Side()), sides.get(other, Side()), changes)


def _messages_above(connection: sqlite3.Connection, num: int, seq: int) -> int:
    """Messages that wait: until a request is answered only the one who asks can write."""
    (count,) = connection.execute(
        "SELECT messages - coalesce((SELECT n FROM fact WHERE id = ?), 0) FROM room WHERE num = ?",
        (num << SEQ_BITS | seq, num),
    ).fetchone()
    return int(count)


def sanctions(connection: sqlite3.Connection, num: int) -> dict[tuple[str, SanctionKind], int | None]:
    return {
        (user, kind): until
        for user, kind, until in connection.execute("SELECT user, kind, until FROM sanction WHERE num = ?", (num,))
    }


def asks(connection: sqlite3.Connection, user: str, since_ms: int) -> list[int]:
    """When the user asked strangers, from `since_ms` on."""
    rows = connection.execute(
        "SELECT ts FROM relation_change WHERE user = ? AND change = 'ask' AND ts > ? ORDER BY ts", (user, since_ms)
    )
    return [ts for (ts,) in rows]


def adds(connection: sqlite3.Connection, user: str, since_ms: int) -> list[int]:
    """When the user added somebody who is no contact, once for each, from `since_ms` on."""
    rows = connection.execute("SELECT ts, users FROM added WHERE user = ? AND ts > ? ORDER BY ts", (user, since_ms))
    return [ts for ts, users in rows for _ in range(users)]


def left(connection: sqlite3.Connection, num: int, users: Sequence[str]) -> set[str]:
    """Those of `users` who are no members of the group any more and left it by themselves."""
    found = set()
    for user in users:
        row = connection.execute(
            "SELECT json_extract(f.data, '$.change') FROM seat s JOIN fact f ON f.id = (s.num << ?) | s.left_seq"
            " WHERE s.user = ? AND s.num = ? AND s.role = 'former' AND f.kind = ?",
            (SEQ_BITS, user, num, MEMBER),
        ).fetchone()
        if row is not None and row[0] == "left":
            found.add(user)
    return found


def standing(connection: sqlite3.Connection, since_ms: int) -> list[AnyStanding | Deleted]:
    """Deleted users, suspensions, and revocations of tokens that may still be good: those issued since `since_ms`."""
    gone = [Deleted(user) for (user,) in connection.execute("SELECT user FROM tombstone WHERE released_ts IS NULL")]
    suspended: list[AnyStanding | Deleted] = [
        Suspended(user, True, ts, until, actor, reason)
        for user, ts, until, actor, reason in connection.execute(
            "SELECT user, ts, until, actor, reason FROM suspension"
        )
    ]
    return [*gone, *suspended] + [
        Revoked(kind, value, ts)
        for kind, value, ts in connection.execute("SELECT kind, value, ts FROM revocation WHERE ts > ?", (since_ms,))
    ]


def deleted(connection: sqlite3.Connection, users: Sequence[str]) -> set[str]:
    """Those of `users` who were deleted, and whose ids are not released."""
    marks = ", ".join("?" * len(users))
    query = f"SELECT user FROM tombstone WHERE released_ts IS NULL AND user IN ({marks})"
    return {user for (user,) in connection.execute(query, list(users))}


def held_by(
    connection: sqlite3.Connection, peer: str, users: Sequence[str]
) -> dict[str, tuple[bool, bool]]:  # fmt: skip
    """Of each of `users` whether they have `peer` as a contact, and whether they have blocked them."""
    found = {}
    for user in users:
        row = connection.execute(
            "SELECT contact, blocked_at IS NOT NULL FROM relation WHERE user = ? AND peer = ?", (user, peer)
        ).fetchone()
        found[user] = (bool(row[0]), bool(row[1])) if row else (False, False)
    return found
