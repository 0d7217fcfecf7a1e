"""Puts another node out of the cluster for good: the log is repaired without its answer, and then goes on without it.

The node may have had what no other has. So an operator is told whether it was done, and can rely on that. In BOUND_S
either it is done, or all of it is taken back, or something was sent that can't be: then this node goes on with it until
it is done (`UnderWay`). In each of these a sign of life of the other node ends it, since then its answer is to be had.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import trio

from gochat.cluster.entry import SITE
from gochat.cluster.identity import new_id
from gochat.cluster.membership import AGAIN_S, Membership, Recording
from gochat.cluster.nodes import Nodes
from gochat.cluster.ports import BEAT_LIFE_S, PARTITIONS, ServerAway
from gochat.cluster.registry import BEAT_S, NodeRegistry
from gochat.errors import GochatError, Lives, StoreError, UnderWay
from gochat.replication import AnyNews, EpochIs, NodeIs

log = logging.getLogger(__name__)

#: How long it may take until it is either done, taken back, or found that it can't be. Shorter than the command waits
#: (commands/cluster/forget.py).
BOUND_S: Final = 50.0
#: How long a node that is put out still counts, while this is being recorded.
REGARD_S: Final = 5.0
#: How often it is looked whether to stop.
LOOK_S: Final = BEAT_S
_LIVES: Final = "{name} lives: let it be, or stop it first"
_NOT_DONE: Final = "nothing was done in {s:g} s, and {name} counts as before: {problem}"
_UNDER_WAY: Final = (
    "this node goes on with it, and {name} will be forgotten once the log takes that ({problem}): do not start {name}; "
    "if this node is restarted before that, run the command again"
)
_UNKNOWN: Final = "it is not known whether {name} will be forgotten: do not start it, and run the command again: {why}"
_HALF: Final = "; it counts, all clients start anew, and some of the log may have been repaired without it"
_ONLY_ANEW: Final = (
    "{name} lives, and is not forgotten; the site may have been repaired without it, so that all clients start anew "
    "once the log takes that ({problem})"
)


class _Work:
    """A node that is being put out."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.lacking = False
        """Whether the node may have had what no other has."""
        self.ends = trio.current_time() + BOUND_S
        """By when it must be known whether it can be taken back."""
        self.recordings: list[Recording] = []
        self.farewells: list[Recording] = []
        """Those of them by which the node counts no more."""
        self.has_left_out = False
        """Whether the site may have been repaired without the node, which is waited for again since it lives."""
        self.is_under_way = False
        self.bounded = trio.Event()
        """Set when it is under way, or over."""
        self.over = trio.Event()
        self.new_epoch: bool | None = None
        self.problem: GochatError | None = None


class Forgetting:
    """`run` must be running."""

    def __init__(
        self,
        nodes: Nodes,
        registry: NodeRegistry,
        membership: Membership,
        epoch: Callable[[], str | None],
        problem: Callable[[], str | None],
    ) -> None:
        """`epoch`: the cluster's, now. `problem`: why the log takes nothing now."""
        self._nodes = nodes
        self._registry = registry
        self._membership = membership
        self._epoch = epoch
        self._problem = problem
        self._works: dict[str, _Work] = {}
        """By instance."""
        self._nursery: trio.Nursery | None = None

    @property
    def instances(self) -> list[str]:
        """The nodes that are being put out."""
        return sorted(instance for instance, work in self._works.items() if not _is_kept(work))

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as self._nursery:
                await trio.sleep_forever()
        finally:
            self._nursery = None

    async def forget(self, instance: str, *, lacking: bool) -> bool:
        """See ClusterJournal. A node that is being put out already is not put out beside that: the outcome is the
        same for all who ask."""
        if self._nursery is None:
            raise StoreError("the node has only just begun, or is stopping")
        work = self._works.get(instance)
        if work is None:
            work = self._works[instance] = _Work(instance)
            self._nursery.start_soon(self._run, work)
        work.lacking |= lacking
        with trio.move_on_after(BOUND_S):
            await work.over.wait()
        await work.bounded.wait()
        if work.problem is not None:
            raise type(work.problem)(str(work.problem))  # Each who asks has their own.
        if work.new_epoch is not None:
            return work.new_epoch
        raise Lives(self._say(_ONLY_ANEW, work)) if _is_kept(work) else UnderWay(self._say(_UNDER_WAY, work))

    async def _run(self, work: _Work) -> None:
        try:
            work.new_epoch = await self._put_out(work)
            await self._registry.drop(work.instance)
            anew = ", with a new epoch" if work.new_epoch else ""
            log.warning("the cluster goes on without node %s%s", work.instance, anew)
        except GochatError as error:
            work.problem = error
            is_unknown = self._is_begun(work) if isinstance(error, StoreError) else _may_be_forgotten(work)
            if is_unknown:
                work.problem = UnderWay(_UNKNOWN.format(name=self._name(work), why=error))
            log.warning("node %s is not forgotten: %s", work.instance, work.problem)
        finally:
            if work.new_epoch is None and work.problem is None:
                work.problem = UnderWay(
                    _UNKNOWN.format(name=self._name(work), why="the node that was asked is stopping")
                )
            self._nodes.regard(work.instance)
            del self._works[work.instance]
            work.bounded.set()
            work.over.set()

    async def _put_out(self, work: _Work) -> bool:
        """Whether clients start anew. Raises GochatError."""
        instance = work.instance
        began = trio.current_time()
        if not work.lacking:
            # All that the node told stands in the log, before these entries. It counts until they are recorded: should
            # the server lose something meanwhile, that must not be repaired without the node and without a word.
            recording = self._begin_farewell(work)

            def is_lacking() -> bool:
                waited_s = trio.current_time() - began
                return work.lacking or (waited_s >= REGARD_S and bool(self._registry.silent([instance])))

            if await self._wait(work, recording, is_lacking):
                return False
            recording.withdraw()
        await self._wait_silent(work)
        since = trio.current_time()

        def is_back() -> bool:
            return self._registry.sighted(instance) > since

        # The epoch stands in the log before any room's partition is repaired without the node: whoever finds a room
        # shorter than it was finds the new epoch too.
        self._nodes.disregard(instance, [SITE])
        while True:
            epoch = EpochIs(new_id(), self._epoch())
            recording = self._begin(work, [epoch], [SITE])
            if not await self._wait(work, recording, is_back):
                if not self._is_begun(work):
                    recording.withdraw()
                    raise Lives(self._say(_LIVES, work))
                # The site may have been repaired without the node: clients start anew. The rooms wait for its answer.
                work.has_left_out = True
                self._nodes.regard(instance)
                await self._wait(work, recording, lambda: False)
                raise Lives(self._say(_LIVES + _HALF, work))
            if self._epoch() == epoch.epoch:
                break
            # Another epoch came first, which this node had not read. Clients that have it already know of no loss.
        await self._wait_silent(work)
        self._nodes.disregard(instance, range(PARTITIONS))
        # A node that finds itself put out in one partition serves nobody any more. So nothing of that is sent while the
        # rooms are still to be repaired: until then the node may come back, and answer.
        while self._problem() is not None:
            if is_back():
                raise Lives(self._say(_LIVES + _HALF, work))
            self._bound(work)
            await trio.sleep(AGAIN_S)
        await self._wait_silent(work)
        recording = self._begin_farewell(work)
        if not await self._wait(work, recording, is_back):
            recording.withdraw()
            raise Lives(self._say(_LIVES + _HALF, work))
        return True

    def _begin_farewell(self, work: _Work) -> Recording:
        recording = self._begin(work, [NodeIs(work.instance, "forgotten")], range(PARTITIONS))
        work.farewells.append(recording)
        return recording

    def _begin(self, work: _Work, news: Sequence[AnyNews], partitions: Sequence[int]) -> Recording:
        recording = self._membership.recording(news, partitions)
        work.recordings.append(recording)
        return recording

    async def _wait(self, work: _Work, recording: Recording, is_to_stop: Callable[[], bool]) -> bool:
        """Return once it is recorded; False once it is to be stopped."""
        while True:
            with trio.move_on_after(LOOK_S):
                await recording.wait()
                return True
            if is_to_stop():
                return False
            self._bound(work)

    async def _wait_silent(self, work: _Work) -> None:
        """Return once the server knows of no fresh sign of life of the node. Raises GochatError where the node goes on
        giving some."""
        until = trio.current_time() + BEAT_LIFE_S + BEAT_S
        while True:
            try:
                if not await self._registry.lives(work.instance):
                    return
                if trio.current_time() > until:
                    raise Lives(self._say(_LIVES + (_HALF if self._is_begun(work) else ""), work))
            except ServerAway as error:
                log.debug("not known whether %s lives: %s", work.instance, error)
            self._bound(work)
            await trio.sleep(LOOK_S)

    def _is_begun(self, work: _Work) -> bool:
        """Whether something of it can't be taken back."""
        may_be = work.has_left_out or self._nodes.may_be_left_out(work.instance)
        return may_be or any(each.is_sent for each in work.recordings)

    def _bound(self, work: _Work) -> None:
        """To be called now and then. Raises GochatError where it has taken too long and can be taken back."""
        if work.is_under_way or trio.current_time() < work.ends:
            return
        if not self._is_begun(work):
            problem = self._say(_NOT_DONE, work)
            for recording in work.recordings:
                recording.withdraw()
            raise GochatError(problem)
        work.is_under_way = True
        work.bounded.set()
        log.warning("node %s: %s", work.instance, self._say(_ONLY_ANEW if _is_kept(work) else _UNDER_WAY, work))

    def _say(self, text: str, work: _Work) -> str:
        problem = self._problem() or "the log does not answer"
        return text.format(name=self._name(work), problem=problem, s=BOUND_S)

    def _name(self, work: _Work) -> str:
        (name,) = self._registry.called([work.instance])
        return name


def _may_be_forgotten(work: _Work) -> bool:
    """Whether some of the entries by which the node counts no more stand in the log, or may come to."""
    return any(each.is_sent for each in work.farewells)


def _is_kept(work: _Work) -> bool:
    """Whether it is certain that the node goes on counting, though the work is not over."""
    return work.has_left_out and not _may_be_forgotten(work)
