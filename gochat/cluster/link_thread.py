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

from gochat.cluster.exchange import Exchange
from gochat.cluster.link import CHUNK, Link, ServerLink, is_another_type, refused
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
_UNREADABLE: Final = (InvalidResponse, ValueError, LookupError, TypeError, AttributeError)
_ALL_FAULTS: Final = (*_FAULTS, *_UNREADABLE)


class _Job:
    """A call of a task, for the thread."""

    __slots__ = ("_abandoned", "does", "done", "link")

    def __init__(self, does: Callable[[Link], Any], done: Callable[[Any], None], link: Link | None) -> None:
        self.does = does
        self.done = done
        self.link = link
        """The link by which the loop has asked already: the answer comes by no other. None: nothing was asked yet."""
        self._abandoned = False

    def abandon(self) -> None:
        self._abandoned = True

    def is_abandoned(self) -> bool:
        """Whether its caller was cancelled: asked by both threads, and true for good once it is."""
        return self._abandoned


class LinkThread:
    """A thread that owns one link, and makes a new one where the last had an error, or most errors: see KEPT_S. Jobs
    run one at a time, in order. While it has none the loop may use the link (`exchange`), and jobs wait for that.

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
        self._under_way = 0
        """Jobs that are not done. The loop may use the link only while there are none."""
        self._is_lent = False
        """Whether the loop uses the link. The thread gets no job meanwhile."""
        self._held: list[_Job] = []
        """Those that came meanwhile."""
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
        job = self._job(does)
        if self._is_lent:
            self._held.append(job)
        else:
            self._jobs.put(job)
        result: T = await self._result_of(job)
        return result

    def _job(self, does: Callable[[Link], Any], link: Link | None = None) -> _Job:
        task = trio.lowlevel.current_task()

        def done(result: outcome.Outcome[Any]) -> None:
            self._under_way -= 1
            if not job.is_abandoned():
                trio.lowlevel.reschedule(task, result)

        job = _Job(does, done, link)
        self._under_way += 1
        return job

    async def _result_of(self, job: _Job) -> Any:
        def abort(_: object) -> trio.lowlevel.Abort:
            job.abandon()
            if self._running is job and self._link is not None:
                self._link.interrupt()
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abort)

    async def exchange(self, question: Exchange[T]) -> T:
        """Have a question answered: by the loop where it may use the link and the answer comes whole, else in the
        thread. Raises ServerAway. Cancelled, it may have been asked all the same; the link is dropped then."""
        await trio.lowlevel.checkpoint_if_cancelled()
        link = self._free_link()
        if link is None:
            return await self.call(question.send_and_receive)
        self._is_lent = True
        try:
            request, answer = question.request(), None
            sent = link.send_now(request)
            if sent == len(request):
                answer = await _answer(link, question)
        except _ALL_FAULTS as error:
            self._drop()
            self._give_back()
            raise self._translated(error) from None
        except BaseException:
            self._drop()  # The task was cancelled, and its answer is still to come.
            self._give_back()
            raise
        if answer is not None:
            self._give_back()
            return answer
        rest = self._job(_finishing(question, request[sent:]), link)
        self._give_back(rest)
        result: T = await self._result_of(rest)
        return result

    def _free_link(self) -> ServerLink | None:
        """The link, where the thread has nothing to do and would use it as it is."""
        link = self._opened
        if (
            self._under_way
            or self._is_lent
            or self._closing
            or not isinstance(link, ServerLink)
            or self._made_in != self._generation
            or not link.is_open_to_loop
            or not (link.only is self._only or link.is_kept_to(self._only or {}))
        ):
            return None
        return link

    def _give_back(self, rest: _Job | None = None) -> None:
        """Let the thread have the link again, with what the loop has left to it."""
        self._is_lent = False
        for job in (rest, *self._held):
            if job is not None:
                self._jobs.put(job)
        self._held.clear()
        if self._closing:
            self._jobs.put(None)

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
        if not self._is_lent:
            self._jobs.put(None)
        if self._link is not None:
            self._link.interrupt()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result: outcome.Outcome[Any] = outcome.Value(None)
            if not job.is_abandoned():
                result = self._result(job)
            elif job.link is not None:
                self._drop()  # The answer would be taken for that to the next question.
            try:
                self._token.run_sync_soon(job.done, result)
            except trio.RunFinishedError:
                break  # Nobody is left to be told.
        self._drop()

    def _result(self, job: _Job) -> outcome.Outcome[Any]:
        self._running = job
        result: outcome.Outcome[Any] = outcome.capture(self._do, job)
        self._running = None
        is_spent = self._link is not None and self._link.is_spent
        if is_spent or job.is_abandoned() or (isinstance(result, outcome.Error) and not self._keeps(result.error)):
            self._drop()
        return result

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
            if job.link is not None and job.link is not self._link:
                raise ConnectionError("the connection by which this was asked is gone")
            if self._link is None:
                self._made_in = self._generation
                self._link = self._connect()
                self._link.open()
                self._opened, self._opened_at = self._link, time.monotonic()
                if not self._link.keep_to(self._only):
                    raise ConnectionRefusedError("another server answers")
            return job.does(self._link)
        except _ALL_FAULTS as error:
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> ServerAway:
        if isinstance(error, _UNREADABLE):
            # Other programs that may write to the server must not end nodes.
            self._tell_once(error)
            return Unreadable(f"the server's answer is none of this cluster's: {error}")
        if isinstance(error, ResponseError) and is_another_type(error):
            return Unreadable(_ANOTHER_TYPE)
        return refused(error) or ServerAway(f"{type(error).__name__}: {error}")

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


async def _answer(link: ServerLink, question: Exchange[T]) -> T | None:
    """The answer, if it comes whole."""
    with trio.move_on_after(question.wait_s + link.timeout_s) as waiting:
        await trio.lowlevel.wait_readable(link.fileno())
    if waiting.cancelled_caught:
        raise TimeoutError("the server does not answer")
    come = link.peek()
    if len(come) >= CHUNK or not come.endswith(b"\r\n"):
        return None  # There is more of it: that is known without a look at each entry.
    answer = question.parse(come)
    if answer is not None:
        link.skip(len(come))
    return answer


def _finishing(question: Exchange[T], unsent: bytes) -> Callable[[Any], T]:
    """For the thread: send what is left, and get the answer."""

    def does(link: ServerLink) -> T:
        if unsent:
            link.send_rest(unsent)
        # If all was sent, something has come already.
        return question.receive(link, question.wait_s if unsent else 0.0)

    return does


def _nothing(_: Link) -> None:
    pass
