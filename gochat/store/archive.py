"""The archive: `ports.Archive` on SQLite. Each call is one read transaction in a reading thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from gochat.domain.facts import AnyFact
from gochat.ports import Asker, Facts, Snapshot
from gochat.protocol.replies import GroupEntry, MemberEntry, UserEntry
from gochat.store import lists, pages, people, search
from gochat.store.pool import Readers


class SqliteArchive:
    """`searchers` are threads apart: a search that takes long shall not hold up a hello."""

    def __init__(self, readers: Readers, searchers: Readers, epoch: str) -> None:
        self._call = readers.call
        self._search = searchers.call
        self._epoch = epoch

    async def welcome(self, user: str, contacts: int, rooms: Sequence[str]) -> Snapshot:
        return await self._call(lambda connection: lists.welcome(connection, self._epoch, user, contacts, rooms))

    async def page(self, asker: Asker, room: str, *, before: int | None, after: int | None, limit: int) -> Facts | None:
        return await self._call(lambda connection: pages.page(connection, asker, room, before, after, limit))

    async def replay(self, room: str, after: int, upto: int, limit: int) -> list[AnyFact]:
        return await self._call(lambda connection: pages.replay(connection, room, after, upto, limit))

    async def head(self, room: str) -> int:
        def read(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT head FROM room WHERE id = ?", (room,)).fetchone()
            return int(row[0]) if row else 0

        return await self._call(read)

    async def seat(self, user: str, room: str) -> str | None:
        return await self._call(lambda connection: lists.seat(connection, user, room))

    async def groups(
        self, user: str, owner: str | None, limit: int, cursor: str | None
    ) -> tuple[list[GroupEntry], str | None]:
        return await self._call(lambda connection: lists.groups(connection, user, owner, limit, cursor))

    async def members(
        self, asker: Asker, room: str, limit: int, cursor: str | None
    ) -> tuple[list[MemberEntry], str | None] | None:
        return await self._call(lambda connection: lists.members(connection, asker, room, limit, cursor))

    async def search_messages(
        self, user: str, q: str, room: str | None, limit: int, cursor: str | None
    ) -> tuple[list[AnyFact], str | None]:
        return await self._search(lambda connection: search.messages(connection, user, q, room, limit, cursor))

    async def search_users(
        self, asker: str, q: str, limit: int, cursor: str | None
    ) -> tuple[list[UserEntry], str | None]:
        return await self._search(lambda connection: people.search_users(connection, asker, q, limit, cursor))

    async def users(self, users: Sequence[str]) -> Mapping[str, tuple[str, int | None]]:
        return await self._call(lambda connection: lists.users(connection, users))

    async def acquainted(self, user: str, others: Sequence[str]) -> set[str]:
        return await self._call(lambda connection: lists.acquainted(connection, user, others))
