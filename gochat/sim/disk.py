"""A machine's disk: a database in memory that takes its time, has faults, and forgets what was not synced.

The survivors of a loss of power are those of SQLite in WAL mode: a commit with `synchronous = FULL` and all
before it are there; commits with NORMAL after the last of these may be, or may not.
"""

from __future__ import annotations

import math
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import closing
from functools import cache
from random import Random
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import outcome
import trio

from gochat.errors import StoreError
from gochat.sim.determinism import sleep_until
from gochat.store.schema import MEMORY, set_up
from gochat.store.setup import migrate
from gochat.store.thread import Done
from gochat.store.write import log_state

C = TypeVar("C")
T = TypeVar("T")

#: Means of the time from a job's order to its begin, and from its end to the word of it where nothing else is said.
SEEK_S: Final = 0.001
TELL_S: Final = 0.0003

Failure: TypeAlias = Literal["lost", "kept", "full"]
"""How a COMMIT fails: with an error, and nothing is recorded; with an error although it is; for want of space."""

_FULL: Final = "database or disk is full"
_ERROR: Final = "disk I/O error"


class Power:
    """Of a machine, from one start to its end."""

    def __init__(self) -> None:
        self.on = True


class _Drive(sqlite3.Connection):
    """The one connection to the database; closing it closes nothing, since the database would be gone."""

    disk: Disk
    power: Power
    _full_sync = True
    _changes_before = 0
    """The changes before the transaction that was begun last."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if not self.power.on:
            raise sqlite3.OperationalError(_ERROR)
        if sql == "COMMIT":
            return self._commit()
        if sql.startswith("BEGIN"):
            self._changes_before = self.total_changes
        if sql == "PRAGMA synchronous = NORMAL":
            self.disk.begin_unsynced()
            self._full_sync = False
            return self.cursor()  # To SQLite it makes no difference in memory, and it takes its time for it.
        if sql == "PRAGMA synchronous = FULL":
            self._full_sync = True
            return self.cursor()
        return super().execute(sql, parameters)

    def _commit(self) -> sqlite3.Cursor:
        # A transaction that only reads asks nothing of the disk that could fail.
        failure = None if self.total_changes == self._changes_before else self.disk.take_failure()
        if failure is None or failure == "kept":
            cursor = super().execute("COMMIT")
            if self._full_sync:
                self.disk.synced()
            if failure is None:
                return cursor
        raise sqlite3.OperationalError(_FULL if failure == "full" else _ERROR)

    def close(self) -> None:
        if self.in_transaction:
            super().execute("ROLLBACK")

    def unplug(self) -> None:
        super().close()


def positions(image: bytes) -> dict[int, int]:
    """By partition up to which n of a cluster's log the database has all of it."""
    with closing(sqlite3.connect(MEMORY)) as connection:
        connection.deserialize(image)
        return dict(connection.execute("SELECT partition, n FROM log_position"))


def has_left(image: bytes, instance: str) -> bool:
    """Whether this node, whose database it is, has recorded in all partitions that it counts no more."""
    with closing(sqlite3.connect(MEMORY)) as connection:
        connection.deserialize(image)
        states = log_state.load(connection)
    return bool(states) and all(state.nodes.get(instance) == "away" for state in states.values())


@cache
def empty_image() -> bytes:
    """The database of a new node, with an epoch that is the same for all."""
    connection = sqlite3.connect(MEMORY, isolation_level=None)
    connection.execute("PRAGMA page_size = 1024")  # Most tables stay nearly empty, and the image is copied often.
    set_up(connection)
    migrate(connection, MEMORY)
    connection.execute("UPDATE meta SET epoch = 'simulated'")
    image = connection.serialize()
    connection.close()
    return image


class Disk:
    """Begins without power. `tell_s`: the mean of the time from the end of a job to the word of it."""

    def __init__(self, chance: Random, tell_s: float = TELL_S) -> None:
        self._chance = chance
        self.tell_s = tell_s
        self._image = empty_image()
        self._power: Power | None = None
        self._drive: _Drive | None = None
        self._synced: bytes | None = None
        """The database as of the last sync, where more was written since."""
        self._failures: deque[Failure] = deque()
        self._ready_at = 0.0
        self._workers: list[_Worker[Any]] = []

    # ------------------------------------------------------------------------------------------ power

    def power_on(self) -> Power:
        self._power = Power()
        self._drive = sqlite3.connect(MEMORY, factory=_Drive, isolation_level=None, cached_statements=256)
        self._drive.disk, self._drive.power = self, self._power
        self._drive.deserialize(self._image)
        self._synced, self._failures, self._workers = None, deque(), []
        return self._power

    def power_off(self, *, keep: bool, undo: bool = False) -> None:
        """The machine goes dark. `keep`: everything that was written happens to survive, synced or not. `undo`: the
        disk is as it was when the power came. Jobs that wait are answered with an error that nobody outside can see."""
        drive, power = self._drive, self._power
        assert drive is not None
        assert power is not None
        drive.close()
        if not undo:
            self._image = drive.serialize() if keep or self._synced is None else self._synced
        power.on, self._drive, self._power = False, None, None
        drive.unplug()
        for worker in self._workers:
            worker.fail()

    def connect(self, power: Power) -> sqlite3.Connection:
        """Raises sqlite3.Error without that power."""
        if self._drive is None or not power.on:
            raise sqlite3.OperationalError(_ERROR)
        self._drive.close()  # A connection that was given up leaves nothing open.
        set_up(self._drive)
        return self._drive

    def copy(self, power: Power) -> sqlite3.Connection:
        """A connection to what is committed now. Raises sqlite3.Error without that power."""
        image = self.connect(power).serialize()
        connection = sqlite3.connect(MEMORY, isolation_level=None)
        connection.deserialize(image)
        return connection

    @property
    def image(self) -> bytes:
        """The database as it was when the power came, or went."""
        return self._image

    def replace(self, image: bytes) -> None:
        """Put another database in the place of the one that is there. Only without power."""
        assert self._power is None
        self._image = image

    def backup(self) -> bytes:
        """A copy of all that is committed now, for another machine. Only with power."""
        assert self._drive is not None
        self._drive.close()
        with closing(sqlite3.connect(MEMORY, isolation_level=None)) as connection:
            connection.deserialize(self._drive.serialize())
            connection.execute("UPDATE boot SET number = number + 1")
            return connection.serialize()

    # ------------------------------------------------------------------------------------------ faults

    def stall(self, for_s: float) -> None:
        """Nothing begins for so long."""
        self._ready_at = max(self._ready_at, trio.current_time() + for_s)

    def fail(self, *failures: Failure) -> None:
        """The next commits fail, each in its way."""
        self._failures.extend(failures)

    def heal(self) -> None:
        """No stall and no failure any more."""
        self._ready_at = 0.0
        self._failures.clear()

    # ------------------------------------------------------------------------------------------ for the drive

    def take_failure(self) -> Failure | None:
        return self._failures.popleft() if self._failures else None

    def begin_unsynced(self) -> None:
        if self._synced is None and self._drive is not None:
            self._synced = self._drive.serialize()

    def synced(self) -> None:
        self._synced = None

    # ------------------------------------------------------------------------------------------ workers

    def workers(self, nursery: trio.Nursery, power: Power) -> Callable[..., _Worker[Any]]:
        """Makes a store's workers: a `store.thread.Workers`. They live in the nursery."""

        def make(
            opens: Callable[[], C],
            *,
            idle: Callable[[C], float | None] | None = None,
            closes: Callable[[C], None] | None = None,
        ) -> _Worker[C]:
            worker = _Worker(self, power, opens(), idle, closes)
            self._workers.append(worker)
            nursery.start_soon(worker.run)
            return worker

        return make

    async def wait(self, mean_s: float) -> None:
        """The time that something takes now."""
        await sleep_until(max(self._ready_at, trio.current_time() + self._chance.expovariate(1 / mean_s)))


class _Worker(Generic[C]):
    """A `store.thread.Worker`: each job is done at one moment, some time after it was given, and told some time
    later."""

    def __init__(
        self,
        disk: Disk,
        power: Power,
        owned: C,
        idle: Callable[[C], float | None] | None,
        closes: Callable[[C], None] | None,
    ) -> None:
        self._disk = disk
        self._power = power
        self._owned = owned
        self._idle = idle
        self._closes = closes
        self._jobs: deque[tuple[Callable[[C], Any], Done]] = deque()
        self._news = trio.Event()

    def submit(self, job: Callable[[C], T], done: Done) -> None:
        self._jobs.append((job, done))
        if self._power.on:
            self._news.set()
        else:
            self.fail()

    async def call(self, job: Callable[[C], T]) -> T:
        results: list[outcome.Outcome[T]] = []
        told = trio.Event()

        def done(result: outcome.Outcome[T]) -> None:
            results.append(result)
            told.set()

        self.submit(job, done)
        await told.wait()
        return results[0].unwrap()

    def stop(self) -> None:
        """Nobody gives it a job any more."""

    def join(self) -> None:
        while self._jobs:
            job, done = self._jobs.popleft()
            done(self._result(job))
        if self._closes is not None and self._power.on:
            self._closes(self._owned)

    def fail(self) -> None:
        """The power is off."""
        jobs, self._jobs = self._jobs, deque()
        for _, done in jobs:
            done(outcome.Error(StoreError("the machine has no power", unknown=True)))

    async def run(self) -> None:
        pause_s = math.inf
        while True:
            with trio.move_on_after(pause_s):
                await self._news.wait()
            self._news = trio.Event()
            if not self._power.on:
                return
            if not self._jobs:
                pause_s = self._be_idle()
            while self._jobs:
                await self._disk.wait(SEEK_S)
                if not self._jobs:
                    break
                job, done = self._jobs[0]
                result = self._result(job)
                pause_s = self._be_idle()
                await self._disk.wait(self._disk.tell_s)
                if self._jobs and self._jobs[0] == (job, done):  # Else the power failed meanwhile, and told it so.
                    self._jobs.popleft()
                    done(result)

    def _be_idle(self) -> float:
        """Do what is to be done beside jobs; in how many seconds there will be more of it."""
        while True:
            pause_s = None if self._idle is None else self._idle(self._owned)
            if pause_s != 0:
                return math.inf if pause_s is None else pause_s

    def _result(self, job: Callable[[C], Any]) -> outcome.Outcome[Any]:
        result: outcome.Outcome[Any] = outcome.capture(job, self._owned)
        return result
