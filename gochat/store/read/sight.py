"""What one user may see of a room, as the store knows it: asked by everything that reads a log for somebody."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from gochat.domain.ids import dm_users, is_dm
from gochat.ports import Asker
from gochat.store.rows import GROUP
from gochat.store.schema import SEQ_BITS

#: The seq up to which a room `r` is hidden from the user of a seat `s` who is in it now. The seat of a private room
#: begins above 1 where the user's id had been another's.
LOW = "CASE WHEN r.history = 'since_join' OR s.role = 'dm' THEN s.since_seq - 1 ELSE 0 END"


class View(NamedTuple):
    """A room as one user may see it: facts with low < seq <= head."""

    num: int
    low: int
    head: int
    former: bool = False
    """The user is in the group no more: `head` is where that was recorded, and all is shown as it was then."""
    role: str | None = None


def view(connection: sqlite3.Connection, asker: Asker, room: str, *, closed: bool = False) -> View | None:
    """What the asker may see of the room now; None where that is nothing. A DM is always there for its two users.
    `closed`: of a group that was deleted what those saw who were in it."""
    row = connection.execute("SELECT num, head, history, closed FROM room WHERE id = ?", (room,)).fetchone()
    if is_dm(room):
        return _private(connection, asker, room, row)
    if row is None or (row[3] and not closed):
        return None
    num, head, history, _ = row
    if asker.admin:
        return View(num, 0, head)
    seat = connection.execute(
        "SELECT role, since_seq, left_seq FROM seat WHERE user = ? AND num = ?", (asker.user, num)
    ).fetchone()
    if seat is None:
        return None
    role, since, left = seat
    former = role == "former"
    if former:
        history = history_at(connection, num, left)
    low = since - 1 if history == "since_join" else 0
    return View(num, low, left if former else head, former, role)


def _private(
    connection: sqlite3.Connection, asker: Asker, room: str, row: tuple[int, int, str, int] | None
) -> View | None:  # fmt: skip
    if asker.user not in dm_users(room):
        return (View(row[0], 0, row[1]) if row else View(0, 0, 0)) if asker.admin else None
    if row is None:
        return View(0, 0, 0)
    seat = connection.execute("SELECT since_seq FROM seat WHERE user = ? AND num = ?", (asker.user, row[0])).fetchone()
    return View(row[0], seat[0] - 1 if seat else 0, row[1], role="dm")


def history_at(connection: sqlite3.Connection, num: int, seq: int) -> str:
    """What the group let its members read when `seq` was its head: no later change touches those who left."""
    row = connection.execute(
        f"""SELECT json_extract(data, '$.history') FROM fact
            WHERE kind = {GROUP} AND json_extract(data, '$.history') IS NOT NULL AND id > ? AND id <= ?
            ORDER BY id DESC LIMIT 1""",
        (num << SEQ_BITS, num << SEQ_BITS | seq),
    ).fetchone()
    return str(row[0]) if row else "all"
