"""The reading connections: a few threads, one connection each, one queue for all."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from gochat.errors import StoreError
from gochat.store.thread import OwnerThread

T = TypeVar("T")

#: Readers block on the disk more than on the interpreter: a slow search shall not hold up a hello.
THREADS = 3


class Readers:
    """Runs a function on a connection, inside one read transaction: what it reads is one moment."""

    def __init__(self, opens: Callable[[], sqlite3.Connection], *, inline: bool = False) -> None:
        jobs: queue.SimpleQueue[object] = queue.SimpleQueue()
        count = 1 if inline else THREADS
        self._threads = [OwnerThread(f"reader {n}", opens, inline=inline, jobs=jobs) for n in range(count)]

    async def call(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Raises StoreError."""
        return await self._threads[0].call(lambda connection: _read(connection, job))

    def stop(self) -> None:
        for thread in self._threads:
            thread.stop()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def _read(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
    try:
        connection.execute("BEGIN")
        try:
            return job(connection)
        finally:
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"reading failed: {error}") from error
