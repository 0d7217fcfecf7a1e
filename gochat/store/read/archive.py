"""The archive: `ports.Archive` on SQLite. Each call is one read transaction in a reading thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from gochat.domain.facts import AnyFact
from gochat.domain.relationship import ContactPolicy
from gochat.errors import Damaged, StoreError
from gochat.ports.archive import Facts, Group, Snapshot, Viewer
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    ContactState,
    GroupEntry,
    MemberEntry,
    RelationState,
    ReportEntry,
    RequestEntry,
    RoomOverview,
    SanctionEntry,
    Suspension,
    UserEntry,
)
from gochat.store.health import Health
from gochat.store.listing import seats_among
from gochat.store.read import contacts, groups, moderation, names, overview, pages, people
from gochat.store.read.entries import ListRead
from gochat.store.read.merged_reader import MergedReader
from gochat.store.read.pool import Readers
from gochat.store.read.receipts import Receipts
from gochat.store.read.separate import MOST, SeparateRooms
from gochat.store.read.welcome import welcome
from gochat.store.search import search, user_search
from gochat.store.search.searches import Budget, Searches, always
from gochat.wall_clock import wall_ms


class SqliteArchive:
    """`searches` have threads apart: one that takes long shall not hold up a hello."""

    def __init__(
        self,
        readers: Readers,
        searches: Searches,
        merged_reader: MergedReader,
        epoch: str,
        policy: ContactPolicy,
        health: Health,
    ) -> None:
        self._call = readers.call
        self._merged_reader = merged_reader
        self._searches = searches
        self._epoch = epoch
        self._policy = policy
        self._health = health

    def follow_epoch(self, epoch: str) -> None:
        """From now on this is the epoch of every room: that of the cluster."""
        self._epoch = epoch

    async def welcome(self, user: str, contacts: int, rooms: Sequence[str], held: Mapping[str, int] = {}) -> Snapshot:
        # A user who signs in gets the rooms that can be read; a user who asks for one room gets the error.
        most = MOST if contacts else 0

        def read(connection: sqlite3.Connection) -> Snapshot:
            left_out = SeparateRooms(self._health, most)  # Where damage is met, this may be read once more.
            return welcome(self._reading(connection, user, left_out), contacts, rooms, held)

        return await self._merged_reader.at_commit(user, read)

    def _reading(self, connection: sqlite3.Connection, user: str, left_out: SeparateRooms) -> ListRead:
        return ListRead(connection, self._epoch, user, left_out, self._receipts(connection, user))

    def _receipts(self, connection: sqlite3.Connection, user: str) -> Receipts:
        return Receipts(connection, user, self._policy, wall_ms())

    async def page(
        self, viewer: Viewer, room: str, *, before: int | None, after: int | None, limit: int, messages: bool = False
    ) -> Facts | None:
        return await self._merged_reader.of_room(
            room,
            lambda connection: pages.page(
                connection, viewer, room, before, after, limit, messages, self._receipts(connection, viewer.user)
            ),
        )

    async def replay(
        self, room: str, after: int, upto: int, limit: int, *, reader: str | None = None, admin: bool = False
    ) -> list[AnyFact]:
        viewer = None if reader is None else Viewer(reader, admin)
        return await self._merged_reader.of_room(
            room, lambda connection: pages.replay(connection, room, after, upto, limit, viewer)
        )

    async def head(self, room: str) -> int:
        def read(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT head FROM room WHERE id = ?", (room,)).fetchone()
            return int(row[0]) if row else 0

        return await self._merged_reader.of_room(room, read)

    async def membership(self, user: str, room: str) -> str | None:
        return await self._call(lambda connection: groups.membership(connection, user, room))

    async def group(self, viewer: Viewer, room: str) -> Group | None:
        return await self._call(lambda connection: groups.group(connection, viewer, room))

    async def groups(
        self,
        user: str,
        owner: str | None,
        limit: int,
        cursor: str | None,
        unreadable: list[str] | None = None,
    ) -> tuple[list[GroupEntry], str | None]:
        left_out = SeparateRooms(self._health, 0 if unreadable is None else MOST)
        found = await self._merged_reader.of_user(
            user,
            lambda connection: groups.groups(self._reading(connection, user, left_out), owner, limit, cursor),
        )
        if unreadable is not None:
            unreadable += left_out.rooms
        return found

    async def members(
        self, viewer: Viewer, room: str, limit: int, cursor: str | None
    ) -> tuple[list[MemberEntry], str | None] | None:
        return await self._call(lambda connection: groups.members(connection, viewer, room, limit, cursor))

    async def search_messages(
        self,
        user: str,
        q: str,
        room: str | None,
        limit: int,
        cursor: str | None,
        wanted: Callable[[], bool] = always,
    ) -> tuple[list[AnyFact], str | None]:
        def read(connection: sqlite3.Connection, budget: Budget) -> tuple[list[AnyFact], str | None]:
            self._check_indexed(connection, user, room)
            return search.messages(connection, user, q, room, limit, cursor, budget)

        async with self._searches.turn(user, wanted) as turn:
            # Merged, so that the index, which is fed from the logs, comes soon.
            if not await self._merged_reader.ensure_merged_for(
                user, room, lambda job: turn.read(lambda connection, _: job(connection))
            ):
                raise StoreError("messages wait to be put in their places, and can't be searched")
            return await turn.read(read)

    def _check_indexed(self, connection: sqlite3.Connection, user: str, room: str | None) -> None:
        """Raises Damaged where a search would miss messages for good."""
        unindexed, lost = self._health.unindexed, self._health.index_lost
        if unindexed and not lost:
            among = seats_among(connection, user, list(unindexed)) if room is None else search.number(connection, room)
            lost = not unindexed.isdisjoint(among)
        if lost:
            raise Damaged("new messages can't be put into the search index")

    async def search_users(
        self, viewer: str, q: str, limit: int, cursor: str | None, wanted: Callable[[], bool] = always
    ) -> tuple[list[UserEntry], str | None]:
        async with self._searches.turn(viewer, wanted) as turn:
            return await turn.read(
                lambda connection, budget: user_search.search_users(connection, viewer, q, limit, cursor, budget)
            )

    async def users(self, users: Sequence[str]) -> Mapping[str, tuple[str, int | None]]:
        return await self._call(lambda connection: names.users(connection, users))

    async def names(self, viewer: Viewer, users: Sequence[str]) -> Mapping[str, str]:
        return await self._call(lambda connection: names.names(connection, viewer, users))

    async def acquainted(self, user: str, others: Sequence[str]) -> set[str]:
        return await self._call(lambda connection: people.acquainted(connection, user, others))

    async def onlookers(self, user: str, others: Sequence[str]) -> set[str]:
        return await self._call(lambda connection: people.onlookers(connection, user, others))

    async def contacts(
        self,
        user: str,
        limit: int,
        cursor: str | None,
        only: RelationState | None = None,
        rooms: bool = False,
        unreadable: list[str] | None = None,
    ) -> tuple[list[ContactState], str | None]:
        declined_after = wall_ms() - self._policy.decline_ms
        left_out = SeparateRooms(self._health, 0 if unreadable is None else MOST)
        found = await self._merged_reader.of_user(
            user,
            lambda connection: contacts.contacts(
                self._reading(connection, user, left_out), declined_after, limit, cursor, only, rooms
            ),
        )
        if unreadable is not None:
            unreadable += left_out.rooms
        return found

    async def requests(self, user: str, limit: int, cursor: str | None) -> tuple[list[RequestEntry], str | None]:
        return await self._merged_reader.of_user(
            user, lambda connection: people.requests(connection, user, limit, cursor)
        )

    async def reports(
        self, room: str | None, limit: int, cursor: str | None, *, viewer: Viewer | None = None
    ) -> tuple[list[ReportEntry], str | None]:
        def read(connection: sqlite3.Connection) -> tuple[list[ReportEntry], str | None]:
            return moderation.reports(connection, room, limit, cursor, viewer)

        if room is not None:
            return await self._merged_reader.of_room(room, read)
        return await self._merged_reader.of_rooms(moderation.REPORTED, [moderation.number(cursor, 0), limit + 1], read)

    async def report_room(self, report: int, *, viewer: Viewer | None = None) -> tuple[str, bool] | None:
        return await self._call(lambda connection: moderation.report_room(connection, report, viewer))

    async def sanctions(
        self, viewer: Viewer, room: str, limit: int, cursor: str | None
    ) -> tuple[list[SanctionEntry], str | None]:
        return await self._call(
            lambda connection: moderation.sanctions(connection, viewer, room, wall_ms(), limit, cursor)
        )

    async def audit(self, limit: int, cursor: str | None) -> tuple[list[AuditEntry], str | None]:
        return await self._call(lambda connection: moderation.audit(connection, limit, cursor))

    async def accounts(self, user: str | None, limit: int, cursor: str | None) -> tuple[list[Account], str | None]:
        return await self._call(lambda connection: overview.accounts(connection, user, wall_ms(), limit, cursor))

    async def rooms(
        self, user: str | None, private: bool, limit: int, cursor: str | None
    ) -> tuple[list[RoomOverview], str | None]:
        return await self._merged_reader.of_rooms(
            *overview.page_of_rooms(user, private, limit, cursor),
            lambda connection: overview.rooms(connection, user, private, limit, cursor),
        )

    async def groups_named(
        self, viewer: str, user: str | None, words: Sequence[str], limit: int, cursor: str | None
    ) -> tuple[list[RoomOverview], str | None]:
        async with self._searches.turn(viewer) as turn:
            found, following = await turn.read(
                lambda connection, budget: overview.groups_named(connection, user, words, limit, cursor, budget)
            )
        return await self._merged_reader.of_named(
            found, lambda connection: overview.rooms_of(connection, found)
        ), following

    async def suspensions(self, limit: int, cursor: str | None) -> tuple[list[Suspension], str | None]:
        return await self._call(lambda connection: overview.suspensions(connection, wall_ms(), limit, cursor))
