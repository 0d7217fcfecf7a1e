"""`replication.ReplicaStore` on SQLite: the loop's side of a database that follows a cluster's log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import outcome
import trio

from gochat.domain.ids import dm_users, is_dm
from gochat.domain.record import RoomRecord
from gochat.replication import Answer, Certifier, Cycle, Followed, Piece, Place, R
from gochat.store.read import rules
from gochat.store.read.merged_reader import MergedReader
from gochat.store.read.pool import Readers
from gochat.store.thread import Worker
from gochat.store.write import log_state
from gochat.store.write.committer import Committer

T = TypeVar("T")


class SqliteReplica:
    """See the port."""

    def __init__(self, committer: Worker[Committer], readers: Readers, merged_reader: MergedReader) -> None:
        self._committer = committer
        self._read = readers.call
        self._merged_reader = merged_reader

    async def followed(self) -> Followed:
        def read(connection: sqlite3.Connection) -> Followed:
            states = log_state.load(connection)
            (own_epoch,) = connection.execute("SELECT epoch FROM meta").fetchone()
            return Followed(
                {partition: (state.term, state.n) for partition, state in states.items() if state.n},
                {partition: state.hash for partition, state in states.items()},
                {partition: state.nodes for partition, state in states.items()},
                log_state.epoch(connection),
                own_epoch,
                log_state.answers(connection),
            )

        found: Followed = await self._read(read)
        return found

    async def follow(self, certifier: Certifier[R], news: Mapping[int, Sequence[Piece]]) -> Cycle[R]:
        return await self._submit(lambda committer: committer.follow(certifier, news))

    async def _submit(self, job: Callable[[Committer], T]) -> T:
        """As `Worker.call`, but as a commit is handed over: what follows from it is done when nothing more comes."""
        results: list[outcome.Outcome[T]] = []
        told = trio.Event()

        def done(result: outcome.Outcome[T]) -> None:
            results.append(result)
            told.set()

        self._committer.submit(job, done)
        await told.wait()
        return results[0].unwrap()

    async def keep_answers(self, answers: Mapping[int, Answer]) -> None:
        def save(connection: sqlite3.Connection) -> None:
            log_state.save_answers(connection, answers)

        await self._committer.call(lambda committer: committer.run(save, synced=True))

    async def after(self, partition: int, place: Place | None, limit: int) -> list[Piece]:
        found: list[Piece] = await self._read(lambda connection: log_state.after(connection, partition, place, limit))
        return found

    async def term_at(self, partition: int, n: int) -> int | None:
        found: int | None = await self._read(lambda connection: log_state.term_at(connection, partition, n))
        return found

    async def trim(self, partition: int, before: int) -> int:
        oldest: int = await self._committer.call(
            lambda committer: committer.run(lambda connection: log_state.trim(connection, partition, before))
        )
        return oldest

    async def load(self, room: str, partition: int) -> tuple[RoomRecord | None, int]:
        def read(connection: sqlite3.Connection) -> tuple[RoomRecord | None, int]:
            row = connection.execute("SELECT n FROM log_position WHERE partition = ?", (partition,)).fetchone()
            return rules.record(connection, room), 0 if row is None else int(row[0])

        return await self._merged_reader.of_room(room, read)

    async def gone(self, room: str) -> frozenset[str]:
        if not is_dm(room):
            return frozenset()
        found: Any = await self._read(lambda connection: rules.deleted(connection, dm_users(room)))
        return frozenset(found)
