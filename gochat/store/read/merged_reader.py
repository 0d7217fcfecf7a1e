"""Reading what was committed, whether or not it was merged: rooms that are in the tail are merged first."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from gochat.errors import StoreError
from gochat.store.listing import seats_among
from gochat.store.read.pool import Readers
from gochat.store.thread import Worker
from gochat.store.write.committer import Committer
from gochat.store.write.write_buffer import WriteBuffer

T = TypeVar("T")
Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]
"""See `source.reading`."""
Call = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]


class MergedReader:
    """A call reads everything that was acked before it, also when nothing can be written and so nothing merged. Every
    call may raise StoreError."""

    def __init__(
        self, readers: Readers, committer: Worker[Committer], write_buffer: WriteBuffer, reading: Reading | None
    ) -> None:
        """`reading` opens the database once more; None: that can't be done."""
        self._call = readers.call
        self._committer = committer
        self._write_buffer = write_buffer
        self._reading = reading

    async def of_room(self, room: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job`, which reads this room, in a reading thread."""
        return await (self._call(job) if await self._ensure_merged([room]) else self._overlaid(job))

    async def of_named(self, rooms: Sequence[str], job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job`, which reads these rooms."""
        return await (self._call(job) if await self._ensure_merged(rooms) else self._overlaid(job))

    async def of_rooms(self, rooms: str, values: Sequence[Any], job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job`, which reads the rooms whose ids the query `rooms` gives."""
        return await (self._call(job) if await self._ensure_merged_those(rooms, values) else self._overlaid(job))

    async def of_user(self, user: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job`, which reads rooms of this user."""
        write_buffer = self._write_buffer
        if not write_buffer.holds():
            return await self._call(job)
        unmerged = write_buffer.room_pks(write_buffer.rooms())
        room_pks = await self._call(lambda connection: seats_among(connection, user, unmerged))
        return await (
            self._call(job) if not room_pks or await self._ensure_merged_rooms(room_pks) else self._overlaid(job)
        )

    async def ensure_merged_for(self, user: str, room: str | None, call: Call) -> bool:
        """Have the room merged, or all of the user's. Whether they could be. Costs by how many are not, not by how many
        the user is in."""
        if room is not None:
            return await self._ensure_merged([room])
        if not self._write_buffer.holds():
            return True
        unmerged = self._write_buffer.room_pks(self._write_buffer.rooms())
        room_pks = await call(lambda connection: seats_among(connection, user, unmerged))
        return not room_pks or await self._ensure_merged_rooms(room_pks)

    async def _ensure_merged_those(self, rooms: str, values: Sequence[Any]) -> bool:
        """Have the rooms whose ids the query gives merged. Whether they could be."""
        if not self._write_buffer.holds():
            return True
        found = await self._call(lambda connection: connection.execute(rooms, values).fetchall())
        return await self._ensure_merged([room for (room,) in found])

    async def at_commit(self, user: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job`, which reads the user's rooms and the number of the last transaction: it sees all that was
        committed up to that number, and nothing later.

        That is more than the others need. A reading thread can do it as long as nothing in the tail that it sees is of
        a room of theirs. Else the committer does, between two commits.
        """
        unmerged: list[int] = []

        def read(connection: sqlite3.Connection) -> tuple[T] | None:
            numbers = [number for (number,) in connection.execute("SELECT number FROM tail")]
            if numbers:
                unmerged.extend(seats_among(connection, user, self._write_buffer.rooms_of(numbers)))
            return None if unmerged else (job(connection),)

        found = await self._call(read)
        if found is not None:
            return found[0]
        if await self._ensure_merged_rooms(unmerged):
            try:
                return await self._committer.call(lambda committer: committer.read(user, job))
            except StoreError:
                pass  # It can't write now; it can be read all the same.
        return await self._overlaid(job)

    async def _ensure_merged(self, rooms: Sequence[str]) -> bool:
        """Have these rooms merged. Whether they could be."""
        return not self._write_buffer.holds(rooms) or await self._ensure_merged_rooms(
            self._write_buffer.room_pks(rooms)
        )

    async def _ensure_merged_rooms(self, room_pks: Sequence[int]) -> bool:
        """A slice at a time, so that commits do not wait for all of it."""
        try:
            while not self._write_buffer.unsure:
                if not await self._committer.call(lambda committer: committer.merge(room_pks)):
                    return True
        except StoreError:
            pass  # Commits meet the same fault and report it; the reader reads beside the tail.
        return False

    async def _overlaid(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` on a connection that shows the tail as if it were merged. That costs a look at all of it."""
        reading = self._reading
        if reading is None:
            return await self._call(job)

        def read(_: sqlite3.Connection) -> T:
            with reading() as connection:
                return job(connection)

        return await self._call(read)
