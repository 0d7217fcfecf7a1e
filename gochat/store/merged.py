"""Reading what was committed, whether or not it was merged: rooms that are in the tail are merged first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from gochat.store.committer import Committer
from gochat.store.pool import Readers
from gochat.store.tail import Tail
from gochat.store.thread import OwnerThread

T = TypeVar("T")


class Merged:
    """What was acked before a call is read by it. All raise StoreError."""

    def __init__(self, readers: Readers, writer: OwnerThread[Committer], tail: Tail) -> None:
        self._call = readers.call
        self._writer = writer
        self._tail = tail

    async def of_room(self, room: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job`, which reads this room, in a reading thread."""
        await self.level(room)
        return await self._call(job)

    async def of_all(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await self.level()
        return await self._call(job)

    async def level(self, *rooms: str) -> None:
        """Have these rooms merged; without one, all."""
        wanted = rooms or None
        if self._tail.holds(wanted):
            await self._writer.call(lambda committer: committer.merge(wanted))

    async def at_commit(self, user: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job`, which reads the user's rooms and the number of the last transaction: it sees all that was
        committed up to that number, and nothing later.

        That is more than the others need. A reading thread can do it as long as nothing in the tail that it sees is of
        a room of theirs. Else the writer does, between two commits.
        """

        def read(connection: sqlite3.Connection) -> tuple[T] | None:
            numbers = [number for (number,) in connection.execute("SELECT number FROM tail")]
            if numbers:
                nums = {num for (num,) in connection.execute("SELECT num FROM seat WHERE user = ?", (user,))}
                if self._tail.touches(numbers, nums):
                    return None
            return (job(connection),)

        found = await self._call(read)
        if found is not None:
            return found[0]
        return await self._writer.call(lambda committer: committer.read(user, job))
