"""A log whose partitions are on several servers in memory, as those of a Redis Cluster are on several primaries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import trio

from gochat.cluster.memory import READ_WAIT_S, MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import (
    OFFER_LIFE_S,
    Batch,
    Element,
    Fence,
    Fences,
    Position,
    PutBack,
    Refusal,
    ServerAway,
    Unsealed,
)


class SplitLog:
    """`ports.Log`, of which each server has every so many partitions."""

    def __init__(
        self,
        servers: Sequence[MemoryServer],
        node: str,
        *,
        offer_life_s: float = OFFER_LIFE_S,
        read_wait_s: float = READ_WAIT_S,
    ) -> None:
        self._logs = [MemoryLog(server, node, offer_life_s=offer_life_s, read_wait_s=read_wait_s) for server in servers]

    @property
    def reasons(self) -> Mapping[int, str]:
        return {partition: reason for log in self._logs for partition, reason in log.reasons.items()}

    @property
    def leaves_more(self) -> bool:
        return any(log.leaves_more for log in self._logs)

    def _of(self, partition: int) -> MemoryLog:
        return self._logs[partition % len(self._logs)]

    def _split(self, partitions: Collection[int]) -> list[tuple[MemoryLog, list[int]]]:
        split = [(log, [p for p in partitions if self._of(p) is log]) for log in self._logs]
        return [(log, some) for log, some in split if some]

    async def create(self, partition: int) -> Fence | None:
        return await self._of(partition).create(partition)

    async def append(self, batches: Sequence[Batch]) -> list[Position | Refusal]:
        results: dict[int, Position | Refusal] = {}
        for log, some in self._split([batch.partition for batch in batches]):
            mine = [batch for batch in batches if batch.partition in some]
            results |= zip(some, await log.append(mine), strict=True)
        return [results[batch.partition] for batch in batches]

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        for log in self._logs:
            mine = {p: server for p, server in (servers or {}).items() if self._of(p) is log}
            await log.keep_to(mine or None)

    async def read(self, after: Mapping[int, Position], limit: int, *, wait: bool = True) -> dict[int, list[Element]]:
        found: dict[int, list[Element]] = {}
        problems: list[ServerAway] = []

        async def read(log: MemoryLog, some: list[int]) -> None:
            try:
                found.update(await log.read({p: after[p] for p in some}, limit, wait=wait))
            except ServerAway as error:
                problems.append(error)
            if wait and (found or problems):
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for log, some in self._split(after):
                nursery.start_soon(read, log, some)
        if problems:
            raise problems[0]
        return found

    async def ends(self, partitions: Collection[int]) -> dict[int, Position]:
        found: dict[int, Position] = {}
        for log, some in self._split(partitions):
            found |= await log.ends(some)
        return found

    async def begins(self, partitions: Collection[int]) -> dict[int, Position]:
        found: dict[int, Position] = {}
        for log, some in self._split(partitions):
            found |= await log.begins(some)
        return found

    async def fences(self, partitions: Collection[int]) -> Fences:
        servers: dict[int, str] = {}
        by_partition: dict[int, Fence] = {}
        for log, some in self._split(partitions):
            fences = await log.fences(some)
            servers |= fences.servers
            by_partition |= fences.by_partition
        return Fences(servers, by_partition)

    async def fenced_ends(self, partitions: Collection[int]) -> tuple[Fences, dict[int, Position], Fences]:
        return await self.fences(partitions), await self.ends(partitions), await self.fences(partitions)

    async def put_back(
        self, partition: int, server: str, previous: Position | None, elements: Sequence[Element]
    ) -> PutBack:
        return await self._of(partition).put_back(partition, server, previous, elements)

    async def offer(self, partition: int, server: str, instance: str, end: Position, ballot: int) -> int:
        return await self._of(partition).offer(partition, server, instance, end, ballot)

    async def withdraw(self, partition: int, server: str, instance: str) -> None:
        await self._of(partition).withdraw(partition, server, instance)

    async def seal(
        self,
        partition: int,
        server: str,
        need: int,
        counting: Collection[str] | None = None,
        end: Position | None = None,
    ) -> Fence | Unsealed:
        return await self._of(partition).seal(partition, server, need, counting, end)

    async def drop(self, partition: int, server: str, end: Position) -> bool:
        return await self._of(partition).drop(partition, server, end)

    async def end_term(self, partition: int, fence: Fence) -> bool:
        return await self._of(partition).end_term(partition, fence)

    async def trim(self, partition: int, before: Position, keep: int, cap: int) -> int:
        return await self._of(partition).trim(partition, before, keep, cap)
