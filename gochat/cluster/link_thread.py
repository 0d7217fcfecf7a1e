"""A thread that owns a link to the server, and makes a new one where it is needed."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import outcome
import trio
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from gochat.cluster.link import Link, is_another_type, refused
from gochat.cluster.ports import Refused, ServerAway, Unreadable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: A link that is older than this is dropped where the server refuses writes, too: another one may have taken its place,
#: and is found by the next link. A younger one is kept, or it would be made anew with each attempt.
KEPT_S: Final = 3.0
_CLOSED: Final = "this node has closed its connections"
_ANOTHER_TYPE: Final = (
    "a key of this cluster is of a type that no node gives it (WRONGTYPE), so somebody else wrote it. Empty the server "
    "(FLUSHDB of this database): the nodes put back what they have"
)
_FAULTS: Final = (RedisError, OSError)


class _Job:
    """A call of a task, for the thread."""

    __slots__ = ("_abandoned", "does", "done")

    def __init__(self, does: Callable[[Link], Any], done: Callable[[Any], None]) -> None:
        self.does = does
        self.done = done
        self._abandoned = False

    def abandon(self) -> None:
        self._abandoned = True

    def is_abandoned(self) -> bool:
        """Whether its caller was cancelled: asked by both threads, and true for good once it is."""
        return self._abandoned


class LinkThread:
    """A thread that owns one link, and makes a new one where the last had an error, or most errors: see KEPT_S. Jobs
    run one at a time, in order.

    To be made in the loop, and closed there.
    """

    def __init__(self, name: str, connect: Callable[[], Link]) -> None:
        self._connect = connect
        self._link: Link | None = None
        self._opened: Link | None = None
        """The same link once it is open. Set before `_only` is looked at, as `keep_to` sets `_only` before it looks at
        this."""
        self._told = ""
        """The last fault of an answer that was logged."""
        self._opened_at = 0.0
        """By time.monotonic."""
        self._running: _Job | None = None
        self._closing = False
        self._generation = 0
        """Counts the calls of `renew`."""
        self._made_in = 0
        """The generation of the link."""
        self._only: Mapping[int, str] | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        # A daemon: nothing that waits for a server may hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, does: Callable[[Link], T]) -> T:
        """Have it done with the link. Raises ServerAway. Cancelled, it may be done all the same; the link is dropped
        where it has begun."""
        if self._closing:
            raise ServerAway(_CLOSED)
        task = trio.lowlevel.current_task()

        def done(result: outcome.Outcome[T]) -> None:
            if not job.is_abandoned():
                trio.lowlevel.reschedule(task, result)

        def abort(_: object) -> trio.lowlevel.Abort:
            job.abandon()
            if self._running is job and self._link is not None:
                self._link.interrupt()
            return trio.lowlevel.Abort.SUCCEEDED

        job = _Job(does, done)
        self._jobs.put(job)
        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        """Have no other servers answer for these slots, once this has returned; None: any may. A call that is under way
        at another one is broken off."""
        before, self._only = self._only, servers
        link = self._opened  # One that is still to be opened will keep to them; it may wait for another's question.
        if not servers or (link is not None and link.is_kept_to(servers)):
            return
        if link is None:
            handed_over = trio.Event()
            self._token.run_sync_soon(handed_over.set)  # Behind the answers of links that are gone.
            await handed_over.wait()
            return
        if before is not None and servers.items() <= before.items():
            return  # They were kept to before.
        link.interrupt()
        try:
            await self.call(_nothing)  # All earlier answers have been handed over by then.
        except ServerAway:
            pass  # That call was broken off, or the other server refused: nothing is under way there any more.

    def renew(self) -> None:
        """Have later calls made by a link that is opened after this. A call that is under way is broken off."""
        self._generation += 1  # Before the link is looked at: one that is made meanwhile is of the older generation.
        if self._link is not None:
            self._link.interrupt()

    def close(self) -> None:
        """Do nothing more. A call that is under way ends with ServerAway; so do those that wait, and later ones."""
        self._closing = True
        self._jobs.put(None)
        if self._link is not None:
            self._link.interrupt()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.is_abandoned():
                continue
            self._running = job
            result = outcome.capture(self._do, job)
            self._running = None
            is_spent = self._link is not None and self._link.is_spent
            if is_spent or job.is_abandoned() or (isinstance(result, outcome.Error) and not self._keeps(result.error)):
                self._drop()
            try:
                self._token.run_sync_soon(job.done, result)
            except trio.RunFinishedError:
                break  # Nobody is left to be told.
        self._drop()

    def _keeps(self, error: BaseException) -> bool:
        """Whether the link is as good as before this error."""
        is_open = self._link is not None and self._link is self._opened
        return is_open and isinstance(error, Refused) and time.monotonic() - self._opened_at < KEPT_S

    def _do(self, job: _Job) -> Any:
        if self._closing:
            raise ServerAway(_CLOSED)
        try:
            if self._made_in != self._generation:
                self._drop()
            if self._link is not None and self._link.only is not self._only and not self._link.keep_to(self._only):
                self._drop()
            if self._link is None:
                self._made_in = self._generation
                self._link = self._connect()
                self._link.open()
                self._opened, self._opened_at = self._link, time.monotonic()
                if not self._link.keep_to(self._only):
                    raise ConnectionRefusedError("another server answers")
            return job.does(self._link)
        except (InvalidResponse, ValueError, LookupError, TypeError, AttributeError) as error:
            # Other programs that may write to the server must not end nodes.
            self._tell_once(error)
            raise Unreadable(f"the server's answer is none of this cluster's: {error}") from None
        except _FAULTS as error:
            if isinstance(error, ResponseError) and is_another_type(error):
                raise Unreadable(_ANOTHER_TYPE) from None
            if (refusal := refused(error)) is not None:
                raise refusal from None
            raise ServerAway(f"{type(error).__name__}: {error}") from None

    def _tell_once(self, error: Exception) -> None:
        """It may be a fault of this program as well: the log has the way to it, once for each text in a row."""
        if self._told != str(error):
            self._told = str(error)
            log.warning("an answer of the server can't be read: %s", error, exc_info=error)

    def _drop(self) -> None:
        if self._link is not None:
            try:
                self._link.close()
            except _FAULTS:
                pass  # It is given up in any case, and broke before.
            self._link = self._opened = None


def _nothing(_: Link) -> None:
    pass
