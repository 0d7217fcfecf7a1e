"""Old entries are let go of, by the server and by this node's database, once every node that counts has recorded
them."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

import trio

from gochat.cluster.beat import BeatCodec
from gochat.cluster.inbox import Inbox
from gochat.cluster.ports import PARTITIONS, START, Position, ServerAway
from gochat.cluster.shared import Shared
from gochat.errors import StoreError
from gochat.replication import ReplicaStore

log = logging.getLogger(__name__)

#: Entries of a partition that stay on the server whatever the nodes have, and that are kept for nodes that have less.
KEEP: Final = 2_000
CAP: Final = 200_000
#: Entries of this age are kept, up to CAP, for nodes that are restarted, or join from a backup, and do not count then.
KEEP_S: Final = 15 * 60.0


class Trimming:
    """One node's part in it."""

    def __init__(self, shared: Shared, inbox: Inbox, store: ReplicaStore, codec: BeatCodec) -> None:
        self._shared = shared
        self._inbox = inbox
        self._store = store
        self._codec = codec
        self.ring = [0] * PARTITIONS
        """By partition, how many entries this node keeps; as of the last trimming, as the next are."""
        self.window = [0] * PARTITIONS
        """How many the server keeps."""
        self._marks: deque[tuple[float, list[int]]] = deque()
        """Positions by partition and when they were recorded: the latest that is KEEP_S ago, and those after."""

    async def try_to_trim(self) -> None:
        """As `trim`; where the server or the database can't, everything stays."""
        try:
            await self.trim()
        except ServerAway as error:
            log.debug("the server's entries stay: %s", error)
        except StoreError as error:
            log.warning("the latest entries stay in the database: %s", error)

    async def trim(self) -> None:
        """Let go of old entries that every node that is here has recorded, whether it beats now or not, and of all that
        is over the cap. Raises ServerAway and StoreError.

        A server that is full takes no beats, and has memory again by this: nodes go by the latest beats that it has.
        Old ones tell of less, and more is kept."""
        old = self._recorded_long_ago()
        told = {member.instance: self._codec.decode(member) for member in await self._shared.bulletin.members()}
        infos = {instance: info for instance, info in told.items() if info is not None}
        for partition in range(PARTITIONS):
            of = self._inbox.partitions[partition]
            seen = {instance: Position(*info.seen.get(partition, START)) for instance, info in infos.items()}
            ends = [seen.get(each, START) for each in of.here if each != self._shared.identity.instance]
            least = min([of.end, *ends])
            before = least._replace(n=min(least.n, old[partition]))
            await self._shared.log.trim(partition, before, KEEP, CAP)
            # Entries over the cap can't be read from the server any more: nobody could use it.
            oldest = await self._store.trim(partition, max(before.n, of.end.n - CAP))
            self.ring[partition] = of.end.n - oldest + 1 if oldest else 0
        begins = await self._shared.log.begins(range(PARTITIONS))
        for partition, begin in begins.items():
            self.window[partition] = max(0, self._inbox.end(partition).n - begin.n + 1)

    def _recorded_long_ago(self) -> list[int]:
        """By partition up to where this node had recorded KEEP_S ago; 0 where it has not run for so long."""
        now = trio.current_time()
        self._marks.append((now, [self._inbox.end(p).n for p in range(PARTITIONS)]))
        while len(self._marks) > 1 and self._marks[1][0] <= now - KEEP_S:
            self._marks.popleft()
        at, ends = self._marks[0]
        return ends if at <= now - KEEP_S else [0] * PARTITIONS
