"""A log that can be asked and whose entries do not come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from gochat.cluster.journal import ClusterJournal
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import Element, Position
from gochat.store import Store
from tests.cluster.joining import caught_up, inline, joined, joined_store, shared


class HeldBack(MemoryLog):
    """To a node it is as if its own disk stood still: the ends are told, and only who asks for entries at once gets
    them, as a repair does."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        super().__init__(server, node)
        self.goes = trio.Event()
        self.goes.set()

    def hold(self) -> None:
        self.goes = trio.Event()

    async def read(self, after: Mapping[int, Position], limit: int, *, wait: bool = True) -> dict[int, list[Element]]:
        found = await super().read(after, limit, wait=wait)
        if wait:
            await self.goes.wait()
        return found


@asynccontextmanager
async def two_nodes(server: MemoryServer) -> AsyncIterator[tuple[Store, ClusterJournal, HeldBack]]:
    """The north's store, and the journal of the south with the log that it reads."""
    log = HeldBack(server, "south")
    async with (
        joined_store(server, "north", inline()) as (north, _),
        inline() as store,
        joined(store.replica, shared(server, "south")._replace(log=log)) as south,
    ):
        south.listen(lambda batch: None)
        await caught_up(south)
        yield north, south, log
