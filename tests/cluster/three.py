"""Three nodes that send all the time over a real server, and the records that they keep."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count

import trio

from gochat.cluster.broadcast import Broadcast
from gochat.cluster.link import Link
from gochat.cluster.ports import START, Element, Position
from gochat.cluster.redis_log import RedisLog
from gochat.replication import Answer
from tests.cluster.real import PATIENCE_S, RealServer
from tests.waiting import until

NODES = ("north", "south", "west")
PARTITIONS = (0, 1)


class MemoryRing:
    """A node's record. It survives the node."""

    def __init__(self) -> None:
        self.kept: dict[int, list[Element]] = {partition: [] for partition in PARTITIONS}
        self.answers: Mapping[int, Answer] = {}

    async def keep_answers(self, answers: Mapping[int, Answer]) -> None:
        kept = {**self.answers, **answers}
        if self.answers != kept:
            await trio.sleep(0.002)
            self.answers = kept

    def end(self, partition: int) -> Position:
        kept = self.kept[partition]
        return kept[-1].position if kept else START

    def is_stopped(self, partition: int) -> bool:
        return False

    async def record(self, news: Mapping[int, Sequence[Element]]) -> None:
        await trio.sleep(0.002)
        for partition, elements in news.items():
            for element in elements:
                assert element.position.n == self.end(partition).n + 1
                self.kept[partition].append(element)

    async def after(self, partition: int, position: Position | None, limit: int) -> list[Element]:
        return [element for element in self.kept[partition] if position is None or element.position > position][:limit]

    async def has(self, partition: int, position: Position) -> bool:
        return any(element.position == position for element in self.kept[partition])


class Nodes:
    """The nodes, as an outsider sees them."""

    def __init__(self, connect: Callable[[], Link]) -> None:
        self._connect = connect
        self.cluster = secrets.token_hex(4)
        self._rings = {name: MemoryRing() for name in NODES}
        self._acked: dict[bytes, tuple[int, Position]] = {}
        self._sent: set[bytes] = set()
        self._quiet = False

    def log(self) -> RedisLog:
        return RedisLog(self.cluster, self._connect, read_wait_s=0.05)

    async def node(self, name: str) -> None:
        def recorded(partition: int, elements: Sequence[Element]) -> None:
            for element in elements:
                if element.data in mine:
                    mine.discard(element.data)
                    self._acked[element.data] = partition, element.position

        mine: set[bytes] = set()
        log = self.log()
        node = Broadcast(log, self._rings[name], name, PARTITIONS, lambda _: len(NODES), recorded)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.run)
                for number in count():
                    if self._quiet:
                        break
                    data = f"{name} {number}".encode()
                    mine.add(data)
                    self._sent.add(data)
                    node.send(number % len(PARTITIONS), data)
                    await trio.sleep(0.005)
        finally:
            log.close()

    async def some_more(self) -> None:
        """Wait until each node has had some more of its entries recorded, in each of the partitions: one of them may be
        in order before the others are."""
        places = [(name, partition) for name in NODES for partition in PARTITIONS]
        goal = {place: self._count(*place) + 2 for place in places}
        await until(lambda: all(self._count(*place) >= goal[place] for place in places), pause_s=0.01)

    def fence_key(self, partition: int) -> str:
        return f"gc:{{{self.cluster}.{partition}}}:fence"

    async def bear_spoilt_fences(self, server_of: Callable[[int], RealServer], *texts: bytes) -> None:
        """Go on where somebody writes one of these texts behind the id of the partition's server."""
        for text in texts:
            await self.some_more()
            for partition in PARTITIONS:
                server, key = server_of(partition), self.fence_key(partition)
                server.command("SET", key, server.command("GET", key).split()[0] + text)
        await self.some_more()

    def _count(self, name: str, partition: int) -> int:
        return sum(data.startswith(name.encode()) and place == partition for data, (place, _) in self._acked.items())

    async def settle(self) -> None:
        """Nobody sends any more, and all get everything."""
        self._quiet = True
        await until(
            lambda: self._acked.keys() == self._sent and len({str(ring.kept) for ring in self._rings.values()}) == 1,
            pause_s=0.01,
        )

    def check(self) -> None:
        """Everything is in every record, where its sender was told that it is."""
        for ring in self._rings.values():
            for data, (partition, position) in self._acked.items():
                assert ring.kept[partition][position.n - 1] == Element(position, data)


@asynccontextmanager
async def three_nodes(connect: Callable[[], Link]) -> AsyncIterator[Nodes]:
    """Three nodes of a new cluster, which at the end have lost nothing."""
    nodes = Nodes(connect)
    maker = nodes.log()
    for partition in PARTITIONS:
        await maker.create(partition)
    maker.close()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for name in NODES:
                nursery.start_soon(nodes.node, name)
            yield nodes
            await nodes.settle()
            nursery.cancel_scope.cancel()
    nodes.check()
