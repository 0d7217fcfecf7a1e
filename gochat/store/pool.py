"""The reading connections: a few threads, one connection each, one queue for all."""

from __future__ import annotations

import queue
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from gochat.errors import StoreError
from gochat.store.thread import OwnerThread

T = TypeVar("T")

#: Readers block on the disk more than on the interpreter: a slow search shall not hold up a hello.
THREADS = 3
#: Steps of SQLite's machine between two looks at the clock; some 100 us.
STEPS = 10_000


class Readers:
    """Runs a function on a connection, inside one read transaction: what it reads is one moment."""

    def __init__(
        self, opens: Callable[[], sqlite3.Connection], *, inline: bool = False, threads: int = THREADS,
        deadline_s: float | None = None,
    ) -> None:  # fmt: skip
        """With `deadline_s` a call that reads for longer ends in a StoreError."""
        jobs: queue.SimpleQueue[object] = queue.SimpleQueue()
        count = 1 if inline else threads
        self._deadline_s = deadline_s
        self._threads = [
            OwnerThread(f"reader {n}", opens, inline=inline, jobs=jobs, closes=sqlite3.Connection.close)
            for n in range(count)
        ]

    async def call(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Raises StoreError."""
        return await self._threads[0].call(lambda connection: _read(connection, job, self._deadline_s))

    def stop(self) -> None:
        for thread in self._threads:
            thread.stop()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def _read(connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T], deadline_s: float | None) -> T:
    try:
        connection.execute("BEGIN")
        if deadline_s is not None:
            end = time.monotonic() + deadline_s
            connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        try:
            return job(connection)
        finally:
            if deadline_s is not None:
                connection.set_progress_handler(None, 0)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"reading failed: {error}") from error
