"""The reading connections: a few threads, one connection each, one queue for all.

Jobs that are handed in during one tick of the loop run together: one wake-up of a thread, one transaction, one wake-up
of the loop. In a storm of sign-ins handing over costs more than reading.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec
import outcome
import trio

from gochat.errors import Damaged, again
from gochat.store.health import Health
from gochat.store.thread import Jobs, OwnerThread, Worker

T = TypeVar("T")

#: Readers block on the disk more than on the interpreter: a slow search shall not hold up a hello.
THREADS = 3
#: Jobs that are read together: one that is slow holds up so many others at most.
TOGETHER = 16

Job: TypeAlias = Callable[[sqlite3.Connection], Any]
Result: TypeAlias = outcome.Value[Any] | outcome.Error


class _Call:
    """A job, the task that waits for it, and what came of it."""

    __slots__ = ("job", "result", "task")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.task: trio.lowlevel.Task | None = None
        self.result: Result | None = None

    def tell(self, result: Result) -> None:
        self.result = result
        if self.task is not None:
            trio.lowlevel.reschedule(self.task, result)

    async def wait(self) -> Any:
        """Cancelled, the job runs all the same and nobody hears of it."""
        if self.result is not None:
            return self.result.unwrap()
        self.task = trio.lowlevel.current_task()
        return await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


def threads(
    opens: Callable[[], sqlite3.Connection], count: int = THREADS, health: Health | None = None
) -> list[OwnerThread[sqlite3.Connection]]:
    """Reading threads with one queue. They begin at once. Where one can't open the database, `health` is told."""
    jobs = Jobs(count)

    def opened() -> sqlite3.Connection:
        try:
            return opens()
        except Exception as error:
            if health is not None:
                health.failed("a reader can't open the database", error)
            raise

    return [
        OwnerThread(f"reader {n}", opened, jobs=jobs, closes=lambda connection: connection.close())
        for n in range(count)
    ]


class Readers:
    """Runs a function on a connection, inside one read transaction: all its reads see one moment."""

    def __init__(
        self, workers: Sequence[Worker[sqlite3.Connection]], health: Health | None = None, *, together: int = TOGETHER
    ) -> None:
        """`workers` share one queue. At most `together` jobs are read in one go."""
        self._health = health or Health()
        self._together = together
        self._waiting: deque[_Call] = deque()
        self._free = len(workers)
        """Workers that have nothing to do."""
        self._gathering = False
        self._workers = workers

    async def call(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Raises StoreError."""
        call = _Call(job)
        self._waiting.append(call)
        if self._free and not self._gathering:
            self._gathering = True
            # The tick in which the others of a burst come.
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._gathering = False
            self._hand_over()
        result: T = await call.wait()
        return result

    def stop(self) -> None:
        self._free = len(self._waiting)  # All that still waits is read first.
        self._hand_over()
        for worker in self._workers:
            worker.stop()

    def join(self) -> None:
        for worker in self._workers:
            worker.join()

    def _hand_over(self) -> None:
        while self._waiting and self._free > 0:
            calls = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._together))]
            self._free -= 1
            jobs = [call.job for call in calls]
            self._workers[0].submit(partial(_read, jobs, self._health), partial(self._done, calls))

    def _done(self, calls: list[_Call], result: outcome.Value[list[Result]] | outcome.Error) -> None:
        self._free += 1
        for position, call in enumerate(calls):
            if isinstance(result, outcome.Error):
                # An exception is raised once: each gets its own.
                call.tell(outcome.Error(again(result.error)))
            else:
                call.tell(result.value[position])
        self._hand_over()


def _read(jobs: list[Job], health: Health, connection: sqlite3.Connection) -> list[Result]:
    """All jobs in one transaction. An error that a job raises is its own affair."""
    try:
        connection.execute("BEGIN")
        try:
            told = [outcome.capture(_run, job, health, connection) for job in jobs]
        finally:
            # Nothing was written. COMMIT would fail, and with it all of them, where one met a damaged page.
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise health.failed("reading failed", error) from error
    if health.reading is not None and any(isinstance(each, outcome.Value) for each in told):
        health.read()
    return told


def _run(job: Job, health: Health, connection: sqlite3.Connection) -> Any:
    try:
        return job(connection)
    except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, Damaged) as error:
        raise health.failed("reading failed", error) from error
