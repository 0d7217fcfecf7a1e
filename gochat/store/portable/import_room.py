"""A room's file back into a database: the same facts with the same seqs, times and keys, through the writer that
recorded them the first time, so that all that follows from them comes out the same.

A file is from outside: every row is checked before it is written (file_rows.py), and whether each fact may follow the
others. All of it is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from gochat.domain.facts import AnyFact, Delete, Edit, Member, RecordedFact
from gochat.domain.ids import dm_users, is_dm, is_room
from gochat.errors import StoreError
from gochat.store.folder import check_alone
from gochat.store.listing import relist
from gochat.store.portable import file_rows, file_schema
from gochat.store.portable.export_room import KIND_NAMES, SLICE, Progress
from gochat.store.portable.file_rows import (
    ChangeRow,
    FactRow,
    MemberRow,
    RelationRow,
    RowT,
    SanctionRow,
    SideRow,
    Unfit,
)
from gochat.store.read.source import read_only
from gochat.store.rows import MESSAGE
from gochat.store.schema import SEQ_BITS, SEQ_MASK, connect
from gochat.store.setup import note, prepare
from gochat.store.write.logs import Batch
from gochat.store.write.notes import Notes
from gochat.store.write.transaction import Writer


class Imported(NamedTuple):
    room: str
    facts: int
    """How many the room has now."""
    added: int
    """How many of these were not there before."""


class _File(NamedTuple):
    path: Path
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
    of_room = connection.execute("SELECT 1 FROM pragma_table_info('meta') WHERE name = 'room'").fetchone()
    meta = connection.execute("SELECT kind, room, as_of FROM meta").fetchone() if of_room else (file_schema.USER, "", 0)
    if meta is None:
        raise StoreError(f"{file} is damaged: it does not say what it is an export of")
    kind, room, as_of = meta
    if kind != file_schema.ROOM:
        raise StoreError(f"{file} is no export of a room")
    if not isinstance(room, str) or not is_room(room):
        raise StoreError(f"{file} does not say which room it is of")
    extent = connection.execute("SELECT min(seq), max(seq), count(*) FROM fact").fetchone()
    if not isinstance(as_of, int) or as_of > SEQ_MASK or extent != (1, as_of, as_of):
        raise StoreError(f"{file} does not hold the facts 1 to {as_of}")
    return _File(file, connection, room, as_of)


def _name(source: _File, room: str | None) -> str:
    if room is not None and room != source.room and (is_dm(room) or is_dm(source.room)):
        raise StoreError(f"{source.room} can't become {room}: only a group can take another name")
    return room or source.room


class _Import:
    def __init__(self, source: _File, target: sqlite3.Connection, room: str, progress: Progress) -> None:
        self._file = source.path
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
        for row in self._rows(FactRow, "fact WHERE seq <= ? ORDER BY seq", upto):
            self._take(self._fact(row), row)
            seq, ts, kind, sender, target, key, data, delete_seq = there.fetchone()
            # A key, like a body, may have been taken away since; and what a message mentions follows its body.
            ours = (seq, ts, KIND_NAMES[kind], sender, target, None if kind == MESSAGE else file_rows.comparable(data))
            told = None if row.kind == "message" else file_rows.comparable(row.data)
            theirs = (row.seq, row.ts, row.kind, row.sender, row.target, told)
            if ours != theirs or (key and row.key and key != row.key):
                raise StoreError(
                    f"{self._room} exists, and differs from the file from seq {seq} on; nothing was changed"
                )
            if delete_seq is not None:
                self._lost.pop(seq, None)  # Its text is gone here too, and an edit does not bring it back.
        self._held, self._lost = self._lost, {}
        return upto

    def _batches(self, room_pk: int, after: int) -> Iterator[Batch]:
        facts: list[AnyFact] = []
        for row in self._rows(FactRow, "fact WHERE seq > ? ORDER BY seq", after):
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
            facts.append(Delete(room=self._room, seq=seq, ts=ts, sender=sender, target=target))
        if facts:
            yield Batch(self._room, room_pk, facts)
        self._progress(self._as_of, self._as_of)

    # ------------------------------------------------------------------------------------------ one fact

    def _rows(self, kind: type[RowT], rest: str, *values: int) -> Iterator[RowT]:
        """The rows of a query that ends so. Raises StoreError for one that can't be."""
        for found in self._source.execute(f"SELECT {file_rows.columns(kind)} FROM {rest}", values):
            try:
                yield file_rows.row_of(kind, found)
            except Unfit as error:
                place = f"fact {str(found[0])[:20]}" if kind is FactRow else f"a row of {rest.partition(' ')[0]}"
                raise self._unfit(place, error) from error

    def _unfit(self, place: str, problem: object) -> StoreError:
        return StoreError(f"{self._file}: {place} of {self._room} can't be: {problem}")

    def _fact(self, row: FactRow) -> RecordedFact:
        """Raises StoreError for what is no fact."""
        text = None
        if row.kind == "edit" and row.target is not None:
            text = next(self._rows(FactRow, "fact WHERE seq = ?", row.target), None)
        try:
            return file_rows.fact_of(row, self._room, text)
        except Unfit as error:
            raise self._unfit(f"fact {row.seq}", error) from error

    def _take(self, fact: RecordedFact, row: FactRow) -> RecordedFact:
        """Check that the fact may follow the last one. Raises StoreError."""
        problem = self._problem(fact, row)
        if problem is not None:
            raise self._unfit(f"fact {row.seq}", problem)
        if row.kind == "message":
            self._messages[fact.seq] = 1
            if row.body is None:
                self._lost[fact.seq] = fact.sender
        elif isinstance(fact, Edit) and fact.target in self._held:
            self._lost[fact.target] = self._held.pop(fact.target)
        elif isinstance(fact, Delete):
            self._lost.pop(fact.target, None)
            self._held.pop(fact.target, None)
        self._last = (fact.seq, fact.ts)
        return fact

    def _problem(self, fact: RecordedFact, row: FactRow) -> str | None:
        room, (last, ts) = self._room, self._last
        if fact.seq != last + 1 or fact.seq > self._as_of:
            return f"it follows {last}"
        if fact.ts < ts:
            return "it is older than the one before it"
        if is_dm(room):
            if row.kind in ("member", "group", "closed") or (
                row.kind == "message" and fact.sender not in dm_users(room)
            ):
                return "not in a private room"
        elif fact.seq == 1 and not (isinstance(fact, Member) and fact.change == "added" and fact.sender in fact.users):
            return "a group begins with its owner"
        if row.target is not None and row.target >= fact.seq:
            return "it is about what comes later"
        if row.kind in ("edit", "delete", "reaction") and not self._messages[row.target or 0]:
            return "it is about no message"
        return None

    # ------------------------------------------------------------------------------------------ beside the log

    def _side_records(self, room_pk: int, *, new: bool) -> Notes:
        """The records that the file holds beside the log. Names are for users whom nobody here has heard of."""
        reads: dict[tuple[str, int], int] = {}
        users: dict[str, tuple[str | None, int | None]] = {}
        for row in self._rows(MemberRow, "member"):
            if row.read:
                reads[row.user, room_pk] = min(row.read, self._as_of)
            try:
                name = file_rows.shown_name(row.name)
            except Unfit as error:
                raise self._unfit(f"member {row.user}", error) from error
            if name and not self._target.execute("SELECT 1 FROM user WHERE id = ?", (row.user,)).fetchone():
                users[row.user] = (name, None)
        if new:
            self._copy(room_pk, "sanction", SanctionRow)
            self._copy(room_pk, "relation", RelationRow)
            self._copy(room_pk, "relation_change", ChangeRow)
            if is_dm(self._room):
                relist(self._target, room_pk, self._room)
        return Notes(reads, users, {})

    def _copy(self, room_pk: int, table: str, kind: type[SideRow]) -> None:
        """Raises StoreError for a row that the room can't have."""
        marks = ", ".join("?" * (len(kind.__struct_fields__) + 1))
        for row in self._rows(kind, table):
            if not self._belongs(row):
                raise self._unfit(f"a row of {table}", "it belongs to another room")
            self._target.execute(
                f"INSERT OR IGNORE INTO {table} (num, {file_rows.columns(kind)}) VALUES ({marks})",
                (room_pk, *msgspec.structs.astuple(row)),
            )

    def _belongs(self, row: SideRow) -> bool:
        """Whether the room can have it: groups have sanctions, private rooms the relation of their two users."""
        if isinstance(row, SanctionRow) or not is_dm(self._room):
            return isinstance(row, SanctionRow) and not is_dm(self._room)
        users = dm_users(self._room)
        return row.users in (users, users[::-1]) or (not isinstance(row, RelationRow) and row.user in users)
