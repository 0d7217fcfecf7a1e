"""Work that is not synced ends with a connection whose commits are, also where another process holds the lock."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gochat.errors import StoreError
from gochat.store import schema, setup
from gochat.store.search import index
from gochat.store.write.committer import Committer, MergePace
from gochat.store.write.expiry import Old
from gochat.store.write.logs import Batch
from gochat.store.write.unsynced import unsynced
from gochat.store.write.write_buffer import WriteBuffer
from tests.contracts.journal import message

FULL, ROOM = 2, "dm:ann:bob"
#: Nothing is merged or fed by the clock alone.
NEVER = MergePace(quiet_s=1e6, after_s=1e6, feed_s=1e6)


def synchronous(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA synchronous").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> str:
    setup.prepare(str(tmp_path / "gochat.db"))
    return str(tmp_path / "gochat.db")


@pytest.fixture
def connection(path: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(schema.connect(path)) as opened:
        opened.execute("PRAGMA busy_timeout = 0")
        yield opened


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Another process writes."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def committed(connection: sqlite3.Connection, pace: MergePace) -> Committer:
    """One that has merged a message, and has one to merge, and both to put into the index."""
    committer = Committer(lambda: connection, WriteBuffer(), pace)
    for seq in (1, 2):
        (number,) = committer.commit([Batch(ROOM, 1, [message(ROOM, seq, key=f"k{seq}", body="hello there")])], None)
        assert isinstance(number, int)
    return committer


def settle(committer: Committer) -> None:
    """Everything is merged and fed within a few slices: a failure must not leave work behind that is never done."""
    assert any(committer.idle() != 0 for _ in range(10))


def expire(committer: Committer) -> None:
    committer.expire(Old(1, ROOM, 1 << 40), 1 << 41)


@pytest.mark.parametrize("pace", [NEVER._replace(quiet_s=0), NEVER._replace(feed_s=0)], ids=["merge", "feed"])
def test_a_lock_that_another_process_holds_leaves_commits_synced(
    path: str, connection: sqlite3.Connection, pace: MergePace
) -> None:
    committer = committed(connection, pace)
    with locked(path):
        assert committer.idle() == pace.retry_s
    assert synchronous(connection) == FULL
    settle(committer)
    assert index.unindexed_rooms(connection) == set()
    assert synchronous(connection) == FULL


def test_an_index_that_is_made_anew_leaves_commits_synced(
    path: str, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = committed(connection, NEVER)
    committer._index.unindexed.clear()
    monkeypatch.setattr(committer._index._reindex, "under_way", True)
    with locked(path):
        assert committer.idle() == NEVER.retry_s
    assert synchronous(connection) == FULL


@pytest.mark.parametrize("job", [lambda committer: committer.run(lambda _: None), expire], ids=["run", "expire"])
def test_jobs_that_meet_a_lock_leave_commits_synced(
    path: str, connection: sqlite3.Connection, job: Callable[[Committer], None]
) -> None:
    committer = committed(connection, NEVER)
    with locked(path), pytest.raises(StoreError):
        job(committer)
    assert synchronous(connection) == FULL
    job(committer)
    assert synchronous(connection) == FULL


def fail_midway(connection: sqlite3.Connection) -> None:
    with unsynced(connection):
        assert synchronous(connection) < FULL
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE t (x)")
        raise ValueError("midway")


def test_a_block_that_fails_within_its_transaction_is_rolled_back(connection: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="midway"):
        fail_midway(connection)
    assert not connection.in_transaction
    assert synchronous(connection) == FULL
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 't'").fetchone() == (0,)
