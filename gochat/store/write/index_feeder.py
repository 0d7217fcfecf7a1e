"""Keeps the search index up with the logs, a slice at a time, between the commits; makes it anew after an upgrade.

The index follows from the logs: nothing is synced for it, and damage that is met costs searches their part, and nothing
else.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from gochat.metrics import Commits
from gochat.store.health import Health, is_damage
from gochat.store.search import index, reindex
from gochat.store.write.unsynced import unsynced

#: While commits keep coming, making the indexes anew takes one part in so many of the commit thread's time.
REINDEX_PAUSES: Final = 5


class IndexFeeder:
    """Lives in the commit thread. `feed_s`: while commits keep coming the index is fed this often."""

    def __init__(self, connection: sqlite3.Connection, feed_s: float, counts: Commits, health: Health) -> None:
        self._feed_s = feed_s
        self._counts = counts
        self._health = health
        self._fed_at = time.monotonic()
        self._reindex_at = 0.0
        self.unindexed: set[int] = set()
        """Rooms with facts that the index does not hold."""
        self.look(connection)
        counts.backlog, counts.reindexing = len(self.unindexed), self._reindex.left

    def look(self, connection: sqlite3.Connection) -> None:
        """Find what is to be done in a database that was opened. Raises sqlite3.Error, but where something is
        damaged."""
        self.unindexed = self._not_indexed(connection)
        self._reindex = self._to_index_anew(connection)

    @property
    def has_work(self) -> bool:
        return bool(self.unindexed) or self._reindex.under_way

    def work(self, connection: sqlite3.Connection, now: float, quiet: bool) -> bool:
        """Do one slice, if it is time. Whether one was done. `quiet`: nothing was committed for a while. Raises
        sqlite3.Error."""
        if self.unindexed and (quiet or now - self._fed_at >= self._feed_s):
            _unsynced(connection, self._feed)
            self._health.writing = None
            self._fed_at = time.monotonic()
            self._counts.backlog = len(self.unindexed)
            return True
        if self._reindex.under_way and (quiet or now >= self._reindex_at):
            _unsynced(connection, self._index_anew)
            ended = time.monotonic()
            self._reindex_at = ended + (REINDEX_PAUSES - 1) * (ended - now)
            return True
        return False

    def reindexes_in(self, now: float) -> float:
        """In how many seconds the next step of making the indexes anew is due, while commits keep coming; endless where
        there is none."""
        return max(0.001, self._reindex_at - now) if self._reindex.under_way else math.inf

    def _feed(self, connection: sqlite3.Connection) -> None:
        """One slice, of as many rooms as it takes. A room that can't be fed, since something is damaged, is left out
        from then on."""
        left, begun = index.SLICE, set[int]()
        while self.unindexed and left > 0:
            room_pk = self.unindexed.pop()
            try:
                fed = index.feed(connection, room_pk, left)
            except sqlite3.Error as error:
                if not is_damage(error):
                    self.unindexed |= begun | {room_pk}
                    raise
                self.unindexed |= begun  # They are fed again.
                self._health.unindexed.add(room_pk)
                self._health.damaged(f"the search index, or the log of room {room_pk}: {error}")
                _start_over(connection)
                return
            begun.add(room_pk)
            if fed is None:
                self.unindexed.add(room_pk)
                break
            left -= fed + 1

    def _index_anew(self, connection: sqlite3.Connection) -> None:
        """A step. Where something is damaged, the part not done yet stays in the old index, until the next start."""
        try:
            self._reindex.note(reindex.step(connection))
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            _start_over(connection)
            self._reindex.under_way = False
            self._health.damaged(f"a search index, or a log: {error}")
        self._counts.reindexing = self._reindex.left

    def _to_index_anew(self, connection: sqlite3.Connection) -> reindex.Progress:
        """The part that is left to index anew; nothing, where damage hides it."""
        try:
            return reindex.Progress(connection)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._health.damaged(f"what the search index was made by: {error}")
            return reindex.Progress(None)

    def _not_indexed(self, connection: sqlite3.Connection) -> set[int]:
        """Rooms with facts that the index does not hold, but for those that it can't take."""
        try:
            return index.unindexed_rooms(connection) - self._health.unindexed
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._health.index_lost = True
            self._health.damaged(f"the table of rooms: {error}")
            return set()


def _unsynced(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], None]) -> None:
    """Do something in a transaction that is not synced: it follows from the log."""
    with unsynced(connection):
        connection.execute("BEGIN IMMEDIATE")
        work(connection)
        connection.execute("COMMIT")


def _start_over(connection: sqlite3.Connection) -> None:
    """A transaction that met a damaged page can't be committed, whatever is rolled back in it: begin another."""
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
