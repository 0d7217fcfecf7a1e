"""The writing connection and its faults: commits, feeds the index when there is time, starts anew after an error.

After an I/O error nothing of the group is acked and the connection is not trusted any more: a failed fsync may be
followed by one that says all is well although pages are gone. The next commit opens a new one and looks first whether
the logs that were being written are whole.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence

from gochat.errors import StoreError
from gochat.metrics import Commits
from gochat.ports import Clash
from gochat.store import index
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.transaction import Batch, Notes, Writer

log = logging.getLogger(__name__)

#: While commits keep coming the index is fed this often; when none come, at once.
FEED_EVERY_S = 0.5
#: After this long without a commit, the index may take its time.
QUIET_S = 0.25


class Committer:
    """Lives in the writer thread."""

    def __init__(
        self, opens: Callable[[], sqlite3.Connection], quiet_s: float = QUIET_S, counts: Commits | None = None
    ) -> None:  # fmt: skip
        self._opens = opens
        self._counts = counts or Commits()
        self._quiet_s = quiet_s
        self._writer: Writer | None = Writer(opens())
        self._suspects: dict[int, str] = {}
        """Rooms whose last append failed, to be looked at before the next commit."""
        self._damaged: dict[int, str] = {}
        """Rooms whose log was found not to be whole, until it is."""
        self._behind = index.behind(self._writer.connection)
        self._counts.backlog = len(self._behind)
        self._fed_at = self._busy_at = time.monotonic()

    def commit(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | Clash | StoreError]:
        """Record all, durably; see Writer.commit. Raises StoreError when nothing of it is, or may be, recorded."""
        try:
            return self._commit_sound(batches, notes)
        except StoreError:
            self._counts.failed += 1
            raise

    def _commit_sound(
        self, batches: Sequence[Batch], notes: Notes | None
    ) -> list[int | Clash | StoreError]:  # fmt: skip
        writer = self._reopened()
        damaged = self._look_again(writer.connection) if self._damaged else {}
        if damaged:
            # A room whose log is not whole takes nothing; the others go on.
            sound = iter(self._commit(writer, [batch for batch in batches if batch.num not in damaged], notes))
            return [
                StoreError(damaged[batch.num]) if batch.num in damaged else next(sound) for batch in batches
            ]  # fmt: skip
        return self._commit(writer, batches, notes)

    def _commit(
        self, writer: Writer, batches: Sequence[Batch], notes: Notes | None
    ) -> list[int | Clash | StoreError]:  # fmt: skip
        began = time.monotonic()
        try:
            results = writer.commit(batches, notes)
        except Exception as error:
            # SQLite rolls back what was not committed; whether a COMMIT that failed took effect, only a look can tell.
            unknown = writer.committing
            self._discard(batches)
            raise StoreError(f"nothing could be recorded: {error}", unknown=unknown) from error
        self._behind.update(
            batch.num for batch, result in zip(batches, results, strict=True) if isinstance(result, int) and batch.facts
        )
        self._busy_at = time.monotonic()
        counts = self._counts
        counts.facts += writer.facts
        counts.messages += writer.messages
        counts.batches.observe(len(batches))
        counts.seconds.observe(self._busy_at - began)
        counts.backlog = len(self._behind)
        return results

    def idle(self) -> float | None:
        """Feed the index, if it is time; in how many seconds it is time again, None: when something was committed."""
        if not self._behind or self._writer is None:
            return None
        now = time.monotonic()
        if now - self._busy_at < self._quiet_s and now - self._fed_at < FEED_EVERY_S:
            return self._quiet_s
        try:
            self._feed(self._writer.connection)
        except Exception as error:  # noqa: BLE001 -- nothing may end this thread: the log is written in it
            log.error("the search index can't be fed: %r", error)
            self._discard(())
            return None
        self._fed_at = time.monotonic()
        self._counts.backlog = len(self._behind)
        return 0.0 if self._behind else None

    def _feed(self, connection: sqlite3.Connection) -> None:
        """One slice, of as many rooms as it takes. Not synced: it follows from the log, and the next commit syncs.
        After an error the connection is of no more use."""
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        left = index.SLICE
        while self._behind and left > 0:
            num = self._behind.pop()
            fed = index.feed(connection, num, left)
            if fed is None:
                self._behind.add(num)
                break
            left -= fed + 1
        connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Bring the log file into the database, and close."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            writer.connection.close()

    def _discard(self, batches: Sequence[Batch]) -> None:
        writer, self._writer = self._writer, None
        self._suspects.update((batch.num, batch.room) for batch in batches)
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.connection.close()

    def _reopened(self) -> Writer:
        if self._writer is not None:
            return self._writer
        connection: sqlite3.Connection | None = None
        try:
            connection = self._opens()
            writer = Writer(connection)
            self._damaged.update(self._suspects)
            self._look_again(connection)
            self._behind = index.behind(connection)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise StoreError(f"the database can't be opened again: {error}") from error
        self._suspects.clear()
        self._writer = writer
        log.warning("the database was opened again after an error")
        return writer

    def _look_again(self, connection: sqlite3.Connection) -> dict[int, str]:
        """What is wrong with the rooms that were or may be damaged; those that are whole are so no more."""
        problems: dict[int, str] = {}
        for num, room in list(self._damaged.items()):
            if _whole(connection, num):
                del self._damaged[num]
            else:
                problems[num] = f"{room}: the log is damaged near its head"
        return problems


def _whole(connection: sqlite3.Connection, num: int) -> bool:
    """Whether the tail of the log is dense and ends at the head."""
    row = connection.execute("SELECT head FROM room WHERE num = ?", (num,)).fetchone()
    head = row[0] if row else 0
    base, low = num << SEQ_BITS, max(0, head - 1000)
    count, last = connection.execute(
        "SELECT count(*), max(id) FROM fact WHERE id > ? AND id <= ?", (base | low, base | SEQ_MASK)
    ).fetchone()
    return bool(count == head - low and (last or base) == (base | head))
