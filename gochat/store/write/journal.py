"""The journal: what the actors write with, and group commit.

One commit is in flight. What is appended meanwhile waits and goes into the next, one scheduler tick after it came, so
that a burst over many rooms is one transaction and one fsync. Small commits are the worst waste: 107 us of CPU each,
however little is in them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import outcome
import trio

from gochat.domain.beside import AnyBeside
from gochat.domain.facts import AnyFact, Edit, Member, Message
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.record import RoomRecord
from gochat.errors import Full, StoreError, again
from gochat.ports import AppendResult, Committed, DuplicateKeys, OnRecorded, Overtaken
from gochat.store.read import rules
from gochat.store.read.merged import Merged
from gochat.store.read.pool import Readers
from gochat.store.thread import Worker
from gochat.store.write.committer import Committer
from gochat.store.write.logs import Batch
from gochat.store.write.notes import Notes
from gochat.store.write.tail import MESSAGE_BYTES, WIDE

log = logging.getLogger(__name__)

#: Batches that may wait for a commit: each is one room's turn, so it takes that many busy rooms to fill it.
MOST_WAITING = 50_000
#: Bytes of memory that they may take. It is looked at before one is taken: one turn of a room may come on top.
MOST_BYTES = 64 << 20
#: What an entry beside the log takes, about (a report's reason, a relation, a line of the audit log), and a user's id.
BESIDE_BYTES, USER_BYTES = 1000, 113
#: Notes that may wait; more are written at once.
MOST_NOTES = 50_000
#: How long a note may wait for a commit that takes it along.
NOTES_S = 0.3


class _Append(NamedTuple):
    """A batch that waits for a commit, and who is told what became of it."""

    batch: Batch
    done: OnRecorded


class SqliteJournal:
    """`ports.Journal` on SQLite. `run` must be running."""

    def __init__(
        self, committer: Worker[Committer], readers: Readers, merged: Merged, epoch: str, next_num: int,
        most_waiting: int = MOST_WAITING, most_bytes: int = MOST_BYTES,
    ) -> None:  # fmt: skip
        self._committer = committer
        self._readers = readers
        self._merged = merged
        self._epoch = epoch
        self._next_num = next_num
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._waiting: list[_Append] = []
        self._bytes = 0
        """What those take in memory."""
        self._reads: dict[tuple[str, int], int] = {}
        self._users: dict[str, tuple[str | None, int | None]] = {}
        self._begun = self._ended = 0
        self._reads_in_flight = False
        self._committed = trio.Event()
        """Set when the next commit to end has ended, well or not."""
        self._work = trio.Event()
        self._noted = trio.Event()
        self._closing = False
        self.problem: str | None = None
        """Why the last commit failed; None when it did not."""

    @property
    def epoch(self) -> str:
        return self._epoch

    # ------------------------------------------------------------------------------------------ loading

    async def load(self, room: str) -> RoomRecord:
        record = await self._merged.of_room(room, lambda connection: rules.record(connection, room))
        if record is None:
            self._next_num += 1
            record = RoomRecord.new(room, self._next_num)
        if is_dm(room):
            record.gone = frozenset(
                await self._readers.call(lambda connection: rules.deleted(connection, dm_users(room)))
            )
        return record

    # ------------------------------------------------------------------------------------------ writing

    def append(
        self, record: RoomRecord, facts: Sequence[AnyFact], side_records: Sequence[AnyBeside], done: OnRecorded
    ) -> None:
        self._begin(Batch(record.room, record.num, facts, side_records, _weigh(facts, side_records)), done)

    def _begin(self, batch: Batch, done: OnRecorded) -> None:
        if self._closing:
            raise StoreError("the store is closing")
        if len(self._waiting) >= self._most_waiting:
            raise Full(f"{self._most_waiting} rooms wait for a commit")
        if self._bytes >= self._most_bytes:
            raise Full(f"{self._bytes >> 20} MiB wait for a commit")
        self._bytes += batch.weight
        self._waiting.append(_Append(batch, done))
        self._work.set()

    async def _parked(self, batch: Batch) -> Committed | DuplicateKeys | Overtaken:
        """Wait for the commit that takes the batch."""
        task = trio.lowlevel.current_task()
        waiting = True

        def done(result: AppendResult) -> None:
            if waiting:
                told = outcome.Error(result) if isinstance(result, StoreError) else outcome.Value(result)
                trio.lowlevel.reschedule(task, told)

        def abort(_: object) -> trio.lowlevel.Abort:
            nonlocal waiting
            waiting = False  # It may be recorded all the same.
            return trio.lowlevel.Abort.SUCCEEDED

        self._begin(batch, done)
        result: Committed | DuplicateKeys | Overtaken = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    async def append_side_records(self, side_records: Sequence[AnyBeside], *, room: str = "") -> None:
        # Transactions come one after the other, whichever room they are about.
        result = await self._parked(Batch("", 0, (), side_records, _weigh((), side_records)))
        assert isinstance(result, Committed)

    def note_read(self, record: RoomRecord, user: str, seq: int) -> None:
        place = (user, record.num)
        if seq > self._reads.get(place, 0):
            self._reads[place] = seq
            self._note()

    def note_user(self, user: str, *, name: str | None = None, last_seen: int | None = None) -> None:
        old_name, old_seen = self._users.get(user, (None, None))
        self._users[user] = (name if name is not None else old_name, last_seen if last_seen is not None else old_seen)
        self._note()

    def _note(self) -> None:
        self._noted.set()
        if len(self._reads) + len(self._users) >= MOST_NOTES:
            self._work.set()

    async def flush_reads(self) -> None:
        if self._reads:
            goal = self._begun + 1  # They go with the next commit to begin.
        elif self._reads_in_flight:
            goal = self._begun
        else:
            return
        self._work.set()
        while self._ended < goal:
            await self._committed.wait()

    # ------------------------------------------------------------------------------------------ group commit

    async def run(self) -> None:
        """Commit what waits, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_notes)
            while True:
                await self._work.wait()
                # The tick in which the others of this burst come.
                await trio.lowlevel.checkpoint()
                self._work = trio.Event()
                if self._waiting or self._reads or self._users:
                    await self._commit()

    async def close(self) -> None:
        """Write what waits; nothing is taken any more. Notes are tried once more, not for ever."""
        self._closing = True
        while self._begun > self._ended or self._waiting or self._reads or self._users:
            self._work.set()
            await self._committed.wait()

    async def _flush_notes(self) -> None:
        while True:
            await self._noted.wait()
            await trio.sleep(NOTES_S)
            self._noted = trio.Event()
            if self._reads or self._users:
                self._work.set()

    async def _commit(self) -> None:
        appends, self._waiting, self._bytes = self._waiting, [], 0
        notes, self._reads, self._users = Notes(self._reads, self._users), {}, {}
        batches = [entry.batch for entry in appends]
        committed = self._committed

        def done(result: outcome.Error | outcome.Value[list[Any]]) -> None:
            self._ended += 1
            self.problem = str(result.error) if isinstance(result, outcome.Error) else None
            _hand_out(appends, result)
            if isinstance(result, outcome.Error) and not self._closing:
                self._keep(notes)
            self._committed = trio.Event()
            committed.set()

        self._begun += 1
        self._reads_in_flight = bool(notes.reads)
        self._committer.submit(_commit_job(batches, notes), done)
        with trio.CancelScope(shield=True):
            await committed.wait()

    def _keep(self, notes: Notes) -> None:
        """A commit failed: its notes go with the next one, unless newer ones came."""
        for place, seq in notes.reads.items():
            self._reads[place] = max(seq, self._reads.get(place, 0))
        for user, (name, seen) in notes.users.items():
            newer_name, newer_seen = self._users.get(user, (None, None))
            self._users[user] = (
                name if newer_name is None else newer_name, seen if newer_seen is None else newer_seen
            )  # fmt: skip
        if self._reads or self._users:
            self._noted.set()


#: A tuple: to ask for a union takes four times as long, once for each message.
_WITH_BODY = (Message, Edit)


def _weigh(facts: Sequence[AnyFact], beside: Sequence[AnyBeside]) -> int:
    """Bytes of memory that these take, about; of messages alone what `tail.weigh` says."""
    size = MESSAGE_BYTES * len(facts) + BESIDE_BYTES * len(beside)
    for fact in facts:
        if isinstance(fact, _WITH_BODY):
            body = fact.body or ""
            size += len(body) if body.isascii() else WIDE * len(body)
        elif isinstance(fact, Member):
            size += USER_BYTES * len(fact.users)
    return size


def _commit_job(batches: list[Batch], notes: Notes) -> Callable[[Committer], list[int | DuplicateKeys | StoreError]]:
    noted = notes if notes.reads or notes.users else None
    return lambda committer: committer.commit(batches, noted)


def _hand_out(appends: list[_Append], result: outcome.Error | outcome.Value[list[Any]]) -> None:
    """Tell each append its own part of the result. An exception is raised once: each gets its own."""
    for position, entry in enumerate(appends):
        part = result.error if isinstance(result, outcome.Error) else result.value[position]
        own: AppendResult
        if isinstance(part, int):
            own = Committed(part, entry.batch.facts)
        elif isinstance(part, DuplicateKeys):
            own = part
        else:
            own = again(part) if isinstance(part, StoreError) else StoreError(str(part), unknown=True)
        try:
            entry.done(own)
        except Exception:
            log.exception("%s: what was recorded could not be handed on", entry.batch.room)
