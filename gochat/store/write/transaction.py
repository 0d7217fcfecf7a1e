"""One transaction: what a group of batches writes. Runs in whichever thread owns the connection; knows no trio.

Messages, which are nearly all that is ever written, go into the tail and are merged later (tail.py). All else is rare,
and is written where it belongs at once; what the tail holds of its room is merged in the same transaction.
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
from gochat.ports import DuplicateKeys
from gochat.store.health import is_damage
from gochat.store.many import Probe
from gochat.store.schema import LAST_COMMIT, SEQ_BITS
from gochat.store.write import expiry, tail
from gochat.store.write import notes as noted
from gochat.store.write.expiry import Expired, Old
from gochat.store.write.logs import Batch, Logs
from gochat.store.write.notes import Notes

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What one piece of a group can be guilty of: it clashes, or holds what SQLite can't take. All else is the database's.
_UNFIT = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, OverflowError, UnicodeError)

#: What an INTEGER of SQLite can hold.
_MOST = (1 << 63) - 1

#: Memory that messages may take in the tail.
FULL_BYTES = 32 << 20

#: Whether one of (room, sender, key) is in the logs.
_KEYS = Probe(
    "SELECT 1 FROM (", 3,
    f""") AS v WHERE EXISTS (SELECT 1 FROM fact WHERE key IS NOT NULL
        AND id >> {SEQ_BITS} = v.column1 AND sender = v.column2 AND key = v.column3) LIMIT 1""",
)  # fmt: skip


class Writer:
    """The writing side of one connection. What a crash left in the tail is merged first.

    `tail` is told of what was committed. After an exception both are of no more use.
    """

    def __init__(
        self, connection: sqlite3.Connection, known: tail.Tail | None = None, full_bytes: int = FULL_BYTES,
        notices: bool = False,
    ) -> None:  # fmt: skip
        """`full_bytes`: memory that the tail may take. What does not fit goes into the logs at once. `notices`: see
        Logs."""
        self._full_bytes = full_bytes
        self.connection = connection
        self.tail = known or tail.Tail()
        self.commits = int(connection.execute(LAST_COMMIT).fetchone()[0])
        self.committing = False
        """Whether the last thing tried was a COMMIT, so that its failure says nothing."""
        self.facts = self.messages = 0
        """How many the last commit recorded."""
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
            self._roll_back(batch.num for batch in batches)
            if is_damage(error):
                return self._record_singly(batches, notes)
        return self._record_apart(batches, notes)

    def _record_singly(
        self, batches: Sequence[Batch], notes: Notes | None
    ) -> list[int | DuplicateKeys | StoreError]:  # fmt: skip
        """Something in the group met a damaged page: each piece in a transaction of its own. What fails then for all
        may come after some are recorded."""
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
                    self._roll_back([batch.num])
                    results.append(self._told_of(batch, error))
            for note in notes.apart() if notes is not None else ():
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

    def merge(self, nums: Collection[int], most: int | None = None) -> bool:
        """Merge what the tail holds of these rooms, at most so many messages, into their logs; then rows that are of no
        more use are deleted. Whether more is left. What a log does not take is `tail.stuck`.

        Not synced: it follows from what was committed, and the next commit syncs.
        """
        self._merge(self.tail.pending(nums, most))
        return any(num in self.tail and num not in self.tail.stuck for num in nums)

    def merge_slice(self, most: int) -> None:
        """The same with the next messages of the lot that is being merged."""
        self._merge(self.tail.slice(most))

    def _merge(self, pieces: tail.Pieces) -> None:
        spent = self.tail.spent(pieces)
        if not pieces and not spent:
            return
        self.connection.execute("PRAGMA synchronous = NORMAL")
        try:
            self._merge_together(pieces, spent)
        except Exception as error:
            if not self._is_of_some(error):
                raise
            self._roll_back(pieces)
            self._merge_apart(pieces)
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self.connection.execute("PRAGMA synchronous = FULL")

    def _merge_together(self, pieces: tail.Pieces, spent: int) -> None:
        self._begin()
        self._logs.write(_batches(pieces))
        self._finish(self.commits, spent, merged=pieces)
        self.tail.forget(pieces, spent)

    def _merge_apart(self, pieces: tail.Pieces) -> None:
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
                self._roll_back([batch.num])
                failed.append(batch.num)
                log.error("%s: messages can't be merged into its log: %s", batch.room, error)
            else:
                self.tail.forget({batch.num: pieces[batch.num]}, 0)
        for num in failed:
            self.tail.jam(num, self.tail.pending([num]).get(num) or list(pieces[num]))

    def _recover(self) -> None:
        """Merge what the table holds and nobody knows of any more."""
        left = tail.unmerged(self.connection)
        (rows,) = self.connection.execute("SELECT count(*) FROM tail").fetchone()
        self.tail.begin(left)
        if rows:
            try:
                self._merge_together(left, self.commits)
            except Exception as error:
                if not self._is_of_some(error):
                    raise
                self._roll_back(left)
                self._merge_apart(left)
                self._merge_together({}, self.commits)
        self.tail.begun()

    def _is_of_some(self, error: Exception) -> bool:
        """Whether some of a group can be guilty of it, so that it may go well for the others."""
        return not self.committing and (isinstance(error, _UNFIT) or is_damage(error))

    def _record_together(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | DuplicateKeys | StoreError]:
        number = self.commits + 1
        late, weights, keys, here = self._parted(batches)
        merged = self.tail.pending(batch.num for batch in here)
        self._begin()
        if late:
            self._check_new(keys)
            self.tail.expect(number, late)
            tail.append(self.connection, number, late)
        if here:
            self._logs.write(_batches(merged))
            self._write(here)
        if notes is not None:
            noted.write(self.connection, notes)
        # The clock is a page: while rows of the tail tell the number, it stands still.
        self._finish(number, written=bool(here) or notes is not None)
        self.tail.add(number, late, keys, weights)
        self.tail.forget(merged, 0)
        self._count_recorded(here, sum(map(len, late.values())))
        return [number] * len(batches)

    def _write(self, batches: Sequence[Batch]) -> None:
        """Write into the logs; a text that is edited or deleted is gone from the tail too, and from pages it was in."""
        old = [
            (batch.num, fact.target)
            for batch in batches
            for fact in batch.facts
            if isinstance(fact, facts.Edit | facts.Delete)
        ]
        if not old:
            self._logs.write(batches)
            return
        with tail.wiping(self.connection):
            self._logs.write(batches)
            for num, target in old:
                number = self.tail.row_of(num, target)
                if number is not None:
                    tail.take_out(self.connection, number, num)

    def _parted(
        self, batches: Sequence[Batch]
    ) -> tuple[dict[int, Sequence[facts.Message]], dict[int, int], list[tail.Key], list[Batch]]:  # fmt: skip
        """What can go into the tail, by room, what that weighs, and its keys: messages of rooms that are there, and
        nothing else; and the batches that can't."""
        late: dict[int, Sequence[facts.Message]] = {}
        weights: dict[int, int] = {}
        keys: list[tail.Key] = []
        here: list[Batch] = []
        space = self._full_bytes - self.tail.bytes
        for batch in batches:
            num, known = batch.num, len(keys)
            if batch.beside or not batch.facts or num in late or not self._follows(num, batch.facts):
                here.append(batch)
                continue
            for fact in batch.facts:
                if type(fact) is not facts.Message or fact.ts > _MOST or (fact.reply_to or 0) > _MOST:
                    del keys[known:]
                    here.append(batch)
                    break
                if fact.key is not None:
                    keys.append((num, fact.sender, fact.key))
            else:
                messages: Sequence[facts.Message] = batch.facts  # type: ignore[assignment]
                weight = batch.weight or tail.weigh(messages)
                size = weight + tail.KEY_BYTES * (len(keys) - known)
                if size > space:
                    del keys[known:]
                    here.append(batch)
                else:
                    space -= size
                    late[num], weights[num] = messages, weight
        if any(batch.num in late for batch in here):
            return {}, {}, [], list(batches)  # Two of one room: in their order, then.
        return late, weights, keys, here

    def _follows(self, num: int, batch: Sequence[AnyFact]) -> bool:
        """Whether the facts follow the log of a room that has one. All else is for SQLite to judge."""
        head = self.tail.head(num) or self._logs.head(num)
        return 0 < head == batch[0].seq - 1 and batch[-1].seq == head + len(batch)

    def _check_new(self, keys: list[tail.Key]) -> None:
        """Raises sqlite3.IntegrityError if one is recorded, as the index of keys does."""
        has = self.tail.has
        if len(set(keys)) < len(keys) or any(map(has, keys)) or _KEYS.finds(self.connection, keys):
            raise sqlite3.IntegrityError("a key is recorded already")

    def _record_apart(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | DuplicateKeys | StoreError]:
        """Something in the group clashes or can't be written: each piece in a savepoint of its own, so that it costs
        nobody else."""
        execute = self.connection.execute
        failed: dict[int, DuplicateKeys | StoreError] = {}
        self._merge(self.tail.pending(batch.num for batch in batches))
        self._begin()
        try:
            for position, batch in enumerate(batches):
                if batch.num in self.tail.stuck:
                    failed[position] = Damaged(f"{batch.room}: the log is damaged near its head")
                    continue
                execute("SAVEPOINT batch")
                try:
                    self._write([batch])
                except Exception as error:
                    if not self._is_of_some(error):
                        raise
                    execute("ROLLBACK TO batch")
                    self._logs.forget(batch.num)
                    failed[position] = self._told_of(batch, error)
                execute("RELEASE batch")
            for note in notes.apart() if notes is not None else ():
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
            self._roll_back(batch.num for batch in batches)
            raise
        self._count_recorded([batch for position, batch in enumerate(batches) if position not in failed])
        return [failed.get(position, number) for position in range(len(batches))]

    def record_all(self, batches: Iterable[Batch], after: Callable[[], Notes]) -> int:
        """Record what may be more than memory holds, in one transaction: all of it, or nothing. `after` is called when
        all are written; it gives what is noted beside them, and may write more. Returns the transaction's number.
        The tail must be empty."""
        nums: set[int] = set()
        self._begin()
        try:
            for batch in batches:
                nums.add(batch.num)
                self._logs.write([batch])
            noted.write(self.connection, after())
            self._finish(self.commits + 1)
            return self.commits
        except BaseException:
            self._roll_back(nums)
            raise

    def expire(self, old: Old, now_ms: int) -> Expired:
        """Take the texts of the room's next messages that are too old, in a transaction of its own; overwritten, as
        what is deleted. Not synced: what is lost of it is done again."""
        if old.num in self.tail.stuck:
            return Expired(0, False)
        self.connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with tail.wiping(self.connection):
                self._begin()
                done = expiry.expire(self.connection, old, now_ms)
                self._finish(self.commits, written=False)
            return done
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self.connection.execute("PRAGMA synchronous = FULL")

    def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Have `job` write beside the logs, in a transaction of its own. Not synced: what is lost of it by a power
        failure is done again."""
        self.connection.execute("PRAGMA synchronous = NORMAL")
        try:
            self._begin()
            result = job(self.connection)
            self._finish(self.commits, written=False)
            return result
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self.connection.execute("PRAGMA synchronous = FULL")

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def _finish(
        self, number: int, spent: int = 0, *, written: bool = True, merged: tail.Pieces | None = None
    ) -> None:  # fmt: skip
        if spent:
            stuck = {num: messages for num, messages in self.tail.stuck.items() if num not in (merged or ())}
            tail.delete(self.connection, spent, stuck)
        if spent or written:
            self.connection.execute("UPDATE clock SET commits = ?", (number,))
        self.committing = True
        self.connection.execute("COMMIT")
        self.committing = False
        self.commits = number

    def _roll_back(self, nums: Iterable[int]) -> None:
        for num in nums:
            self._logs.forget(num)
        self.tail.cancel(self.commits + 1)
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
        found = recorded(self.connection, batch.num, keys)
        return DuplicateKeys(found) if found else None


def _batches(pieces: tail.Pieces) -> list[Batch]:
    return [Batch(messages[0].room, num, messages) for num, messages in pieces.items()]


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
