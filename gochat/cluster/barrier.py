"""Barriers: a reader waits until this node has everything that any node had acknowledged before.

All who wait at the same time share one look at the log's ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import trio

from gochat.cluster.counts import LogCounts
from gochat.cluster.inbox import Inbox
from gochat.cluster.ports import Log, ServerAway
from gochat.cluster.repair import is_in_order
from gochat.errors import NotCurrent, StoreError

#: How long a barrier waits for a log that can't be asked, or that this node is behind of.
WAIT_S: Final = 2.0
#: How long after a failure the ends are asked for again.
RETRY_S: Final = 0.05


class _Look:
    """One look at the ends, for all who came before it began."""

    def __init__(self) -> None:
        self.partitions: set[int] = set()
        self.ends: Mapping[int, int] = {}
        self.done = trio.Event()


class Barriers:
    """`run` must be running."""

    def __init__(self, shared: Log, inbox: Inbox, counts: LogCounts) -> None:
        self._log = shared
        self._counts = counts
        self._inbox = inbox
        self._next = _Look()
        self._wanted = trio.Event()
        self._failing_since: float | None = None
        self.not_current_at = float("-inf")
        """When somebody was last refused because this node is behind; on trio's clock."""

    @property
    def is_away(self) -> bool:
        """Whether the log could not be asked for so long that nobody waits for it any more."""
        return self._failing_since is not None and trio.current_time() - self._failing_since >= WAIT_S

    async def wait(self, partitions: Iterable[int]) -> None:
        """See `ports.Journal.barrier`. Raises StoreError after WAIT_S, and at once where the log has been away for that
        long; NotCurrent where the log told its ends, and this node has not recorded up to them in that time."""
        wanted = sorted(partitions)
        look = self._next
        look.partitions.update(wanted)
        self._wanted.set()
        began = trio.current_time()
        if not self.is_away:
            with trio.move_on_after(WAIT_S):
                await look.done.wait()
                await self._inbox.wait_told({partition: look.ends[partition] for partition in wanted})
                self._counts.barrier_seconds.observe(trio.current_time() - began)
                return
        if look.done.is_set():
            self.not_current_at = trio.current_time()
            raise NotCurrent("this node has not recorded yet what others acknowledged")
        raise StoreError("the cluster's log can't be asked now")

    async def run(self) -> None:
        """Look at the ends whenever somebody waits, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            look, self._next = self._next, _Look()
            look.ends = await self._ends(sorted(look.partitions))
            look.done.set()

    async def _ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        while True:
            try:
                found = await self._look(partitions)
            except ServerAway:
                found = None
            if found is not None:
                self._failing_since = None
                return found
            if self._failing_since is None:
                self._failing_since = trio.current_time()
            await trio.sleep(RETRY_S)

    async def _look(self, partitions: Sequence[int]) -> Mapping[int, int] | None:
        """The ends, where the log is in order: whatever was acknowledged stands at or before them. A log that has lost
        its tail, or that is another server's, has another fence before or after, or ends in another term."""
        # Before the server is asked: what is recorded here later may stand behind the ends.
        own = {partition: self._inbox.end(partition) for partition in partitions}
        before, ends, after = await self._log.fenced_ends(partitions)
        if before != after:
            return None
        for partition in partitions:
            end = ends.get(partition)
            if end is None or not is_in_order(before, partition) or end < own[partition]:
                return None
            if end.term != before.by_partition[partition].term:
                return None
        return {partition: end.n for partition, end in ends.items()}
