"""The part of a room that one user may see, as the store knows it: every reading of a log for a user asks for it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from gochat.domain.ids import dm_users, is_dm
from gochat.ports.archive import Viewer
from gochat.store.rows import GROUP
from gochat.store.schema import SEQ_BITS

#: The seq up to which a room `r` is hidden from the user of a seat `s` who is in it now. The seat of a private room
#: begins above 1 where the user's id had been another's.
LOW = "CASE WHEN r.history = 'since_join' OR s.role = 'dm' THEN s.since_seq - 1 ELSE 0 END"


class View(NamedTuple):
    """A room as one user may see it: facts with low < seq <= head."""

    room_pk: int
    low: int
    head: int
    former: bool = False
    """The user is in the group no more: `head` is where that was recorded, and all is shown as it was then."""
    role: str | None = None


def view(connection: sqlite3.Connection, viewer: Viewer, room: str, *, closed: bool = False) -> View | None:
    """The part of the room that the viewer may see now; None where that is nothing. A DM is always there for its two
    users. `closed`: also of a deleted group, for the users who were in it, the part that they saw."""
    row = connection.execute("SELECT num, head, history, closed FROM room WHERE id = ?", (room,)).fetchone()
    if is_dm(room):
        return _private(connection, viewer, room, row)
    if row is None or (row[3] and not closed):
        return None
    room_pk, head, history, _ = row
    if viewer.admin:
        return View(room_pk, 0, head)
    membership = connection.execute(
        "SELECT role, since_seq, left_seq FROM seat WHERE user = ? AND num = ?", (viewer.user, room_pk)
    ).fetchone()
    if membership is None:
        return None
    role, since, left = membership
    former = role == "former"
    if former:
        history = history_at(connection, room_pk, left)
    low = since - 1 if history == "since_join" else 0
    return View(room_pk, low, left if former else head, former, role)


def _private(
    connection: sqlite3.Connection, viewer: Viewer, room: str, row: tuple[int, int, str, int] | None
) -> View | None:
    if viewer.user not in dm_users(room):
        return (View(row[0], 0, row[1]) if row else View(0, 0, 0)) if viewer.admin else None
    if row is None:
        return View(0, 0, 0)
    membership = connection.execute(
        "SELECT since_seq FROM seat WHERE user = ? AND num = ?", (viewer.user, row[0])
    ).fetchone()
    return View(row[0], membership[0] - 1 if membership else 0, row[1], role="dm")


def history_at(connection: sqlite3.Connection, room_pk: int, seq: int) -> str:
    """How much the group let its members read when `seq` was its head: no later change touches users who left."""
    row = connection.execute(
        f"""SELECT json_extract(data, '$.history') FROM main.fact
            WHERE kind = {GROUP} AND json_extract(data, '$.history') IS NOT NULL AND id > ? AND id <= ?
            ORDER BY id DESC LIMIT 1""",
        (room_pk << SEQ_BITS, room_pk << SEQ_BITS | seq),
    ).fetchone()
    return str(row[0]) if row else "all"
