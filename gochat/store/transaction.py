"""One transaction: what a group of batches writes. Runs in whichever thread owns the connection; knows no trio.

Each statement is a moment in which other threads take the GIL, and getting it back may cost milliseconds. So rows go in
by the hundred with one statement, whichever rooms they belong to.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from gochat.domain import facts
from gochat.domain.beside import AnyBeside
from gochat.domain.facts import AnyFact
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.record import Recorded
from gochat.errors import StoreError
from gochat.ports import Clash
from gochat.store import beside, index
from gochat.store.cut import name_words
from gochat.store.rows import WRITTEN, Row, written
from gochat.store.schema import SEQ_BITS

log = logging.getLogger(__name__)

#: What one piece of a group can be guilty of: it clashes, or holds what SQLite can't take. All else is the database's.
_UNFIT = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, OverflowError, UnicodeError)

CHUNKS = (256, 64, 16, 4, 1)
#: How many rooms' message counts are kept; they are read again when needed.
KNOWN_COUNTS = 50_000


class Batch(NamedTuple):
    """One room's facts of one turn."""

    room: str
    num: int
    facts: Sequence[AnyFact]
    beside: Sequence[AnyBeside] = ()


class Notes(NamedTuple):
    """What was noted beside the facts: the highest read position of (user, room), names, times last seen."""

    reads: dict[tuple[str, int], int]
    users: dict[str, tuple[str | None, int | None]]

    def apart(self) -> list[Notes]:
        """The same, one by one."""
        return [Notes({place: seq}, {}) for place, seq in self.reads.items()] + [
            Notes({}, {user: noted}) for user, noted in self.users.items()
        ]


class _Many:
    """A statement over many rows: `head VALUES (?, ...), ... tail`, in chunks that the statement cache keeps."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._statements = {size: f"{head} VALUES {', '.join([row] * size)} {tail}" for size in CHUNKS}

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        begin, left = 0, len(rows)
        for size in CHUNKS:
            while left >= size:
                values = [value for row in rows[begin : begin + size] for value in row]
                connection.execute(self._statements[size], values)
                begin, left = begin + size, left - size


# OR FAIL: a statement that fails may leave some of its rows, for the whole batch is rolled back anyway; that spares
# SQLite the statement's own journal.
_FACTS = _Many(f"INSERT OR FAIL INTO fact ({WRITTEN})", 9)
_ROOMS = _Many(
    "INSERT INTO room (num, id, head, ts, messages, last)", 6,
    """ON CONFLICT (num) DO UPDATE SET head = excluded.head, ts = excluded.ts, messages = excluded.messages,
       last = max(last, excluded.last)""",
)  # fmt: skip
_SEATS = _Many(
    "INSERT INTO seat (user, num, role, since_seq, since_ts, read)", 6,
    """ON CONFLICT (user, num) DO UPDATE SET role = excluded.role, since_seq = excluded.since_seq,
       since_ts = excluded.since_ts, read = max(read, excluded.read), left_seq = NULL""",
)  # fmt: skip
_READS = _Many(
    "UPDATE seat SET read = v.column3 FROM (", 3,
    ") AS v WHERE seat.user = v.column1 AND seat.num = v.column2 AND seat.read < v.column3",
)  # fmt: skip


class Writer:
    """The writing side of one connection. `counts` may be dropped at any time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.commits = int(connection.execute("SELECT commits FROM clock").fetchone()[0])
        self.committing = False
        """Whether the last thing tried was a COMMIT, so that its failure says nothing."""
        self.facts = self.messages = 0
        """How many the last commit recorded."""
        self._facts = self._messages = 0
        self._counts: dict[int, int] = {}

    def commit(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | Clash | StoreError]:
        """Record all in one transaction; for each batch the transaction's number, or why nothing of it is recorded.

        Raises sqlite3.Error when all of it failed: nothing is recorded, unless it was COMMIT that failed.
        """
        try:
            return self._commit_together(batches, notes)
        except _UNFIT:
            if self.committing:
                raise
            self._roll_back(batches)
        return self._commit_apart(batches, notes)

    def _commit_together(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | Clash | StoreError]:
        self._begin()
        self._write(batches)
        if notes is not None:
            self._note(notes)
        number = self._finish()
        return [number] * len(batches)

    def _commit_apart(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | Clash | StoreError]:
        """Something in the group clashes or can't be written: each piece in a savepoint of its own, so that it costs
        nobody else."""
        execute = self.connection.execute
        failed: dict[int, Clash | StoreError] = {}
        self._begin()
        try:
            for position, batch in enumerate(batches):
                execute("SAVEPOINT batch")
                try:
                    self._write([batch])
                except _UNFIT as error:
                    execute("ROLLBACK TO batch")
                    self._counts.pop(batch.num, None)
                    clash = self._clash(batch) if isinstance(error, sqlite3.IntegrityError) else None
                    failed[position] = clash or StoreError(f"{batch.room}: {error}")
                execute("RELEASE batch")
            for note in notes.apart() if notes is not None else ():
                execute("SAVEPOINT note")
                try:
                    self._note(note)
                except _UNFIT as error:
                    execute("ROLLBACK TO note")
                    log.error("a note can't be recorded and is dropped: %s", error)
                execute("RELEASE note")
            number = self._finish()
        except sqlite3.Error:
            self._roll_back(batches)
            raise
        return [failed.get(position, number) for position in range(len(batches))]

    def commit_all(self, batches: Iterable[Batch], after: Callable[[], Notes]) -> int:
        """Record what may be more than memory holds, in one transaction: all of it, or nothing. `after` is called when
        all are written; it gives what is noted beside them, and may write more. Returns the transaction's number."""
        nums: set[int] = set()
        self._begin()
        try:
            for batch in batches:
                nums.add(batch.num)
                self._write([batch])
            self._note(after())
            return self._finish()
        except BaseException:
            for num in nums:
                self._counts.pop(num, None)
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self._facts = self._messages = 0

    def _finish(self) -> int:
        number = self.commits + 1
        self.connection.execute("UPDATE clock SET commits = ?", (number,))
        self.committing = True
        self.connection.execute("COMMIT")
        self.committing = False
        self.commits = number
        self.facts, self.messages = self._facts, self._messages
        return number

    def _roll_back(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._counts.pop(batch.num, None)
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _clash(self, batch: Batch) -> Clash | None:
        keys = [(fact.sender, fact.key) for fact in batch.facts if isinstance(fact, facts.Message) and fact.key]
        found = recorded(self.connection, batch.num, keys)
        return Clash(found) if found else None

    # ------------------------------------------------------------------------------------------ rows

    def _write(self, batches: Sequence[Batch]) -> None:
        rows: list[Row] = []
        rooms: list[Row] = []
        reads: list[Row] = []
        seats: list[Row] = []
        rare: list[tuple[Batch, AnyFact]] = []
        apart: list[Batch] = []
        for batch in batches:
            if batch.beside:
                apart.append(batch)
                if not batch.facts:
                    continue
            base, count, last, senders = batch.num << SEQ_BITS, self._count(batch.num), 0, {}
            for fact in batch.facts:
                if type(fact) is facts.Message:
                    count += 1
                    last = senders[fact.sender] = fact.seq
                else:
                    rare.append((batch, fact))
                rows.append(written(base, fact, count))
            first, final = batch.facts[0], batch.facts[-1]
            rooms.append((batch.num, batch.room, final.seq, final.ts, count, last))
            if first.seq == 1 and is_dm(batch.room):
                seats += [(user, batch.num, "dm", 1, first.ts, 0) for user in set(dm_users(batch.room))]
            reads += [(sender, batch.num, seq) for sender, seq in senders.items()]
            self._counts[batch.num] = count
        connection = self.connection
        _ROOMS.run(connection, rooms)
        _FACTS.run(connection, rows)
        if seats:
            _SEATS.run(connection, seats)
        for batch, fact in rare:
            self._rare(batch.num, fact)
        for batch in apart:
            self._beside(batch)
        if reads:
            _READS.run(connection, reads)
        self._facts += len(rows)
        self._messages += len(rows) - len(rare)

    def _count(self, num: int) -> int:
        count = self._counts.get(num)
        if count is None:
            row = self.connection.execute("SELECT messages FROM room WHERE num = ?", (num,)).fetchone()
            count = int(row[0]) if row else 0
            if len(self._counts) >= KNOWN_COUNTS:
                self._counts.clear()
        return count

    def _rare(self, num: int, fact: AnyFact) -> None:
        """What other facts than messages change beside their own row."""
        execute = self.connection.execute
        if isinstance(fact, facts.Edit):
            target = num << SEQ_BITS | fact.target
            index.change(self.connection, num, fact.target, fact.body)
            execute(
                "UPDATE fact SET body = ?, edit_seq = ?, edit_ts = ? WHERE id = ?",
                (fact.body, fact.seq, fact.ts, target),
            )
        elif isinstance(fact, facts.Delete):
            index.change(self.connection, num, fact.target, None)
            execute(
                "UPDATE fact SET body = NULL, delete_seq = ?, delete_ts = ? WHERE id = ?",
                (fact.seq, fact.ts, num << SEQ_BITS | fact.target),
            )
        elif isinstance(fact, facts.Reaction):
            execute(
                "INSERT OR REPLACE INTO reaction VALUES (?, ?, ?, ?, ?, ?)",
                (num << SEQ_BITS | fact.target, fact.sender, fact.emoji, fact.on, fact.seq, fact.ts),
            )
        elif isinstance(fact, facts.Member):
            self._member(num, fact)
        elif isinstance(fact, facts.Group):
            execute(
                "UPDATE room SET title = coalesce(?, title), history = coalesce(?, history), post = coalesce(?, post)"
                " WHERE num = ?",
                (fact.title, fact.history, fact.post, num),
            )
        elif isinstance(fact, facts.Closed):
            execute("UPDATE room SET closed = 1 WHERE num = ?", (num,))
            execute("UPDATE seat SET role = 'former', left_seq = ? WHERE num = ? AND role NOT IN ('former', 'dm')",
                    (fact.seq, num))  # fmt: skip

    def _beside(self, batch: Batch) -> None:
        if not batch.facts and batch.num:
            # A relation may begin before the first message.
            self.connection.execute(
                "INSERT OR IGNORE INTO room (num, id, head, ts, messages, last) VALUES (?, ?, 0, 0, 0, 0)",
                (batch.num, batch.room),
            )
        beside.write(self.connection, batch.num, batch.room, batch.beside)

    def _member(self, num: int, fact: facts.Member) -> None:
        execute = self.connection.execute
        if fact.title is not None:
            execute("UPDATE room SET title = ? WHERE num = ?", (fact.title, num))
        if fact.change == "added":
            # Who joins has nothing unread: read up to the fact that says so.
            _SEATS.run(
                self.connection,
                [(user, num, fact.role or "member", fact.seq, fact.ts, fact.seq) for user in fact.users],
            )
            return
        for user in fact.users:
            if fact.change == "role":
                execute("UPDATE seat SET role = ? WHERE user = ? AND num = ?", (fact.role, user, num))
            else:
                execute(
                    "UPDATE seat SET role = 'former', left_seq = ? WHERE user = ? AND num = ?", (fact.seq, user, num)
                )

    def _note(self, notes: Notes) -> None:
        if notes.reads:
            _READS.run(self.connection, [(user, num, seq) for (user, num), seq in notes.reads.items()])
        for user, (name, last_seen) in notes.users.items():
            old = self.connection.execute("SELECT name FROM user WHERE id = ?", (user,)).fetchone()
            renamed = old is None or (name is not None and name != old[0])
            if renamed or last_seen is not None:
                self.connection.execute(
                    "INSERT INTO user VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                    " name = coalesce(excluded.name, name), last_seen = coalesce(excluded.last_seen, last_seen)",
                    (user, name, last_seen),
                )
            if renamed:
                # The words of the old name are known from it: they are not looked for among everybody's.
                before, after = name_words(user, old[0]) if old is not None else set(), name_words(user, name)
                for statement, words in (
                    ("DELETE FROM user_word WHERE word = ? AND user = ?", before - after),
                    ("INSERT OR IGNORE INTO user_word VALUES (?, ?)", after - before),
                ):
                    self.connection.executemany(statement, [(word, user) for word in words])


def recorded(
    connection: sqlite3.Connection, num: int, keys: Sequence[tuple[str, Any]]
) -> dict[tuple[str, str], Recorded]:
    """Those of the (sender, key) pairs that are recorded in the room."""
    found: dict[tuple[str, str], Recorded] = {}
    mask = (1 << SEQ_BITS) - 1
    for sender, key in keys:
        row = connection.execute(
            f"SELECT id, ts FROM fact WHERE id >> {SEQ_BITS} = ? AND sender = ? AND key = ?", (num, sender, key)
        ).fetchone()
        if row is not None:
            found[sender, key] = Recorded(row[0] & mask, row[1])
    return found
