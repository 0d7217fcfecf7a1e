"""The lookups: `ports.Lookups` on SQLite. Each call is one read transaction in a reading thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.side_records import AnyStanding, Deleted
from gochat.store.read import rules
from gochat.store.read.merged_reader import MergedReader
from gochat.store.read.pool import Readers
from gochat.store.write.transaction import recorded

T = TypeVar("T")


class SqliteLookups:
    """`merged_reader` has a room's messages in its log before they are read there."""

    def __init__(self, readers: Readers, merged_reader: MergedReader) -> None:
        self._call = readers.call
        self._merged_reader = merged_reader

    async def recorded(self, record: RoomRecord, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Recorded]:
        return await self._merged_in(record, lambda connection, room_pk: recorded(connection, room_pk, keys))

    async def targets(self, record: RoomRecord, seqs: Sequence[int]) -> dict[int, Target]:
        return await self._merged_in(record, lambda connection, room_pk: rules.targets(connection, room_pk, seqs))

    async def waiting(self, record: RoomRecord) -> set[int]:
        relation = record.relation
        asked = relation.asked if relation is not None else None
        if relation is None or asked is None:
            return set()
        after = relation.of(asked).asked_at or 0
        return await self._merged_in(record, lambda connection, room_pk: rules.messages(connection, room_pk, after))

    async def since(self, record: RoomRecord, users: Sequence[str]) -> dict[str, int]:
        return await self._in(record, lambda connection, room_pk: rules.since(connection, room_pk, users))

    async def reacted(
        self, record: RoomRecord, asked: Sequence[tuple[int, str, str]]
    ) -> dict[tuple[int, str, str], Reacted]:
        return await self._in(record, lambda connection, room_pk: rules.reacted(connection, room_pk, asked))

    async def left(self, record: RoomRecord, users: Sequence[str]) -> set[str]:
        return await self._in(record, lambda connection, room_pk: rules.left(connection, room_pk, users))

    async def asks(self, user: str, since_ms: int) -> list[int]:
        return await self._call(lambda connection: rules.asks(connection, user, since_ms))

    async def adds(self, user: str, since_ms: int) -> list[int]:
        return await self._call(lambda connection: rules.adds(connection, user, since_ms))

    async def held_by(self, peer: str, users: Sequence[str]) -> dict[str, tuple[bool, bool]]:
        return await self._call(lambda connection: rules.held_by(connection, peer, users))

    async def blocks(self, users: Sequence[str], others: Sequence[str]) -> set[tuple[str, str]]:
        return await self._call(lambda connection: rules.blocks(connection, users, others))

    async def deleted(self, users: Sequence[str]) -> set[str]:
        return await self._call(lambda connection: rules.deleted(connection, users))

    async def standing(self, since_ms: int) -> list[AnyStanding | Deleted]:
        return await self._call(lambda connection: rules.standing(connection, since_ms))

    async def _in(self, record: RoomRecord, job: Callable[[sqlite3.Connection, int], T]) -> T:
        """Run `job` with the room's number."""
        return await self._call(lambda connection: job(connection, rules.room_pk(connection, record)))

    async def _merged_in(self, record: RoomRecord, job: Callable[[sqlite3.Connection, int], T]) -> T:
        """The same once all of the room's messages are in its log."""
        return await self._merged_reader.of_room(
            record.room, lambda connection: job(connection, rules.room_pk(connection, record))
        )
