"""One user's messages in a SQLite file, as far as the program was told of them: to be read and searched without a
connection.

Of each room the file has the newest messages without a gap, as they are now, and the position in the room's log that
they reach. Both change in one transaction, so the file is good at any time, whatever happens to the program. Where the
log that comes does not connect to what is there, the room begins anew. `gochat.client.following` writes; programs read.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gochat.client import replica_file, replica_rows
from gochat.client.positions import Reset
from gochat.client.replica_file import NotAReplica
from gochat.client.wire import Fact, Page
from gochat.domain import folding
from gochat.domain.facts import Delete, Edit, Message

__all__ = ["Began", "Kept", "Left", "News", "NotAReplica", "Replica", "Told"]

#: Messages kept of a room, and rooms kept, those with the latest facts.
MESSAGES: Final = 1_000
ROOMS: Final = 1_000
#: A room is cut back to its bound when it has grown past it by a quarter.
_SLACK: Final = 1.25
#: Words of a search that count, the first of them.
_MOST_WORDS: Final = 32
#: Above every character of a word.
_LAST: Final = "\U0010ffff"


class Began(NamedTuple):
    """The session has a position in a room, and nothing of the room may be here: messages at and below `seq` are to be
    fetched."""

    room: str
    seq: int
    epoch: str | None
    touched: int = 0
    """The time of its latest fact, as far as it is known."""


class Told(NamedTuple):
    """A fact that the session has handed on, with the epoch of its log, if that is known."""

    fact: Fact
    epoch: str | None


class Left(NamedTuple):
    """Rooms that the user is no longer in."""

    rooms: Collection[str]


News = Began | Told | Left | Reset


class Kept(NamedTuple):
    """A room of the file."""

    room: str
    seq: int
    """All facts up to this one count."""
    epoch: str | None
    first: int
    """The messages from here on are in the file. While older ones are fetched it falls."""


class Replica:
    """Its methods may be called from any thread, and take milliseconds. Two programs may share a file."""

    def __init__(self, path: str | Path, *, messages: int = MESSAGES, rooms: int = ROOMS) -> None:
        """Open the file, or make it; nobody but its owner may read it. Of each room the newest `messages` are kept, and
        of all rooms the `rooms` with the latest facts. Raises NotAReplica, OSError, or sqlite3.Error for a damaged
        file."""
        self.path = Path(path)
        self._messages, self._rooms = messages, rooms
        self._lock = threading.Lock()
        self._db = replica_file.opened(self.path)

    def close(self) -> None:
        """The file stays, and can be opened again."""
        with self._lock:
            self._db.close()

    # ------------------------------------------------------------------------------------------ for programs

    @property
    def user(self) -> str:
        """The user whose messages these are; "" in a file that nothing was written to."""
        row = self._read("SELECT user FROM owner")
        return str(row[0][0]) if row else ""

    def rooms(self) -> list[Kept]:
        """The rooms, those with the latest facts first."""
        rows = self._read("SELECT room, seq, epoch, floor FROM room ORDER BY touched DESC, room")
        return [Kept(*row) for row in rows]

    def messages(
        self, room: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> list[Message]:
        """Messages above `after`, or the nearest below `before`, or the newest; ascending. Those that were deleted
        while the file was written are among them, without a body. `room` is an id, as facts have it."""
        if after is not None:
            return self._facts("room = ? AND seq > ? ORDER BY seq", (room, after), limit)
        below = 2**62 if before is None else before
        return self._facts("room = ? AND seq < ? ORDER BY seq DESC", (room, below), limit)[::-1]

    def search(self, q: str, *, room: str | None = None, limit: int = 50) -> list[Message]:
        """Messages with words that begin with each of these, newest first. Case, accents and punctuation do not count;
        a sign, emoji included, is a word. Of a long query the first 32 words count."""
        words = list(dict.fromkeys(folding.words(q)))[:_MOST_WORDS]
        if not words:
            return []
        conditions = ["id IN (SELECT id FROM word WHERE word >= ? AND word < ?)"] * len(words)
        values = [bound for word in words for bound in (word, word + _LAST)]
        if room is not None:
            conditions.append("room = ?")
            values.append(room)
        return self._facts(f"{' AND '.join(conditions)} ORDER BY ts DESC, seq DESC", values, limit)

    def wipe(self) -> None:
        """Remove all that is in the file: for a user who signs out. Not while a session writes to it."""
        with self._lock:
            replica_file.begin_anew(self._db)

    # ------------------------------------------------------------------------------------------ for the session

    def belongs_to(self, user: str) -> bool:
        """Whether the file was this user's. From now on it is, and what was kept of another user is gone."""
        before = self.user
        if before == user:
            return True
        with self._lock:
            if before:
                replica_file.begin_anew(self._db)
            with replica_file.transaction(self._db) as db:
                db.execute("INSERT OR REPLACE INTO owner VALUES (1, ?)", (user,))
        return False

    def store(self, news: Sequence[News]) -> bool:
        """Take what has happened, in the order in which it did; what is there already changes nothing. In one
        transaction. Says whether more is `wanted` now."""
        wanted = False
        with self._lock:
            with replica_file.transaction(self._db) as db:
                for each in news:
                    wanted |= self._take(db, each)
                for room in dict.fromkeys(each.fact.room for each in news if isinstance(each, Told)):
                    self._cut_back(db, room)
                self._drop_oldest(db)
            if any(map(_takes_text, news)):
                replica_file.cut_log(self._db)
        return wanted

    def _take(self, db: sqlite3.Connection, news: News) -> bool:
        """Whether something is wanted for it."""
        match news:
            case Told(fact, epoch):
                return replica_rows.tell(db, fact, epoch)
            case Began(room, seq, epoch, touched):
                return replica_rows.begin(db, room, seq, epoch, touched)
            case Left(rooms):
                replica_rows.forget(db, rooms)
                return False
            case Reset():
                touched = replica_rows.touched(db, news.room)
                replica_rows.forget(db, [news.room])
                return replica_rows.begin(db, news.room, news.head, news.epoch, touched)

    def wanted(self, but: Collection[str] = ()) -> tuple[str, int] | None:
        """A room whose messages below a seq are still to be fetched, and that seq; None: there is none, `but` for these
        rooms. Texts that are out of date come first, then the rooms with the latest facts."""
        others = f"room NOT IN ({', '.join('?' * len(but))})"
        stale = f"SELECT room, seq + 1 FROM message WHERE stale AND {others} ORDER BY room, seq DESC LIMIT 1"
        rest = f"SELECT room, floor FROM room WHERE NOT whole AND {others} ORDER BY touched DESC LIMIT 1"
        found = self._read(stale, tuple(but)) or self._read(rest, tuple(but))
        return (found[0][0], found[0][1]) if found else None

    def fetched(self, page: Page, before: int) -> None:
        """Take the messages of a room right below `before`, as a page has them that was asked for messages alone. They
        are as of the page's head: whatever was stored since stays as it is. A page that is of no use any more changes
        nothing, and is still `wanted`."""
        with self._lock:
            with replica_file.transaction(self._db) as db:
                if not replica_rows.is_of_use(db, page, before):
                    return
                first = 1 if page.next is None else page.next
                removed = replica_rows.put_page(db, page, first, before)
                whole = page.next is None or replica_rows.count(db, page.room) >= self._messages
                db.execute(
                    "UPDATE room SET floor = min(floor, ?), whole = max(whole, ?), epoch = ? WHERE room = ?",
                    (first, whole, page.epoch, page.room),
                )
                self._cut_back(db, page.room)
            if removed:
                replica_file.cut_log(self._db)

    def cannot_fetch(self, room: str) -> None:
        """The server refuses the older messages of this room for good."""
        with self._lock, replica_file.transaction(self._db) as db:
            db.execute("UPDATE room SET whole = 1 WHERE room = ?", (room,))
            db.execute("UPDATE message SET stale = 0 WHERE room = ? AND stale", (room,))

    # ------------------------------------------------------------------------------------------ bounds

    def _cut_back(self, db: sqlite3.Connection, room: str) -> None:
        if replica_rows.count(db, room) <= self._messages * _SLACK:
            return
        kept = "SELECT seq FROM message WHERE room = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"
        ((floor,),) = db.execute(kept, (room, self._messages - 1)).fetchall()
        db.execute("DELETE FROM message WHERE room = ? AND seq < ?", (room, floor))
        db.execute("UPDATE room SET floor = ?, whole = 1 WHERE room = ?", (floor, room))

    def _drop_oldest(self, db: sqlite3.Connection) -> None:
        oldest = "SELECT room FROM room ORDER BY touched DESC, room LIMIT -1 OFFSET ?"
        replica_rows.forget(db, [room for (room,) in db.execute(oldest, (self._rooms,)).fetchall()])

    # ------------------------------------------------------------------------------------------ the file

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _facts(self, condition: str, values: Sequence[object], limit: int) -> list[Message]:
        rows = self._read(f"SELECT fact FROM message WHERE {condition} LIMIT ?", (*values, limit))
        return [replica_rows.decode(fact) for (fact,) in rows]


def _takes_text(news: News) -> bool:
    """Whether texts may have gone that others meant to be gone, or that are not the user's to read any more."""
    return isinstance(news, Left | Reset) or (isinstance(news, Told) and isinstance(news.fact, Edit | Delete))
