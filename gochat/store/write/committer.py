"""The writing connection and its faults: commits, merges the tail and has the index fed between, starts anew after an
error.

After an I/O error nothing of the group is acked and the connection is not trusted any more: a failed fsync may be
followed by one that says all is well although pages are gone. The next commit opens a new one and looks first whether
the logs that were being written are whole.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from gochat.errors import Damaged, StoreError
from gochat.metrics import Commits
from gochat.ports.journal import DuplicateKeys
from gochat.replication import Certifier, Cycle, Piece
from gochat.store.health import Health, is_damage
from gochat.store.listing import seats_among
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.write.expiry import Expired, Old
from gochat.store.write.in_doubt import InDoubt
from gochat.store.write.index_feeder import IndexFeeder
from gochat.store.write.logs import Batch
from gochat.store.write.notes import Notes
from gochat.store.write.replica import LogReplica, together
from gochat.store.write.transaction import FULL_BYTES, Writer
from gochat.store.write.write_buffer import WriteBuffer

log = logging.getLogger(__name__)

T = TypeVar("T")


class MergePace(NamedTuple):
    """When the tail is merged."""

    quiet_s: float = 0.5
    """After this long without a commit, merging and the index may take their time."""
    at: int = 8192
    """Messages at which a merge begins, however busy the commit thread is."""
    at_bytes: int = 8 << 20
    """The same in bytes of memory. Two segments may be in memory: some 10 MB of short messages, 16 MB of long ones."""
    full_bytes: int = FULL_BYTES
    """Bytes of memory that unmerged messages may take in all. From half of it on more is merged after each commit than
    it brought, and the next commit waits for that; messages that do not fit all the same go into the logs at once."""
    after_s: float = 2.0
    """How long a message may wait for its merge while commits keep coming."""
    slice: int = 256
    """Messages that are merged in one go at least: some 2 ms, which is what a commit may have to wait."""
    feed_s: float = 0.5
    """While commits keep coming the index is fed this often; when none come, at once."""
    retry_s: float = 1.0
    """How long after a failure the database is opened again, unless something is to be committed before."""


PACE = MergePace()
#: While a segment is merged, this many of its messages are merged for each that is committed, so that it is empty
#: before the next one is full.
GAIN = 1.5


class Committer:
    """Lives in the commit thread."""

    def __init__(
        self,
        opens: Callable[[], sqlite3.Connection],
        write_buffer: WriteBuffer,
        pace: MergePace = PACE,
        counts: Commits | None = None,
        health: Health | None = None,
        notices: bool = False,
    ) -> None:
        self._opens = opens
        self._health = health or Health()
        self._write_buffer = write_buffer
        self._counts = counts or Commits()
        self._pace = pace
        self._notices = notices
        self._writer: Writer | None = _writer(opens, write_buffer, pace, notices)
        self._suspects: dict[int, str] = {}
        """Rooms whose last append failed, to be looked at before the next commit."""
        self._damaged: dict[int, str] = {}
        """Rooms whose log was found not to be whole, until it is."""
        self._replica: LogReplica | None = None
        """Made over the writer when the first entry of a cluster's log comes."""
        self._in_doubt = InDoubt()
        self._index = IndexFeeder(self._writer.connection, pace.feed_s, self._counts, self._health)
        self._after(self._writer)
        self._busy_at = self._merged_at = self._failed_at = time.monotonic()
        self._stuck_until = 0.0
        """Until then no slice is merged: the last one changed nothing."""
        self._committed = 0
        """Messages since the last slice of a merge."""
        self._closed = False

    def commit(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | DuplicateKeys | StoreError]:
        """Record all, durably; see Writer.record. Raises StoreError when nothing of it is, or may be, recorded."""
        try:
            results = self._record_sound(batches, notes)
        except StoreError as error:
            self._counts.failed += 1
            self._health.writing = str(error)
            raise
        self._health.writing = None
        for result in results:
            if isinstance(result, Damaged):
                self._health.damaged(str(result))
        return results

    def _record_sound(self, batches: Sequence[Batch], notes: Notes | None) -> list[int | DuplicateKeys | StoreError]:
        writer = self._reopened()
        try:
            damaged = self._look_again(writer) if self._damaged else {}
        except Exception as error:
            # None of the batches was tried.
            if not _only_busy(error, writer):
                self._discard(())
            raise StoreError(f"nothing could be recorded: {error}") from error
        if damaged:
            # A room whose log is not whole takes nothing; the others go on.
            sound = iter(self._record(writer, [batch for batch in batches if batch.room_pk not in damaged], notes))
            return [Damaged(damaged[batch.room_pk]) if batch.room_pk in damaged else next(sound) for batch in batches]
        return self._record(writer, batches, notes)

    def _record(
        self, writer: Writer, batches: Sequence[Batch], notes: Notes | None
    ) -> list[int | DuplicateKeys | StoreError]:
        began = time.monotonic()
        try:
            results = writer.record(batches, notes)
        except Exception as error:
            # SQLite rolls back what was not committed; whether a COMMIT that failed took effect, only a look can tell.
            unknown = writer.committing
            self._discard(batches)
            if is_damage(error):
                self._health.damaged(str(error))
            raise StoreError(f"nothing could be recorded: {error}", unknown=unknown) from error
        self._after(writer, len(batches), began)
        return results

    def follow(self, certifier: Certifier[Any], news: Mapping[int, Sequence[Piece]]) -> Cycle[Any]:
        """See ReplicaStore. Raises StoreError."""
        writer, began = self._reopened(), time.monotonic()
        if self._replica is None:
            self._replica = LogReplica(writer)
        replica = self._replica
        self._in_doubt.drop_unless(replica.holds)
        done = self._in_doubt.take(news)
        try:
            rest = replica.not_applied(news) if done else news
            if rest:
                done.append(replica.follow(certifier, rest))
        except Exception as error:
            self._in_doubt.add([*done, *replica.attempts])
            self._discard(())
            if is_damage(error):
                self._health.damaged(str(error))
            self._counts.failed += 1
            self._health.writing = f"the log's entries can't be recorded: {error}"
            raise StoreError(self._health.writing) from error
        cycle = together(done)
        self._health.writing = None
        self._after(writer, sum(map(len, cycle.applied.values())), began)
        return cycle

    def merge(self, room_pks: Sequence[int]) -> bool:
        """Merge what the tail holds of these rooms, a slice of it. Whether more is left. Raises StoreError."""
        return self._merge(self._reopened(), room_pks, 4 * self._pace.slice)

    def read(self, user: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` on this connection with all of the user's rooms merged: nothing can be committed between the two.
        Raises StoreError, and what `job` raises."""
        writer = self._reopened()
        try:
            unmerged = self._write_buffer.room_pks(self._write_buffer.rooms())
            self._merge(writer, seats_among(writer.connection, user, unmerged), None)
            return job(writer.connection)
        except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, Damaged) as error:
            raise self._health.failed("reading failed", error) from error

    def expire(self, old: Old, now_ms: int) -> Expired:
        """See Writer.expire. Raises StoreError."""
        writer = self._reopened()
        try:
            done = writer.expire(old, now_ms)
        except Exception as error:
            if is_damage(error):
                self._health.damaged(f"what is too old in {old.room}: {error}")
                return Expired(0, False)
            if not _only_busy(error, writer):
                self._discard(())
            raise StoreError(f"what is too old can't be taken away: {error}") from error
        self._counts.expired += done.messages
        return done

    def run(self, job: Callable[[sqlite3.Connection], T], *, synced: bool = False) -> T:
        """See Writer.run and run_synced. Raises StoreError."""
        writer = self._reopened()
        try:
            return writer.run_synced(job) if synced else writer.run(job)
        except Exception as error:
            if not _only_busy(error, writer):
                self._discard(())
            if is_damage(error):
                self._health.damaged(str(error))
            raise StoreError(f"nothing could be recorded: {error}") from error

    def _merge(self, writer: Writer, room_pks: Sequence[int], most: int | None) -> bool:
        try:
            more = writer.merge(room_pks, most)
        except Exception as error:
            if not _only_busy(error, writer):
                # Committed messages are in the table; the writer that opens the database anew merges them.
                self._discard(())
            self._health.writing = f"messages can't be merged: {error}"
            raise StoreError(self._health.writing) from error
        self._after(writer)
        if not self._write_buffer.quarantined.keys().isdisjoint(room_pks):
            raise Damaged("a log is damaged near its head")
        return more

    def _after(self, writer: Writer, batches: int | None = None, began: float = 0.0) -> None:
        """Take note of what a transaction did; of a commit, how many batches it recorded and when it began."""
        counts = self._counts
        counts.unmerged, counts.unmerged_bytes = self._write_buffer.facts, self._write_buffer.bytes
        counts.number = writer.commits
        self._index.unindexed |= writer.take_longer() - self._health.unindexed
        for room_pk, room in self._write_buffer.quarantined_rooms().items():
            if room_pk not in self._damaged:
                self._damaged[room_pk] = room
                self._health.damaged(f"the log of {room}, near its head")
        if writer.undeleted is not None:
            self._health.damaged(f"the table of messages to be merged: {writer.undeleted}")
        if batches is None:
            return
        if self._write_buffer.facts <= writer.facts:
            self._merged_at = began  # It was empty: what is in it waits since now.
        self._committed += writer.facts
        self._busy_at = time.monotonic()
        counts.facts += writer.facts
        counts.messages += writer.messages
        counts.batches.observe(batches)
        counts.seconds.observe(self._busy_at - began)
        counts.backlog = len(self._index.unindexed)

    def idle(self) -> float | None:
        """Merge and feed the index, if it is time; in how many seconds it is time again, None: when something was
        committed."""
        if self._writer is None:
            return None if self._closed else self._try_again()
        if not (self._write_buffer.facts or self._write_buffer.merging or self._index.has_work):
            return None
        now = time.monotonic()
        quiet = now - self._busy_at >= self._pace.quiet_s
        try:
            if now >= self._stuck_until and self._due(now, quiet):
                if self._merge_slice(self._writer):
                    return 0.0
                self._stuck_until = now + self._pace.retry_s
            if self._index.work(self._writer.connection, now, quiet):
                return 0.0  # There may be something left to merge.
        except Exception as error:  # noqa: BLE001 -- nothing may end this thread: the log is written in it
            log.error("the search index can't be fed, or messages not be merged: %r", error)
            if not _only_busy(error, self._writer):
                self._health.writing = f"messages can't be merged, or not be put into the search index: {error}"
                self._discard(())
            return self._pace.retry_s
        wait_s = min(self._pace.quiet_s, self._pace.feed_s) if self._index.unindexed else self._pace.quiet_s
        return min(max(wait_s, self._stuck_until - now), self._index.reindexes_in(now))

    def _try_again(self) -> float | None:
        """Open the database, which failed; commits try it too."""
        wait_s = self._failed_at + self._pace.retry_s - time.monotonic()
        if wait_s > 0:
            return wait_s
        try:
            self._reopened()
        except StoreError:
            self._failed_at = time.monotonic()
            return self._pace.retry_s
        return 0.0

    def _due(self, now: float, quiet: bool) -> bool:
        """Whether a slice is to be merged now. A merge goes on at the pace of the commits, or all at once in a quiet
        moment."""
        if self._write_buffer.merging:
            return quiet or self._committed > 0
        if self._write_buffer.facts and (
            quiet
            or self._write_buffer.facts >= self._pace.at
            or self._write_buffer.bytes >= self._pace.at_bytes
            or now - self._merged_at >= self._pace.after_s
        ):
            self._write_buffer.rotate()
            self._committed = 0
            return True
        return False

    def _merge_slice(self, writer: Writer) -> bool:
        """Whether that led anywhere: what meets the same damage each time is not tried again at once."""
        write_buffer, pace = self._write_buffer, self._pace
        before = write_buffer.facts, write_buffer.rows, write_buffer.merging
        most = max(
            pace.slice, int(self._committed * GAIN), write_buffer.overdue(GAIN * write_buffer.new_bytes / pace.at_bytes)
        )
        if write_buffer.bytes * 2 >= pace.full_bytes:
            most = max(most, write_buffer.facts // 8)
        self._committed = 0
        writer.merge_slice(most)
        self._after(writer)
        if not self._write_buffer.merging:
            self._merged_at = time.monotonic()
        return before != (write_buffer.facts, write_buffer.rows, write_buffer.merging)

    def close(self) -> None:
        """Merge what is left, bring the log file into the database, and close for good."""
        self._closed = True
        writer, self._writer = self._writer, None
        if writer is not None:
            # Without it the next start has more to do, and nothing is lost.
            with contextlib.suppress(sqlite3.Error):
                while writer.merge(self._write_buffer.room_pks(self._write_buffer.rooms())):
                    pass
                writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            writer.connection.close()

    def _discard(self, batches: Sequence[Batch]) -> None:
        writer, self._writer, self._replica = self._writer, None, None
        written = {batch.room: batch.room_pk for batch in batches}
        self._write_buffer.mark_stale(written)
        self._failed_at = time.monotonic()
        self._suspects.update((room_pk, room) for room, room_pk in written.items())
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):  # It is trusted no more, and neither is what it says of its end.
                writer.connection.close()

    def _reopened(self) -> Writer:
        if self._writer is not None:
            return self._writer
        if self._closed:
            raise StoreError("the store is closed")
        writer: Writer | None = None
        try:
            writer = _writer(self._opens, self._write_buffer, self._pace, self._notices)
            self._damaged.update(self._suspects)
            self._after(writer)
            self._look_again(writer)
            self._index.look(writer.connection)
        except Exception as error:
            if writer is not None:
                writer.connection.close()
            if is_damage(error):
                self._health.damaged(str(error))
            self._health.writing = f"the database can't be opened again: {error}"
            raise StoreError(self._health.writing) from error
        self._suspects.clear()
        self._writer, self._health.writing = writer, None
        log.warning("the database was opened again after an error")
        return writer

    def _look_again(self, writer: Writer) -> dict[int, str]:
        """The faults of rooms that were or may be damaged; rooms that are whole count as damaged no more."""
        problems: dict[int, str] = {}
        if self._write_buffer.quarantined:
            writer.merge(list(self._write_buffer.quarantined))
        for room_pk, room in list(self._damaged.items()):
            if room_pk not in self._write_buffer.quarantined and _whole(writer.connection, room_pk):
                del self._damaged[room_pk]
            else:
                problems[room_pk] = f"{room}: the log is damaged near its head"
                self._health.damaged(problems[room_pk])
        return problems


def _writer(
    opens: Callable[[], sqlite3.Connection], write_buffer: WriteBuffer, pace: MergePace, notices: bool
) -> Writer:
    connection = opens()
    try:
        return Writer(connection, write_buffer, pace.full_bytes, notices)
    except BaseException:
        connection.close()
        raise


def _only_busy(error: Exception, writer: Writer) -> bool:
    """Whether another process held the lock, so that nothing was begun."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_BUSY and not writer.committing and not writer.connection.in_transaction


def _whole(connection: sqlite3.Connection, room_pk: int) -> bool:
    """Whether the end of the log is dense and ends at the head."""
    try:
        return _is_dense(connection, room_pk)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return False


def _is_dense(connection: sqlite3.Connection, room_pk: int) -> bool:
    row = connection.execute("SELECT head FROM room WHERE num = ?", (room_pk,)).fetchone()
    head = row[0] if row else 0
    base, low = room_pk << SEQ_BITS, max(0, head - 1000)
    count, last = connection.execute(
        "SELECT count(*), max(id) FROM fact WHERE id > ? AND id <= ?", (base | low, base | SEQ_MASK)
    ).fetchone()
    return bool(count == head - low and (last or base) == (base | head))
