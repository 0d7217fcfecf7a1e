"""One user's messages in a SQLite file, as far as the program was told of them: to be read and searched without a
connection.

Of each room the file has the newest messages without a gap, as they are now, and the position in the room's log that
they reach. Both change in one transaction, so the file is good at any time, whatever happens to the program. Where the
log that comes does not connect to what is there, the room begins anew. `gochat.client.following` writes; programs read.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gochat.client.errors import ClientError
from gochat.client.positions import Reset
from gochat.client.wire import Fact, Page
from gochat.domain.facts import Delete, Edit, Message

#: Messages kept of a room, and rooms kept, those with the latest facts.
MESSAGES: Final = 1_000
ROOMS: Final = 1_000
#: A room is cut back to its bound when it has grown past it by a quarter.
_SLACK: Final = 1.25

_APPLICATION: Final = 0x67636872
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE owner (one INTEGER PRIMARY KEY CHECK (one = 1), user TEXT NOT NULL);
CREATE TABLE room (
    room TEXT PRIMARY KEY,
    epoch TEXT,               -- of its log; NULL until the server has told it
    seq INTEGER NOT NULL,     -- all facts up to this one are in the messages
    floor INTEGER NOT NULL,   -- the messages from here on are here
    whole INTEGER NOT NULL,   -- 1: nothing older is to be fetched
    touched INTEGER NOT NULL  -- the time of the latest fact
) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    stale INTEGER NOT NULL DEFAULT 0,  -- 1: it was edited, and the new text is still to be fetched
    body TEXT,                         -- also in the fact; apart for the search
    fact BLOB NOT NULL,                -- JSON
    UNIQUE (room, seq)
);
CREATE INDEX stale ON message (room, seq) WHERE stale;
CREATE VIRTUAL TABLE found USING fts5 (
    body, content='message', content_rowid='id', tokenize="unicode61 remove_diacritics 2", prefix='2 3'
);
CREATE TRIGGER message_in AFTER INSERT ON message BEGIN
    INSERT INTO found (rowid, body) VALUES (new.id, new.body);
END;
CREATE TRIGGER message_out AFTER DELETE ON message BEGIN
    INSERT INTO found (found, rowid, body) VALUES ('delete', old.id, old.body);
END;
CREATE TRIGGER message_new AFTER UPDATE OF body ON message BEGIN
    INSERT INTO found (found, rowid, body) VALUES ('delete', old.id, old.body);
    INSERT INTO found (rowid, body) VALUES (new.id, new.body);
END;
"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Message).decode


class NotAReplica(ClientError):
    """The file is there and is something else."""


class Began(NamedTuple):
    """The session has a position in a room of which nothing may be here: what stands at and below `seq` is to be
    fetched."""

    room: str
    seq: int
    epoch: str | None


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
        self._db = self._open()

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
        """Messages with words that begin with each of these, newest first. Case and accents do not count."""
        words = " ".join(f'"{word}"*' for word in re.findall(r"\w+", q))
        if not words:
            return []
        where, values = ("AND room = ?", (room,)) if room is not None else ("", ())
        condition = f"id IN (SELECT rowid FROM found WHERE found MATCH ?) {where} ORDER BY ts DESC, seq DESC"
        return self._facts(condition, (words, *values), limit)

    def wipe(self) -> None:
        """Remove all that is in the file: for a user who signs out. Not while a session writes to it."""
        with self._lock:
            self._begin_anew()

    # ------------------------------------------------------------------------------------------ for the session

    def belongs_to(self, user: str) -> bool:
        """Whether the file was this user's. From now on it is, and what was kept of another user is gone."""
        before = self.user
        if before == user:
            return True
        with self._lock:
            if before:
                self._begin_anew()
            with self._transaction() as db:
                db.execute("INSERT OR REPLACE INTO owner VALUES (1, ?)", (user,))
        return False

    def store(self, news: Sequence[News]) -> bool:
        """Take what has happened, in the order in which it did; what is there already changes nothing. In one
        transaction. Says whether more is `wanted` now."""
        wanted = False
        with self._lock, self._transaction() as db:
            rooms: dict[str, None] = {}
            for each in news:
                match each:
                    case Told(fact, epoch):
                        wanted |= _told(db, fact, epoch)
                        rooms[fact.room] = None
                    case Began(room, seq, epoch):
                        wanted |= _begin(db, room, seq, epoch)
                    case Left(left):
                        _forget(db, left)
                    case Reset():
                        _forget(db, [each.room])
                        wanted |= _begin(db, each.room, each.head, each.epoch)
            for room in rooms:
                self._cut_back(db, room)
            self._drop_oldest(db)
        return wanted

    def wanted(self, but: Collection[str] = ()) -> tuple[str, int] | None:
        """A room of which messages below a seq are still to be fetched, and that seq; None: nothing is, `but` these
        rooms. Texts that are out of date come first, then the rooms with the latest facts."""
        others = f"room NOT IN ({', '.join('?' * len(but))})"
        stale = f"SELECT room, seq + 1 FROM message WHERE stale AND {others} ORDER BY room, seq DESC LIMIT 1"
        rest = f"SELECT room, floor FROM room WHERE NOT whole AND {others} ORDER BY touched DESC LIMIT 1"
        found = self._read(stale, tuple(but)) or self._read(rest, tuple(but))
        return (found[0][0], found[0][1]) if found else None

    def fetched(self, page: Page, before: int) -> None:
        """Take the messages of a room right below `before`, as a page has them that was asked for messages alone."""
        with self._lock, self._transaction() as db:
            row = db.execute("SELECT epoch, floor FROM room WHERE room = ?", (page.room,)).fetchone()
            if row is None or row[0] not in (None, page.epoch) or before < row[1]:
                return  # The room has begun anew since it was asked for, or the session will hear that it does.
            first = 1 if page.next is None else page.next
            db.execute("DELETE FROM message WHERE room = ? AND seq BETWEEN ? AND ?", (page.room, first, before - 1))
            for fact in page.entries:
                if isinstance(fact, Message):
                    _put(db, fact)
            whole = page.next is None or _count(db, page.room) >= self._messages
            db.execute(
                "UPDATE room SET floor = min(floor, ?), whole = max(whole, ?), epoch = ? WHERE room = ?",
                (first, whole, page.epoch, page.room),
            )
            self._cut_back(db, page.room)

    def cannot_fetch(self, room: str) -> None:
        """The server refuses the older messages of this room for good."""
        with self._lock, self._transaction() as db:
            db.execute("UPDATE room SET whole = 1 WHERE room = ?", (room,))
            db.execute("UPDATE message SET stale = 0 WHERE room = ? AND stale", (room,))

    # ------------------------------------------------------------------------------------------ bounds

    def _cut_back(self, db: sqlite3.Connection, room: str) -> None:
        if _count(db, room) <= self._messages * _SLACK:
            return
        kept = "SELECT seq FROM message WHERE room = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"
        ((floor,),) = db.execute(kept, (room, self._messages - 1)).fetchall()
        db.execute("DELETE FROM message WHERE room = ? AND seq < ?", (room, floor))
        db.execute("UPDATE room SET floor = ?, whole = 1 WHERE room = ?", (floor, room))

    def _drop_oldest(self, db: sqlite3.Connection) -> None:
        oldest = "SELECT room FROM room ORDER BY touched DESC, room LIMIT -1 OFFSET ?"
        _forget(db, [room for (room,) in db.execute(oldest, (self._rooms,)).fetchall()])

    # ------------------------------------------------------------------------------------------ the file

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        try:
            ((application,),) = db.execute("PRAGMA application_id").fetchall()
            ((version,),) = db.execute("PRAGMA user_version").fetchall()
            ((tables,),) = db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except sqlite3.DatabaseError as error:
            raise NotAReplica(f"{self.path} is no replica: {error}") from None
        if tables and application != _APPLICATION:
            raise NotAReplica(f"{self.path} is no replica, but another database")
        mode = self.path.stat().st_mode
        if stat.S_IMODE(mode) != 0o600:
            self.path.chmod(0o600)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON", "temp_store = MEMORY"):
            db.execute(f"PRAGMA {pragma}")
        if tables and version == _VERSION:
            return
        db.execute("BEGIN IMMEDIATE")
        # All that another version wrote is fetched again. Two programs may have come here at once.
        ((version,),) = db.execute("PRAGMA user_version").fetchall()
        if version != _VERSION:
            for name in ("found", "message", "room", "owner"):
                db.execute(f"DROP TABLE IF EXISTS {name}")
            for statement in _statements(_SCHEMA):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")

    def _begin_anew(self) -> None:
        with self._transaction() as db:
            for table in ("owner", "room", "message"):
                db.execute(f"DELETE FROM {table}")
            db.execute("INSERT INTO found (found) VALUES ('rebuild')")
        # The old bytes in the file and beside it are overwritten or cut off.
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _facts(self, condition: str, values: Sequence[object], limit: int) -> list[Message]:
        rows = self._read(f"SELECT fact FROM message WHERE {condition} LIMIT ?", (*values, limit))
        return [_decode(fact) for (fact,) in rows]


def _told(db: sqlite3.Connection, fact: Fact, epoch: str | None) -> bool:
    """Whether something is wanted for it."""
    wanted = False
    row = db.execute("SELECT seq FROM room WHERE room = ?", (fact.room,)).fetchone()
    if row is not None and fact.seq <= row[0]:
        return False
    if row is None or fact.seq > row[0] + 1:
        # The room is new here, or what lies between can't be had, or is of a time when the user was not in it.
        _forget(db, [fact.room])
        wanted = _begin(db, fact.room, fact.seq - 1, epoch)
    db.execute(
        "UPDATE room SET seq = ?, touched = ?, epoch = coalesce(?, epoch) WHERE room = ?",
        (fact.seq, fact.ts, epoch, fact.room),
    )
    match fact:
        case Message():
            _put(db, fact)
        case Edit():
            wanted |= _change(db, fact.room, fact.target, body=fact.body, edited=fact.ts, mentions=fact.mentions)
        case Delete():
            _change(db, fact.room, fact.target, deleted=fact.ts)
    return wanted


def _begin(db: sqlite3.Connection, room: str, seq: int, epoch: str | None) -> bool:
    """A room of which nothing is here is from now on, with its messages at and below `seq` still to be fetched. Whether
    there are any; False for a room that is here."""
    whole = seq < 1
    done = db.execute("INSERT OR IGNORE INTO room VALUES (?, ?, ?, ?, ?, 0)", (room, epoch, seq, seq + 1, whole))
    return done.rowcount > 0 and not whole


def _forget(db: sqlite3.Connection, rooms: Iterable[str]) -> None:
    for room in rooms:
        db.execute("DELETE FROM message WHERE room = ?", (room,))
        db.execute("DELETE FROM room WHERE room = ?", (room,))


def _count(db: sqlite3.Connection, room: str) -> int:
    ((count,),) = db.execute("SELECT count(*) FROM message WHERE room = ?", (room,)).fetchall()
    return int(count)


def _put(db: sqlite3.Connection, message: Message) -> None:
    # Counts of reactions are as of some moment, and nothing here follows them.
    message = msgspec.structs.replace(message, reactions=None)
    db.execute(
        "INSERT INTO message (room, seq, ts, body, fact) VALUES (?, ?, ?, ?, ?) ON CONFLICT (room, seq) "
        "DO UPDATE SET ts = excluded.ts, body = excluded.body, fact = excluded.fact, stale = 0",
        (message.room, message.seq, message.ts, message.body, _encode(message)),
    )


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
    message = _decode(row[0]) if row is not None else None
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


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: together they would leave the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
