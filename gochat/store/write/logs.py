"""The logs of rooms, and all that follows from them: each fact where it belongs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from gochat.domain import facts
from gochat.domain.beside import AnyBeside
from gochat.domain.facts import AnyFact
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.membership import FORMER, change_of
from gochat.store import listing
from gochat.store.many import Many
from gochat.store.rows import WRITTEN, Row, written
from gochat.store.schema import SEQ_BITS
from gochat.store.search import index
from gochat.store.write import beside, notices
from gochat.store.write.notes import raise_reads

#: How many rooms' message counts, and heads, are kept; they are read again when needed.
KNOWN = 50_000

# OR FAIL: a statement that fails may leave some of its rows, for the whole batch is rolled back anyway; that spares
# SQLite the statement's own journal.
_FACTS = Many(f"INSERT OR FAIL INTO fact ({WRITTEN})", 9)
_ROOMS = Many(
    "INSERT INTO room (num, id, head, ts, messages, last)", 6,
    """ON CONFLICT (num) DO UPDATE SET head = excluded.head, ts = excluded.ts, messages = excluded.messages,
       last = max(last, excluded.last)""",
)  # fmt: skip
_SEATS = Many(
    "INSERT INTO seat (user, num, role, since_seq, since_ts, read, name)", 7,
    """ON CONFLICT (user, num) DO UPDATE SET role = excluded.role, since_seq = excluded.since_seq, name = excluded.name,
       since_ts = excluded.since_ts, read = max(read, excluded.read), left_seq = NULL""",
)  # fmt: skip


class Batch(NamedTuple):
    """One room's facts of one turn."""

    room: str
    num: int
    facts: Sequence[AnyFact]
    beside: Sequence[AnyBeside] = ()
    weight: int = 0
    """Bytes of memory that it takes, about; 0: nobody has looked."""
    ids: Sequence[int] = ()
    """For each side record the id that its report or audit entry gets, where the journal gives them so that they are
    the same on other nodes. Empty: they are counted here."""


class Logs:
    """Writes in the transaction that is open. What is kept of a room must be forgotten when that is rolled back."""

    def __init__(self, connection: sqlite3.Connection, notices: bool = False) -> None:
        """With `notices`, rooms with new messages are marked for the notifier (notices.py)."""
        self._connection = connection
        self._notices = notices
        self._counts: dict[int, int] = {}
        self._heads: dict[int, int] = {}
        self._stale: set[int] = set()
        """Private rooms of which all seats are known to be stale: their next messages change nothing there."""
        self.longer: set[int] = set()
        """The rooms whose logs grew since this was last emptied, or would have, had it not been rolled back."""

    def head(self, num: int) -> int:
        """The last seq in the room's log; 0 where there is no room."""
        head = self._heads.get(num)
        if head is None:
            row = self._connection.execute("SELECT head FROM room WHERE num = ?", (num,)).fetchone()
            head = int(row[0]) if row else 0
            if len(self._heads) >= KNOWN:
                self._heads.clear()
            self._heads[num] = head
        return head

    def forget(self, num: int) -> None:
        self._counts.pop(num, None)
        self._heads.pop(num, None)
        self._stale.clear()  # The seats of other rooms may have changed with this one's.

    def write(self, batches: Sequence[Batch]) -> None:
        if len(self._counts) >= KNOWN:
            self._counts.clear()
        rows: list[Row] = []
        rooms: list[Row] = []
        reads: list[Row] = []
        talking: list[Row] = []
        seats: list[Row] = []
        made: list[Batch] = []
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
            if is_dm(batch.room):
                if first.seq == 1:
                    seats += [(user, batch.num, "dm", 1, first.ts, 0, None) for user in set(dm_users(batch.room))]
                    made.append(batch)
                if last and batch.num not in self._stale:
                    talking += [(user, batch.num) for user in set(dm_users(batch.room))]
            reads += [(sender, batch.num, seq) for sender, seq in senders.items()]
            self._counts[batch.num], self._heads[batch.num] = count, final.seq
            self.longer.add(batch.num)
        connection = self._connection
        _ROOMS.run(connection, rooms)
        _FACTS.run(connection, rows)
        self._mark(batches)
        if seats:
            _SEATS.run(connection, seats)
        for batch in made:
            listing.relist(connection, batch.num, batch.room)
        for batch, fact in rare:
            self._rare(batch, fact)
        for batch in apart:
            self._beside(batch)
        raise_reads(connection, reads)
        self._let_stale(talking)

    def _mark(self, batches: Sequence[Batch]) -> None:
        if not self._notices:
            return
        firsts = ((batch.num, _first_message(batch)) for batch in batches)
        notices.mark(self._connection, [(num, seq) for num, seq in firsts if seq is not None])

    def _let_stale(self, seats: list[Row]) -> None:
        if not seats:
            return
        if len(self._stale) >= KNOWN:
            self._stale.clear()
        self._stale.update(num for _, num in seats)
        self._stale -= listing.let_stale(self._connection, seats)

    def _count(self, num: int) -> int:
        count = self._counts.get(num)
        if count is None:
            row = self._connection.execute("SELECT messages FROM room WHERE num = ?", (num,)).fetchone()
            count = int(row[0]) if row else 0
        return count

    def _rare(self, batch: Batch, fact: AnyFact) -> None:
        """What other facts than messages change beside their own row."""
        execute, num = self._connection.execute, batch.num
        gone = isinstance(fact, facts.Delete) and listing.is_shown(self._connection, num, fact.target)
        listing.skip(self._connection, num, [fact.seq], [fact.target] if gone else ())  # type: ignore[union-attr]
        if isinstance(fact, facts.Edit):
            target = num << SEQ_BITS | fact.target
            if execute("SELECT 1 FROM fact WHERE id = ? AND delete_seq IS NULL", (target,)).fetchone() is None:
                return  # Its text expired after the edit was decided: it does not come back.
            index.change(self._connection, num, fact.target, fact.body)
            execute(
                "UPDATE fact SET body = ?, edit_seq = ?, edit_ts = ? WHERE id = ?",
                (fact.body, fact.seq, fact.ts, target),
            )
        elif isinstance(fact, facts.Delete):
            index.change(self._connection, num, fact.target, None)
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
            self._member(batch, fact)
        elif isinstance(fact, facts.Group):
            execute(
                "UPDATE room SET title = coalesce(?, title), history = coalesce(?, history), post = coalesce(?, post)"
                " WHERE num = ?",
                (fact.title, fact.history, fact.post, num),
            )
        elif isinstance(fact, facts.Closed):
            execute("UPDATE room SET closed = 1, members = 0 WHERE num = ?", (num,))
            execute(f"UPDATE seat SET role = 'former', left_seq = ?, name = NULL WHERE num = ? AND {listing.IN_GROUP}",
                    (fact.seq, num))  # fmt: skip

    def _beside(self, batch: Batch) -> None:
        if not batch.facts and batch.num:
            # A relation may begin before the first message.
            self._connection.execute(
                "INSERT OR IGNORE INTO room (num, id, head, ts, messages, last) VALUES (?, ?, 0, 0, 0, 0)",
                (batch.num, batch.room),
            )
        beside.write(self._connection, batch.num, batch.room, batch.beside, batch.ids)

    def _member(self, batch: Batch, fact: facts.Member) -> None:
        execute, num = self._connection.execute, batch.num
        if fact.title is not None:
            execute("UPDATE room SET title = ? WHERE num = ?", (fact.title, num))
        present = {user for user in fact.users if self._is_member(num, user)}
        users, role, begins = change_of(fact, present)
        if begins:
            # Users who join have nothing unread: they have read up to the fact that says so.
            rows = [(user, num, role, fact.seq, fact.ts, fact.seq, batch.room) for user in users]
            _SEATS.run(self._connection, rows)
        elif role == FORMER:
            for user in users:
                execute(
                    "UPDATE seat SET role = 'former', left_seq = ?, name = NULL WHERE user = ? AND num = ?",
                    (fact.seq, user, num),
                )
        else:
            for user in users:
                execute("UPDATE seat SET role = ? WHERE user = ? AND num = ?", (role, user, num))
            return
        more = len(users) - len(present) if begins else -len(users)
        execute("UPDATE room SET members = members + ? WHERE num = ?", (more, num))

    def _is_member(self, num: int, user: str) -> bool:
        row = self._connection.execute(
            f"SELECT 1 FROM seat WHERE user = ? AND num = ? AND {listing.IN_GROUP}", (user, num)
        ).fetchone()
        return row is not None


def _first_message(batch: Batch) -> int | None:
    """Its seq; None where there is no message."""
    return next((fact.seq for fact in batch.facts if type(fact) is facts.Message), None)
