"""Nodes whose connections lead to two servers, both of which live on, and neither of which tells."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.link import ServerLink, connector
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import Element, Log, Position
from gochat.cluster.redis_log import RedisLog
from gochat.cluster.repair import MOST_RENEW_S, NOBODY, RENEW_S
from gochat.cluster.stray import EMPTY_S, StrayReadings
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.three import NODES, MemoryRing
from tests.waiting import until

#: How soon a node finds out.
SOON_S = 10.0


class TwoLinks(MemoryLog):
    """Reads by a connection of its own, as nodes do."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        super().__init__(server, node)
        self.reader = MemoryLog(server, node)
        self.made_anew: list[float] = []
        """When all connections were."""

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        if servers is not None and NOBODY in servers.values():
            self.made_anew.append(trio.current_time())
        await super().keep_to(servers)
        await self.reader.keep_to(servers)

    async def read(self, after: Mapping[int, Position], limit: int, *, wait: bool = True) -> dict[int, list[Element]]:
        return await (self.reader.read(after, limit) if wait else super().read(after, limit, wait=False))

    def make_reader_anew(self) -> None:
        self.reader._connected = None


@asynccontextmanager
async def nodes_at(
    server: MemoryServer, logs: Sequence[Log], rings: Sequence[MemoryRing] = ()
) -> AsyncIterator[tuple[list[Broadcast], list[MemoryRing]]]:
    rings = rings or [MemoryRing() for _ in logs]
    await MemoryLog(server, "maker").create(0)
    nodes = [
        Broadcast(log, ring, name, [0], lambda _: len(logs), lambda *_: None)
        for log, ring, name in zip(logs, rings, NODES, strict=False)
    ]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.run)
        await trio.sleep(2)
        yield nodes, list(rings)
        nursery.cancel_scope.cancel()


def has(ring: MemoryRing, data: bytes) -> bool:
    return any(element.data == data for element in ring.kept[0])


async def test_a_node_reads_where_it_writes_again(autojump_clock: MockClock) -> None:
    """Its own entries would never come back, for as long as the old primary lives."""
    server = MemoryServer()
    log = TwoLinks(server, "north")
    async with nodes_at(server, [log]) as ((node,), (ring,)):
        server.strike(faults.TwoPrimaries(entries=0))
        log.make_reader_anew()
        node.send(0, b"x")
        with trio.fail_after(SOON_S):
            await until(lambda: has(ring, b"x"), pause_s=0.1)
        assert node.pending == 0 and server.primary.fence_of[0].server == server.primary.server


async def test_a_node_that_writes_nothing_finds_out_too(autojump_clock: MockClock) -> None:
    server = MemoryServer()
    log = TwoLinks(server, "north")
    async with nodes_at(server, [log, MemoryLog(server, "south")]) as ((north, south), (deaf, _)):
        server.strike(faults.TwoPrimaries(entries=0))
        log.make_reader_anew()
        await trio.sleep(5)
        assert north.problem is None and not log.made_anew, "there is nothing to hear"
        south.send(0, b"x")
        with trio.fail_after(SOON_S):
            await until(lambda: north.problem, pause_s=0.1)
        server.strike(faults.OldGone())
        with trio.fail_after(SOON_S):
            await until(lambda: has(deaf, b"x") and not (north.problem or south.problem), pause_s=0.1)


async def test_a_node_whose_disk_is_slow_keeps_its_connections(autojump_clock: MockClock) -> None:

    class Slow(MemoryRing):
        async def record(self, news: Mapping[int, Sequence[Element]]) -> None:
            await trio.sleep(2 * RENEW_S)
            await super().record(news)

    server = MemoryServer()
    log = TwoLinks(server, "north")
    async with nodes_at(server, [log, MemoryLog(server, "south")], [Slow(), MemoryRing()]) as (nodes, rings):
        for number in range(60):
            for node in nodes:
                node.send(0, b"%s %d" % (b"ab"[nodes.index(node) :][:1], number))
            await trio.sleep(0.5)
        await until(lambda: rings[0].kept == rings[1].kept and not nodes[0].pending, pause_s=0.1)
        assert not log.made_anew


async def test_connections_are_made_anew_ever_more_seldom_where_it_does_not_help(autojump_clock: MockClock) -> None:
    """As where the name leads now to one server and now to another."""

    class Split(TwoLinks):
        async def keep_to(self, servers: Mapping[int, str] | None) -> None:
            await super().keep_to(servers)
            self.reader = MemoryLog(other, "north")

    server, other = MemoryServer(), MemoryServer()
    log = Split(server, "north")
    async with nodes_at(server, [log]) as ((node,), _):
        log.reader = MemoryLog(other, "north")
        await trio.sleep(2)
        node.send(0, b"x")
        await trio.sleep(120)
        pauses = [later - earlier for earlier, later in pairwise(log.made_anew)]
        assert RENEW_S <= pauses[0] < 2 * RENEW_S and MOST_RENEW_S <= pauses[-1] < 2 * MOST_RENEW_S
        assert len(pauses) >= 5


def _strays() -> tuple[StrayReadings, MemoryRing]:
    ring = MemoryRing()
    return StrayReadings(MemoryLog(MemoryServer(), "north"), ring), ring


async def test_a_reading_that_began_before_an_entry_stood_there_tells_nothing_of_it(autojump_clock: MockClock) -> None:
    strays, _ = _strays()
    began = trio.current_time()
    await trio.sleep(1)
    strays.stands(0, Position(1, 5))
    await trio.sleep(EMPTY_S)
    assert not strays.end_reading(began, [0], is_empty=True)
    assert not strays.end_reading(trio.current_time(), [1], is_empty=True), "that partition was not read"
    assert strays.end_reading(trio.current_time(), [0], is_empty=True)
    strays.read(0, Position(1, 5))
    assert not strays.end_reading(trio.current_time(), [0], is_empty=True), "it came after all"
    assert await strays.look([]) == []


async def test_a_partition_that_is_left_out_for_others_has_some_time(autojump_clock: MockClock) -> None:
    strays, _ = _strays()
    strays.stands(0, Position(1, 5))
    await trio.sleep(RENEW_S - 1)
    assert not strays.end_reading(trio.current_time(), [0], is_empty=False)
    strays.read(0, Position(1, 4))
    await trio.sleep(RENEW_S - 1)
    assert not strays.end_reading(trio.current_time(), [0], is_empty=False), "some of it came"
    await trio.sleep(1)
    assert strays.end_reading(trio.current_time(), [0], is_empty=False)
    assert await strays.look([]) == [0]
    assert await strays.look([]) == []


async def test_entries_that_are_recorded_before_the_answer_comes_are_not_waited_for(autojump_clock: MockClock) -> None:
    strays, ring = _strays()
    ring.kept[0] = [Element(Position(1, n), b"x") for n in (1, 2, 3)]
    strays.stands(0, Position(1, 3))
    await trio.sleep(EMPTY_S)
    assert not strays.end_reading(trio.current_time(), [0], is_empty=True)
    strays.stands(0, Position(1, 4))
    await trio.sleep(EMPTY_S)
    strays.drop([0])
    assert not strays.end_reading(trio.current_time(), [0], is_empty=True), "it is being repaired"


async def test_a_real_reader_that_comes_to_another_server_is_found_out() -> None:
    with TemporaryDirectory(prefix="gc") as folder, ExitStack() as stack:
        old, new = (_started(Path(folder, name), stack) for name in "ab")
        new.command("REPLICAOF", "127.0.0.1", "1")  # Not yet a primary.
        named = [old]

        def connect() -> ServerLink:
            return connector(named[0].url, PATIENCE_S)()

        log, ring = RedisLog(secrets.token_hex(4), connect, read_wait_s=0.2), MemoryRing()
        stack.callback(log.close)
        await log.create(0)
        node = Broadcast(log, ring, "north", [0], lambda _: 1, lambda *_: None)
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.run)
                node.send(0, b"w")
                await until(lambda: has(ring, b"w"), pause_s=0.01)
                new.command("REPLICAOF", "NO", "ONE")
                named[0] = new
                _kill_reader(old)
                node.send(0, b"x")
                with trio.fail_after(SOON_S):
                    await until(lambda: has(ring, b"x"), pause_s=0.05)
                assert node.problem is None or node.is_repairing
                nursery.cancel_scope.cancel()


def _started(folder: Path, stack: ExitStack) -> RealServer:
    folder.mkdir()
    server = RealServer(folder)
    stack.callback(server.kill)
    server.start()
    return server


def _kill_reader(server: RealServer) -> None:
    lines = server.command("CLIENT", "LIST").decode().splitlines()
    (reader,) = (line for line in lines if "cmd=xread" in line)
    server.command("CLIENT", "KILL", "ID", reader.split()[0].partition("=")[2])
