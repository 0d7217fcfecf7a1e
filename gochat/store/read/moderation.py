"""Lists that moderators and admins look at: open reports, and the audit log.

They are in the order of time: in a cluster ids grow within a room's partition alone.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from gochat.ports.archive import Viewer
from gochat.protocol.entries import AuditEntry, ReportEntry, SanctionEntry
from gochat.store.read.names import shown
from gochat.store.read.overlay import column_of
from gochat.store.read.people import LAST_CHARS
from gochat.store.read.sight import view
from gochat.store.schema import SEQ_BITS

#: The rooms that a page of reports of all rooms is about: its values are as for `reports`.
REPORTED = """SELECT DISTINCT r.id FROM (
    SELECT num FROM report WHERE closed_ts IS NULL
        AND (ts, id) > (coalesce((SELECT ts FROM report WHERE id = ?1), -1), ?1)
    ORDER BY ts, id LIMIT ?2) p JOIN room r ON r.num = p.num"""

_REPORTED_ID = f"(p.num << {SEQ_BITS}) + p.seq"
_SENDER = column_of("sender", "f", _REPORTED_ID)
#: Above every id and every time.
_LAST = (1 << 63) - 1


def reports(
    connection: sqlite3.Connection, room: str | None, limit: int, cursor: str | None, viewer: Viewer | None = None
) -> tuple[list[ReportEntry], str | None]:
    """Open reports, oldest first, of one room or of all; see `hidden_from`."""
    where, values = "", []
    if room is not None:
        where = "AND p.num = (SELECT num FROM room WHERE id = ?) AND p.seq > ?"
        values = [room, hidden_from(connection, viewer, room)]
    rows = connection.execute(
        f"""SELECT p.id, p.ts, r.id, p.seq, {_SENDER}, substr({column_of("body", "f", _REPORTED_ID)}, 1, {LAST_CHARS}),
                p.user, p.rule, p.reason
            FROM report p JOIN room r ON r.num = p.num LEFT JOIN main.fact f ON f.id = {_REPORTED_ID}
            WHERE p.closed_ts IS NULL AND (p.ts, p.id) > (coalesce((SELECT ts FROM report WHERE id = ?), -1), ?)
                {where} AND {_SENDER} IS NOT NULL ORDER BY p.ts, p.id LIMIT ?""",
        (number(cursor, 0), number(cursor, 0), *values, limit + 1),
    ).fetchall()
    entries = [
        ReportEntry(report=id_, ts=ts, room=name, seq=seq, sender=sender, body=body, by=by, rule=rule, reason=reason)
        for id_, ts, name, seq, sender, body, by, rule, reason in rows[:limit]
    ]
    return entries, str(entries[-1].report) if len(rows) > limit else None


def report_room(connection: sqlite3.Connection, report: int, viewer: Viewer | None = None) -> tuple[str, bool] | None:
    """The room of a report, and whether it is open; see `hidden_from`."""
    row: tuple[Any, ...] | None = connection.execute(
        "SELECT r.id, p.closed_ts IS NULL, p.seq FROM report p JOIN room r ON r.num = p.num WHERE p.id = ?", (report,)
    ).fetchone()
    if row is None or row[2] <= hidden_from(connection, viewer, row[0]):
        return None
    return row[0], bool(row[1])


def hidden_from(connection: sqlite3.Connection, viewer: Viewer | None, room: str) -> int:
    """The seq up to which reports of the room are not told. Messages that a moderator may not read are not reported
    to the moderator; owners handle all reports, for somebody must."""
    seen = view(connection, viewer, room) if viewer is not None else None
    return seen.low if seen is not None and seen.role != "owner" else 0


def sanctions(
    connection: sqlite3.Connection, viewer: Viewer, room: str, now_ms: int, limit: int, cursor: str | None
) -> tuple[list[SanctionEntry], str | None]:
    """Mutes and bans of a group that hold now, by user; of one user the ban first."""
    user, _, kind = (cursor or "").partition(" ")
    rows = connection.execute(
        """SELECT s.user, s.kind, s.ts, s.until FROM sanction s
           WHERE s.num = (SELECT num FROM room WHERE id = ?) AND (s.user, s.kind) > (?, ?)
               AND (s.until IS NULL OR s.until > ?) ORDER BY s.user, s.kind LIMIT ?""",
        (room, user, kind, now_ms, limit + 1),
    ).fetchall()
    named = shown(connection, viewer, {row[0] for row in rows})
    entries = [
        SanctionEntry(user=id_, name=named[id_], kind=what, ts=ts, until=until) for id_, what, ts, until in rows[:limit]
    ]
    return entries, f"{entries[-1].user} {entries[-1].kind}" if len(rows) > limit else None


def audit(connection: sqlite3.Connection, limit: int, cursor: str | None) -> tuple[list[AuditEntry], str | None]:
    """The audit log, newest first."""
    after, last = number(cursor, _LAST), _LAST
    rows = connection.execute(
        """SELECT id, ts, actor, action, room, subject, detail FROM audit
            WHERE (ts, id) < (coalesce((SELECT ts FROM audit WHERE id = ?), ?), ?) ORDER BY ts DESC, id DESC LIMIT ?""",
        (after, last, after, limit + 1),
    ).fetchall()
    entries = [
        AuditEntry(id=id_, ts=ts, actor=actor, action=action, room=room, subject=subject, detail=detail)
        for id_, ts, actor, action, room, subject, detail in rows[:limit]
    ]
    return entries, str(entries[-1].id) if len(rows) > limit else None


def number(cursor: str | None, otherwise: int) -> int:
    """The row id that a cursor names; one that is none leads to where the list begins."""
    return int(cursor) if cursor and cursor.isascii() and cursor.isdecimal() and len(cursor) < 19 else otherwise
