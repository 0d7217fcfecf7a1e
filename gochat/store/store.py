"""Opens the database and nests its parts: the commit thread, the readers, the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trio

from gochat.domain.relationship import ContactPolicy
from gochat.errors import StoreError
from gochat.looking import next_look
from gochat.metrics import Commits
from gochat.ports.journal import Journal
from gochat.ports.ticks import Runnable, TurnQueue
from gochat.store.health import Health
from gochat.store.newest import Note
from gochat.store.notices import SqliteNotices
from gochat.store.read.archive import SqliteArchive
from gochat.store.read.lookups import SqliteLookups
from gochat.store.read.merged_reader import MergedReader, Reading
from gochat.store.read.pool import Readers, threads
from gochat.store.read.source import reading, reading_all
from gochat.store.replica_store import SqliteReplica
from gochat.store.schema import MEMORY, connect
from gochat.store.search import searches
from gochat.store.search.searches import Searches
from gochat.store.setup import begin, migrate, prepare
from gochat.store.thread import Inline, OwnerThread, Worker, Workers
from gochat.store.write.committer import PACE, Committer, MergePace
from gochat.store.write.journal import MOST_BYTES, MOST_WAITING, SqliteJournal
from gochat.store.write.retention import Retention
from gochat.store.write.write_buffer import WriteBuffer

POLICY = ContactPolicy()
#: How long closing waits for what is noted to become durable.
CLOSE_S = 10.0
#: How often it is noted how new the database is: of so much it is not noticed when a copy comes in its place.
NOTE_S = 1.0
#: Where nothing comes back later, each commit is followed by its merge.
AT_ONCE = PACE._replace(quiet_s=0.0)


class Store(NamedTuple):
    journal: Journal
    lookups: SqliteLookups
    archive: SqliteArchive
    commits: Commits
    health: Health
    retention: Retention
    notices: SqliteNotices
    replica: SqliteReplica
    """For a node of a cluster, whose journal writes by it; then `journal` takes no appends."""


class _Context(NamedTuple):
    """The parts that the ports are made of; the committer is the last to end."""

    committer: Worker[Committer]
    readers: Readers
    searchers: Readers
    idle_reader: Readers
    """For those who must read at once; see MergedReader."""
    merged_reader: MergedReader
    epoch: str
    last_num: int
    """The greatest number that a room has."""
    commits: Commits
    health: Health
    threaded: bool
    """Whether each part has opened the database in threads of its own, which may have failed."""


@asynccontextmanager
async def open_store(
    path: Path | str,
    *,
    policy: ContactPolicy = POLICY,
    most_waiting: int = MOST_WAITING,
    most_bytes: int = MOST_BYTES,
    pace: MergePace = PACE,
    ticks: TurnQueue | None = None,
    notices: bool = False,
) -> AsyncIterator[Store]:
    """A store in the file at `path`, which works in threads of its own. `policy` says for how long lists show a
    decline, and who is told how far others have read. While `most_waiting` rooms, or `most_bytes` in memory, wait for a
    commit, the next is refused as Full. `pace` says when messages are merged into their rooms' logs, which nobody
    should notice. `ticks` says when commits begin; without it each is begun by a task. With `notices` it is kept which
    rooms have messages that users may have to be notified of. Raises StoreError."""
    if str(path) == MEMORY:
        raise ValueError("a database in memory has one connection: open it inline")
    prepare(str(path))
    note, commits = begin(str(path)), Commits()
    try:
        async with (
            _running(_in_threads(Path(path), commits, pace, notices), policy, most_waiting, most_bytes, ticks) as store,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_keep_noted, note, commits)
            try:
                yield store
            finally:
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(note.close, max(commits.number, note.newest.commit))


@asynccontextmanager
async def open_inline(
    path: Path | str,
    *,
    policy: ContactPolicy = POLICY,
    most_waiting: int = MOST_WAITING,
    most_bytes: int = MOST_BYTES,
    pace: MergePace = AT_ONCE,
    ticks: TurnQueue | None = None,
    notices: bool = False,
) -> AsyncIterator[Store]:
    """The same store in the file at `path`, or in memory, which does all its work in the caller's thread, on one
    connection: for simulated time, where no thread may be. As nothing comes back later to merge messages and to feed
    the index, the usual `pace` has that done with each commit. How new the file is is not noted beside it."""
    if str(path) != MEMORY:
        prepare(str(path))
    only = connect(str(path))
    if str(path) == MEMORY:
        migrate(only, MEMORY)
    parts = _on_one(Path(path), lambda: only, Inline, pace, notices)
    async with _running(parts, policy, most_waiting, most_bytes, ticks) as store:
        yield store


@asynccontextmanager
async def open_simulated(
    opens: Callable[[], sqlite3.Connection],
    copies: Callable[[], sqlite3.Connection],
    workers: Workers,
    *,
    policy: ContactPolicy = POLICY,
    most_waiting: int = MOST_WAITING,
    most_bytes: int = MOST_BYTES,
    pace: MergePace = AT_ONCE,
    ticks: TurnQueue | None = None,
    notices: bool = False,
) -> AsyncIterator[Store]:
    """The same store on a database that the caller has prepared, whose jobs `workers` run when a simulation wants.
    `opens` gives a connection as `schema.connect` sets one up, and is called again after an error; all that are open at
    a time may be one. `copies` gives one for reading alone. A `pace` with a time in it goes by the clock of the
    machine."""
    path = Path(MEMORY)
    parts = _on_one(path, opens, workers, pace, notices, lambda: reading_all(copies(), path))
    async with _running(parts, policy, most_waiting, most_bytes, ticks) as store:
        yield store


def _in_threads(path: Path, commits: Commits, pace: MergePace, notices: bool) -> _Context:
    opens, health, write_buffer = partial(connect, str(path), read_only=True), Health(path), WriteBuffer()
    try:
        with closing(opens()) as first:
            epoch, last_num = _beginning(first)
    except sqlite3.Error as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    readers = Readers(threads(opens, health=health), health)
    searchers = Readers(threads(opens, searches.THREADS, health), health, together=1)
    idle_reader = Readers(threads(opens, 1, health), health)
    committer: OwnerThread[Committer] = OwnerThread(
        "committer",
        partial(Committer, partial(connect, str(path)), write_buffer, pace, commits, health, notices),
        idle=Committer.idle,
        closes=Committer.close,
    )
    merged_reader = MergedReader(readers, idle_reader, committer, write_buffer, partial(reading, path))
    return _Context(committer, readers, searchers, idle_reader, merged_reader, epoch, last_num, commits, health, True)


def _on_one(
    path: Path,
    opens: Callable[[], sqlite3.Connection],
    workers: Workers,
    pace: MergePace,
    notices: bool,
    overlaid: Reading | None = None,
) -> _Context:
    """All on one connection, which the committer closes."""
    health, write_buffer, commits = Health(path), WriteBuffer(), Commits()
    epoch, last_num = _beginning(opens())
    reader: Worker[sqlite3.Connection] = workers(opens)
    readers, searchers, idle_reader = (Readers([reader], health) for _ in range(3))
    committer: Worker[Committer] = workers(
        partial(Committer, opens, write_buffer, pace, commits, health, notices),
        idle=Committer.idle,
        closes=Committer.close,
    )
    merged_reader = MergedReader(readers, idle_reader, committer, write_buffer, overlaid)
    return _Context(committer, readers, searchers, idle_reader, merged_reader, epoch, last_num, commits, health, False)


def _beginning(connection: sqlite3.Connection) -> tuple[str, int]:
    """The epoch, and the greatest number that a room has."""
    (epoch,) = connection.execute("SELECT epoch FROM meta").fetchone()
    (last_num,) = connection.execute("SELECT coalesce(max(num), 0) FROM room").fetchone()
    return epoch, last_num


@asynccontextmanager
async def _running(
    parts: _Context, policy: ContactPolicy, most_waiting: int, most_bytes: int, ticks: TurnQueue | None
) -> AsyncIterator[Store]:
    """The ports over the parts. All of these have ended when it does."""
    committer, readers, searchers, merged_reader = parts.committer, parts.readers, parts.searchers, parts.merged_reader
    idle_reader = parts.idle_reader
    workers = (committer, readers, searchers, idle_reader)
    try:
        await committer.call(lambda _: None)  # Messages that a crash left are merged by now, or this says why not.
        if parts.threaded:
            for each in (readers, searchers, idle_reader):
                await each.call(lambda _: None)  # One of its threads has the database open.
    except BaseException:
        await _end(workers)  # noqa: ASYNC102 -- shielded by itself; threads end
        raise
    async with trio.open_nursery() as nursery:
        # A caller that cancels the block wants it closed in order: notes are still committed.
        committing = trio.CancelScope(shield=True)
        journal = SqliteJournal(
            committer,
            readers,
            merged_reader,
            ticks or _Tasks(nursery),
            parts.epoch,
            parts.last_num,
            most_waiting,
            most_bytes,
        )
        nursery.start_soon(_run_in, committing, journal)
        try:
            archive = SqliteArchive(readers, Searches(searchers), merged_reader, parts.epoch, policy, parts.health)
            lookups, retention = SqliteLookups(readers, merged_reader), Retention(readers, committer, parts.health)
            notices = SqliteNotices(readers, committer, merged_reader, policy)
            replica = SqliteReplica(committer, readers, merged_reader)
            yield Store(journal, lookups, archive, parts.commits, parts.health, retention, notices, replica)
        finally:
            with trio.CancelScope(shield=True):
                try:
                    with trio.move_on_after(CLOSE_S):
                        await journal.close()
                    # The writing connection is the last: what closes last takes the log file away.
                    await _end((readers, searchers, idle_reader))  # noqa: ASYNC102
                    with suppress(StoreError):  # It could not be opened.
                        await committer.call(Committer.close)
                finally:
                    await _end(workers)  # noqa: ASYNC102
                    committing.cancel()


class _Tasks:
    """A turn queue of a store that stands alone: each entry has its turn in a task of its own."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def add(self, entry: Runnable) -> None:
        self._nursery.start_soon(self._run, entry)

    async def _run(self, entry: Runnable) -> None:
        entry.run_turn()


async def _end(workers: Sequence[Worker[Any] | Readers]) -> None:
    with trio.CancelScope(shield=True):
        for worker in workers:
            worker.stop()
        for worker in workers:
            await trio.to_thread.run_sync(worker.join)


async def _keep_noted(note: Note, commits: Commits) -> None:
    """Have it noted beside the database how new that is."""
    while True:
        await trio.sleep_until(next_look(trio.current_time(), NOTE_S))
        if commits.number != note.newest.commit:
            await trio.to_thread.run_sync(note.move, commits.number)


async def _run_in(scope: trio.CancelScope, journal: SqliteJournal) -> None:
    with scope:
        await journal.run()
