"""A server that answers, and takes no writes: it is told of, and it is not overrun with attempts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gochat import clustering
from gochat.cluster import broadcast, faults, link_thread
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.link import connector
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import PARTITIONS, START, Batch, Log, Position, Refusal, Refused, ServerAway
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_cluster import RedisCluster
from gochat.cluster.redis_log import RedisLog
from gochat.cluster.repair import NOBODY, RENEW_S
from gochat.commands.cluster.create import first_node
from gochat.commands.cluster.survey import survey
from tests.cluster.joining import inline, joined_store, journal_of, new_log
from tests.cluster.primaries import Primaries
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.split import SplitLog
from tests.cluster.test_clustering import settings
from tests.cluster.test_waiting import talk
from tests.cluster.three import MemoryRing
from tests.waiting import until

#: No link lives for so long in these tests.
FOR_EVER_S = 1e9


# ------------------------------------------------------------------------------------------ what is told


async def test_a_node_whose_entries_are_refused_says_so(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = await new_log()
    async with joined_store(server, "north", inline()) as (north, _):
        journal = journal_of(north)
        assert journal.problem is None
        server.strike(faults.Full())
        with trio.move_on_after(1):
            await talk(north, 1)
        assert journal.problem is None, "a server that is replaced refuses writes for a moment"
        await trio.sleep(3)
        assert journal.problem == "the cluster's server takes no writes: the server is out of memory"
        await trio.sleep(60)
        told = [one for one in caplog.records if one.levelno >= logging.WARNING and "out of memory" in one.message]
        assert len(told) == 1 and told[0].levelno == logging.ERROR
        server.strike(faults.Full(on=False))
        await trio.sleep(2)
        assert journal.problem is None
        with trio.fail_after(2):
            await talk(north, 1)


async def test_a_node_whose_signs_of_life_alone_are_refused_says_so(autojump_clock: MockClock) -> None:
    """Nobody writes."""
    server = await new_log()
    async with joined_store(server, "north", inline()) as (north, _):
        server.strike(faults.Full())
        await trio.sleep(3)
        assert "takes no writes" in (journal_of(north).problem or "")
        server.strike(faults.Full(on=False))
        await trio.sleep(1)
        assert journal_of(north).problem is None


class Deaf(MemoryLog):
    """The replies to what is appended are lost, and the entries come all the same."""

    async def append(self, batches: object) -> list[Position | str]:  # type: ignore[override]
        await super().append(batches)  # type: ignore[arg-type]
        self.reasons = dict.fromkeys(range(PARTITIONS), "no reply")
        return ["unknown"] * len(batches)  # type: ignore[arg-type]


async def test_what_has_come_is_refused_no_more(autojump_clock: MockClock) -> None:
    async with one_node(lambda server: Deaf(server, "north")) as (node, _, ring):
        node.send(0, b"x")
        await trio.sleep(10)
        assert ring.kept[0][-1].data == b"x" and node.problem is None


class Torn(MemoryLog):
    """The link for appending has come to another server, which knows nothing of the term, until all are made anew."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server, "north")
        self.attempts = 0
        self.is_torn = True

    async def append(self, batches: Sequence[Batch]) -> list[Position | Refusal]:
        if not self.is_torn:
            return await super().append(batches)
        self.attempts += 1
        return ["fenced"] * len(batches)

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        self.is_torn = self.is_torn and NOBODY not in (servers or {}).values()
        await super().keep_to(servers)


async def test_links_that_are_of_two_servers_are_made_anew(autojump_clock: MockClock) -> None:
    logs: list[Torn] = []

    def torn(server: MemoryServer) -> Torn:
        logs.append(Torn(server))
        return logs[0]

    async with one_node(torn) as (node, _, ring):
        node.send(0, b"x")
        with trio.fail_after(2 * RENEW_S):
            while ring.kept[0][-1].data != b"x":
                await trio.sleep(0.01)
    assert logs[0].attempts < 12, "not one after the other without a pause"


async def test_a_repair_that_is_refused_is_told_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with one_node() as (node, server, _):
        server.strike(faults.Full())
        server.strike(faults.Promoted())
        await trio.sleep(30)
        assert "out of memory" in (node.problem or "")
        assert caplog.text.count("can't be written: the server is out of memory") == 1


def test_a_server_that_refuses_says_why_in_the_survey(redis: RealServer, tmp_path: Path) -> None:
    found = settings(tmp_path / "one", redis.url)
    first_node(found)
    assert survey(found).problems == ["no node lives"]
    with full(redis):
        (problem,) = survey(found).problems
    assert "signs of life among them: OOM" in problem and "maxmemory" in problem


async def test_a_name_that_is_not_taken_back_is_told_of(
    redis: RealServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clustering, "REGISTER_S", 0.01)
    made = settings(tmp_path / "one", redis.url)
    await trio.to_thread.run_sync(first_node, made)
    with trio.fail_after(PATIENCE_S):
        async with clustering.shared(made, await clustering.find_server(made)):
            with full(redis):
                redis.command("FLUSHALL")
                await until(lambda: "does not take them: OOM" in caplog.text, pause_s=0.01)
            await until(lambda: redis.command("GET", "gc:name:gochat"), pause_s=0.01)
    assert caplog.text.count("does not take them") == 1


# ------------------------------------------------------------------------------------------ attempts


@asynccontextmanager
async def one_node(
    log_of: Callable[[MemoryServer], Log] = lambda server: MemoryLog(server, "north"),
) -> AsyncIterator[tuple[Broadcast, MemoryServer, MemoryRing]]:
    """A node that has the partitions 0 and 1 for itself, and is in order."""
    server, ring = MemoryServer(random=Random(1)), MemoryRing()
    for partition in (0, 1):
        await MemoryLog(server, "maker").create(partition)
    node = Broadcast(log_of(server), ring, "north", [0, 1], lambda _: 1, lambda *_: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        await trio.sleep(1)
        assert node.problem is None
        yield node, server, ring
        nursery.cancel_scope.cancel()


async def test_a_server_that_refuses_is_tried_again_less_and_less_often(autojump_clock: MockClock) -> None:
    async with one_node() as (node, server, ring):
        for pause_s in (60, 0.2):
            before = node._counts.appends["unknown"]
            server.strike(faults.Full())
            node.send(0, b"%r" % pause_s)
            await trio.sleep(pause_s)
            attempts = node._counts.appends["unknown"] - before
            assert attempts <= 5 + pause_s
            server.strike(faults.Full(on=False))
            await trio.sleep(broadcast.MOST_RETRY_S + 0.1)
            assert ring.kept[0][-1].data == b"%r" % pause_s
        assert attempts > 1, "after a success it is soon tried again"


async def test_a_partition_whose_server_refuses_holds_up_no_other(autojump_clock: MockClock) -> None:
    other = MemoryServer(random=Random(2))
    await MemoryLog(other, "maker").create(1)
    async with one_node(lambda server: SplitLog([server, other], "north")) as (node, server, ring):
        server.strike(faults.Full())
        node.send(0, b"waits")
        await trio.sleep(30)
        node.send(1, b"comes")
        await trio.sleep(0.1)
        assert ring.kept[1][-1].data == b"comes"
        assert "takes no writes" in (node.problem or "")
        server.strike(faults.TailLost(entries=0))  # Another one has memory.
        await trio.sleep(1)
        assert b"waits" in [element.data for element in ring.kept[0]]
        assert node.problem is None


async def test_a_repair_that_is_refused_is_tried_less_and_less_often(autojump_clock: MockClock) -> None:
    async with one_node() as (node, server, _):
        server.strike(faults.Full())
        server.strike(faults.Promoted())
        await trio.sleep(5)
        before = node._counts.looks
        await trio.sleep(30)
        assert node._counts.looks - before <= 32
        server.strike(faults.Full(on=False))
        await trio.sleep(broadcast.MOST_RETRY_S + 0.5)
        assert node.problem is None


@contextmanager
def full(*servers: RealServer) -> Iterator[None]:
    for server in servers:
        server.command("CONFIG", "SET", "maxmemory", 1)
    try:
        yield
    finally:
        for server in servers:
            server.command("CONFIG", "SET", "maxmemory", 0)


def connections(server: RealServer) -> int:
    """How many were made since its start."""
    lines = server.command("INFO", "stats").decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("total_connections_received:"))


async def test_a_connection_outlives_refusals(redis: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_thread, "KEPT_S", FOR_EVER_S)
    connect = connector(redis.url, PATIENCE_S)
    log, bulletin = RedisLog("c", connect), RedisBulletin("c", connect)
    try:
        with trio.fail_after(PATIENCE_S):
            await _meet_refusals([redis], log, bulletin, lambda: connections(redis))
    finally:
        log.close()
        bulletin.close()


async def test_the_connections_to_primaries_outlive_refusals(
    primaries: Primaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_thread, "KEPT_S", FOR_EVER_S)
    connect = RedisCluster(primaries.url, PATIENCE_S)
    log, bulletin = RedisLog("c", connect), RedisBulletin("c", connect)
    try:
        with trio.fail_after(PATIENCE_S):
            await _meet_refusals(
                primaries.servers, log, bulletin, lambda: sum(connections(server) for server in primaries.servers)
            )
    finally:
        log.close()
        bulletin.close()


async def _meet_refusals(
    servers: list[RealServer], log: RedisLog, bulletin: RedisBulletin, made: Callable[[], int]
) -> None:
    fences = [await log.create(partition) for partition in range(PARTITIONS)]
    batches = [Batch(p, fence.term, [b"x"]) for p, fence in enumerate(fences) if fence is not None]
    assert len(batches) == PARTITIONS
    assert await log.append(batches) == [Position(batch.term, 2) for batch in batches]
    assert await bulletin.beat("i", "b", b"")
    server_of = (await log.fences([0])).servers[0]
    await bulletin.members()
    before = made()
    with full(*servers):
        for _ in range(10):
            assert await log.append(batches) == ["unknown"] * PARTITIONS
            assert log.reasons.keys() == set(range(PARTITIONS))
            assert all(reason.startswith("OOM ") and "maxmemory)" in reason for reason in log.reasons.values())
            assert "script" not in log.reasons[0]
            with pytest.raises(Refused, match=r"^OOM "):
                await bulletin.beat("i", "b", b"")
            with pytest.raises(Refused, match=r"^OOM "):
                await log.offer(0, server_of, "i", Position(batches[0].term, 2), 2)
            assert len(await bulletin.members()) == 1, "what is read is answered, and by its own reply"
            assert (await log.fences(range(PARTITIONS))).by_partition.keys() == set(range(PARTITIONS))
            assert (await bulletin.refusal() or "").startswith("OOM ")
    assert made() == before
    assert await log.append(batches) == [Position(batch.term, 3) for batch in batches]
    assert not log.reasons
    assert await bulletin.beat("i", "b", b"") and await bulletin.refusal() is None
    assert made() == before
    found = await log.read(dict.fromkeys(range(PARTITIONS), START), 10, wait=False)
    assert {len(elements) for elements in found.values()} == {3}


async def test_a_connection_that_is_old_is_made_anew_where_writes_are_refused(
    redis: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that has lost its replicas may have been replaced, and another one be named by now."""
    monkeypatch.setattr(link_thread, "KEPT_S", 0.0)
    bulletin = RedisBulletin("c", connector(redis.url, PATIENCE_S))
    try:
        with trio.fail_after(PATIENCE_S):
            await bulletin.members()
            before = connections(redis)
            redis.command("CONFIG", "SET", "min-replicas-to-write", 1)
            try:
                for number in range(3):
                    with pytest.raises(Refused, match="its replicas run"):
                        await bulletin.beat("i", "b", b"")
                    assert connections(redis) == before + number
            finally:
                redis.command("CONFIG", "SET", "min-replicas-to-write", 0)
    finally:
        bulletin.close()


async def test_other_errors_are_told_in_their_words(redis: RealServer) -> None:
    log = RedisLog("c", connector(redis.url, PATIENCE_S))
    try:
        with trio.fail_after(PATIENCE_S):
            fence = await log.create(0)
            assert fence is not None
            redis.command("DEL", "gc:{c.0}:log")
            redis.command("LPUSH", "gc:{c.0}:log", "x")
            assert await log.append([Batch(0, fence.term, [b"x"])]) == ["unknown"]
            assert "WRONGTYPE" in log.reasons[0]
            with pytest.raises(ServerAway):
                await log.ends([0])
    finally:
        log.close()


async def test_a_node_goes_on_when_a_real_server_has_memory_again(
    redis: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_thread, "KEPT_S", FOR_EVER_S)
    log, ring = RedisLog("c", connector(redis.url, PATIENCE_S), read_wait_s=0.05), MemoryRing()
    try:
        with trio.fail_after(PATIENCE_S):
            await log.create(0)
            node = Broadcast(log, ring, "north", [0], lambda _: 1, lambda *_: None)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.run)
                await until(lambda: node.problem is None, pause_s=0.01)
                before = connections(redis)
                with full(redis):
                    node.send(0, b"x")
                    await until(lambda: node.problem, pause_s=0.01)
                    assert "OOM" in (node.problem or "") and "give it more memory" in (node.problem or "")
                await until(lambda: not node.pending and node.problem is None, pause_s=0.01)
                assert connections(redis) <= before + 1, "that of the writer, which had none yet"
                nursery.cancel_scope.cancel()
    finally:
        log.close()
    assert ring.kept[0][-1].data == b"x"
