"""The data kept of one user, as one file: everything that the user wrote and did, and the records about the user.

Of others the file holds the messages that they wrote to the user in private rooms, and no more: see
docs/decisions/user-data.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gochat.domain.ids import peer
from gochat.domain.notices import told_id
from gochat.errors import StoreError
from gochat.store.portable import file_schema
from gochat.store.portable.export_room import KIND_NAMES, SLICE, Progress
from gochat.store.read.source import reading
from gochat.store.rows import GROUP, MEMBER, MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK

#: Older facts are of a user who had the id before.
_BEGUN = "(SELECT coalesce(max(released_ts), -1) FROM tombstone WHERE user = :user)"

#: All that the user wrote, and the other half of the user's private rooms.
# A group is told as it was when the user's time in it ended, and nothing of a user who had the id before.
_FACTS = f"""SELECT r.id, f.id & {SEQ_MASK}, f.ts, f.kind, f.sender, f.target, f.key,
        CASE WHEN s.role = 'former' AND f.edit_seq > s.left_seq THEN NULL ELSE f.body END, f.data,
        CASE WHEN f.delete_ts IS NULL THEN f.edit_ts END, f.delete_ts
    FROM fact f JOIN room r ON r.num = f.id >> {SEQ_BITS} LEFT JOIN seat s ON s.num = r.num AND s.user = :user
    WHERE f.ts > {_BEGUN} AND """

_COPIES = (
    ("profile", "SELECT id, name, last_seen FROM user WHERE id = :user"),
    ("room", f"""SELECT r.id, CASE s.role WHEN 'former' THEN (
            SELECT json_extract(g.data, '$.title') FROM main.fact g WHERE g.id > r.num << {SEQ_BITS}
              AND g.id <= (r.num << {SEQ_BITS}) + s.left_seq AND g.kind IN ({MEMBER}, {GROUP})
              AND json_extract(g.data, '$.title') IS NOT NULL ORDER BY g.id DESC LIMIT 1) ELSE r.title END,
        CASE s.role WHEN 'dm' THEN 'member' ELSE s.role END, s.since_seq, s.since_ts,
        s.left_seq, s.read FROM seat s JOIN room r ON r.num = s.num
        WHERE s.user = :user AND (s.role <> 'dm' OR r.last >= s.since_seq)"""),
    ("reaction", f"""SELECT r.id, x.target & {SEQ_MASK}, x.emoji, x.ts
        FROM reaction x JOIN room r ON r.num = x.target >> {SEQ_BITS}
        WHERE x.user = :user AND x.is_on AND x.ts > {_BEGUN}"""),
    ("relation", "SELECT peer, contact, blocked_at, declined_ts FROM relation WHERE user = :user"),
    ("relation_change", """SELECT peer(r.id, :user), c.ts, c.change FROM relation_change c JOIN room r ON r.num = c.num
        WHERE c.user = :user ORDER BY c.ts"""),
    ("report", f"""SELECT r.id, p.seq, p.ts, p.reason, p.closed_ts FROM report p JOIN room r ON r.num = p.num
        WHERE p.user = :user AND p.ts > {_BEGUN}"""),
    ("sanction", """SELECT r.id, s.kind, s.until, s.ts FROM sanction s JOIN room r ON r.num = s.num
        WHERE s.user = :user"""),
    ("suspension", "SELECT ts, until, reason FROM suspension WHERE user = :user"),
    ("silent_room", "SELECT room, until FROM silent_room WHERE user = :user"),
    ("quiet_hours", "SELECT begin_minute, end_minute, tz FROM quiet_hours WHERE user = :user"),
    ("mention_notice", "SELECT 'yes' FROM mention_notice WHERE user = :user"),
    # Without the keys: with them anybody can send to the device.
    ("push_device", "SELECT endpoint, ts FROM push_device WHERE user = :user"),
    ("mail_address", "SELECT address FROM mail_address WHERE user = :user"),
    ("notification", """SELECT told(n.epoch, r.id, n.id), n.channel, n.target, r.id, n.made_ts, n.tries, n.dead_ts
        FROM notice n JOIN room r ON r.num = n.room_pk WHERE n.user = :user"""),
    ("notified", """SELECT r.id, n.upto, n.ts FROM notified n JOIN room r ON r.num = n.room_pk
        WHERE n.user = :user"""),
)  # fmt: skip


class UserExported(NamedTuple):
    user: str
    rooms: int
    messages: int
    """Messages that the user wrote."""
    received: int
    """Messages that others wrote to the user in private rooms."""


def export_user(
    database: Path, user: str, target: Path, *, now_ms: int, progress: Progress = lambda done, goal: None
) -> UserExported:
    """Write the data kept of the user to the empty or absent file `target`. Reads all facts once.

    Raises StoreError, also where nothing is kept."""
    own = received = 0
    with reading(database) as source, file_schema.made(target, file_schema.USER_TABLES, file_schema.USER_README) as out:
        (epoch,) = source.execute("SELECT epoch FROM meta").fetchone()
        source.create_function("peer", 2, peer, deterministic=True)
        source.create_function("told", 3, told_id, deterministic=True)
        for table, query in _COPIES:
            rows = source.execute(query, {"user": user}).fetchall()
            if rows:
                out.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        for facts in _facts(source, user):
            messages = [fact for fact in facts if fact[3] == MESSAGE]
            mine = sum(fact[4] == user for fact in messages)
            own, received = own + mine, received + len(messages) - mine
            out.executemany(
                "INSERT OR IGNORE INTO message (room, seq, ts, sender, reply_to, key, body, edited_ts, deleted_ts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (*fact[:3], fact[4], fact[5], fact[6] if fact[4] == user else None, fact[7], *fact[9:])
                    for fact in messages
                ],
            )
            out.executemany(
                "INSERT OR IGNORE INTO action VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (*fact[:3], KIND_NAMES[fact[3]], fact[5], fact[8])
                    for fact in facts
                    if fact[3] != MESSAGE and fact[4] == user
                ],
            )
            progress(own + received, own + received)
        (rooms,) = out.execute("SELECT count(*) FROM room").fetchone()
        if not (rooms or own or out.execute("SELECT 1 FROM profile").fetchone()):
            raise StoreError(f"nothing is kept of a user {user}")
        file_schema.put(out, "meta", file_schema.stamp(file_schema.USER, now_ms) | {"user": user, "epoch": epoch})
        for view in file_schema.USER_VIEWS:
            out.execute(view)
    return UserExported(user, rooms, own, received)


def _facts(source: sqlite3.Connection, user: str) -> Iterator[list[Any]]:
    """Every fact once: there is no index by sender, and an admin may write where they have no seat."""
    private = source.execute("SELECT num, since_seq FROM seat WHERE user = ? AND role = 'dm'", (user,)).fetchall()
    queries: list[tuple[str, dict[str, Any]]] = [(f"{_FACTS}f.sender = :user ORDER BY f.id", {"user": user})]
    queries += [
        (
            f"{_FACTS}f.id >= :first AND f.id <= :last AND f.sender <> :user AND f.kind = {MESSAGE} ORDER BY f.id",
            {"user": user, "first": room_pk << SEQ_BITS | since, "last": room_pk << SEQ_BITS | SEQ_MASK},
        )
        for room_pk, since in private
    ]
    for query, values in queries:
        cursor = source.execute(query, values)
        while rows := cursor.fetchmany(SLICE):
            yield rows
