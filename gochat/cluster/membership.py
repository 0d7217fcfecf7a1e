"""Has the nodes that count recorded, in every partition: a node comes, is known to the others, goes. Another one is
put out by forgetting.py."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import trio

from gochat.cluster.entry import SITE
from gochat.cluster.inbox import Inbox
from gochat.cluster.nodes import Nodes
from gochat.cluster.own import OwnEntries
from gochat.cluster.ports import PARTITIONS, Position
from gochat.cluster.registry import NodeRegistry
from gochat.cluster.serving import PUT_OUT
from gochat.errors import Full, StoreError
from gochat.ports.journal import AppendResult, Committed, OnRecorded
from gochat.replication import AnyNews, EpochIs, NodeIs

log = logging.getLogger(__name__)

#: How long after an entry about nodes was not taken it is sent again.
AGAIN_S: Final = 0.05
#: How long a node that comes waits for the others to know that it counts.
KNOWN_S: Final = 5.0
#: How long it waits for one of them before it says so.
TELL_S: Final = 1.0
#: Why a node does not serve yet: `names` are those of the nodes that it waits for.
UNCONFIRMED: Final = (
    "none of {names} has confirmed that this node counts: start one of them, see that all reach the same server, or, "
    "where all are lost, go on without them by `gochat cluster forget`"
)

Send: TypeAlias = Callable[[int, Sequence[AnyNews], OnRecorded], int]
"""Has the news put into a partition's log. Returns the counter of their entry."""


class Recording:
    """News on their way into some partitions, in an entry each, which is sent again where it was not taken."""

    def __init__(
        self,
        send: Send,
        own: OwnEntries,
        is_put_out: Callable[[], bool],
        news: Sequence[AnyNews],
        partitions: Collection[int],
        recorded: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`recorded` is told of each partition that has recorded it, before anything that comes after it there. Raises
        StoreError as `wait` does."""
        self._send = send
        self._own = own
        self._is_put_out = is_put_out
        self._news = news
        self._recorded = recorded
        self._partitions = len(partitions)
        self._on_way: dict[int, int] = {}
        """By partition the counter of its entry."""
        self._again: set[int] = set()
        """Partitions into which it is to be sent again."""
        # One entry of each is on its way at a time, and has its place in the channel.
        self._told, self._results = trio.open_memory_channel[tuple[int, AppendResult]](self._partitions)
        if is_put_out():
            raise StoreError(PUT_OUT)
        for partition in partitions:
            self._send_to(partition)

    def _send_to(self, partition: int) -> None:
        def done(result: AppendResult) -> None:
            if isinstance(result, Committed):
                self._recorded(partition)
            self._told.send_nowait((partition, result))

        try:
            self._on_way[partition] = self._send(partition, self._news, done)
        except Full:
            self._again.add(partition)

    async def wait(self) -> None:
        """Return when all of the partitions have recorded it. After a waiting that was cancelled it may be waited for
        again. Raises StoreError where one of them never will by this node: it is closing, or was put out of the
        cluster."""
        while self._on_way or self._again:
            if self._again:
                await trio.sleep(AGAIN_S)
                again, self._again = self._again, set()
                for partition in again:
                    self._send_to(partition)
                continue
            partition, result = await self._results.receive()
            del self._on_way[partition]
            if isinstance(result, Committed):
                continue
            if isinstance(result, StoreError):
                raise result
            if self._is_put_out():
                raise StoreError(PUT_OUT)
            self._again.add(partition)

    @property
    def is_sent(self) -> bool:
        """Whether any of it stands in the log, or may come to."""
        if len(self._on_way) + len(self._again) < self._partitions:
            return True
        return any(self._own.is_sent(counter) for counter in self._on_way.values())

    def withdraw(self) -> None:
        """Take back all that was never sent. It is not waited for any more."""
        sent = {partition: counter for partition, counter in self._on_way.items() if not self._own.withdraw(counter)}
        self._partitions -= len(self._on_way) - len(sent) + len(self._again)
        self._on_way = sent
        self._again.clear()


class Membership:
    """Calls return when it is recorded, and raise StoreError where it never will be: see `record`."""

    def __init__(
        self,
        instance: str,
        inbox: Inbox,
        nodes: Nodes,
        registry: NodeRegistry,
        own: OwnEntries,
        send: Send,
        waits: Callable[[str], None],
    ) -> None:
        """`waits` is told why the node must not serve yet, where that takes long."""
        self._instance = instance
        self._inbox = inbox
        self._nodes = nodes
        self._registry = registry
        self._own = own
        self._send = send
        self._waits = waits
        self.has_begun = False
        """Whether the node may have begun to count since it was started."""

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the node may count, and as far as it knows nobody else is aware of that."""
        return self.has_begun and self._registry.is_unconfirmed

    async def here(self) -> None:
        """Have the node count when the log is repaired, from its entries on. One that did not count before waits first
        until it is not alone: see `wait_known`."""
        missing = self._not_yet("here")
        self._registry.is_unconfirmed = bool(missing)
        if not missing:
            return
        await self._wait_for_one({}, trio.current_time())
        self.has_begun = True
        await self.record([NodeIs(self._instance, "here")], missing, self._look_whether_first)
        self._registry.beat_soon()

    def _look_whether_first(self, partition: int) -> None:
        """Of nodes that come when none counts, the first in the log waits for nobody, and the others for it."""
        if partition == SITE and self._registry.is_alone:
            self._registry.is_unconfirmed = False

    async def away(self) -> None:
        """Have the node count no more, until it is here again."""
        # One that has just begun to count may not have read back by which entries.
        partitions = range(PARTITIONS) if self.is_unconfirmed else self._not_yet("away")
        await self.record([NodeIs(self._instance, "away")], partitions)

    def _not_yet(self, state: Literal["here", "away"]) -> list[int]:
        """The partitions in which the node is in another state."""
        return [p for p in range(PARTITIONS) if self._inbox.partitions[p].nodes.get(self._instance) != state]

    async def wait_known(self) -> None:
        """Wait until the others know that this node counts: as long as they do not, they would repair the log without
        its answer, and lose what it alone had acknowledged. A node that beats and does not confirm it is waited for
        KNOWN_S, one that is dead is not.

        Where none of them confirms it, this may be a server that they have left, and whatever stands in its log be read
        by nobody. A node that counted all the time may go on even so, since no other server is sealed without its
        answer. One that did not count waits, without an end."""
        goals = {partition: of.told for partition, of in enumerate(self._inbox.partitions)}
        ends = {partition: self._inbox.end(partition) for partition in goals}
        await self._registry.wait_members()
        if self._registry.is_unconfirmed:
            with trio.move_on_after(KNOWN_S):
                await self._registry.wait_seen(goals, any_one=True)
            # KNOWN_S is longer than a sign of life is fresh: whoever has left this server does not beat here any more.
            await self._wait_for_one(ends)
            self._registry.is_unconfirmed = False
            self._registry.beat_soon()
        with trio.move_on_after(KNOWN_S) as waiting:
            await self._registry.wait_seen(goals)
        if waiting.cancelled_caught:
            names = ", ".join(self._registry.lacking(goals))
            log.warning("these nodes have not confirmed yet that this one counts: %s", names)

    async def _wait_for_one(self, goals: Mapping[int, Position], since: float = -math.inf) -> None:
        """Return once another node that counts follows this very log and has recorded it up to these positions, or no
        other counts. That node must have beaten after `since`, on trio's clock: a node whose last beat is older may be
        cut off, and read nothing of what this one writes before the server loses it."""
        await self._registry.wait_members()
        began, told = trio.current_time(), list[str]()
        while names := self._registry.unmet(goals, since):
            waited_s = trio.current_time() - began
            if waited_s < KNOWN_S:
                self._registry.beat_soon()  # With it the others' news come.
            if waited_s >= TELL_S and names != told:
                told = names
                problem = UNCONFIRMED.format(names=", ".join(names))
                log.warning("the node waits: %s", problem)
                self._waits(problem)
            await self._registry.wait_beat()

    async def begin_epoch(self, epoch: EpochIs) -> None:
        await self.record([epoch], [SITE])

    async def record(
        self, news: Sequence[AnyNews], partitions: Sequence[int], recorded: Callable[[int], None] = lambda _: None
    ) -> None:
        """Return when all of these partitions have recorded it: see Recording."""
        await self.recording(news, partitions, recorded).wait()

    def recording(
        self, news: Sequence[AnyNews], partitions: Sequence[int], recorded: Callable[[int], None] = lambda _: None
    ) -> Recording:
        """Begin to have it recorded."""
        return Recording(self._send, self._own, self._nodes.is_forgotten, news, partitions, recorded)
