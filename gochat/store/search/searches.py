"""Searches take turns, and each has a bound on its work.

One search of a user runs at a time, and users with searches that wait come in turn: so many searches of one user cost
the others the wait for at most one of them. They have threads of their own: no list or history waits behind a search.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import trio

from gochat.errors import Full, StoreError, TooCostly
from gochat.store.read.pool import Readers

T = TypeVar("T")

#: One user may keep a thread busy all the time; the others have the other one.
THREADS: Final = 2
#: How long one search may run, seconds. The slowest that was measured among a million messages takes 0.1 s.
SEARCH_S: Final = 2.0
#: Rows and places that one search may look at; each takes some 1 to 30 us.
ROWS: Final = 500_000
#: How long a search may wait for its turn before it is refused as Full, seconds.
WAIT_S: Final = 1.0
#: Searches of one user that may wait: one for each of the sessions that a user has by default, and some by REST.
MOST_OF_USER: Final = 32
#: Searches of all users that may wait.
MOST: Final = 512
#: Steps of SQLite's machine between two looks at the clock; some 100 us.
STEPS: Final = 10_000


def always() -> bool:
    return True


class Budget:
    """The time and rows that one search may still take. The budget is asked in the thread that searches."""

    __slots__ = ("_end", "_rows", "_wanted", "dropped")

    def __init__(self, wanted: Callable[[], bool] = always) -> None:
        self._end = time.monotonic() + SEARCH_S
        self._rows = ROWS
        self._wanted = wanted
        self.dropped = False
        """Set by a caller that waits no longer."""

    def spend(self, rows: int = 1) -> None:
        """Look at so many more rows. Raises TooCostly when that is too much, or nobody waits any more."""
        self._rows -= rows
        if self._rows < 0 or self.over():
            raise TooCostly("the search takes too long; longer or rarer words, or one room, take less")

    def over(self) -> bool:
        return time.monotonic() > self._end or self.dropped or not self._wanted()


class Searches:
    """Runs searches, each with a connection and a budget."""

    def __init__(self, readers: Readers, threads: int = THREADS) -> None:
        self._readers = readers
        self._free = threads
        self._searching: set[str] = set()
        self._waiting: dict[str, deque[_Waiter]] = {}
        """By user; whose turn comes next stands first."""
        self._count = 0

    @asynccontextmanager
    async def turn(self, user: str, wanted: Callable[[], bool] = always) -> AsyncIterator[Turn]:
        """Wait for the user's turn, and hold it. `wanted` says, in any thread, whether anybody still waits for the
        search. Raises Full when too many wait, or the turn does not come soon."""
        await self._turn(user, wanted)
        budget = Budget(wanted)
        try:
            yield Turn(self._readers, budget)
        finally:
            budget.dropped = True  # Cancelled, it would go on to the end.
            self._give_back(user)

    async def _turn(self, user: str, wanted: Callable[[], bool]) -> None:
        if self._free and user not in self._searching:
            self._free -= 1
            self._searching.add(user)
            return
        own = self._waiting.setdefault(user, deque())
        if len(own) >= MOST_OF_USER or (self._count >= MOST and not self._make_space(own)):
            if not own:
                del self._waiting[user]
            raise Full("too many searches wait")
        waiter = _Waiter(wanted)
        own.append(waiter)
        self._count += 1
        try:
            with trio.move_on_after(WAIT_S):
                await waiter.called.wait()
        except BaseException:
            self._leave(user, waiter)
            raise
        if not waiter.has_turn:
            self._leave(user, waiter)
            raise Full("other searches take their turn")

    def _make_space(self, own: deque[_Waiter]) -> bool:
        """Refuse the last search of a user who has most that wait, where that is two more than `own`: few users who ask
        for much shut nobody out."""
        most = max(self._waiting.values(), key=len)
        if len(most) < len(own) + 2:
            return False
        most.pop().called.set()
        self._count -= 1
        return True

    def _leave(self, user: str, waiter: _Waiter) -> None:
        """The waiter waits no more; a turn that came in the same moment goes to the next."""
        if waiter.has_turn:
            self._give_back(user)
        elif not waiter.called.is_set():
            self._waiting[user].remove(waiter)
            self._count -= 1
            if not self._waiting[user]:
                del self._waiting[user]

    def _give_back(self, user: str) -> None:
        self._searching.discard(user)
        self._free += 1
        if user in self._waiting:
            self._waiting[user] = self._waiting.pop(user)  # Behind everybody else.
        self._next()

    def _next(self) -> None:
        """Give what is free to those whose turn it is."""
        for user in list(self._waiting) if self._free else ():
            if user in self._searching:
                continue
            own = self._waiting.pop(user)
            while own:
                waiter = own.popleft()
                self._count -= 1
                waiter.called.set()
                if waiter.wanted():
                    waiter.has_turn = True
                    self._free -= 1
                    self._searching.add(user)
                    break
            if own:
                self._waiting[user] = own
            if not self._free:
                return


class Turn:
    """The way a search reads, while it has its turn."""

    __slots__ = ("_budget", "_readers")

    def __init__(self, readers: Readers, budget: Budget) -> None:
        self._readers = readers
        self._budget = budget

    async def read(self, job: Callable[[sqlite3.Connection, Budget], T]) -> T:
        """Raises TooCostly and other StoreErrors."""
        return await self._readers.call(partial(_run, job, self._budget))


class _Waiter:
    """One search that waits."""

    __slots__ = ("called", "has_turn", "wanted")

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self.wanted = wanted
        self.called = trio.Event()
        self.has_turn = False


def _run(job: Callable[[sqlite3.Connection, Budget], T], budget: Budget, connection: sqlite3.Connection) -> T:
    connection.set_progress_handler(budget.over, STEPS)
    try:
        return job(connection, budget)
    except sqlite3.OperationalError as error:
        if budget.over():
            budget.spend()
        raise StoreError(f"reading failed: {error}") from error
    finally:
        connection.set_progress_handler(None, 0)
