"""Entries of the log are recorded and applied, and then told, partition by partition, in the log's order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import trio

from gochat.cluster.certifier import Certified, Certifying
from gochat.cluster.ports import PARTITIONS, START, Element, Position
from gochat.errors import StoreError
from gochat.replication import Answer, Applied, Cycle, Followed, ReplicaStore

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long until entries that could not be recorded are tried again. Nothing else is read meanwhile.
RETRY_S: Final = 0.2
#: Hashes of a partition's history that are kept, to be compared with those of other nodes.
HASHES: Final = 4_096

Tell: TypeAlias = Callable[[int, Applied[Certified], int], None]
"""Is told of an entry: its partition, what it came to be, the number of this node's transaction."""
Stopped: TypeAlias = Callable[[str], None]
"""Is told why a partition goes no further here."""


class Partition:
    """One partition, as far as this node follows it."""

    def __init__(self, end: Position, hash_: bytes, nodes: Mapping[str, str]) -> None:
        self.end = end
        """The last entry that is recorded."""
        self.told = end.n
        """The last that was told of."""
        self.hash = hash_
        """Of the history up to `told`."""
        self.hashes: dict[int, bytes] = {end.n: hash_}
        """The latest, by n."""
        self.nodes = dict(nodes)
        """The states of nodes, as told: see replication.NodeIs."""
        self.problem: str | None = None
        """Why nothing more of it can be recorded."""
        self.arrived: deque[tuple[Applied[Certified], int]] = deque()
        """Recorded, and to be told."""

    def take(self, applied: Applied[Certified]) -> None:
        """The entry is told now."""
        self.told, self.hash = applied.place[1], applied.hash
        self.hashes[self.told] = self.hash
        self.hashes.pop(self.told - HASHES, None)

    @property
    def here(self) -> list[str]:
        """The nodes that count, by instance."""
        return sorted(instance for instance, state in self.nodes.items() if state == "here")


class Inbox:
    """`repair.Ring` over the store."""

    def __init__(self, store: ReplicaStore, certifier: Certifying, followed: Followed) -> None:
        """`followed`: what the store says now."""
        self._store = store
        self._certifier = certifier
        self.tell: Tell = lambda partition, applied, commit: None
        self.told_all: Callable[[int], None] = lambda partition: None
        """Called when all that was recorded of the partition is told."""
        self.stopped: Stopped = lambda problem: None
        """These are to be set before anything is recorded, and neither wait nor raise."""
        self.partitions = [
            Partition(Position(*followed.ends.get(p, START)), followed.hashes.get(p, b""), followed.nodes.get(p, {}))
            for p in range(PARTITIONS)
        ]
        self.answers: Mapping[int, Answer] = followed.answers
        self._recording: set[int] = set()
        self.problem: str | None = None
        """Why entries could not be recorded the last time; None where they could."""
        self._progress = trio.Event()
        self.awaited = 0
        """How many tasks wait for something to be told."""
        self.hurry: Callable[[], None] = lambda: None
        """Called when another one begins to."""

    # ------------------------------------------------------------------------------------------ the ring

    def end(self, partition: int) -> Position:
        return self.partitions[partition].end

    def is_stopped(self, partition: int) -> bool:
        return self.partitions[partition].problem is not None

    async def record(self, news: Mapping[int, Sequence[Element]]) -> None:
        self._recording |= news.keys()
        cycle = await self._follow(news)
        for partition, applied in cycle.applied.items():
            of = self.partitions[partition]
            of.arrived.extend((each, cycle.commit) for each in applied)
            if applied:
                of.end = Position(*applied[-1].place)
        for partition, problem in cycle.stopped.items():
            log.error("partition %d goes no further here: %s", partition, problem)
            self.partitions[partition].problem = problem
            self.stopped(problem)

    async def _follow(self, news: Mapping[int, Sequence[Element]]) -> Cycle[Certified]:
        """Record and apply."""

        async def follow() -> Cycle[Certified]:
            # A task that is cancelled here would leave entries that are recorded and that nobody was told of.
            with trio.CancelScope(shield=True):
                cycle = await self._store.follow(self._certifier, news)
            return cycle

        return await self._insist(follow)

    async def _insist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write, however long the database can't, or until the node stops."""
        while True:
            try:
                written = await write()
            except StoreError as error:
                if self.problem is None:
                    log.error("the log's entries wait: %s", error)
                self.problem = str(error)
                await trio.sleep(RETRY_S)
            else:
                self.problem = None
                return written

    async def keep_answers(self, answers: Mapping[int, Answer]) -> None:
        kept = {**self.answers, **answers}
        if self.answers != kept:
            await self._insist(lambda: self._store.keep_answers(kept))
            self.answers = kept

    async def after(self, partition: int, position: Position | None, limit: int) -> list[Element]:
        found = await self._store.after(partition, position, limit)
        return [Element(Position(*place), data) for place, data in found]

    async def has(self, partition: int, position: Position) -> bool:
        term = await self._store.term_at(partition, position.n)
        if term is not None:
            return term == position.term
        oldest = await self._store.after(partition, None, 1)
        return bool(oldest) and position.n < oldest[0][0][1] and position.term <= oldest[0][0][0]

    # ------------------------------------------------------------------------------------------ telling

    def recorded(self, partition: int, elements: Sequence[Element]) -> None:
        """Tell what `record` has recorded of the partition."""
        of = self.partitions[partition]
        while of.arrived:
            applied, commit = of.arrived.popleft()
            of.take(applied)
            try:
                self.tell(partition, applied, commit)
            except Exception:
                log.exception("entry %d of partition %d could not be handed on", of.told, partition)
        try:
            self.told_all(partition)
        except Exception:
            log.exception("what partition %d told of its nodes could not be handed on", partition)
        self._recording.discard(partition)
        if self.awaited:
            self._progress.set()
            self._progress = trio.Event()

    def coming(self, partition: int) -> bool:
        """Whether entries of the partition may be durable that are still to be told."""
        return partition in self._recording or bool(self.partitions[partition].arrived)

    async def wait_told(self, goals: Mapping[int, int]) -> None:
        """Return once these n are told, by partition."""
        self.awaited += 1
        try:
            while any(self.partitions[partition].told < n for partition, n in goals.items()):
                self.hurry()
                await self._progress.wait()
        finally:
            self.awaited -= 1
