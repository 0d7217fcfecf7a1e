"""Reading what was committed, whether or not it was merged: rooms that are in the tail are merged first."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

import trio

from gochat.errors import StoreError
from gochat.store.health import is_damage
from gochat.store.listing import seats_among
from gochat.store.read.pool import Readers
from gochat.store.read.separate import FAULTS
from gochat.store.thread import Worker
from gochat.store.write.committer import Committer
from gochat.store.write.write_buffer import WriteBuffer, stored_lasts

T = TypeVar("T")
Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]
"""See `source.reading`."""
Call = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]

#: How often each kind of reader looks for a moment at which nothing of a user's rooms is unmerged. Between a merge and
#: the look that follows it comes a message of these rooms now and then; as a rule the second look finds one.
LOOKS: Final = 3
#: Rows that a look decodes. A snapshot from before the end of a segment may have thousands that memory has forgotten,
#: and each of the calls that share it would go through all of them.
MOST_UNKNOWN: Final = 64


class MergedReader:
    """A call reads everything that was acked before it, also when nothing can be written and so nothing merged. Every
    call may raise StoreError."""

    def __init__(
        self,
        readers: Readers,
        idle_reader: Readers,
        committer: Worker[Committer],
        write_buffer: WriteBuffer,
        reading: Reading | None,
    ) -> None:
        """`idle_reader` is used by nobody else, so that a call begins at once. `reading` opens the database once more;
        None: that can't be done."""
        self._call = readers.call
        self._call_at_once = idle_reader.call
        self._committer = committer
        self._write_buffer = write_buffer
        self._reading = reading
        self._alone = trio.Lock()
        """Held to use the idle reader, or to have the committer read: commits come between any two readings there."""

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

        That is more than the others need. A reader can do it where nothing of the user's rooms is unmerged in its
        snapshot (`unmerged_rooms`). Else these are merged, and a reader looks at a later snapshot. While all readers
        are busy it may look too late each time; so the next ones to look are alone with the idle reader. Only for rooms
        that talk without a pause the committer reads, between two commits.
        """
        found = await self._look(self._call, user, job)
        if found is None:
            async with self._alone:
                found = await self._look(self._call_at_once, user, job) or await self._between_commits(user, job)
        return found[0]

    async def _look(self, call: Call, user: str, job: Callable[[sqlite3.Connection], T]) -> tuple[T] | None:
        """Run `job` in the reader. None: whenever it looked, some of the user's rooms were unmerged."""

        def read(connection: sqlite3.Connection) -> tuple[list[int], tuple[T] | None]:
            unmerged = unmerged_rooms(connection, self._write_buffer, user)
            return unmerged, None if unmerged else (job(connection),)

        for _ in range(LOOKS):
            looked: tuple[list[int], tuple[T] | None] = await call(read)
            unmerged, found = looked
            if found is not None:
                return found
            if not await self._ensure_merged_rooms(unmerged):
                return (await self._overlaid(job),)
        return None

    async def _between_commits(self, user: str, job: Callable[[sqlite3.Connection], T]) -> tuple[T]:
        try:
            return (await self._committer.call(lambda committer: committer.read(user, job)),)
        except StoreError:  # It can't write now; it can be read all the same.
            return (await self._overlaid(job),)

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


def unmerged_rooms(connection: sqlite3.Connection, buffer: WriteBuffer, user: str) -> list[int]:
    """The user's rooms that have messages in the tail, and not in their logs, as this connection's snapshot has both.

    A merge moves the head of a room in its own transaction, and rows stay in the table for a while after it. So what is
    unmerged in a snapshot is what its rows have above the heads that it has, whatever was committed or merged since.
    Memory says no more than which rooms a row names, and up to which seq: that is the same for all readers who see the
    row, since it is known before the row is committed. Where it is not known any more, and where the row may have been
    written anew, the snapshot's own row is looked into.
    """
    numbers = [number for (number,) in connection.execute("SELECT number FROM tail ORDER BY number")]
    if not numbers:
        return []
    lasts, unknown = buffer.lasts(numbers)
    if len(unknown) > MOST_UNKNOWN:
        return seats_among(connection, user, None)  # Any may be; a later snapshot has other rows.
    try:
        for room_pk, last in stored_lasts(connection, unknown).items():
            lasts[room_pk] = max(last, lasts.get(room_pk, 0))
        return [
            room_pk
            for room_pk in seats_among(connection, user, list(lasts))
            if _head(connection, room_pk) < lasts[room_pk]
        ]
    except FAULTS as error:
        if not is_damage(error):
            raise
        # It can't be told which; the committer knows, and reads as far as there is something to read.
        return seats_among(connection, user, None)


def _head(connection: sqlite3.Connection, room_pk: int) -> int:
    row = connection.execute("SELECT head FROM room WHERE num = ?", (room_pk,)).fetchone()
    return int(row[0]) if row else 0
