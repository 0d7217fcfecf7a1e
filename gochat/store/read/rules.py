"""The readings that rules need: rooms as their facts made them, messages, relations, sanctions, and admission."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gochat.domain import relationship
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.record import Reacted, RoomRecord, Target
from gochat.domain.relationship import Relation, Side
from gochat.domain.side_records import AnyStanding, Deleted, Revoked, SanctionKind, Suspended
from gochat.store.bulk import json_array
from gochat.store.listing import IN_GROUP
from gochat.store.rows import MEMBER, MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK


def record(connection: sqlite3.Connection, room: str) -> RoomRecord | None:
    """The room as its facts made it."""
    row = connection.execute(
        "SELECT num, head, ts, title, history, post, closed FROM room WHERE id = ?", (room,)
    ).fetchone()
    if row is None:
        return None
    room_pk, head, ts, title, history, post, closed = row
    found = RoomRecord(
        room=room, room_pk=room_pk, head=head, ts=ts, title=title, history=history, post=post, closed=bool(closed)
    )
    if is_dm(room):
        found.relation = relation(connection, room_pk, room)
        found.since = dict(
            connection.execute(
                "SELECT user, since_seq FROM seat WHERE num = ? AND user IN (?, ?) AND since_seq > 1",
                (room_pk, *dm_users(room)),
            )
        )
        return found
    found.sanctions = sanctions(connection, room_pk)
    for user, role in connection.execute(f"SELECT user, role FROM seat WHERE num = ? AND {IN_GROUP}", (room_pk,)):
        found.members[user] = role
        if role == "owner":
            found.owners.add(user)
    formers = connection.execute("SELECT user FROM seat WHERE num = ? AND role = 'former'", (room_pk,))
    found.former.update(user for (user,) in formers)
    return found


def room_pk(connection: sqlite3.Connection, record: RoomRecord) -> int:
    """The room's number; 0 where nothing of it is recorded."""
    if record.room_pk:
        return record.room_pk
    row = connection.execute("SELECT num FROM room WHERE id = ?", (record.room,)).fetchone()
    return int(row[0]) if row else 0


def targets(connection: sqlite3.Connection, room_pk: int, seqs: Sequence[int]) -> dict[int, Target]:
    found = {}
    for seq in set(seqs):
        if not 0 < seq <= SEQ_MASK:
            continue
        row = connection.execute(
            "SELECT sender, ts, body, edit_seq, edit_ts, delete_seq, delete_ts FROM fact WHERE id = ? AND kind = ?",
            (room_pk << SEQ_BITS | seq, MESSAGE),
        ).fetchone()
        if row is not None:
            author, ts, body, edit_seq, edit_ts, delete_seq, delete_ts = row
            found[seq] = Target(
                author=author,
                ts=ts,
                body=body,
                edit_seq=edit_seq,
                edit_ts=edit_ts,
                delete_seq=delete_seq,
                delete_ts=delete_ts,
            )
    return found


def messages(connection: sqlite3.Connection, room_pk: int, after: int) -> set[int]:
    """The messages above a seq that are not deleted."""
    rows = connection.execute(
        "SELECT id FROM fact WHERE id > ? AND id <= ? AND kind = ? AND delete_seq IS NULL",
        (room_pk << SEQ_BITS | after, room_pk << SEQ_BITS | SEQ_MASK, MESSAGE),
    )
    return {row_id & SEQ_MASK for (row_id,) in rows}


def since(connection: sqlite3.Connection, room_pk: int, users: Sequence[str]) -> dict[str, int]:
    found = {}
    for user in users:
        row = connection.execute(
            "SELECT since_seq FROM seat WHERE user = ? AND num = ? AND role <> 'former'", (user, room_pk)
        ).fetchone()
        if row is not None:
            found[user] = int(row[0])
    return found


def reacted(
    connection: sqlite3.Connection, room_pk: int, asked: Sequence[tuple[int, str, str]]
) -> dict[tuple[int, str, str], Reacted]:
    found = {}
    for seq, user, emoji in asked:
        if not 0 < seq <= SEQ_MASK:
            continue
        row = connection.execute(
            "SELECT is_on, seq, ts FROM reaction WHERE target = ? AND user = ? AND emoji = ?",
            (room_pk << SEQ_BITS | seq, user, emoji),
        ).fetchone()
        if row is not None:
            found[seq, user, emoji] = Reacted(on=bool(row[0]), seq=row[1], ts=row[2])
    return found


def relation(connection: sqlite3.Connection, room_pk: int, room: str) -> Relation | None:
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
        waiting = _messages_above(connection, room_pk, asked_at) if asked_at is not None else 0
        sides[user] = Side(bool(contact), blocked_at, declined_ts, asked_at, asked_ts, waiting, withheld_at)
    (changes,) = connection.execute(
        "SELECT coalesce(max(n), 0) FROM relation_change WHERE num = ?", (room_pk,)
    ).fetchone()
    one, other = made.users
    return Relation(made.users, sides.get(one, Side()), sides.get(other, Side()), changes)


def _messages_above(connection: sqlite3.Connection, room_pk: int, seq: int) -> int:
    """Messages that wait: until a request is answered only the user who asks can write."""
    (count,) = connection.execute(
        "SELECT messages - coalesce((SELECT n FROM fact WHERE id = ?), 0) FROM room WHERE num = ?",
        (room_pk << SEQ_BITS | seq, room_pk),
    ).fetchone()
    return int(count)


def sanctions(connection: sqlite3.Connection, room_pk: int) -> dict[tuple[str, SanctionKind], int | None]:
    return {
        (user, kind): until
        for user, kind, until in connection.execute("SELECT user, kind, until FROM sanction WHERE num = ?", (room_pk,))
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


def left(connection: sqlite3.Connection, room_pk: int, users: Sequence[str]) -> set[str]:
    """Those of `users` who are no members of the group any more and left it by themselves."""
    found = set()
    for user in users:
        row = connection.execute(
            "SELECT json_extract(f.data, '$.change') FROM seat s JOIN main.fact f ON f.id = (s.num << ?) | s.left_seq"
            " WHERE s.user = ? AND s.num = ? AND s.role = 'former' AND f.kind = ?",
            (SEQ_BITS, user, room_pk, MEMBER),
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


def held_by(connection: sqlite3.Connection, peer: str, users: Sequence[str]) -> dict[str, tuple[bool, bool]]:
    """Of each of `users` whether they have `peer` as a contact, and whether they have blocked them."""
    found = {}
    for user in users:
        row = connection.execute(
            "SELECT contact, blocked_at IS NOT NULL FROM relation WHERE user = ? AND peer = ?", (user, peer)
        ).fetchone()
        found[user] = (bool(row[0]), bool(row[1])) if row else (False, False)
    return found


_BLOCKS = """SELECT a.value, b.value FROM json_each(?1) AS a CROSS JOIN json_each(?2) AS b
    WHERE EXISTS (SELECT 1 FROM relation WHERE user = a.value AND peer = b.value AND blocked_at IS NOT NULL)
        OR EXISTS (SELECT 1 FROM relation WHERE user = b.value AND peer = a.value AND blocked_at IS NOT NULL)"""


def blocks(connection: sqlite3.Connection, users: Sequence[str], others: Sequence[str]) -> set[tuple[str, str]]:
    """The pairs of one of `users` and one of `others` of whom either has blocked the other."""
    return set(connection.execute(_BLOCKS, (json_array(users), json_array(others))))
