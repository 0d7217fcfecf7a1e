"""One transaction: what a group of batches writes. Runs in whichever thread owns the connection; knows no trio.

Messages, which are nearly all that is ever written, go into the tail and are merged later (write_buffer.py). All else
is rare, and is written where it belongs at once; messages of its room that the tail holds are merged in the same
transaction.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from gochat.domain import facts
from gochat.domain.facts import AnyFact
from gochat.domain.record import Recorded
from gochat.errors import Damaged, StoreError
from gochat.ports.journal import DuplicateKeys
from gochat.store.bulk import ExistsQuery
from gochat.store.health import is_damage
from gochat.store.schema import LAST_COMMIT, SEQ_BITS
from gochat.store.write import expiry, write_buffer
from gochat.store.write import notes as noted
from gochat.store.write.expiry import Expired, Old
from gochat.store.write.logs import Batch, Logs
from gochat.store.write.notes import Notes
from gochat.store.write.unsynced import unsynced

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Errors that one piece of a group can cause: it clashes, or holds values SQLite can't take. Others are the database's.
_UNFIT = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, OverflowError, UnicodeError)

#: The highest value that an INTEGER of SQLite can hold.
_MOST = (1 << 63) - 1

#: Memory that messages may take in the tail.
FULL_BYTES = 32 << 20

#: Whether one of (room, sender, key) is in the logs.
_KEYS = ExistsQuery(
    "SELECT 1 FROM (",
    3,
    f""") AS v WHERE EXISTS (SELECT 1 FROM fact WHERE key IS NOT NULL
        AND id >> {SEQ_BITS} = v.column1 AND sender = v.column2 AND key = v.column3) LIMIT 1""",
)


class Unrecordable(Exception):
    """SQLite can't take something of what was to be recorded; nothing of it is."""


class Writer:
    """The writing side of one connection. Messages that a crash left in the tail are merged first.

    `write_buffer` is told of each commit. After an exception both are of no more use.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        known: write_buffer.WriteBuffer | None = None,
        full_bytes: int = FULL_BYTES,
        notices: bool = False,
    ) -> None:
        """`full_bytes`: memory that the tail may take. Messages that do not fit go into the logs at once.
        `notices`: see Logs."""
        self._full_bytes = full_bytes
        self.connection = connection
        self.write_buffer = known or write_buffer.WriteBuffer()
        self.commits = int(connection.execute(LAST_COMMIT).fetchone()[0])
        self.committing = False
        """Whether the last thing tried was a COMMIT, so that its failure says nothing."""
        self.facts = self.messages = 0
        """How many the last commit recorded."""
        self.undeleted: str | None = None
        """Why the tail's rows that are of no more use, all of whose messages are merged, could not be deleted when that
        was tried last; None: they could."""
        self._logs = Logs(connection, notices)
        self._recover()

    def take_longer(self) -> set[int]:
        """The rooms whose logs were made longer since the last call; some may not be there after all."""
        longer, self._logs.longer = self._logs.longer, set()
        return longer

    def record(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | DuplicateKeys | StoreError]:
        """Record all in one transaction; for each batch the transaction's number, or why nothing of it is recorded.

        Raises sqlite3.Error when all of it failed: nothing is recorded, unless it was COMMIT that failed.
        """
        try:
            return self._record_together(batches, notes)
        except Exception as error:
            if not self._is_of_some(error):
                raise
            self._roll_back(batch.room_pk for batch in batches)
            if is_damage(error):
                return self._record_singly(batches, notes)
        return self._record_apart(batches, notes)

    def apply(self, batches: Sequence[Batch], beside: Callable[[sqlite3.Connection], None]) -> int:
        """Record batches that are known to hold, one a room, and what `beside` writes after them, in one transaction;
        its number. Raises Unrecordable; and sqlite3.Error as `record` does."""
        try:
            self._record_together(batches, None, beside)
        except Exception as error:
            if not self._is_of_some(error) or is_damage(error):
                raise
            self._roll_back(batch.room_pk for batch in batches)
            raise Unrecordable(str(error)) from error
        return self.commits

    def _record_singly(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | DuplicateKeys | StoreError]:
        """Something in the group met a damaged page: each piece in a transaction of its own. An error that then
        stops them all may come after some are recorded."""
        results: list[int | DuplicateKeys | StoreError] = []
        recorded: list[Batch] = []
        try:
            for batch in batches:
                try:
                    results += self._record_together([batch], None)
                    recorded.append(batch)
                except Exception as error:
                    if not self._is_of_some(error):
                        raise
                    self._roll_back([batch.room_pk])
                    results.append(self._told_of(batch, error))
            for note in notes.split_off() if notes is not None else ():
                try:
                    self._record_together([], note)
                except Exception as error:
                    if not self._is_of_some(error):
                        raise
                    self._roll_back([])
                    log.error("a note can't be recorded and is dropped: %s", error)
        except Exception:
            self.committing = True  # Some of it may be recorded.
            raise
        self._count_recorded(recorded)
        return results

    def _told_of(self, batch: Batch, error: Exception) -> DuplicateKeys | StoreError:
        """Why nothing of the batch is recorded."""
        clash = self._clash(batch) if isinstance(error, sqlite3.IntegrityError) else None
        told = f"{batch.room}: {error}"
        return clash or (Damaged(told) if is_damage(error) else StoreError(told))

    def merge(self, room_pks: Collection[int], most: int | None = None) -> bool:
        """Merge the tail's messages of these rooms, at most so many, into their logs; then rows that are of no more use
        are deleted. Whether more is left. Messages that a log does not take are `write_buffer.quarantined`.

        Not synced: the logs follow from earlier commits, and the next commit syncs.
        """
        self._merge(self.write_buffer.pending(room_pks, most))
        return any(
            room_pk in self.write_buffer and room_pk not in self.write_buffer.quarantined for room_pk in room_pks
        )

    def merge_slice(self, most: int) -> None:
        """The same with the next messages of the segment that is being merged."""
        self._merge(self.write_buffer.slice(most))

    def _merge(self, pieces: write_buffer.Pieces) -> None:
        obsolete = self.write_buffer.obsolete_upto(pieces)
        if not pieces and not obsolete:
            return
        with unsynced(self.connection):
            try:
                self._merge_together(pieces, obsolete)
            except Exception as error:
                if not self._is_of_some(error):
                    raise
                self._roll_back(pieces)
                self._merge_apart(pieces)
                self._delete_obsolete()

    def _merge_together(self, pieces: write_buffer.Pieces, obsolete: int) -> None:
        self._begin()
        self._logs.write(_batches(pieces))
        self._finish(self.commits, obsolete, merged=pieces)
        self.write_buffer.forget(pieces, obsolete)
        if obsolete:
            self.undeleted = None

    def _delete_obsolete(self) -> None:
        """Delete the rows that are of no more use, and nothing else. A damaged page that hides them costs no room its
        merge: they stay, and so does their segment, until a later merge can delete them."""
        obsolete = self.write_buffer.obsolete_upto({})
        if not obsolete:
            return
        try:
            self._merge_together({}, obsolete)
        except Exception as error:
            if not self._is_of_some(error):
                raise
            self._roll_back(())
            self.undeleted = str(error)

    def _merge_apart(self, pieces: write_buffer.Pieces) -> None:
        """A log does not take what follows its head: it is damaged. That costs no other room anything: each has a
        transaction of its own, since one that met a damaged page can't be committed."""
        failed: list[int] = []
        for batch in _batches(pieces):
            try:
                self._begin()
                self._logs.write([batch])
                self._finish(self.commits)
            except Exception as error:
                if not self._is_of_some(error):
                    raise
                self._roll_back([batch.room_pk])
                failed.append(batch.room_pk)
                log.error("%s: messages can't be merged into its log: %s", batch.room, error)
            else:
                self.write_buffer.forget({batch.room_pk: pieces[batch.room_pk]}, 0)
        for room_pk in failed:
            self.write_buffer.quarantine(
                room_pk, self.write_buffer.pending([room_pk]).get(room_pk) or list(pieces[room_pk])
            )

    def _recover(self) -> None:
        """Merge what the table holds and nobody knows of any more."""
        left = write_buffer.unmerged(self.connection)
        (rows,) = self.connection.execute("SELECT count(*) FROM tail").fetchone()
        self.write_buffer.begin(left)
        if rows:
            try:
                self._merge_together(left, self.commits)
            except Exception as error:
                if not self._is_of_some(error):
                    raise
                self._roll_back(left)
                self._merge_apart(left)
                self._merge_together({}, self.commits)
        self.write_buffer.begun()

    def _is_of_some(self, error: Exception) -> bool:
        """Whether some of a group can be guilty of it, so that it may go well for the others."""
        return not self.committing and (isinstance(error, _UNFIT) or is_damage(error))

    def _record_together(
        self,
        batches: Sequence[Batch],
        notes: Notes | None,
        beside: Callable[[sqlite3.Connection], None] | None = None,
    ) -> list[int | DuplicateKeys | StoreError]:
        number = self.commits + 1
        late, weights, keys, here = self._parted(batches)
        merged = self.write_buffer.pending(batch.room_pk for batch in here)
        self._begin()
        if late:
            self._check_new(keys)
            self.write_buffer.expect(number, late)
            write_buffer.append(self.connection, number, late)
        if here:
            self._logs.write(_batches(merged))
            self._write(here)
        if notes is not None:
            noted.write(self.connection, notes)
        if beside is not None:
            beside(self.connection)
        # The clock is a page: while rows of the tail tell the number, it stands still.
        self._finish(number, written=bool(here) or notes is not None or not late)
        self.write_buffer.add(number, late, keys, weights)
        self.write_buffer.forget(merged, 0)
        self._count_recorded(here, sum(map(len, late.values())))
        return [number] * len(batches)

    def _write(self, batches: Sequence[Batch]) -> None:
        """Write into the logs; a text that is edited or deleted is gone from the tail too, and from pages it was in."""
        old = [
            (batch.room_pk, fact.target)
            for batch in batches
            for fact in batch.facts
            if isinstance(fact, facts.Edit | facts.Delete)
        ]
        if not old:
            self._logs.write(batches)
            return
        with write_buffer.wiping(self.connection):
            self._logs.write(batches)
            for room_pk, target in old:
                for number in self.write_buffer.rows_of(room_pk, target):
                    write_buffer.take_out(self.connection, number, room_pk)

    def _parted(
        self, batches: Sequence[Batch]
    ) -> tuple[dict[int, Sequence[facts.Message]], dict[int, int], list[write_buffer.Key], list[Batch]]:
        """The messages that can go into the tail, by room, their weights, and their keys: messages of rooms that are
        there, and nothing else; and the batches that can't go there."""
        late: dict[int, Sequence[facts.Message]] = {}
        weights: dict[int, int] = {}
        keys: list[write_buffer.Key] = []
        here: list[Batch] = []
        space = self._full_bytes - self.write_buffer.bytes
        for batch in batches:
            room_pk, known = batch.room_pk, len(keys)
            if batch.side_records or not batch.facts or room_pk in late or not self._follows(room_pk, batch.facts):
                here.append(batch)
                continue
            for fact in batch.facts:
                if type(fact) is not facts.Message or fact.ts > _MOST or (fact.reply_to or 0) > _MOST:
                    del keys[known:]
                    here.append(batch)
                    break
                if fact.key is not None:
                    keys.append((room_pk, fact.sender, fact.key))
            else:
                messages: Sequence[facts.Message] = batch.facts  # type: ignore[assignment]
                weight = batch.weight or write_buffer.weigh(messages)
                size = weight + write_buffer.KEY_BYTES * (len(keys) - known)
                if size > space:
                    del keys[known:]
                    here.append(batch)
                else:
                    space -= size
                    late[room_pk], weights[room_pk] = messages, weight
        if any(batch.room_pk in late for batch in here):
            return {}, {}, [], list(batches)  # Two of one room: in their order, then.
        return late, weights, keys, here

    def _follows(self, room_pk: int, batch: Sequence[AnyFact]) -> bool:
        """Whether the facts follow the log of a room that has one. All else is for SQLite to judge."""
        head = self.write_buffer.head(room_pk) or self._logs.head(room_pk)
        return 0 < head == batch[0].seq - 1 and batch[-1].seq == head + len(batch)

    def _check_new(self, keys: list[write_buffer.Key]) -> None:
        """Raises sqlite3.IntegrityError if one is recorded, as the index of keys does."""
        distinct = set(keys)
        if len(distinct) < len(keys) or self.write_buffer.has_any(distinct) or _KEYS.finds(self.connection, keys):
            raise sqlite3.IntegrityError("a key is recorded already")

    def _record_apart(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | DuplicateKeys | StoreError]:
        """Something in the group clashes or can't be written: each piece in a savepoint of its own, so that it costs
        nobody else."""
        execute = self.connection.execute
        failed: dict[int, DuplicateKeys | StoreError] = {}
        self._merge(self.write_buffer.pending(batch.room_pk for batch in batches))
        self._begin()
        try:
            for position, batch in enumerate(batches):
                if batch.room_pk in self.write_buffer.quarantined:
                    failed[position] = Damaged(f"{batch.room}: the log is damaged near its head")
                    continue
                execute("SAVEPOINT batch")
                try:
                    self._write([batch])
                except Exception as error:
                    if not self._is_of_some(error):
                        raise
                    execute("ROLLBACK TO batch")
                    self._logs.forget(batch.room_pk)
                    failed[position] = self._told_of(batch, error)
                execute("RELEASE batch")
            for note in notes.split_off() if notes is not None else ():
                execute("SAVEPOINT note")
                try:
                    noted.write(self.connection, note)
                except Exception as error:
                    if not self._is_of_some(error):
                        raise
                    execute("ROLLBACK TO note")
                    log.error("a note can't be recorded and is dropped: %s", error)
                execute("RELEASE note")
            number = self.commits + 1
            self._finish(number)
        except Exception:
            self._roll_back(batch.room_pk for batch in batches)
            raise
        self._count_recorded([batch for position, batch in enumerate(batches) if position not in failed])
        return [failed.get(position, number) for position in range(len(batches))]

    def record_all(self, batches: Iterable[Batch], after: Callable[[], Notes]) -> int:
        """Record what may be more than memory holds, in one transaction: all of it, or nothing. `after` is called when
        all are written; it gives what is noted beside them, and may write more. Returns the transaction's number.
        The tail must be empty."""
        room_pks: set[int] = set()
        self._begin()
        try:
            for batch in batches:
                room_pks.add(batch.room_pk)
                self._logs.write([batch])
            noted.write(self.connection, after())
            self._finish(self.commits + 1)
            return self.commits
        except BaseException:
            self._roll_back(room_pks)
            raise

    def expire(self, old: Old, now_ms: int) -> Expired:
        """Take the texts of the room's next messages that are too old, in a transaction of its own; overwritten, as
        what is deleted. Not synced: what is lost of it is done again."""
        if old.room_pk in self.write_buffer.quarantined:
            return Expired(0, False)
        with unsynced(self.connection), write_buffer.wiping(self.connection):
            self._begin()
            done = expiry.expire(self.connection, old, now_ms)
            self._finish(self.commits, written=False)
        return done

    def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Have `job` write beside the logs, in a transaction of its own. Not synced: what is lost of it by a power
        failure is done again."""
        with unsynced(self.connection):
            return self.run_synced(job)

    def run_synced(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The same, but what `job` writes survives power loss when this returns."""
        self._begin()
        result = job(self.connection)
        self._finish(self.commits, written=False)
        return result

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def _finish(
        self,
        number: int,
        obsolete: int = 0,
        *,
        written: bool = True,
        merged: write_buffer.Pieces | None = None,
    ) -> None:
        if obsolete:
            quarantined = {
                room_pk: messages
                for room_pk, messages in self.write_buffer.quarantined.items()
                if room_pk not in (merged or ())
            }
            if quarantined:
                self.write_buffer.rewrite(obsolete)
            write_buffer.delete(self.connection, obsolete, quarantined)
        if obsolete or written:
            self.connection.execute("UPDATE clock SET commits = ?", (number,))
        self.committing = True
        self.connection.execute("COMMIT")
        self.committing = False
        self.commits = number

    def _roll_back(self, room_pks: Iterable[int]) -> None:
        for room_pk in room_pks:
            self._logs.forget(room_pk)
        self.write_buffer.cancel(self.commits + 1)
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _count_recorded(self, batches: Sequence[Batch], late: int = 0) -> None:
        """`late`: messages in the tail, beside these batches."""
        self.facts = self.messages = late
        for batch in batches:
            self.facts += len(batch.facts)
            for fact in batch.facts:
                self.messages += type(fact) is facts.Message

    def _clash(self, batch: Batch) -> DuplicateKeys | None:
        keys = [(fact.sender, fact.key) for fact in batch.facts if isinstance(fact, facts.Message) and fact.key]
        found = recorded(self.connection, batch.room_pk, keys)
        return DuplicateKeys(found) if found else None


def _batches(pieces: write_buffer.Pieces) -> list[Batch]:
    return [Batch(messages[0].room, room_pk, messages) for room_pk, messages in pieces.items()]


def recorded(
    connection: sqlite3.Connection, room_pk: int, keys: Sequence[tuple[str, Any]]
) -> dict[tuple[str, str], Recorded]:
    """Those of the (sender, key) pairs that are recorded in the room."""
    found: dict[tuple[str, str], Recorded] = {}
    mask = (1 << SEQ_BITS) - 1
    for sender, key in keys:
        row = connection.execute(
            f"SELECT id, ts FROM fact WHERE id >> {SEQ_BITS} = ? AND sender = ? AND key = ?", (room_pk, sender, key)
        ).fetchone()
        if row is not None:
            found[sender, key] = Recorded(row[0] & mask, row[1])
    return found
