"""A thread that owns a connection, and how trio tasks have work done there.

Not trio's worker threads: handing one call to them costs some 100 us, and any of them may run it. Here a call is a
queue put, and its answer one wake-up of the loop.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import outcome
import trio

from gochat.errors import StoreError

C = TypeVar("C")
T = TypeVar("T")

Done: TypeAlias = Callable[[Any], None]
"""Gets the outcome of a job: an outcome.Value or an outcome.Error."""


class OwnerThread(Generic[C]):
    """Runs jobs one at a time, in order, on what `opens` gives. With `inline` the caller runs them: no thread at all.

    `idle` is called after each job, and when none came for a while; it says in how many seconds it wants to be called
    again, or None: only after the next job. `closes` lets go of what was opened, when the thread ends.
    """

    def __init__(
        self, name: str, opens: Callable[[], C], *, inline: bool = False,
        idle: Callable[[C], float | None] | None = None, closes: Callable[[C], None] | None = None,
        jobs: queue.SimpleQueue[Any] | None = None,
    ) -> None:  # fmt: skip
        self._opens = opens
        self._closes = closes
        self._idle = idle
        self._jobs: queue.SimpleQueue[Any] = jobs if jobs is not None else queue.SimpleQueue()
        self._inline = opens() if inline else None
        self._token = None if inline else trio.lowlevel.current_trio_token()
        # Not a daemon: a commit that was handed over is finished even if the loop is gone.
        self._thread = None if inline else threading.Thread(target=self._run, name=name)
        if self._thread is not None:
            self._thread.start()

    def submit(self, job: Callable[[C], T], done: Done) -> None:
        """Have `job` run; `done` is called in the loop with what came of it."""
        if self._inline is not None:
            result = outcome.capture(job, self._inline)
            if self._idle is not None:
                while self._idle(self._inline) == 0:
                    pass
            done(result)
        else:
            self._jobs.put((job, done))

    async def call(self, job: Callable[[C], T]) -> T:
        """Have `job` run, and wait for it. Cancelled, the job runs all the same and nobody hears of it."""
        if self._inline is not None:
            await trio.lowlevel.checkpoint()
            return job(self._inline)
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
        """Let the thread end after the jobs it was given; `join` waits for that."""
        if self._thread is not None:
            self._jobs.put(None)

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()
        elif self._inline is not None and self._closes is not None:
            self._closes(self._inline)

    def _run(self) -> None:
        try:
            owned = self._opens()
        except Exception as error:  # noqa: BLE001 -- whatever it is, callers must not wait for ever
            self._refuse_all(StoreError(f"the database can't be opened: {error}"))
            return
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

    def _refuse_all(self, error: StoreError) -> None:
        """There is nothing to work on: whoever asks is told, until `stop`."""
        while (entry := self._jobs.get()) is not None:
            self._tell(entry[1], outcome.Error(StoreError(str(error))))

    def _tell(self, done: Done, result: outcome.Outcome[Any]) -> None:
        assert self._token is not None
        try:
            self._token.run_sync_soon(done, result)
        except trio.RunFinishedError:
            pass  # Nobody is left to be told; what was recorded is recorded.
