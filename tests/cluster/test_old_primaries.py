"""Primaries that lived on after others took their places, and are met or named again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer, Primary
from gochat.cluster.ports import START, Batch, Element
from tests.cluster.three import NODES, MemoryRing
from tests.waiting import until

HEALING_S = 60.0


@asynccontextmanager
async def _two_at_a_new_primary() -> AsyncIterator[tuple[MemoryServer, list[Broadcast], list[MemoryRing], Primary]]:
    """Two nodes of two that count, at a primary that took the place of another, which lives on: that one is last."""
    server, rings = MemoryServer(), [MemoryRing(), MemoryRing()]
    await MemoryLog(server, "maker").create(0)
    nodes = [
        Broadcast(MemoryLog(server, name), ring, name, [0], lambda _: 2, lambda *_: None)
        for name, ring in zip(NODES, rings, strict=False)
    ]
    with trio.fail_after(HEALING_S):
        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(node.run)
            await trio.sleep(1)
            term, old = rings[0].end(0).term, server.primary
            _name_another(server, faults.TwoPrimaries(entries=0))
            await until(lambda: all(ring.end(0).term > term for ring in rings), pause_s=0.1)
            nodes[0].send(0, b"x")
            await _recorded(rings, b"x")
            yield server, nodes, rings, old
            nursery.cancel_scope.cancel()


def _name_another(server: MemoryServer, fault: faults.AnyFault, names: Sequence[str] = NODES[:2]) -> None:
    server.strike(fault)
    for name in names:
        server.strike(faults.RequestLost(node=name))


async def _recorded(rings: Sequence[MemoryRing], data: bytes) -> None:
    await until(lambda: all(ring.kept[0][-1].data == data for ring in rings), pause_s=0.1)


@pytest.mark.parametrize("late", [0, 1, 2, 5])
@pytest.mark.parametrize("is_fenced", [True, False])
async def test_an_old_primary_that_is_named_again_is_gone_on_from(
    autojump_clock: MockClock, late: int, is_fenced: bool
) -> None:
    """Also where appends that were late stand there, in a term that another server ended."""
    async with _two_at_a_new_primary() as (server, nodes, rings, old):
        old.append(Batch(0, old.fence_of[0].term, [b"late"] * late))
        if not is_fenced:
            del old.fence_of[0]
        _name_another(server, faults.Flipped())
        assert server.primary is old
        nodes[1].send(0, b"y")
        await _recorded(rings, b"y")
        assert rings[0].kept == rings[1].kept
        assert old.streams[0][-1].data == b"y"
        datas = [element.data for element in rings[0].kept[0]]
        assert [data for data in datas if data] == [b"x", b"y"]


async def test_a_node_that_alone_meets_an_old_primary_takes_nothing_there(autojump_clock: MockClock) -> None:
    async with _two_at_a_new_primary() as (server, nodes, rings, old):
        _name_another(server, faults.Flipped(), ["north"])
        nodes[0].send(0, b"y")
        await until(lambda: nodes[0].problem, pause_s=0.1)
        await trio.sleep(1)
        assert b"y" not in [element.data for element in old.streams[0]]
        assert nodes[0].problem
        assert nodes[1].problem is None
        server.strike(faults.Flipped())
        await _recorded(rings, b"y")
        assert rings[0].kept == rings[1].kept


@pytest.mark.parametrize("knows", [True, False])
async def test_a_node_that_knows_less_of_who_counts_seals_nothing_for_the_others(
    autojump_clock: MockClock, knows: bool
) -> None:
    """North was away when west came to count, and answers before it has heard of that; what west alone has recorded
    must not be lost."""
    server, rings = MemoryServer(), [MemoryRing() for _ in NODES]
    log = MemoryLog(server, "maker")
    fence = await log.create(0)
    assert fence is not None
    await log.append([Batch(0, fence.term, [b"west is here", b"x", b"west alone has it"])])
    whole = (await log.read({0: START}, 9))[0]
    for ring, count in zip(rings, (1, 3, 4), strict=True):
        ring.kept[0] = whole[:count]

    def counting(ring: MemoryRing) -> frozenset[str]:
        return frozenset(NODES if any(each.data == b"west is here" for each in ring.kept[0]) else NODES[:2])

    def coming(_: int, elements: Sequence[Element]) -> frozenset[str]:
        found = any(each.data == b"west is here" for each in elements)
        return frozenset({"west"} if found and knows else ())

    def node(name: str, ring: MemoryRing) -> Broadcast:
        return Broadcast(
            MemoryLog(server, name),
            ring,
            name,
            [0],
            lambda _: len(counting(ring)),
            lambda *_: None,
            lambda _: counting(ring),
            coming=coming,
        )

    north, south, west = (node(name, ring) for name, ring in zip(NODES, rings, strict=True))
    server.strike(faults.EverythingLost())
    with trio.fail_after(HEALING_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(north.run)
            await until(lambda: rings[0].answers, pause_s=0.01)
            nursery.start_soon(south.run)
            await trio.sleep(5)
            is_sealed = bool((await log.fences([0])).by_partition)
            assert is_sealed is not knows
            if knows:
                nursery.start_soon(west.run)
                await until(
                    lambda: all(ring.kept[0][:4] == whole and len(ring.kept[0]) > 4 for ring in rings), pause_s=0.1
                )
            nursery.cancel_scope.cancel()
