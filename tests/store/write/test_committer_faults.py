"""The commit thread meets damage and locks beside what it commits: nothing is lost, and it neither spins nor stops."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gochat.errors import StoreError
from gochat.metrics import Commits
from gochat.store import schema, setup
from gochat.store.health import Health
from gochat.store.search import index
from gochat.store.write import index_feeder
from gochat.store.write.committer import Committer, MergePace
from gochat.store.write.logs import Batch
from gochat.store.write.write_buffer import WriteBuffer
from tests.contracts.journal import message

ROOMS = {1: "dm:ann:bob", 2: "dm:ann:cat"}
NEVER = MergePace(quiet_s=1e6, after_s=1e6, feed_s=1e6, retry_s=1e6)
AT_ONCE = NEVER._replace(quiet_s=0, feed_s=0)


@pytest.fixture
def path(tmp_path: Path) -> str:
    setup.prepare(str(tmp_path / "gochat.db"))
    return str(tmp_path / "gochat.db")


class Rig:
    """A committer that has recorded two messages in each room, the second of which is to be merged."""

    def __init__(self, path: str, pace: MergePace) -> None:
        self.path, self.counts, self.health, self.write_buffer = path, Commits(), Health(path), WriteBuffer()
        self.committer = Committer(self._opens, self.write_buffer, pace, self.counts, self.health)
        for seq in (1, 2):
            self.commit(seq)

    def _opens(self) -> sqlite3.Connection:
        self.connection = schema.connect(self.path)
        self.connection.execute("PRAGMA busy_timeout = 0")
        return self.connection

    def commit(self, seq: int, rooms: dict[int, str] = ROOMS) -> None:
        batches = [Batch(room, room_pk, [message(room, seq, key=f"k{seq}")]) for room_pk, room in rooms.items()]
        assert all(isinstance(result, int) for result in self.committer.commit(batches, None))

    def idle(self) -> None:
        """Until there is nothing to do at once."""
        assert any(self.committer.idle() != 0 for _ in range(20)), "it spins"

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@contextlib.contextmanager
def rigged(path: str, pace: MergePace) -> Iterator[Rig]:
    rig = Rig(path, pace)
    try:
        yield rig
    finally:
        rig.committer.close()


@contextlib.contextmanager
def beside(path: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        yield other


def test_rows_of_the_tail_that_cannot_be_deleted_are_told_of_and_wait(path: str) -> None:
    with rigged(path, AT_ONCE) as rig, beside(path) as vandal:
        vandal.execute("CREATE TRIGGER bad BEFORE DELETE ON tail BEGIN SELECT RAISE(ABORT, 'a bad page'); END")
        rig.idle()
        assert rig.health.damage is not None and "a bad page" in rig.health.damage
        assert rig.count("fact") == 4, "the messages are merged all the same"
        for seq in (3, 4):
            rig.commit(seq)
            rig.idle()
        assert not rig.committer.merge([1]), "and so are those that somebody wants to read"
        assert rig.health.writing is None
        vandal.execute("DROP TRIGGER bad")
        rig.committer._stuck_until = 0.0
        rig.idle()
        assert (rig.count("tail"), rig.count("fact"), rig.write_buffer.merging) == (0, 8, False)


def test_rows_go_when_a_log_takes_nothing_and_its_messages_stay(path: str) -> None:
    """Deleting the rows and keeping those messages is no slice of its own."""
    with rigged(path, NEVER._replace(quiet_s=0)) as rig, beside(path) as vandal:
        vandal.execute("INSERT INTO fact (id, ts, kind, sender, n) VALUES (?, 1, 0, 'ann', 2)", (1 << 34 | 2,))
        rig.idle()
        assert rig.write_buffer.quarantined.keys() == {1}
        assert (rig.count("tail"), rig.write_buffer.merging) == (1, False)
        rig.commit(3, {2: ROOMS[2]})
        rig.idle()
        assert rig.write_buffer.facts == 0


@pytest.mark.parametrize("busy", [True, False], ids=["locked", "failing"])
def test_a_look_at_a_damaged_room_that_fails_is_a_commit_that_was_not_tried(path: str, busy: bool) -> None:
    with rigged(path, NEVER) as rig, beside(path) as vandal:
        rig.committer._damaged[1] = ROOMS[1]
        if busy:
            rig.write_buffer.quarantine(1, rig.write_buffer.pending([1])[1])
        vandal.execute("BEGIN IMMEDIATE" if busy else "ALTER TABLE fact RENAME TO gone")
        with pytest.raises(StoreError) as caught:
            rig.commit(3)
        assert not caught.value.unknown
        assert (rig.counts.failed, rig.health.writing) == (1, str(caught.value))
        assert (rig.committer._writer is not None) == busy, "a connection that failed is trusted no more"
        vandal.execute("ROLLBACK" if busy else "ALTER TABLE gone RENAME TO fact")
        rig.commit(3)
        assert rig.health.writing is None


def test_rooms_that_were_fed_beside_a_damaged_one_are_fed_again_though_a_lock_is_met(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, met = index.feed, list[int]()

    def feed_all_but_the_second(connection: sqlite3.Connection, room_pk: int, most: int) -> int | None:
        met.append(room_pk)
        if len(met) == 2:
            error = sqlite3.DatabaseError("malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return feed(connection, room_pk, most)

    def lose_the_lock(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    with rigged(path, NEVER._replace(feed_s=1e-6)) as rig:
        monkeypatch.setattr(index, "feed", feed_all_but_the_second)
        with monkeypatch.context() as patched:
            patched.setattr(index_feeder, "_start_over", lose_the_lock)
            assert rig.committer.idle() == NEVER.retry_s
        fed, damaged = met
        assert rig.health.unindexed == {damaged} and rig.health.damage is not None
        rig.idle()
        assert met == [fed, damaged, fed]
        assert index.unindexed_rooms(rig.connection) == {damaged}
