"""How facts and pages change the rows of a replica, in the transaction of its caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from gochat.client.wire import Fact, Page
from gochat.domain.facts import Delete, Edit, Message

#: Of a room the edits and deletions among so many latest facts are kept for pages that were read before them. A page
#: that is still older is asked for again.
LATE: Final = 1_000

_encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Message).decode


def tell(db: sqlite3.Connection, fact: Fact, epoch: str | None) -> bool:
    """A fact has come. Whether something is wanted for it; one that is there already changes nothing."""
    wanted = False
    _forget_other_log(db, fact.room, epoch)
    row = db.execute("SELECT seq FROM room WHERE room = ?", (fact.room,)).fetchone()
    if row is not None and fact.seq <= row[0]:
        return False
    if row is None or fact.seq > row[0] + 1:
        # The room is new here, or what lies between can't be had, or is of a time when the user was not in it.
        forget(db, [fact.room])
        wanted = begin(db, fact.room, fact.seq - 1, epoch, fact.ts)
    db.execute(
        "UPDATE room SET seq = ?, touched = ?, epoch = coalesce(?, epoch) WHERE room = ?",
        (fact.seq, fact.ts, epoch, fact.room),
    )
    match fact:
        case Message():
            _put(db, fact)
        case Edit():
            _note_change(db, fact)
            wanted |= _change(db, fact.room, fact.target, body=fact.body, edited=fact.ts, mentions=fact.mentions)
        case Delete():
            _note_change(db, fact)
            _change(db, fact.room, fact.target, deleted=fact.ts)
    return wanted


def begin(db: sqlite3.Connection, room: str, seq: int, epoch: str | None, touched: int) -> bool:
    """Keep a room that was not here until now, with its messages at and below `seq` still to be fetched. Whether
    there are any; False for a room that is here. `touched`: the time of its latest fact, as far as it is known."""
    _forget_other_log(db, room, epoch)
    whole = seq < 1
    values = (room, epoch, seq, seq, seq + 1, whole, touched)
    done = db.execute("INSERT OR IGNORE INTO room VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    return done.rowcount > 0 and not whole


def _forget_other_log(db: sqlite3.Connection, room: str, epoch: str | None) -> None:
    """Forget what is here of a room, if that is of another log than the facts that come now. Where one of the two is
    not known it stays."""
    if db.execute("SELECT 1 FROM room WHERE room = ? AND epoch <> ?", (room, epoch)).fetchone() is not None:
        forget(db, [room])


def touched(db: sqlite3.Connection, room: str) -> int:
    """The time of the latest fact of a room, as far as it is known; 0 for a room that is not here."""
    row = db.execute("SELECT touched FROM room WHERE room = ?", (room,)).fetchone()
    return int(row[0]) if row is not None else 0


def forget(db: sqlite3.Connection, rooms: Iterable[str]) -> None:
    for room in rooms:
        for table in ("message", "change", "room"):
            db.execute(f"DELETE FROM {table} WHERE room = ?", (room,))


def count(db: sqlite3.Connection, room: str) -> int:
    """Messages of a room that are here."""
    ((found,),) = db.execute("SELECT count(*) FROM message WHERE room = ?", (room,)).fetchall()
    return int(found)


def is_of_use(db: sqlite3.Connection, page: Page, before: int) -> bool:
    """Whether a page can be put below `before`. It can't where the room has begun anew since it was asked for, or the
    session will hear that it does; nor where it was read before a message that it should have, or before changes that
    are not known here."""
    row = db.execute("SELECT epoch, began, seq, floor FROM room WHERE room = ?", (page.room,)).fetchone()
    if row is None:
        return False
    epoch, began, seq, floor = row
    return epoch in (None, page.epoch) and before >= floor and page.head >= max(before - 1, began, seq - LATE)


def put_page(db: sqlite3.Connection, page: Page, first: int, before: int) -> bool:
    """Put the messages of a page in the place of those that are here from `first` on and below `before`. Whether any
    text went.

    Facts may have been told while the page was on its way. Messages that they changed stay as they are here: a deleted
    one does not come back, and one that was edited before it was here is marked, to be fetched once more."""
    later = dict(
        db.execute(
            """SELECT target, max(deleted) FROM change
               WHERE room = ? AND seq > ? AND target >= ? AND target < ? GROUP BY target""",
            (page.room, page.head, first, before),
        ).fetchall()
    )
    gone = db.execute(
        """DELETE FROM message WHERE room = ?1 AND seq >= ?2 AND seq < ?3
           AND seq NOT IN (SELECT target FROM change WHERE room = ?1 AND seq > ?4)""",
        (page.room, first, before, page.head),
    )
    for fact in page.entries:
        if isinstance(fact, Message):
            if fact.seq not in later:
                _put(db, fact)
            elif not later[fact.seq]:
                _put_stale(db, fact)
    latest = max((fact.ts for fact in page.entries), default=0)
    db.execute("UPDATE room SET touched = max(touched, ?) WHERE room = ?", (latest, page.room))
    return gone.rowcount > 0


def _put(db: sqlite3.Connection, message: Message) -> None:
    db.execute(
        "INSERT INTO message (room, seq, ts, body, fact) VALUES (?, ?, ?, ?, ?) ON CONFLICT (room, seq) "
        "DO UPDATE SET ts = excluded.ts, body = excluded.body, fact = excluded.fact, stale = 0",
        (message.room, message.seq, message.ts, message.body, _kept(message)),
    )


def _put_stale(db: sqlite3.Connection, message: Message) -> None:
    """Where it is here already it stays as it is."""
    db.execute(
        "INSERT OR IGNORE INTO message (room, seq, ts, stale, body, fact) VALUES (?, ?, ?, 1, ?, ?)",
        (message.room, message.seq, message.ts, message.body, _kept(message)),
    )


def _kept(message: Message) -> bytes:
    # Counts of reactions are as of some moment, and nothing here follows them.
    return _encode(msgspec.structs.replace(message, reactions=None))


def _note_change(db: sqlite3.Connection, fact: Edit | Delete) -> None:
    db.execute(
        "INSERT OR REPLACE INTO change VALUES (?, ?, ?, ?)", (fact.room, fact.seq, fact.target, type(fact) is Delete)
    )
    db.execute("DELETE FROM change WHERE room = ? AND seq <= ?", (fact.room, fact.seq - LATE))


def _change(
    db: sqlite3.Connection,
    room: str,
    seq: int,
    *,
    body: str | None = None,
    edited: int | None = None,
    deleted: int | None = None,
    mentions: list[str] | None = None,
) -> bool:
    """Edit or delete a message that is here. A page tells of an edit without the new text, which is then to be
    fetched."""
    row = db.execute("SELECT fact FROM message WHERE room = ? AND seq = ?", (room, seq)).fetchone()
    message = decode(row[0]) if row is not None else None
    if message is None or message.deleted is not None:
        return False
    stale = body is None and deleted is None
    if not stale:
        message = msgspec.structs.replace(
            message, body=body, edited=edited or message.edited, deleted=deleted, mentions=mentions
        )
    db.execute(
        "UPDATE message SET body = ?, fact = ?, stale = ? WHERE room = ? AND seq = ?",
        (message.body, _encode(message), stale, room, seq),
    )
    return stale
