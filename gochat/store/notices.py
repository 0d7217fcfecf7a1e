"""`ports.Notices` on SQLite.

Messages are not asked twice: the transaction that brings them into their room's log marks the room (write/notices.py),
so that neither an ack nor a delivery writes anything for notifications. The notifier looks at marked rooms, and the
transaction that keeps what it found takes the mark away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from gochat.domain.notices import (
    Attempt,
    Bounds,
    NewNotice,
    NoticeEntry,
    RoomLook,
    Route,
    UnseenRoom,
    WaitingNotice,
    Wishes,
)
from gochat.domain.relationship import ContactPolicy
from gochat.store.read import notices as read
from gochat.store.read.merged_reader import MergedReader
from gochat.store.read.pool import Readers
from gochat.store.thread import Worker
from gochat.store.write import notices as write
from gochat.store.write.committer import Committer

T = TypeVar("T")


class SqliteNotices:
    """See the port."""

    def __init__(
        self, readers: Readers, committer: Worker[Committer], merged_reader: MergedReader, policy: ContactPolicy
    ) -> None:
        self._policy = policy
        self._read = readers.call
        self._committer = committer
        self._merged_reader = merged_reader
        self._capacity = write.Capacity()

    async def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._committer.call(lambda committer: committer.run(job))

    async def unseen(self, after: int, limit: int) -> list[UnseenRoom]:
        return await self._read(lambda connection: read.unseen(connection, after, limit))

    async def look(
        self, room: UnseenRoom, after_user: str, limit: int, *, now_ms: int, ripe_ts: int, oldest_ts: int
    ) -> RoomLook:
        since = now_ms - self._policy.decline_ms

        def job(connection: sqlite3.Connection) -> RoomLook:
            return read.look(connection, room, after_user, limit, ripe_ts, oldest_ts, now_ms, since)

        return await self._merged_reader.of_room(room.room, job)

    async def add(
        self,
        found: Sequence[NewNotice],
        looked: Mapping[int, int],
        routes: Sequence[Route],
        bounds: Bounds,
        now_ms: int,
    ) -> dict[int, int | None]:
        def job(connection: sqlite3.Connection) -> dict[int, int | None]:
            write.add(connection, found, routes, bounds, now_ms, self._capacity)
            return {room_pk: write.looked(connection, room_pk, upto) for room_pk, upto in looked.items()}

        return await self._write(job)

    async def due(
        self, channel: str, now_ms: int, limit: int, busy: Collection[str] = (), skip: Collection[tuple[str, int]] = ()
    ) -> list[WaitingNotice]:
        query = read.Due(channel, now_ms, limit, busy, skip, now_ms - self._policy.decline_ms)
        return await self._merged_reader.of_rooms(*query.rooms(), query.run)

    async def next_due(self, channel: str) -> int | None:
        return await self._read(lambda connection: read.next_due(connection, channel))

    async def finish(self, attempts: Sequence[Attempt], bounds: Bounds) -> None:
        await self._write(lambda connection: write.finish(connection, attempts, bounds))

    async def revive(self, channel: str | None, now_ms: int) -> int:
        return await self._write(lambda connection: write.revive(connection, channel, now_ms, self._capacity))

    async def counts(self) -> dict[tuple[str, str], int]:
        return await self._read(read.counts)

    async def keep_only(self, channels: Collection[str]) -> None:
        if await self._read(lambda connection: read.has_others(connection, channels)):
            await self._write(lambda connection: write.keep_only(connection, channels))

    async def entries(self, *, dead: bool, limit: int, channel: str | None = None) -> list[NoticeEntry]:
        return await self._read(lambda connection: read.entries(connection, dead=dead, limit=limit, channel=channel))

    async def wishes(self, user: str, now_ms: int) -> Wishes:
        return await self._read(lambda connection: read.wishes(connection, user, now_ms))

    async def address(self, user: str) -> str | None:
        return await self._read(lambda connection: read.mail_address(connection, user))
