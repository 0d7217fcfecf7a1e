"""Somebody with a login to the server, and without the cluster's secret, writes where no node would: the nodes live on,
say so with the way out, and are as before once the server was emptied."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.forks import following
from gochat.cluster.link import connector
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import LEAP, MOST_BYTES, MOST_NUMBER, TERM_STEP, Batch, Element, Position
from gochat.cluster.redis_log import RedisLog
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.three import NODES, PARTITIONS, MemoryRing
from tests.waiting import until

#: Places after an end, none of which the log gives to what a node appends or seals.
STRANGE = {
    "after a gap": lambda end: Position(end.term, end.n + 5),
    "in the same place": lambda end: Position(end.term + TERM_STEP, end.n),
    "from the beginning": lambda end: Position(MOST_NUMBER, 1),
    "in the last term that there is": lambda end: Position(MOST_NUMBER, end.n + 1),
    "too many terms ahead": lambda end: Position(end.term + (LEAP + 1) * TERM_STEP, end.n + 1),
}


@pytest.mark.parametrize("is_repaired", [False, True])
@pytest.mark.parametrize("place", STRANGE.values(), ids=STRANGE.keys())
async def test_nodes_outlive_an_entry_in_a_place_that_no_node_gave_it(
    autojump_clock: MockClock, place: object, is_repaired: bool
) -> None:
    """With `is_repaired` it comes with the fence gone, so that the log is to be repaired when it is met."""
    assert callable(place)
    server = MemoryServer()
    await MemoryLog(server, "maker").create(0)
    rings = {name: MemoryRing() for name in NODES}
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nodes = {}
            for name in NODES:
                log = MemoryLog(server, name)
                nodes[name] = Broadcast(log, rings[name], name, [0], lambda _: len(NODES), lambda *_: None)
                nursery.start_soon(nodes[name].run)
            nodes["north"].send(0, b"before")
            await until(lambda: all(b"before" in _data(ring) for ring in rings.values()), pause_s=0.01)

            primary = server.primary
            primary.append(Batch(0, primary.streams[0][-1].position.term, [b"in order", b"too"]))
            if is_repaired:
                del primary.fence_of[0]
            primary.streams[0].append(Element(place(primary.streams[0][-1].position), b""))
            primary.wake()
            await until(lambda: all("FLUSHDB" in (node.problem or "") for node in nodes.values()), pause_s=0.01)
            assert all(_data(ring)[-1] == b"too" for ring in rings.values()), "what is in order is recorded"
            nodes["south"].send(0, b"meanwhile")
            await trio.sleep(30)
            for node in nodes.values():
                assert "FLUSHDB" in (node.problem or "")
            assert not any(b"meanwhile" in _data(ring) for ring in rings.values())

            server.strike(faults.EverythingLost())
            await until(lambda: all(b"meanwhile" in _data(ring) for ring in rings.values()), pause_s=0.01)
            await until(lambda: all(node.problem is None for node in nodes.values()), pause_s=0.01)
            nursery.cancel_scope.cancel()
    (one, *others) = rings.values()
    assert all(ring.kept == one.kept for ring in others)
    assert one.end(0).term < 100 * TERM_STEP, "terms are left for the repairs to come"


def _data(ring: MemoryRing) -> list[bytes]:
    return [element.data for element in ring.kept[0]]


@pytest.mark.parametrize(
    ("n", "data"), [(1, b"x" * (MOST_BYTES + 1)), (5, b"x")], ids=["longer than any", "after a gap"]
)
async def test_it_is_told_of_until_a_real_server_is_emptied(redis: RealServer, n: int, data: bytes) -> None:
    log, ring = RedisLog("c", connector(redis.url), read_wait_s=0.05), MemoryRing()
    for partition in PARTITIONS:
        await log.create(partition)
    node = Broadcast(log, ring, "north", PARTITIONS, lambda _: 1, lambda partition, elements: None)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.run)
            await until(lambda: node.problem is None and all(ring.kept.values()), pause_s=0.01)
            end = ring.end(0)
            redis.command("XADD", "gc:{c.0}:log", f"{end.term}-{end.n + n}", "e", data)
            await until(lambda: "FLUSHDB" in (node.problem or ""), pause_s=0.01)
            assert ring.end(0) == end
            redis.command("FLUSHDB")
            node.send(0, b"mine")
            await until(lambda: node.problem is None and ring.kept[0][-1].data == b"mine", pause_s=0.01)
            nursery.cancel_scope.cancel()
    log.close()


def test_a_term_is_followed_by_itself_or_by_one_that_nodes_can_have_come_to() -> None:
    end = Position(3 * TERM_STEP + 17, 4)
    for term, follows in (
        (end.term, True),
        (4 * TERM_STEP, True),
        ((4 + LEAP) * TERM_STEP - 1, True),
        ((4 + LEAP) * TERM_STEP, False),
        (end.term - 1, False),
    ):
        assert following(end, [Element(Position(term, 5), b"")]) is follows
