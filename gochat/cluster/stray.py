"""Finds out where a node's readings go to another server than its other calls do, which show entries there that no
reading brings.

Its connections are made one by one, whenever one of them has to be made anew, and the server's name may lead elsewhere
by then. An old primary that lives on tells nobody that it is no longer named: appends are taken there, and the fences
are in order.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Final

import trio

from gochat.cluster.ports import Log, Position
from gochat.cluster.refusals import Backoff
from gochat.cluster.repair import MOST_RENEW_S, RENEW_S, Ring

log = logging.getLogger(__name__)

#: How long an entry must have stood there before a reading that brings nothing: in a Redis Cluster a primary that does
#: not answer for a second looks the same. One that is silent for twice as long breaks the connections anyway.
EMPTY_S: Final = 1.0
#: The backoff begins anew where nothing strayed for so long.
FORGET_S: Final = 4 * MOST_RENEW_S


class _Due:
    """Entries that are still to be read."""

    __slots__ = ("end", "since")

    def __init__(self, end: Position, since: float) -> None:
        self.end = end
        self.since = since
        """When the next of them was known to be there, on trio's clock."""


class StrayReadings:
    """To be told what stands in the log, and of each reading. It costs a message nothing but a look into a table."""

    def __init__(self, shared: Log, ring: Ring) -> None:
        self._log = shared
        self._ring = ring
        self._due: dict[int, _Due] = {}
        """By partition."""
        self._found: set[int] = set()
        """Partitions whose readings stray."""
        self._is_quiet = False
        """Whether a reading brought nothing since the last look."""
        self._backoff = Backoff(RENEW_S, MOST_RENEW_S)
        self._again_at = -float("inf")
        self._forget_at = -float("inf")

    def stands(self, partition: int, end: Position) -> None:
        """The partition reaches up to `end` now."""
        if end <= self._ring.end(partition):
            return
        due = self._due.get(partition)
        if due is None:
            self._due[partition] = _Due(end, trio.current_time())
        elif end > due.end:
            due.end = end

    def read(self, partition: int, end: Position) -> None:
        """The partition is read up to `end`."""
        due = self._due.get(partition)
        if due is None:
            return
        if end >= due.end:
            del self._due[partition]
            self._found.discard(partition)
        else:
            due.since = trio.current_time()

    def end_reading(self, began: float, partitions: Collection[int], *, is_empty: bool) -> bool:
        """A reading of these partitions that began at this time is over, and all that it brought is recorded. Whether
        it shows that readings stray, which was not known.

        A reading waits for the first entries of any partition, so an empty one shows it by itself. Where it brought
        those of other partitions, which may have servers of their own, more time is left to the next."""
        self._is_quiet |= is_empty
        before = len(self._found)
        for partition, due in self._due.items():
            if partition in partitions and due.since + (EMPTY_S if is_empty else RENEW_S) <= began:
                self._found.add(partition)
        return len(self._found) > before

    def drop(self, partitions: Iterable[int]) -> None:
        """Nothing is known of these partitions any more: they are being repaired, or read by other connections."""
        for partition in partitions:
            self._due.pop(partition, None)
            self._found.discard(partition)

    async def look(self, partitions: Collection[int]) -> list[int]:
        """Partitions whose connections are to be made anew now. Where that did not help they are named ever more
        seldom. To be called while the fences are in order. Raises ServerAway.

        Where nothing comes, it looks whether anything is there: a node that writes nothing would hear nothing any more,
        and not find out."""
        if self._is_quiet:
            self._is_quiet = False
            for partition, end in (await self._log.ends(partitions)).items():
                self.stands(partition, end)
        now = trio.current_time()
        if not self._found or now < self._again_at:
            return []
        if now >= self._forget_at:
            self._backoff.reset()
        self._again_at, self._forget_at = now + self._backoff.pause_s(), now + FORGET_S
        found = sorted(self._found)
        log.warning("partitions %s have entries that no reading brings: links lead to two servers", found)
        self.drop(found)
        return found
