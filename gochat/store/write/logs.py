"""The logs of rooms, and all that follows from them: each fact where it belongs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from gochat.domain import facts
from gochat.domain.facts import AnyFact
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.membership import FORMER, change_of
from gochat.domain.side_records import AnySideRecord
from gochat.replication import EpochIs
from gochat.store import listing, mentions
from gochat.store.bulk import BulkInsert
from gochat.store.rows import WRITTEN, Row, told_mentions, written
from gochat.store.schema import SEQ_BITS
from gochat.store.search import index
from gochat.store.write import notices, side_records
from gochat.store.write.notes import raise_reads

#: How many rooms' message counts, and heads, are kept; they are read again when needed.
KNOWN = 50_000

# OR FAIL: a statement that fails may leave some of its rows, for the whole batch is rolled back anyway; that spares
# SQLite the statement's own journal.
_FACTS = BulkInsert(f"INSERT OR FAIL INTO fact ({WRITTEN})", 9)
_ROOMS = BulkInsert(
    "INSERT INTO room (num, id, head, ts, messages, last)",
    6,
    """ON CONFLICT (num) DO UPDATE SET head = excluded.head, ts = excluded.ts, messages = excluded.messages,
       last = max(last, excluded.last)""",
)
_SEATS = BulkInsert(
    "INSERT INTO seat (user, num, role, since_seq, since_ts, read, name)",
    7,
    """ON CONFLICT (user, num) DO UPDATE SET role = excluded.role, since_seq = excluded.since_seq, name = excluded.name,
       since_ts = excluded.since_ts, read = max(read, excluded.read), left_seq = NULL""",
)


class Batch(NamedTuple):
    """One room's facts of one turn."""

    room: str
    room_pk: int
    facts: Sequence[AnyFact]
    side_records: Sequence[AnySideRecord | EpochIs] = ()
    weight: int = 0
    """Bytes of memory that it takes, about; 0: nobody has looked."""
    ids: Sequence[int] = ()
    """For each side record the id that its report or audit entry gets, where the journal gives them so that they are
    the same on other nodes. Empty: they are counted here."""


class Logs:
    """Writes in the transaction that is open. Values kept of a room must be forgotten when it is rolled back."""

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

    def head(self, room_pk: int) -> int:
        """The last seq in the room's log; 0 where there is no room."""
        head = self._heads.get(room_pk)
        if head is None:
            row = self._connection.execute("SELECT head FROM room WHERE num = ?", (room_pk,)).fetchone()
            head = int(row[0]) if row else 0
            if len(self._heads) >= KNOWN:
                self._heads.clear()
            self._heads[room_pk] = head
        return head

    def forget(self, room_pk: int) -> None:
        self._counts.pop(room_pk, None)
        self._heads.pop(room_pk, None)
        self._stale.clear()  # The seats of other rooms may have changed with this one's.

    def write(self, batches: Sequence[Batch]) -> None:
        if len(self._counts) >= KNOWN:
            self._counts.clear()
        rows: list[Row] = []
        rooms: list[Row] = []
        reads: list[Row] = []
        talking: list[Row] = []
        memberships: list[Row] = []
        made: list[Batch] = []
        rare: list[tuple[Batch, AnyFact]] = []
        mentioned: list[Row] = []
        split_off: list[Batch] = []
        for batch in batches:
            if batch.side_records:
                split_off.append(batch)
                if not batch.facts:
                    continue
            base, count, last, senders = batch.room_pk << SEQ_BITS, self._count(batch.room_pk), 0, {}
            for fact in batch.facts:
                if type(fact) is facts.Message:
                    count += 1
                    last = senders[fact.sender] = fact.seq
                    if fact.mentions is not None:
                        mentioned += mentions.rows(batch.room_pk, fact.seq, fact.sender, fact.mentions)
                else:
                    rare.append((batch, fact))
                rows.append(written(base, fact, count))
            first, final = batch.facts[0], batch.facts[-1]
            rooms.append((batch.room_pk, batch.room, final.seq, final.ts, count, last))
            if is_dm(batch.room):
                if first.seq == 1:
                    memberships += [
                        (user, batch.room_pk, "dm", 1, first.ts, 0, None) for user in set(dm_users(batch.room))
                    ]
                    made.append(batch)
                if last and batch.room_pk not in self._stale:
                    talking += [(user, batch.room_pk) for user in set(dm_users(batch.room))]
            reads += [(sender, batch.room_pk, seq) for sender, seq in senders.items()]
            self._counts[batch.room_pk], self._heads[batch.room_pk] = count, final.seq
            self.longer.add(batch.room_pk)
        connection = self._connection
        _ROOMS.run(connection, rooms)
        _FACTS.run(connection, rows)
        mentions.add(connection, mentioned)
        self._mark(batches)
        _SEATS.run(connection, memberships)
        for batch in made:
            listing.relist(connection, batch.room_pk, batch.room)
        for batch, fact in rare:
            self._rare(batch, fact)
        for batch in split_off:
            self._side_records(batch)
        raise_reads(connection, reads)
        self._let_stale(talking)

    def _mark(self, batches: Sequence[Batch]) -> None:
        if not self._notices:
            return
        firsts = ((batch.room_pk, _first_message(batch)) for batch in batches)
        notices.mark(self._connection, [(room_pk, seq) for room_pk, seq in firsts if seq is not None])

    def _let_stale(self, memberships: list[Row]) -> None:
        if not memberships:
            return
        if len(self._stale) >= KNOWN:
            self._stale.clear()
        self._stale.update(room_pk for _, room_pk in memberships)
        self._stale -= listing.let_stale(self._connection, memberships)

    def _count(self, room_pk: int) -> int:
        count = self._counts.get(room_pk)
        if count is None:
            row = self._connection.execute("SELECT messages FROM room WHERE num = ?", (room_pk,)).fetchone()
            count = int(row[0]) if row else 0
        return count

    def _rare(self, batch: Batch, fact: AnyFact) -> None:
        """The changes that facts other than messages make beside their own row."""
        execute, room_pk = self._connection.execute, batch.room_pk
        gone = isinstance(fact, facts.Delete) and listing.is_shown(self._connection, room_pk, fact.target)
        listing.skip(self._connection, room_pk, [fact.seq], [fact.target] if gone else ())  # type: ignore[union-attr]
        if isinstance(fact, facts.Edit):
            target = room_pk << SEQ_BITS | fact.target
            row = execute("SELECT sender FROM fact WHERE id = ? AND delete_seq IS NULL", (target,)).fetchone()
            if row is None:
                return  # Its text expired after the edit was decided: it does not come back.
            index.change(self._connection, room_pk, fact.target, fact.body)
            mentions.change(self._connection, room_pk, fact.target, row[0], fact.mentions)
            execute(
                "UPDATE fact SET body = ?, data = ?, edit_seq = ?, edit_ts = ? WHERE id = ?",
                (fact.body, told_mentions(fact.mentions), fact.seq, fact.ts, target),
            )
        elif isinstance(fact, facts.Delete):
            index.change(self._connection, room_pk, fact.target, None)
            mentions.drop(self._connection, room_pk, fact.target)
            execute(
                "UPDATE fact SET body = NULL, data = NULL, delete_seq = ?, delete_ts = ? WHERE id = ?",
                (fact.seq, fact.ts, room_pk << SEQ_BITS | fact.target),
            )
        elif isinstance(fact, facts.Reaction):
            execute(
                "INSERT OR REPLACE INTO reaction VALUES (?, ?, ?, ?, ?, ?)",
                (room_pk << SEQ_BITS | fact.target, fact.sender, fact.emoji, fact.on, fact.seq, fact.ts),
            )
        elif isinstance(fact, facts.Member):
            self._member(batch, fact)
        elif isinstance(fact, facts.Group):
            execute(
                "UPDATE room SET title = coalesce(?, title), history = coalesce(?, history), post = coalesce(?, post)"
                " WHERE num = ?",
                (fact.title, fact.history, fact.post, room_pk),
            )
        elif isinstance(fact, facts.Closed):
            execute("UPDATE room SET closed = 1, members = 0 WHERE num = ?", (room_pk,))
            execute(
                f"UPDATE seat SET role = 'former', left_seq = ?, name = NULL WHERE num = ? AND {listing.IN_GROUP}",
                (fact.seq, room_pk),
            )

    def _side_records(self, batch: Batch) -> None:
        if not batch.facts and batch.room_pk:
            # A relation may begin before the first message.
            self._connection.execute(
                "INSERT OR IGNORE INTO room (num, id, head, ts, messages, last) VALUES (?, ?, 0, 0, 0, 0)",
                (batch.room_pk, batch.room),
            )
        side_records.write(self._connection, batch.room_pk, batch.room, batch.side_records, batch.ids)

    def _member(self, batch: Batch, fact: facts.Member) -> None:
        execute, room_pk = self._connection.execute, batch.room_pk
        if fact.title is not None:
            execute("UPDATE room SET title = ? WHERE num = ?", (fact.title, room_pk))
        present = {user for user in fact.users if self._is_member(room_pk, user)}
        users, role, begins = change_of(fact, present)
        if begins:
            # Users who join have nothing unread: they have read up to the fact that says so.
            rows = [(user, room_pk, role, fact.seq, fact.ts, fact.seq, batch.room) for user in users]
            _SEATS.run(self._connection, rows)
        elif role == FORMER:
            for user in users:
                execute(
                    "UPDATE seat SET role = 'former', left_seq = ?, name = NULL WHERE user = ? AND num = ?",
                    (fact.seq, user, room_pk),
                )
        else:
            for user in users:
                execute("UPDATE seat SET role = ? WHERE user = ? AND num = ?", (role, user, room_pk))
            return
        more = len(users) - len(present) if begins else -len(users)
        execute("UPDATE room SET members = members + ? WHERE num = ?", (more, room_pk))

    def _is_member(self, room_pk: int, user: str) -> bool:
        row = self._connection.execute(
            f"SELECT 1 FROM seat WHERE user = ? AND num = ? AND {listing.IN_GROUP}", (user, room_pk)
        ).fetchone()
        return row is not None


def _first_message(batch: Batch) -> int | None:
    """Its seq; None where there is no message."""
    return next((fact.seq for fact in batch.facts if type(fact) is facts.Message), None)
