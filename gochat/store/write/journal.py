"""The journal: what the actors write with, and group commit.

One commit is in flight. Batches that are appended meanwhile wait and go into the next one, which begins a scheduler
tick after the first of them came, or after the one in flight has ended, so that a burst over many rooms is one
transaction and one fsync. Small commits are the worst waste: 107 us of CPU each, however little is in them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import methodcaller
from typing import NamedTuple

import outcome
import trio

from gochat.domain.facts import AnyFact, Edit, Member, Message
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.record import RoomRecord
from gochat.domain.side_records import AnySideRecord, AnyStanding, Deleted, Revoked, Suspended
from gochat.errors import Full, StoreError, again
from gochat.ports.journal import AppendResult, Committed, DuplicateKeys, OnForeign, OnRecorded, OnStanding
from gochat.ports.ticks import TurnQueue
from gochat.store.read import rules
from gochat.store.read.merged_reader import MergedReader
from gochat.store.read.pool import Readers
from gochat.store.thread import Worker
from gochat.store.write.committer import Committer
from gochat.store.write.logs import Batch
from gochat.store.write.notes import NO_NOTES, Notes
from gochat.store.write.write_buffer import MENTION_BYTES, MESSAGE_BYTES, WIDE

log = logging.getLogger(__name__)

#: Batches that may wait for a commit: each is one room's turn, so it takes that many busy rooms to fill it.
MOST_WAITING = 50_000
#: Bytes of memory that they may take. It is looked at before one is taken: one turn of a room may come on top.
MOST_BYTES = 64 << 20
#: Bytes that an entry beside the log takes, about (a report's reason, a relation, a line of the audit log), and bytes
#: of a user's id.
BESIDE_BYTES, USER_BYTES = 1000, 113
#: Notes that may wait; more are written at once.
MOST_NOTES = 50_000
#: Notes that are kept while nothing can be written. Of more the oldest times at which facts came to devices and users
#: were last seen are dropped: read positions and names are as many as there are seats and users at most.
MOST_KEPT = 2 * MOST_NOTES
#: How long a note may wait for a commit that takes it along; and for the next one, after one that failed.
NOTES_S, RETRY_S = 0.3, 1.0


#: The place of side records that belong to no room.
_NO_ROOM = RoomRecord(room="", room_pk=0)


class _Commit(NamedTuple):
    """A transaction that the committer has."""

    batches: list[Batch]
    callbacks: list[OnRecorded]
    """Each is told of the batch at its position."""
    notes: Notes


class SqliteJournal:
    """`ports.Journal` on SQLite. `run` must be running."""

    def __init__(
        self,
        committer: Worker[Committer],
        readers: Readers,
        merged_reader: MergedReader,
        ticks: TurnQueue,
        epoch: str,
        next_num: int,
        most_waiting: int = MOST_WAITING,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._committer = committer
        self._readers = readers
        self._merged_reader = merged_reader
        self._ticks = ticks
        self._epoch = epoch
        self._next_num = next_num
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._waiting: list[Batch] = []
        self._callbacks: list[OnRecorded] = []
        """Each is to be told of the batch that waits at its position."""
        self._bytes = 0
        """Bytes of memory that the batches that wait take."""
        self._reads: dict[tuple[str, int], int] = {}
        self._got: dict[tuple[str, int], int] = {}
        self._users: dict[str, tuple[str | None, int | None]] = {}
        self._begun = self._ended = 0
        """How many commits have begun, and how many have ended."""
        self._in_flight: _Commit | None = None
        self._wanted = False
        """Whether a commit will begin: with the next tick, or when the one in flight has ended."""
        self._next_end: trio.Event | None = None
        """Set when the next commit to end has ended, well or not; made by the first task that waits for it."""
        self._noted = trio.Event()
        self._closing = False
        self._stood: OnStanding = lambda entry: None
        self._in_doubt: list[AnyStanding] = []
        """Suspensions and revocations that may be recorded, and that nobody was told of."""
        self.problem: str | None = None
        """Why the last commit failed; None when it did not."""
        self.behind: str | None = None
        """Never: nobody else decides."""

    @property
    def epoch(self) -> str:
        return self._epoch

    # ------------------------------------------------------------------------------------------ other nodes

    def listen(self, heard: OnForeign) -> None:
        """Nobody else decides."""

    def enforce(self, stood: OnStanding) -> None:
        self._stood = stood

    def coming(self, room: str) -> bool:
        return False

    async def barrier(self, rooms: Collection[str] | None = None) -> None:
        """All that was acknowledged is recorded."""

    # ------------------------------------------------------------------------------------------ loading

    async def load(self, room: str) -> RoomRecord:
        record = await self._merged_reader.of_room(room, lambda connection: rules.record(connection, room))
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
        self,
        record: RoomRecord,
        facts: Sequence[AnyFact],
        side_records: Sequence[AnySideRecord],
        done: OnRecorded,
        hidden: Mapping[int, str] = {},
        expected: Mapping[int, int] = {},
    ) -> None:
        if self._closing:
            raise StoreError("the store is closing")
        if len(self._waiting) >= self._most_waiting:
            raise Full(f"{self._most_waiting} rooms wait for a commit")
        if self._bytes >= self._most_bytes:
            raise Full(f"{self._bytes >> 20} MiB wait for a commit")
        weight = _weigh(facts, side_records)
        self._bytes += weight
        self._waiting.append(Batch(record.room, record.room_pk, facts, side_records, weight))
        self._callbacks.append(done)
        if not self._wanted:
            self._wanted = True
            if self._in_flight is None:
                self._ticks.add(self)

    async def append_side_records(self, side_records: Sequence[AnySideRecord], *, room: str = "") -> None:
        # Transactions come one after the other, whichever room they are about.
        results: list[AppendResult] = []
        told = trio.Event()

        def done(result: AppendResult) -> None:
            results.append(result)
            try:
                standing = [entry for entry in side_records if isinstance(entry, Suspended | Revoked)]
                if isinstance(result, Committed):
                    for entry in standing:
                        self._stood(entry)
                elif isinstance(result, StoreError) and result.unknown:
                    self._remember_doubts(standing)
            finally:
                told.set()

        self.append(_NO_ROOM, (), side_records, done)
        await told.wait()
        if isinstance(results[0], StoreError):
            raise results[0]
        assert isinstance(results[0], Committed)

    def _remember_doubts(self, standing: Sequence[AnyStanding]) -> None:
        """Have `run` look what became of these. A ticket that may be used up is left alone: nobody got its token, so
        that its user may try again."""
        self._in_doubt += [each for each in standing if isinstance(each, Suspended) or not each.is_of_a_ticket]
        if self._in_doubt:
            self._noted.set()

    def _settle_doubts(self) -> None:
        """Have it read which of those in doubt are recorded; `enforce`'s callback is told of these, before any commit
        that follows is."""
        doubtful, self._in_doubt = self._in_doubt, []

        def settled(result: outcome.Error | outcome.Value[list[AnyStanding | Deleted]]) -> None:
            if isinstance(result, outcome.Error):
                self._in_doubt = doubtful + self._in_doubt
                self._noted.set()
                return
            for entry in doubtful:
                if _stands(entry, result.value):
                    self._stood(entry)

        look = partial(rules.standing, since_ms=min(entry.ts for entry in doubtful) - 1)
        self._committer.submit(methodcaller("read", "", look), settled)

    def note_read(self, record: RoomRecord, user: str, seq: int) -> None:
        place = (user, record.room_pk)
        if seq > self._reads.get(place, 0):
            self._reads[place] = seq
            self._note()

    def note_got(self, record: RoomRecord, user: str, seq: int) -> None:
        place = (user, record.room_pk)
        if seq > self._got.get(place, 0):
            self._got[place] = seq
            self._note()

    def note_user(self, user: str, *, name: str | None = None, last_seen: int | None = None) -> None:
        old_name, old_seen = self._users.get(user, (None, None))
        self._users[user] = (name if name is not None else old_name, last_seen if last_seen is not None else old_seen)
        self._note()

    def _note(self) -> None:
        self._noted.set()
        # After a commit that failed `run` has the next try: each opens the database.
        if self._notes >= MOST_NOTES and self.problem is None:
            self._want_commit()

    @property
    def _notes(self) -> int:
        """How many wait."""
        return len(self._reads) + len(self._got) + len(self._users)

    async def flush_notes(self) -> None:
        goal = self._begun
        if self._reads or self._users or self._got:
            goal += 1  # They go with the next commit to begin.
            self._want_commit()
        while self._ended < goal:
            await self._wait_for_an_end()

    async def flush_positions(self) -> None:
        if self._reads or self._got:
            goal = self._begun + 1  # They go with the next commit to begin.
            self._want_commit()
        elif self._in_flight is not None and (self._in_flight.notes.reads or self._in_flight.notes.got):
            goal = self._begun
        else:
            return
        while self._ended < goal:
            await self._wait_for_an_end()

    # ------------------------------------------------------------------------------------------ group commit

    async def run(self) -> None:
        """Have notes written that no batch takes along, and doubts settled, for ever."""
        while True:
            await self._noted.wait()
            await trio.sleep(NOTES_S if self.problem is None else RETRY_S)
            self._noted = trio.Event()
            if self._in_doubt:
                self._settle_doubts()
            if self._reads or self._users or self._got:
                self._want_commit()

    async def close(self) -> None:
        """Write what waits; nothing is taken any more. Notes are tried once more, not for ever."""
        self._closing = True
        while self._in_flight is not None or self._waiting or self._reads or self._users or self._got:
            if self._in_flight is None:
                self.run_turn()
            if self._in_flight is not None:
                await self._wait_for_an_end()

    async def _wait_for_an_end(self) -> None:
        if self._next_end is None:
            self._next_end = trio.Event()
        await self._next_end.wait()

    def _want_commit(self) -> None:
        """Have a commit begin with the next tick, in which the others of this burst come, or when the one in flight has
        ended."""
        if not self._wanted:
            self._wanted = True
            if self._in_flight is None:
                self._ticks.add(self)

    def run_turn(self) -> None:
        """The tick has come: begin the next commit, with all that waits."""
        if self._in_flight is not None:
            return
        self._wanted = False
        batches, self._waiting, self._bytes = self._waiting, [], 0
        callbacks, self._callbacks = self._callbacks, []
        notes = NO_NOTES
        if self._reads or self._users or self._got:
            notes = Notes(self._reads, self._users, self._got)
            self._reads, self._users, self._got = {}, {}, {}
        elif not batches:
            return
        self._begun += 1
        self._in_flight = _Commit(batches, callbacks, notes)
        # A call in C: one less that the loop waits for while the committer's thread has the interpreter.
        job: Callable[[Committer], list[int | DuplicateKeys | StoreError]] = methodcaller(
            "commit", batches, None if notes is NO_NOTES else notes
        )
        self._committer.submit(job, self._committed)

    def _committed(self, result: outcome.Error | outcome.Value[list[int | DuplicateKeys | StoreError]]) -> None:
        """The commit in flight has ended. Each batch is told its own part of the result."""
        commit = self._in_flight
        assert commit is not None
        self._ended += 1
        parts: Sequence[object]
        if isinstance(result, outcome.Error):
            self.problem = str(result.error)
            parts = [result.error] * len(commit.batches)
        else:
            self.problem, parts = None, result.value
        for batch, done, part in zip(commit.batches, commit.callbacks, parts, strict=True):
            try:
                done(Committed(part, batch.facts) if isinstance(part, int) else _own(part))
            except Exception:
                log.exception("%s: what was recorded could not be handed on", batch.room)
        self._in_flight = None
        if self.problem is not None and not self._closing:
            self._keep(commit.notes)
        if self._next_end is not None:
            self._next_end.set()
            self._next_end = None
        if self._wanted:
            self._ticks.add(self)

    def _keep(self, notes: Notes) -> None:
        """A commit failed: its notes go with the next one, unless newer ones came. The older come first."""
        reads, users, got = dict(notes.reads), dict(notes.users), dict(notes.got)
        for place, seq in self._reads.items():
            reads[place] = max(seq, reads.get(place, 0))
        for place, seq in self._got.items():
            got[place] = max(seq, got.get(place, 0))
        for user, (name, seen) in self._users.items():
            old_name, old_seen = users.get(user, (None, None))
            users[user] = (old_name if name is None else name, old_seen if seen is None else seen)
        self._reads, self._users, self._got = reads, users, got
        if self._notes > MOST_KEPT:
            self._drop_oldest()
        if self._notes:
            self._noted.set()

    def _drop_oldest(self) -> None:
        """Bring the notes down to their bound, as far as `got` and times last seen are what exceeds it."""
        for place in list(islice(self._got, self._notes - MOST_KEPT)):
            del self._got[place]
        seen = (user for user, (_, last_seen) in self._users.items() if last_seen is not None)
        for user in list(islice(seen, max(0, self._notes - MOST_KEPT))):
            name, _ = self._users.pop(user)
            if name is not None:
                self._users[user] = (name, None)


def _stands(entry: AnyStanding, recorded: Sequence[AnyStanding | Deleted]) -> bool:
    """Whether the entry, which may be recorded, is, and nothing after it that says otherwise."""
    if isinstance(entry, Suspended) and not entry.on:
        return not any(isinstance(each, Suspended) and each.user == entry.user for each in recorded)
    return entry in recorded


#: A tuple: to ask for a union takes four times as long, once for each message.
_WITH_BODY = (Message, Edit)


def _weigh(facts: Sequence[AnyFact], side_records: Sequence[AnySideRecord]) -> int:
    """Bytes of memory that these take, about; of messages alone what `write_buffer.weigh` says."""
    size = MESSAGE_BYTES * len(facts) + BESIDE_BYTES * len(side_records)
    for fact in facts:
        if isinstance(fact, _WITH_BODY):
            body = fact.body or ""
            size += len(body) if body.isascii() else WIDE * len(body)
            if fact.mentions is not None:
                size += MENTION_BYTES * len(fact.mentions)
        elif isinstance(fact, Member):
            size += USER_BYTES * len(fact.users)
    return size


def _own(part: object) -> DuplicateKeys | StoreError:
    """The result of a batch that is not recorded. An exception is raised once: each batch gets its own."""
    if isinstance(part, DuplicateKeys):
        return part
    return again(part) if isinstance(part, StoreError) else StoreError(str(part), unknown=True)
