"""Records beside the log: relations, sanctions, reports, the audit log.

Writing runs in the transaction that records the facts it belongs to. The current state of a relation is a row for each
of the two users; the changes that led there are a log of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import repeat

from gochat.domain.relationship import DAY_MS
from gochat.domain.side_records import (
    Added,
    AnySideRecord,
    AnyStanding,
    Audited,
    Related,
    ReportClosed,
    Reported,
    Revoked,
    Sanctioned,
    Suspended,
)
from gochat.replication import EpochIs
from gochat.store.listing import relist
from gochat.store.write import log_state, notices


def write(
    connection: sqlite3.Connection,
    room_pk: int,
    room: str,
    entries: Sequence[AnySideRecord | EpochIs],
    ids: Sequence[int] = (),
) -> None:
    """Record the entries, which belong to one room. `ids`: see Batch."""
    for entry, id_ in zip(entries, ids or repeat(None), strict=bool(ids)):
        if isinstance(entry, Related):
            _relate(connection, room_pk, room, entry)
        elif isinstance(entry, Sanctioned):
            _sanction(connection, room_pk, entry)
        elif isinstance(entry, Added):
            # Those of another day count no more.
            connection.execute("DELETE FROM added WHERE user = ? AND ts <= ?", (entry.user, entry.ts - DAY_MS))
            connection.execute(
                "INSERT INTO added (user, ts, users) VALUES (?, ?, ?)", (entry.user, entry.ts, entry.users)
            )
        elif isinstance(entry, Reported):
            _report(connection, room_pk, room, entry, id_)
        elif isinstance(entry, Audited):
            connection.execute(
                "INSERT INTO audit (id, ts, actor, action, room, subject, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id_, entry.ts, entry.actor, entry.action, entry.room or room or None, entry.subject, entry.detail),
            )
        elif isinstance(entry, ReportClosed):
            connection.execute(
                "UPDATE report SET closed_ts = ?, closed_by = ? WHERE id = ? AND closed_ts IS NULL",
                (entry.ts, entry.user, entry.report),
            )
        elif isinstance(entry, Suspended | Revoked):
            _stand(connection, entry)
        elif isinstance(entry, EpochIs):
            log_state.save_epoch(connection, entry.epoch)
        else:
            notices.record(connection, entry)


def _report(connection: sqlite3.Connection, room_pk: int, room: str, entry: Reported, id_: int | None) -> None:
    """The same again, while it is open, is nothing new: neither in the list nor in the audit log."""
    inserted = connection.execute(
        "INSERT OR IGNORE INTO report (id, ts, num, seq, user, rule, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id_, entry.ts, room_pk, entry.seq, entry.user, entry.rule, entry.reason),
    ).rowcount
    if inserted and entry.user is not None:
        connection.execute(
            "INSERT INTO audit (id, ts, actor, action, room, subject) VALUES (?, ?, ?, 'message.report', ?, ?)",
            (id_, entry.ts, entry.user, room, f"{room}:{entry.seq}"),
        )


def _stand(connection: sqlite3.Connection, entry: AnyStanding) -> None:
    if isinstance(entry, Revoked):
        if entry.kind == "jti":
            notices.end_devices(connection, token_id=entry.value)
        else:
            notices.end_devices(connection, user=entry.value)
        connection.execute(
            "INSERT INTO revocation VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET ts = max(ts, excluded.ts)",
            (entry.kind, entry.value, entry.ts),
        )
    elif entry.on:
        notices.end_devices(connection, user=entry.user)
        connection.execute(
            "INSERT OR REPLACE INTO suspension VALUES (?, ?, ?, ?, ?)",
            (entry.user, entry.ts, entry.until, entry.actor, entry.reason),
        )
    else:
        connection.execute("DELETE FROM suspension WHERE user = ?", (entry.user,))


def _relate(connection: sqlite3.Connection, room_pk: int, room: str, entry: Related) -> None:
    change, after = entry.change, entry.after
    connection.execute(
        "INSERT INTO relation_change VALUES (?, ?, ?, ?, ?, ?)",
        (room_pk, change.n, change.at, change.ts, change.user, change.change),
    )
    for user in after.users:
        side = after.of(user)
        connection.execute(
            "INSERT OR REPLACE INTO relation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                user,
                after.peer(user),
                room_pk,
                side.contact,
                side.blocked_at,
                side.declined_ts,
                side.asked_at,
                side.asked_ts,
                side.withheld_at,
            ),
        )
    relist(connection, room_pk, room)


def _sanction(connection: sqlite3.Connection, room_pk: int, entry: Sanctioned) -> None:
    if entry.on:
        connection.execute(
            "INSERT OR REPLACE INTO sanction VALUES (?, ?, ?, ?, ?)",
            (room_pk, entry.user, entry.kind, entry.until, entry.ts),
        )
    else:
        connection.execute(
            "DELETE FROM sanction WHERE num = ? AND user = ? AND kind = ?", (room_pk, entry.user, entry.kind)
        )
