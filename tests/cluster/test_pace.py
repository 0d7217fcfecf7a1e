"""Nodes that wait for a dead one in a repair cost the server little, and go on at once when it is back."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults, pace
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import Fences, Position
from gochat.cluster.repair import is_in_order
from tests.cluster.planting import plant
from tests.cluster.three import NODES, PARTITIONS, MemoryRing


class Counting(MemoryLog):
    """Counts what it asks of the server."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        super().__init__(server, node)
        self.looks = 0
        self.offers = 0

    async def fences(self, partitions: Collection[int]) -> Fences:
        self.looks += 1
        return await super().fences(partitions)

    async def offer(self, partition: int, server: str, instance: str, end: Position, ballot: int) -> int:
        self.offers += 1
        return await super().offer(partition, server, instance, end, ballot)


class Nodes:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.server = MemoryServer()
        self.logs = {name: Counting(self.server, name) for name in NODES}
        self.rings = {name: MemoryRing() for name in NODES}
        self.nodes: dict[str, Broadcast] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    async def begin(self) -> None:
        for partition in PARTITIONS:
            await MemoryLog(self.server, "maker").create(partition)
        for name in NODES:
            self.start(name)
        await trio.sleep(1)

    def start(self, name: str) -> None:
        log, ring = self.logs[name], self.rings[name]
        self.nodes[name] = Broadcast(log, ring, name, PARTITIONS, lambda _: 3, lambda *_: None, lambda _: NODES)
        self._nursery.start_soon(self._run, name)

    async def _run(self, name: str) -> None:
        with trio.CancelScope() as self._scopes[name]:
            await self.nodes[name].run()

    def kill(self, name: str) -> None:
        self._scopes[name].cancel()

    def count(self) -> tuple[int, int]:
        """Looks, and answers to a partition, of a node that waits, since the last time."""
        found = max((log.looks, log.offers // len(PARTITIONS)) for log in self.logs.values())
        for log in self.logs.values():
            log.looks = log.offers = 0
        return found

    async def is_in_order(self) -> bool:
        fences = await MemoryLog(self.server, "checker").fences(PARTITIONS)
        return all(is_in_order(fences, partition) for partition in PARTITIONS)


async def _wait(pause_s: float, *, has_more: bool = False) -> tuple[list[tuple[int, int]], float]:
    """The cost of two nodes in the first second, and in ten later ones, in which the third is dead; and how long it
    takes once that is back. With `has_more` it brings entries that the others lack."""
    async with trio.open_nursery() as nursery:
        nodes = Nodes(nursery)
        await nodes.begin()
        if has_more:
            for name in ("north", "south"):
                nodes.server.strike(faults.Unreachable(node=name))
            await trio.sleep(2)
            for partition in PARTITIONS:
                nodes.nodes["west"].send(partition, b"more")
            await trio.sleep(1)
        nodes.kill("west")
        nodes.server.strike(faults.Promoted(entries=int(has_more)))
        for name in ("north", "south"):
            nodes.server.strike(faults.Mended(node=name))
        nodes.count()
        await trio.sleep(1)
        costs = [nodes.count()]
        await trio.sleep(2 + pause_s)
        nodes.count()
        await trio.sleep(10)
        costs.append(nodes.count())
        assert not await nodes.is_in_order()
        nodes.start("west")
        began = trio.current_time()
        with trio.fail_after(10):
            while not await nodes.is_in_order():
                await trio.sleep(0.01)
        took_s = trio.current_time() - began
        if has_more:
            await trio.sleep(0.5)
            assert all(ring.kept[p][-2].data == b"more" for ring in nodes.rings.values() for p in PARTITIONS)
        nursery.cancel_scope.cancel()
    return costs, took_s


@pytest.mark.parametrize("pause_s", [0.0, 0.13, 0.37, 0.61])
@pytest.mark.parametrize("has_more", [False, True])
async def test_nodes_wait_at_little_cost_and_go_on_at_once(
    pause_s: float, has_more: bool, autojump_clock: MockClock
) -> None:
    ((looks, offers), (looks_later, offers_later)), took_s = await _wait(pause_s, has_more=has_more)
    assert looks > 20 and offers > 20, "a failover is over soon where all live"
    # Some more: it makes its connections anew now and then.
    assert looks_later <= 10 * 5 and offers_later <= 10 * 1.2
    assert took_s < 0.35


async def test_answers_that_are_not_given_anew_are_noticed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    plant(monkeypatch, pace, "trio.current_time() - at < RENEW_OFFER_S", "True")
    with pytest.RaisesGroup(trio.TooSlowError):
        await _wait(0.0)


async def test_whatever_is_new_ends_the_slowness(autojump_clock: MockClock) -> None:
    of = pace.Pace()
    of.offered(0, 7)
    of.note("a")
    assert (of.is_slow, of.highest(0)) == (False, None)
    await trio.sleep(pace.PROMPT_S)
    of.note("a")
    of.offered(0, 8)
    assert (of.is_slow, of.highest(0), of.highest(1)) == (True, 8, None)
    await trio.sleep(pace.RENEW_OFFER_S)
    assert of.highest(0) is None
    of.offered(0, 8)
    of.note("b")
    assert (of.is_slow, of.highest(0)) == (False, None)
