"""Where the store works: in threads of its own, or in its caller's; and how trio tasks have work done there.

Not in trio's worker threads: handing one call to them costs some 100 us, and any of them may run it. Here a call is a
queue put, and its answer one wake-up of the loop.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import outcome
import trio

from gochat.errors import StoreError

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
T = TypeVar("T")

Done: TypeAlias = Callable[[Any], None]
"""Gets the outcome of a job: an outcome.Value or an outcome.Error."""


#: How long a thread that could not open what it works on waits before it tries again.
RETRY_S = 1.0


class Jobs:
    """The queue of one thread or of several, which share the work."""

    def __init__(self, threads: int = 1) -> None:
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._able = threads
        self._lock = threading.Lock()

    def able(self) -> bool:
        """Whether any of the threads has, or may still get, what it works on."""
        return self._able > 0

    def lose(self) -> None:
        """One of them can't open it."""
        with self._lock:
            self._able -= 1

    def regain(self) -> None:
        """That one could, later."""
        with self._lock:
            self._able += 1


class Worker(Protocol[C_co]):
    """Owns what its jobs work on, a connection mostly, and runs them one at a time, in order."""

    def submit(self, job: Callable[[C_co], T], done: Done) -> None:
        """Have `job` run; `done` is called in the loop with what came of it. Never waits for a thread."""

    async def call(self, job: Callable[[C_co], T]) -> T:
        """Have `job` run, and wait for it. Cancelled, the job may run all the same and nobody hears of it. Raises what
        `job` raises, and StoreError where there is nothing to work on."""

    def stop(self) -> None:
        """Take no more after the jobs that were given; `join` waits for these."""

    def join(self) -> None:
        """Wait, as a thread waits, until all is done and what was owned is closed."""


class Workers(Protocol):
    """Makes workers, as the constructor of Inline does. Jobs of all that it makes run in the order of their time, one
    at a time."""

    def __call__(
        self,
        opens: Callable[[], C],
        *,
        idle: Callable[[C], float | None] | None = None,
        closes: Callable[[C], None] | None = None,
    ) -> Worker[C]:
        """`idle` and `closes`: see OwnerThread."""


class OwnerThread(Generic[C]):
    """A worker that is a thread, which owns what `opens` gives.

    `idle` is called after each job, and when none came for a while; it says in how many seconds it wants to be called
    again, or None: only after the next job. `closes` lets go of what was opened, when the thread ends. Threads with the
    same `jobs` share the work. One for which `opens` raises tries again from time to time, and leaves the work to the
    others; where none has anything to work on, all callers are told.
    """

    def __init__(
        self,
        name: str,
        opens: Callable[[], C],
        *,
        idle: Callable[[C], float | None] | None = None,
        closes: Callable[[C], None] | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        self._opens = opens
        self._closes = closes
        self._idle = idle
        self._shared = jobs or Jobs()
        self._jobs = self._shared.queue
        self._stopping = threading.Event()
        self._token = trio.lowlevel.current_trio_token()
        # Not a daemon: a commit that was handed over is finished even if the loop is gone.
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def submit(self, job: Callable[[C], T], done: Done) -> None:
        self._jobs.put((job, done))

    async def call(self, job: Callable[[C], T]) -> T:
        task = trio.lowlevel.current_task()
        waiting = True

        def done(result: outcome.Outcome[T]) -> None:
            if waiting:
                trio.lowlevel.reschedule(task, result)

        def abort(_: object) -> trio.lowlevel.Abort:
            nonlocal waiting
            waiting = False
            return trio.lowlevel.Abort.SUCCEEDED

        self._jobs.put((job, done))
        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    def stop(self) -> None:
        self._stopping.set()
        self._jobs.put(None)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        opened = self._open()
        if not opened:
            return
        (owned,) = opened
        pause: float | None = None if self._idle is None else 0.0
        while True:
            try:
                entry = self._jobs.get(timeout=pause)
            except queue.Empty:
                entry = ()
            if entry is None:
                if self._closes is not None:
                    self._closes(owned)
                return
            if entry:
                job, done = entry
                self._tell(done, outcome.capture(job, owned))
            if self._idle is not None:
                pause = self._idle(owned)

    def _open(self) -> tuple[C] | None:
        """Give this thread something to work on; None: it was stopped before there was anything."""
        lost = False
        while True:
            try:
                owned = self._opens()
            except Exception as error:  # noqa: BLE001 -- whatever it is, callers must not wait for ever
                problem = f"the database can't be opened: {error}"
            else:
                if lost:
                    self._shared.regain()
                return (owned,)
            if not lost:
                lost = True
                self._shared.lose()
            if self._wait(problem):
                return None

    def _wait(self, problem: str) -> bool:
        """Let some time pass before the next try. Meanwhile other threads do the work; where there is none that can,
        all callers are told of the problem. Whether this thread has to end."""
        until = time.monotonic() + RETRY_S
        while (left := until - time.monotonic()) > 0:
            if self._shared.able():
                return self._stopping.wait(left)
            try:
                entry = self._jobs.get(timeout=left)
            except queue.Empty:
                break
            if entry is None:
                return True
            if self._shared.able():  # Another thread has got it meanwhile.
                self._jobs.put(entry)
            else:
                self._tell(entry[1], outcome.Error(StoreError(problem)))
        return False

    def _tell(self, done: Done, result: outcome.Outcome[Any]) -> None:
        try:
            self._token.run_sync_soon(done, result)
        except trio.RunFinishedError:
            pass  # Nobody is left to be told; what was recorded is recorded.


class Inline(Generic[C]):
    """A worker without a thread: each job runs in its caller's, before `submit` returns. For simulated time, where
    nothing may happen beside the loop.

    `idle` is called after each submitted job until it has nothing to do at once. `opens` raises in the constructor.
    """

    def __init__(
        self,
        opens: Callable[[], C],
        *,
        idle: Callable[[C], float | None] | None = None,
        closes: Callable[[C], None] | None = None,
    ) -> None:
        self._owned = opens()
        self._idle = idle
        self._closes = closes

    def submit(self, job: Callable[[C], T], done: Done) -> None:
        result = outcome.capture(job, self._owned)
        if self._idle is not None:
            while self._idle(self._owned) == 0:
                pass
        done(result)

    async def call(self, job: Callable[[C], T]) -> T:
        await trio.lowlevel.checkpoint()
        return job(self._owned)

    def stop(self) -> None:
        pass

    def join(self) -> None:
        if self._closes is not None:
            self._closes(self._owned)
