"""Opens the database and nests its parts: the writer, the readers, the journal's committer."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trio

from gochat.domain.relationship import DAY_MS
from gochat.errors import StoreError
from gochat.metrics import Commits
from gochat.store.health import Health
from gochat.store.newest import Note
from gochat.store.read.archive import SqliteArchive
from gochat.store.read.lookups import SqliteLookups
from gochat.store.read.merged import Merged
from gochat.store.read.pool import Readers
from gochat.store.schema import MEMORY, connect
from gochat.store.search import searches
from gochat.store.search.searches import Searches
from gochat.store.setup import begin, migrate, prepare
from gochat.store.thread import OwnerThread
from gochat.store.write.committer import PACE, Committer, Pace
from gochat.store.write.journal import MOST_BYTES, MOST_WAITING, SqliteJournal
from gochat.store.write.retention import Retention
from gochat.store.write.tail import Tail

#: How long closing waits for what is noted to become durable.
CLOSE_S = 10.0
#: How often it is noted how new the database is: of so much it is not noticed when a copy comes in its place.
NOTE_S = 1.0


class Store(NamedTuple):
    journal: SqliteJournal
    lookups: SqliteLookups
    archive: SqliteArchive
    commits: Commits
    health: Health
    retention: Retention


@asynccontextmanager
async def open_store(
    path: Path | str, *, inline: bool = False, decline_ms: int = 30 * DAY_MS, most_waiting: int = MOST_WAITING,
    most_bytes: int = MOST_BYTES, pace: Pace | None = None,
) -> AsyncIterator[Store]:  # fmt: skip
    """A store in the file at `path`, or in memory. With `inline` all is done in the caller's thread, in one connection:
    for simulated time, where no thread may be. `decline_ms` is for how long lists show a decline. While
    `most_waiting` rooms, or `most_bytes` in memory, wait for a commit, the next is refused as Full. `pace` says when
    messages are merged into their rooms' logs, which nobody should notice. Raises StoreError."""
    opens_writer, opens_reader = _connections(str(path), inline)
    bounds = (most_waiting, most_bytes)
    if inline:
        async with _opened(path, opens_writer, opens_reader, Commits(), True, decline_ms, bounds, pace) as store:
            yield store
        return
    note, commits = begin(str(path)), Commits()
    try:
        async with (
            _opened(path, opens_writer, opens_reader, commits, False, decline_ms, bounds, pace) as store,
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
async def _opened(
    path: Path | str, opens_writer: Callable[[], sqlite3.Connection], opens_reader: Callable[[], sqlite3.Connection],
    commits: Commits, inline: bool, decline_ms: int, bounds: tuple[int, int], pace: Pace | None,
) -> AsyncIterator[Store]:  # fmt: skip
    """The parts around the connections; the writer's is the last to be closed."""
    health = Health(path)
    try:
        first = opens_reader()
        (epoch,) = first.execute("SELECT epoch FROM meta").fetchone()
        (last,) = first.execute("SELECT coalesce(max(num), 0) FROM room").fetchone()
        if not inline:
            first.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    readers = Readers(opens_reader, health, inline=inline)
    searchers = Readers(opens_reader, health, inline=inline, threads=searches.THREADS, together=1)
    # Inline nobody comes back later to merge and to feed the index: it is done at once.
    tail = Tail()
    pace = pace or (PACE._replace(quiet_s=0.0) if inline else PACE)
    committer = partial(Committer, opens_writer, tail, pace, commits, health)
    writer: OwnerThread[Committer] = OwnerThread(
        "writer", committer, inline=inline, idle=Committer.idle, closes=Committer.close
    )  # fmt: skip
    merged = Merged(readers, writer, tail, None if inline else Path(path))
    journal = SqliteJournal(writer, readers, merged, epoch, last, *bounds)
    threads = (writer, readers, searchers)
    try:
        await writer.call(lambda _: None)  # What a crash left is merged by now, or this says why it can't be.
    except BaseException:
        await _end(threads)  # noqa: ASYNC102 -- shielded by itself; threads end
        raise
    async with trio.open_nursery() as nursery:
        # Whoever cancels the block wants it closed in order: what was noted is still committed.
        committing = trio.CancelScope(shield=True)
        nursery.start_soon(_run_in, committing, journal)
        try:
            archive = SqliteArchive(readers, Searches(searchers), merged, epoch, decline_ms, health)
            yield Store(journal, SqliteLookups(readers, merged), archive, commits, health, Retention(readers, writer))
        finally:
            with trio.CancelScope(shield=True):
                try:
                    with trio.move_on_after(CLOSE_S):
                        await journal.close()
                    if not inline:
                        # The writer's connection is the last: what closes last takes the log file away.
                        await _end((readers, searchers))  # noqa: ASYNC102
                    with suppress(StoreError):  # It could not be opened.
                        await writer.call(Committer.close)
                finally:
                    await _end(threads)  # noqa: ASYNC102
                    committing.cancel()


async def _end(threads: Sequence[OwnerThread[Any] | Readers]) -> None:
    with trio.CancelScope(shield=True):
        for thread in threads:
            thread.stop()
        for thread in threads:
            await trio.to_thread.run_sync(thread.join)


async def _keep_noted(note: Note, commits: Commits) -> None:
    """Have it noted beside the database how new that is."""
    while True:
        await trio.sleep(NOTE_S)
        if commits.number != note.newest.commit:
            await trio.to_thread.run_sync(note.move, commits.number)


async def _run_in(scope: trio.CancelScope, journal: SqliteJournal) -> None:
    with scope:
        await journal.run()


def _connections(
    path: str, inline: bool
) -> tuple[Callable[[], sqlite3.Connection], Callable[[], sqlite3.Connection]]:  # fmt: skip
    if not inline:
        if path == MEMORY:
            raise ValueError("a database in memory has one connection: open it inline")
        prepare(path)
        return partial(connect, path), partial(connect, path, read_only=True)
    if path != MEMORY:
        prepare(path)
    only = connect(path)
    if path == MEMORY:
        migrate(only, path)
    return (lambda: only), (lambda: only)
