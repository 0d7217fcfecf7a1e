"""What the rules need of the log, read in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gochat.domain.ids import dm_users, is_dm
from gochat.domain.record import Reacted, RoomRecord, Target
from gochat.store.listing import IN_GROUP
from gochat.store.rows import MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.write import beside
from gochat.store.write.transaction import recorded

__all__ = ["messages", "reacted", "record", "recorded", "since", "targets"]


def record(connection: sqlite3.Connection, room: str) -> RoomRecord | None:
    """The room as its facts made it."""
    row = connection.execute(
        "SELECT num, head, ts, title, history, post, closed FROM room WHERE id = ?", (room,)
    ).fetchone()
    if row is None:
        return None
    num, head, ts, title, history, post, closed = row
    found = RoomRecord(
        room=room, num=num, head=head, ts=ts, title=title, history=history, post=post, closed=bool(closed)
    )  # fmt: skip
    if is_dm(room):
        found.relation = beside.relation(connection, num, room)
        found.since = dict(
            connection.execute("SELECT user, since_seq FROM seat WHERE num = ? AND user IN (?, ?) AND since_seq > 1",
                               (num, *dm_users(room)))
        )  # fmt: skip
        return found
    found.sanctions = beside.sanctions(connection, num)
    for user, role in connection.execute(f"SELECT user, role FROM seat WHERE num = ? AND {IN_GROUP}", (num,)):
        found.members[user] = role
        if role == "owner":
            found.owners.add(user)
    formers = connection.execute("SELECT user FROM seat WHERE num = ? AND role = 'former'", (num,))
    found.former.update(user for (user,) in formers)
    return found


def targets(connection: sqlite3.Connection, num: int, seqs: Sequence[int]) -> dict[int, Target]:
    found = {}
    for seq in set(seqs):
        if not 0 < seq <= SEQ_MASK:
            continue
        row = connection.execute(
            "SELECT sender, ts, body, edit_seq, edit_ts, delete_seq, delete_ts FROM fact WHERE id = ? AND kind = ?",
            (num << SEQ_BITS | seq, MESSAGE),
        ).fetchone()
        if row is not None:
            author, ts, body, edit_seq, edit_ts, delete_seq, delete_ts = row
            found[seq] = Target(
                author=author, ts=ts, body=body, edit_seq=edit_seq, edit_ts=edit_ts, delete_seq=delete_seq,
                delete_ts=delete_ts,
            )  # fmt: skip
    return found


def messages(connection: sqlite3.Connection, num: int, after: int) -> set[int]:
    """The messages above a seq that are not deleted."""
    rows = connection.execute(
        "SELECT id FROM fact WHERE id > ? AND id <= ? AND kind = ? AND delete_seq IS NULL",
        (num << SEQ_BITS | after, num << SEQ_BITS | SEQ_MASK, MESSAGE),
    )
    return {row_id & SEQ_MASK for (row_id,) in rows}


def since(connection: sqlite3.Connection, num: int, users: Sequence[str]) -> dict[str, int]:
    found = {}
    for user in users:
        row = connection.execute(
            "SELECT since_seq FROM seat WHERE user = ? AND num = ? AND role <> 'former'", (user, num)
        ).fetchone()
        if row is not None:
            found[user] = int(row[0])
    return found


def reacted(
    connection: sqlite3.Connection, num: int, asked: Sequence[tuple[int, str, str]]
) -> dict[tuple[int, str, str], Reacted]:
    found = {}
    for seq, user, emoji in asked:
        if not 0 < seq <= SEQ_MASK:
            continue
        row = connection.execute(
            "SELECT is_on, seq, ts FROM reaction WHERE target = ? AND user = ? AND emoji = ?",
            (num << SEQ_BITS | seq, user, emoji),
        ).fetchone()
        if row is not None:
            found[seq, user, emoji] = Reacted(on=bool(row[0]), seq=row[1], ts=row[2])
    return found
