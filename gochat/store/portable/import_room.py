"""A room's file back into a database: the same facts with the same seqs, times and keys, through the writer that
recorded them the first time, so that all that follows from them comes out the same.

A file is from outside: every fact is checked before it is written. All of it is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gochat.domain.facts import AnyFact
from gochat.domain.ids import dm_users, is_dm, is_name, is_room
from gochat.domain.mentions import MOST_MENTIONS
from gochat.errors import StoreError
from gochat.protocol.problems import sentence
from gochat.store.folder import check_alone
from gochat.store.listing import relist
from gochat.store.portable import file_schema
from gochat.store.portable.export_room import KIND_NAMES, SLICE, Progress
from gochat.store.read.source import read_only
from gochat.store.rows import MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK, connect
from gochat.store.setup import note, prepare
from gochat.store.write.logs import Batch
from gochat.store.write.notes import Notes
from gochat.store.write.transaction import Writer

#: The longest body and key that any settings allow.
MOST_CHARS = 100_000
MOST_KEY = 64

_COLUMNS = "seq, ts, kind, sender, target, key, body, data"


class Imported(NamedTuple):
    room: str
    facts: int
    """How many the room has now."""
    added: int
    """How many of these were not there before."""


class _File(NamedTuple):
    connection: sqlite3.Connection
    room: str
    as_of: int


def import_room(
    file: Path, database: Path, *, room: str | None = None, progress: Progress = lambda done, goal: None
) -> Imported:
    """Make the room, or append what it lacks; under another name if one is given. Nobody else may use the database.

    Raises StoreError: nothing was changed.
    """
    check_alone(database)
    with closing(read_only(file)) as connection:
        try:
            source = _open(connection, file)
            room = _name(source, room)
            prepare(str(database))
            with closing(connect(str(database))) as target:
                done = _Import(source, target, room, progress).run()
            note(database)
            return done
        except sqlite3.Error as error:
            raise StoreError(f"{file} can't be imported: {error}") from error


def _open(connection: sqlite3.Connection, file: Path) -> _File:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != file_schema.APPLICATION_ID:
        raise StoreError(f"{file} is no export of gochat")
    if version > file_schema.FORMAT:
        raise StoreError(f"{file} was written by a newer release; use that one")
    (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        raise StoreError(f"{file} is damaged: {sound}")
    kind, room, as_of = (
        connection.execute("SELECT kind, room, as_of FROM meta").fetchone()
        if connection.execute("SELECT 1 FROM pragma_table_info('meta') WHERE name = 'room'").fetchone()
        else (file_schema.USER, "", 0)
    )
    if kind != file_schema.ROOM:
        raise StoreError(f"{file} is no export of a room")
    if not isinstance(room, str) or not is_room(room):
        raise StoreError(f"{file} does not say which room it is of")
    extent = connection.execute("SELECT min(seq), max(seq), count(*) FROM fact").fetchone()
    if not isinstance(as_of, int) or as_of > SEQ_MASK or extent != (1, as_of, as_of):
        raise StoreError(f"{file} does not hold the facts 1 to {as_of}")
    return _File(connection, room, as_of)


def _name(source: _File, room: str | None) -> str:
    if room is not None and room != source.room and (is_dm(room) or is_dm(source.room)):
        raise StoreError(f"{source.room} can't become {room}: only a group can take another name")
    return room or source.room


class _Import:
    def __init__(self, source: _File, target: sqlite3.Connection, room: str, progress: Progress) -> None:
        self._source = source.connection
        self._as_of = source.as_of
        self._target = target
        self._room = room
        self._progress = progress
        self._last = (0, 0)
        """seq and ts of the last fact that was checked."""
        self._messages = bytearray(source.as_of + 1)
        """By seq, whether the fact is a message."""
        self._lost: dict[int, str] = {}
        """Messages without a body that no fact deletes, with their senders: they are deleted at the end."""
        self._held: dict[int, str] = {}
        """The same of messages that are here already. Their texts stay, unless one is edited by a fact that is new:
        then the text here is an old one, and the file does not have the one that took its place."""

    def run(self) -> Imported:
        writer = Writer(self._target)
        row = self._target.execute("SELECT num, head FROM room WHERE id = ?", (self._room,)).fetchone()
        room_pk, head = row or (self._new_num(), 0)
        kept = self._compare(room_pk, min(head, self._as_of))
        if self._as_of <= head:
            return Imported(self._room, head, 0)
        writer.record_all(self._batches(room_pk, kept), lambda: self._side_records(room_pk, new=row is None))
        (facts,) = self._target.execute("SELECT head FROM room WHERE num = ?", (room_pk,)).fetchone()
        self._target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Imported(self._room, facts, facts - head)

    def _new_num(self) -> int:
        """A number that no room has: that of the two users' relation, where there is one already."""
        if is_dm(self._room):
            found = self._target.execute("SELECT num FROM relation WHERE user = ? AND peer = ?", dm_users(self._room))
            for (room_pk,) in found:
                return int(room_pk)
        used = "SELECT num FROM room UNION ALL SELECT num FROM relation"
        return int(self._target.execute(f"SELECT coalesce(max(num), 0) + 1 FROM ({used})").fetchone()[0])

    def _compare(self, room_pk: int, upto: int) -> int:
        """Raises StoreError unless the room's first facts, up to and with `upto`, are those of the file."""
        base = room_pk << SEQ_BITS
        there = self._target.execute(
            "SELECT id & ?, ts, kind, sender, target, key, data, delete_seq FROM fact"
            " WHERE id > ? AND id <= ? ORDER BY id",
            (SEQ_MASK, base, base | upto),
        )
        for row in self._source.execute(f"SELECT {_COLUMNS} FROM fact WHERE seq <= ? ORDER BY seq", (upto,)):
            self._take(self._fact(row), row)
            seq, ts, kind, sender, target, key, data, delete_seq = there.fetchone()
            # A key, like a body, may have been taken away since; and what a message mentions follows its body.
            ours = (seq, ts, KIND_NAMES[kind], sender, target, None if kind == MESSAGE else _decode(data))
            theirs = (*row[:5], None if row[2] == "message" else _decode(row[7]))
            if ours != theirs or (key and row[5] and key != row[5]):
                raise StoreError(
                    f"{self._room} exists, and differs from the file from seq {row[0]} on; nothing was changed"
                )
            if delete_seq is not None:
                self._lost.pop(seq, None)  # Its text is gone here too, and an edit does not bring it back.
        self._held, self._lost = self._lost, {}
        return upto

    def _batches(self, room_pk: int, after: int) -> Iterator[Batch]:
        facts: list[AnyFact] = []
        for row in self._source.execute(f"SELECT {_COLUMNS} FROM fact WHERE seq > ? ORDER BY seq", (after,)):
            facts.append(self._take(self._fact(row), row))
            if len(facts) == SLICE:
                self._progress(self._last[0], self._as_of)
                yield Batch(self._room, room_pk, facts)
                facts = []
        if self._last[0] != self._as_of:
            raise StoreError(f"the file ends at seq {self._last[0]} instead of {self._as_of}")
        # Messages that were deleted later than the file shows have no body: in the new room they are deleted now.
        for target, sender in self._lost.items():
            seq, ts = self._last = self._last[0] + 1, self._last[1]
            facts.append(
                _convert({"type": "delete", "room": self._room, "seq": seq, "ts": ts, "from": sender, "target": target})
            )
        if facts:
            yield Batch(self._room, room_pk, facts)
        self._progress(self._as_of, self._as_of)

    # ------------------------------------------------------------------------------------------ one fact

    def _fact(self, row: Any) -> AnyFact:
        """Raises StoreError for what is no fact."""
        seq, ts, kind, sender, target, key, body, data = row
        fields = _decode(data) or {} if kind in ("reaction", "member", "group") else {}
        # Over what `data` says, which is not checked by itself.
        fields |= {"type": kind, "room": self._room, "seq": seq, "ts": ts, "from": sender}
        if kind == "message":
            fields |= {"body": body, "key": key, "reply_to": target, "mentions": _mentions(body, data)}
        elif kind in ("edit", "delete", "reaction"):
            fields["target"] = target
        if kind == "edit":
            found = self._source.execute("SELECT body, data FROM fact WHERE seq = ?", (target,)).fetchone()
            fields |= {"body": found[0], "mentions": _mentions(*found)} if found else {"body": None}
        try:
            return _convert(fields)
        except msgspec.MsgspecError as error:
            raise StoreError(f"the file's fact {seq} is none: {sentence(error, 'fact')}") from error

    def _take(self, fact: AnyFact, row: Any) -> AnyFact:
        """Check that the fact may follow the last one. Raises StoreError."""
        problem = self._problem(fact, row[2], row[4])
        if problem is not None:
            raise StoreError(f"the file's fact {row[0]} can't be: {problem}")
        if row[2] == "message":
            self._messages[fact.seq] = 1
            if row[6] is None:
                self._lost[fact.seq] = fact.sender
        elif row[2] == "edit" and row[4] in self._held:
            self._lost[row[4]] = self._held.pop(row[4])
        elif row[2] == "delete":
            self._lost.pop(row[4], None)
            self._held.pop(row[4], None)
        self._last = (fact.seq, fact.ts)
        return fact

    def _problem(self, fact: AnyFact, kind: str, target: int | None) -> str | None:
        room, (last, ts) = self._room, self._last
        if fact.seq != last + 1 or fact.seq > self._as_of:
            return f"it follows {last}"
        if not ts <= fact.ts < 1 << 53:
            return "it is older than the one before it"
        mentions = getattr(fact, "mentions", None) or ()
        if not all(map(is_name, [fact.sender, *getattr(fact, "users", ()), *mentions])):
            return "it names somebody by no user id"
        if len(mentions) > MOST_MENTIONS:
            return "it mentions too many"
        if is_dm(room):
            if kind in ("member", "group", "closed") or (kind == "message" and fact.sender not in dm_users(room)):
                return "not in a private room"
        elif fact.seq == 1 and (kind != "member" or fact.sender not in getattr(fact, "users", ())):
            return "a group begins with its owner"
        if target is not None and not (0 < target < fact.seq):
            return "it is about what comes later"
        if kind in ("edit", "delete", "reaction") and not self._messages[target or 0]:
            return "it is about no message"
        if len(getattr(fact, "body", None) or "") > MOST_CHARS or len(getattr(fact, "key", None) or "") > MOST_KEY:
            return "its text is too long"
        return None

    # ------------------------------------------------------------------------------------------ beside the log

    def _side_records(self, room_pk: int, *, new: bool) -> Notes:
        """The records that the file holds beside the log. Names are for users whom nobody here has heard of."""
        reads: dict[tuple[str, int], int] = {}
        users: dict[str, tuple[str | None, int | None]] = {}
        for user, name, read in self._source.execute("SELECT user, name, read FROM member"):
            if not isinstance(user, str) or not is_name(user):
                continue
            if isinstance(read, int) and read > 0:
                reads[user, room_pk] = min(read, self._as_of)
            if (
                isinstance(name, str)
                and not self._target.execute("SELECT 1 FROM user WHERE id = ?", (user,)).fetchone()
            ):
                users[user] = (name[:MOST_KEY], None)
        if new:
            self._copy(room_pk, "sanction", "user, kind, until, ts")
            self._copy(
                room_pk, "relation", "user, peer, contact, blocked_at, declined_ts, asked_at, asked_ts, withheld_at"
            )
            self._copy(room_pk, "relation_change", "n, at, ts, user, change")
            if is_dm(self._room):
                relist(self._target, room_pk, self._room)
        return Notes(reads, users, {})

    def _copy(self, room_pk: int, table: str, columns: str) -> None:
        """Rows whose users are users, in a private room its own, and whose other values are of the column's kind."""
        names = columns.split(", ")
        rows = self._source.execute(f"SELECT {columns} FROM {table}").fetchall()
        self._target.executemany(
            f"INSERT OR IGNORE INTO {table} (num, {columns}) VALUES ({', '.join('?' * (len(names) + 1))})",
            [(room_pk, *row) for row in rows if all(map(self._fits, names, row))],
        )

    def _fits(self, column: str, value: Any) -> bool:
        if column in ("user", "peer"):
            return (
                isinstance(value, str) and is_name(value) and (not is_dm(self._room) or value in dm_users(self._room))
            )
        return isinstance(value, str if column in ("kind", "change") else int | None)


def _convert(fields: dict[str, Any]) -> AnyFact:
    fact: AnyFact = msgspec.convert(fields, AnyFact)
    return fact


def _mentions(body: str | None, data: Any) -> Any:
    """The users whom a message with this body mentions, unchecked. Raises StoreError."""
    return (_decode(data) or {}).get("mentions") or None if body is not None else None


def _decode(data: Any) -> dict[str, Any] | None:
    """The object in `data`; None where there is none. Raises StoreError for data that is no JSON object."""
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, TypeError) as error:
        raise StoreError(f"the file holds data that is none: {sentence(error, 'fact')}") from error
