"""A node that met an entry of a later release takes part in repairs with what it has, and costs nobody anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults, repair
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.entry import VERSION, EntryCodec, Unfit, partition_of
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.nodes import Nodes
from gochat.cluster.ports import START, Batch, Element, Fences, Position
from gochat.cluster.repair import is_in_order
from gochat.errors import StoreError
from gochat.ports.journal import Committed
from gochat.replication import Answer
from gochat.store import Store
from tests.appending import append_to
from tests.cluster.joining import CLUSTER, SECRET, caught_up, inline, new_log, shared, until
from tests.cluster.planting import plant
from tests.cluster.three import MemoryRing
from tests.contracts.journal import DM, message

PARTITION = partition_of(DM)
#: Looks at the fences that a node takes in a second, and more.
MOST_LOOKS = 100

pytestmark = pytest.mark.usefixtures("one_clock")


class Counting(MemoryLog):
    """Ends a node that looks at the fences all the time, which would never let the clock go on."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        super().__init__(server, node)
        self._second = 0
        self._looks = 0

    async def fences(self, partitions: Any) -> Fences:
        if self._second != int(trio.current_time()):
            self._second, self._looks = int(trio.current_time()), 0
        self._looks += 1
        assert self._looks < MOST_LOOKS, "it looks all the time"
        return await super().fences(partitions)


@asynccontextmanager
async def started(
    server: MemoryServer, store: Store, name: str, *, is_later: bool = False
) -> AsyncIterator[ClusterJournal]:
    """A node, of the later release where it says so."""
    place = shared(server, name)._replace(log=Counting(server, name))
    async with joined(store.replica, place) as journal:
        if is_later:
            of_today = journal._codec.decode

            def decode(data: bytes, partition: int) -> Any:
                if len(data) > 16 and data[16] > VERSION:
                    raise Unfit("a kind that only the later release has")
                return of_today(data, partition)

            journal._codec.decode = decode  # type: ignore[method-assign]
        journal.listen(lambda batch: None)
        yield journal


class Pair(NamedTuple):
    server: MemoryServer
    store: Store
    """The north's."""
    north: ClusterJournal
    """Is stopped."""
    south: ClusterJournal
    """Is of the later release."""


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """The two of them count, and an entry of the later release stands in the log."""
    server = await new_log()
    async with (
        inline() as of_north,
        inline() as of_south,
        started(server, of_north, "north") as north,
        started(server, of_south, "south", is_later=True) as south,
    ):
        await caught_up(north)
        await caught_up(south)
        await append_later(server)
        await until(lambda: north.newer)
        assert await say(south, 1)
        yield Pair(server, of_north, north, south)


async def append_later(server: MemoryServer) -> None:
    signed = bytes((VERSION + 1,)) + b"of another form"
    entry = EntryCodec(CLUSTER, SECRET)._mac(PARTITION, signed) + signed
    log = MemoryLog(server, "later")
    term = (await log.fences([PARTITION])).by_partition[PARTITION].term
    await log.append([Batch(PARTITION, term, [entry])])


async def say(journal: ClusterJournal, seq: int) -> bool:
    with trio.fail_after(5):
        return isinstance(await append_to(journal, await journal.load(DM), [message(DM, seq)]), Committed)


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_the_others_go_on_after_a_repair(
    lost: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the server has lost the latest entries, the one that stopped the node among them."""
    async with pair() as (server, _, north, south):
        caplog.clear()
        server.strike(faults.Promoted(entries=lost))
        await trio.sleep(1)
        with trio.fail_after(5):
            await until(lambda: south.problem is None)
        assert await say(south, 2)
        assert caplog.text.count("goes no further here") <= 1
        await trio.sleep(10)
        assert north.newer and await say(south, 3)
        server.strike(faults.Promoted())
        await trio.sleep(1)
        await until(lambda: south.problem is None)
        assert await say(south, 4), "its answer can be given again"


async def test_it_has_all_once_the_later_release_is_installed(autojump_clock: MockClock) -> None:
    """It was started once more as it was before that."""
    server = await new_log()
    async with (
        inline() as of_north,
        inline() as of_south,
        started(server, of_south, "south", is_later=True) as south,
    ):
        async with started(server, of_north, "north") as north:
            await caught_up(north)
            await caught_up(south)
            await append_later(server)
            await until(lambda: north.newer)
            server.strike(faults.Promoted())
            await trio.sleep(1)
            assert await say(south, 1)
            server.strike(faults.Unreachable(node="north"))  # It leaves without a word, and counts.
        server.strike(faults.Mended(node="north"))
        async with started(server, of_north, "north") as north:
            await until(lambda: north.newer)
            server.strike(faults.Promoted())
            await trio.sleep(1)
            assert await say(south, 2)
            server.strike(faults.Unreachable(node="north"))
        server.strike(faults.Mended(node="north"))
        async with started(server, of_north, "north", is_later=True) as north:
            await until(lambda: north.problem is None)
            await north.barrier()
            assert (await north.load(DM)).head == 2
            assert await say(north, 3)


async def _is_sent_back() -> None:
    """The stopped node has answered a new primary, and reaches the old one alone, whose term goes on."""
    async with pair() as (server, _, north, south):
        old = server.primary
        server.strike(faults.TwoPrimaries())
        for node in ("north", "south"):
            server.strike(faults.ReplyLost(node=node, calls=3))
        await trio.sleep(5)
        assert await say(south, 2)
        server.strike(faults.Unreachable(node="south"))
        server.strike(faults.Flipped())
        server.strike(faults.ReplyLost(node="north", calls=3))
        assert server.primary is old and old.fence_of[PARTITION].server == old.server
        await trio.sleep(5)
        assert PARTITION not in old.fence_of, "the old term goes on"
        assert north.problem is not None


async def test_its_answer_binds_it(autojump_clock: MockClock) -> None:
    await _is_sent_back()


async def test_an_answer_that_does_not_is_noticed(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    plant(
        monkeypatch,
        repair,
        "return may_follow and (not is_bound or self._ring.is_stopped(partition))",
        "return not is_bound or self._ring.is_stopped(partition)",
    )
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="the old term goes on"), flatten_subgroups=True):
        await _is_sent_back()


async def _is_sealed_late() -> None:
    """Of two nodes that have answered, the one that may seal waits."""
    async with pair() as (server, _, _, south):
        log: Any = south._broadcast._log
        seal, goes = log.seal, trio.Event()

        async def late(partition: int, *rest: Any) -> Any:
            if partition == PARTITION:
                await goes.wait()
            return await seal(partition, *rest)

        log.seal = late
        server.strike(faults.Promoted())
        await trio.sleep(3)
        primary = server.primary
        assert primary.fence_of[PARTITION].server != primary.server, "sealed by a node that has not seen who counts"
        assert set(primary.offers[PARTITION, primary.server]) == {"north", "south"}
        goes.set()
        await trio.sleep(1)
        assert await say(south, 2)


async def test_a_node_that_can_not_read_all_of_the_log_seals_nothing(autojump_clock: MockClock) -> None:
    """More nodes may count by what comes after its end."""
    await _is_sealed_late()


async def test_one_that_does_is_noticed(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    plant(
        monkeypatch,
        repair,
        "                return await self._answer(server, partition, own, own)\n",
        "                return await self._answer(server, partition, own, there)\n",
    )
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="has not seen"), flatten_subgroups=True):
        await _is_sealed_late()


class Full:
    """A node's copy of the log on a disk that is full at times. All else is the real one's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.is_full = False
        self.attempts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def follow(self, certifier: Any, news: Mapping[int, Sequence[Any]]) -> Any:
        self.attempts += 1
        if self.is_full:
            raise StoreError("database or disk is full")
        return await self._inner.follow(certifier, news)


async def test_a_disk_that_is_full_during_a_repair_is_tried_now_and_then(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with inline() as of_north, inline() as of_south, started(server, of_south, "south") as south:
        full: Any = Full(of_north.replica)
        async with started(server, of_north._replace(replica=full), "north") as north:
            await caught_up(north)
            await caught_up(south)
            full.is_full = True
            assert await say(south, 1)
            server.strike(faults.Promoted())
            await trio.sleep(1)
            full.attempts = 0
            await trio.sleep(10)
            assert 0 < full.attempts < 100
            assert "full" in (north.problem or "")
            assert "north (north) must answer" in (south.problem or ""), "it beats, and is waited for"
            full.is_full = False
            with trio.fail_after(5):
                await until(lambda: north.problem is None and south.problem is None)
            assert await say(south, 2)


@pytest.mark.parametrize("readable", [True, False])
async def test_a_node_that_looks_at_an_entry_of_a_later_release_seals_nothing(
    readable: bool, autojump_clock: MockClock
) -> None:
    """It has answered another server, and so records none of them before they are sealed."""
    server, ring = MemoryServer(), MemoryRing()
    log = MemoryLog(server, "maker")
    fence = await log.create(0)
    assert fence is not None
    ring.kept[0] = (await log.read({0: START}, 1))[0]
    ring.answers = {0: Answer("another server", 2)}
    await log.append([Batch(0, fence.term, [b"by the maker"])])
    server.strike(faults.Promoted())
    node = Broadcast(
        MemoryLog(server, "north"),
        ring,
        "north",
        [0],
        lambda _: 1,
        lambda *_: None,
        coming=lambda *_: () if readable else None,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        await trio.sleep(2)
        assert "north" in server.primary.offers.get((0, server.primary.server), ["north"])
        assert is_in_order(await log.fences([0]), 0) is readable
        nursery.cancel_scope.cancel()


def test_any_node_may_count_by_an_entry_of_a_later_release() -> None:
    codec = EntryCodec(CLUSTER, SECRET)
    signed = bytes((VERSION + 1,)) + b"of another form"
    later = Element(Position(1, 1), codec._mac(PARTITION, signed) + signed)
    nodes = Nodes(SimpleNamespace(partitions=[]), "north")  # type: ignore[arg-type]
    assert nodes.coming(codec, PARTITION, [later]) is None
    assert nodes.coming(codec, PARTITION, [later._replace(data=b"forged")]) == frozenset()
