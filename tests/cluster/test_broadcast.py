"""Three nodes, a server with faults, and an outside checker: nothing that was recorded is lost, doubled or moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from random import Random
from types import ModuleType

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import broadcast, faults, repair
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.forks import Forked
from gochat.cluster.link import connector
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import MOST_ENTRIES, START, Batch, Element, Log, Position
from gochat.cluster.repair import is_in_order
from gochat.errors import Full
from tests.cluster.planting import plant
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.split import SplitLog
from tests.cluster.three import NODES, PARTITIONS, MemoryRing, three_nodes

#: How long things go wrong in one run, and how long they may take to come right afterwards.
TROUBLE_S, HEALING_S = 4.0, 60.0


class Sent:
    """An entry, as its sender saw it."""

    def __init__(self, partition: int, at: float) -> None:
        self.partition = partition
        self.at = at
        self.position: Position | None = None
        self.acked_at: float | None = None


class World:
    def __init__(self, seed: int, kinds: Sequence[str] = (), servers: int = 1) -> None:
        """`servers`: on how many the partitions are, each with faults of its own."""
        self.random = Random(seed)
        some = tuple(kind for kind in _FAULTS if kind != "flipped") if self.random.random() < 0.7 else _FLAPPING
        self.kinds = kinds or self.random.sample(some, self.random.randint(1, len(some)))
        self.servers = [MemoryServer(random=Random(seed + number)) for number in range(servers)]
        self.rings = {name: MemoryRing() for name in NODES}
        self.nodes: dict[str, Broadcast] = {}
        self.boots = Counter[str]()
        self.sent: dict[bytes, Sent] = {}
        self.trouble = True
        self.acked = 0
        """How many entries were told to be in the log, once that has been checked."""

    async def run(self) -> None:
        log = self._log("maker")
        for partition in PARTITIONS:
            await log.create(partition)
        async with trio.open_nursery() as nursery:
            for name in NODES:
                nursery.start_soon(self._live, name)
            with trio.move_on_after(TROUBLE_S):
                while True:
                    await trio.sleep(self.random.expovariate(2))
                    self._strike()
            self._heal()
            with trio.fail_after(HEALING_S):
                await self._until_all_is_well()
            nursery.cancel_scope.cancel()
        self.check()

    async def _live(self, name: str) -> None:
        """A node, which is killed now and then and starts again with what it had recorded."""
        while True:
            self.boots[name] += 1
            with trio.move_on_after(self.random.expovariate(0.2) if "kill" in self.kinds and self.trouble else 1e9):
                await self._boot(name)
            await trio.sleep(self.random.random())

    async def _boot(self, name: str) -> None:
        def recorded(partition: int, elements: Sequence[Element]) -> None:
            for element in elements:
                sent = mine.pop(element.data, None)
                if sent is not None:
                    sent.position, sent.acked_at = element.position, trio.current_time()

        mine: dict[bytes, Sent] = {}
        log = self._log(name)
        node = Broadcast(log, self.rings[name], name, PARTITIONS, lambda _: len(NODES), recorded)
        self.nodes[name] = node
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.run)
            number, silent = 0, self.random.random() < 0.2
            while self.trouble:
                await trio.sleep(self.random.expovariate(30))
                if silent:
                    continue
                number += 1
                data = f"{name} {self.boots[name]} {number}".encode()
                partition = self.random.choice(PARTITIONS)
                mine[data] = self.sent[data] = Sent(partition, trio.current_time())
                node.send(partition, data)

    def _strike(self) -> None:
        kind = self.random.choice(self.kinds)
        if kind != "kill":
            self._any_server().strike(_FAULTS[kind](self.random))

    def _any_server(self) -> MemoryServer:
        return self.servers[0] if len(self.servers) == 1 else self.random.choice(self.servers)

    def _log(self, name: str) -> Log:
        return SplitLog(self.servers, name) if len(self.servers) > 1 else MemoryLog(self.servers[0], name)

    def _heal(self) -> None:
        self.trouble = False
        for server in self.servers:
            for node in NODES:
                server.strike(faults.Mended(node=node))
                server.strike(faults.Slow(node=node))
            server.strike(faults.Full(on=False))
            primaries = [server.primary, *server._old]
            newest = max(primaries, key=lambda primary: [primary.fence_of[p].term for p in sorted(primary.fence_of)])
            while "flipped" in self.kinds and server.primary is not newest:
                server.strike(faults.Flipped())
            server.strike(faults.OldGone())
            if self.random.random() < 0.5:
                server.strike(faults.EverythingLost())  # Nobody sends any more: all must see it by themselves.

    async def _until_all_is_well(self) -> None:
        """The log is in order, nothing is pending, and all have recorded the same."""
        log = self._log("checker")
        while True:
            await trio.sleep(0.5)
            fences = await log.fences(PARTITIONS)
            ends = await log.ends(PARTITIONS)
            if (
                all(is_in_order(fences, partition) for partition in PARTITIONS)
                and not any(pending.entries for node in self.nodes.values() for pending in node._pending.values())
                and all(ring.end(p) == ends[p] for ring in self.rings.values() for p in PARTITIONS)
            ):
                return

    def check(self) -> None:
        """Judge the records and what the senders saw by the rules that hold whatever happened."""
        first, *others = (ring.kept for ring in self.rings.values())
        assert all(other == first for other in others), "the nodes differ"
        place: dict[bytes, Position] = {}
        for partition, kept in first.items():
            assert [element.position.n for element in kept] == list(range(1, len(kept) + 1))
            for element in kept:
                assert not element.data or self.sent[element.data].partition == partition, "from nowhere"
                place.setdefault(element.data, element.position)
        acked = {data: sent for data, sent in self.sent.items() if sent.position is not None}
        self.acked = len(acked)
        assert {data: sent.position for data, sent in acked.items()} == {data: place.get(data) for data in acked}
        for partition in PARTITIONS:
            mine = [(data, sent) for data, sent in acked.items() if sent.partition == partition]
            by_place = sorted(mine, key=lambda pair: place[pair[0]])
            latest = 0.0
            for (_, earlier), (_, later) in pairwise(by_place):
                latest = max(latest, earlier.at)
                assert later.acked_at is not None
                assert latest <= later.acked_at, "an entry stands before one that was acked before it was sent"
        self._check_senders(place)

    def _check_senders(self, place: Mapping[bytes, Position]) -> None:
        """Each sender's entries stand in the order they were sent in, and without one missing among them."""
        lines: dict[tuple[str, str, int], list[Position | None]] = {}
        for data, sent in self.sent.items():
            name, boot, _ = data.decode().split()
            lines.setdefault((name, boot, sent.partition), []).append(place.get(data))
        for line in lines.values():
            there = [position for position in line if position is not None]
            assert there == sorted(there), "a later entry overtook an earlier one"
            assert line[: len(there)] == there, "an entry is missing before one that is there"


_FAULTS = {
    "reply lost": lambda random: faults.ReplyLost(node=random.choice(NODES), calls=random.randint(1, 3)),
    "request lost": lambda random: faults.RequestLost(node=random.choice(NODES), calls=random.randint(1, 3)),
    "late": lambda random: faults.Late(node=random.choice(NODES), delay_s=random.expovariate(0.5)),
    "unreachable": lambda random: random.choice((faults.Unreachable, faults.Mended))(node=random.choice(NODES)),
    "slow": lambda random: faults.Slow(node=random.choice(NODES), delay_s=random.choice((0, 0.05, 1))),
    "full": lambda random: faults.Full(on=random.random() < 0.3),
    "tail lost": lambda random: faults.TailLost(entries=random.randint(0, 5)),
    "flushed": lambda _: faults.EverythingLost(),
    "restarted empty": lambda _: faults.EverythingLost(restarted=True),
    "stream lost": lambda random: faults.StreamLost(partition=random.choice(PARTITIONS)),
    "two primaries": lambda random: faults.TwoPrimaries(entries=random.randint(0, 5)),
    "flipped": lambda _: faults.Flipped(),
    "old gone": lambda _: faults.OldGone(),
    "promoted": lambda random: faults.Promoted(entries=random.randint(0, 5)),
    "kill": None,
}


#: Faults that can come together with a primary that takes its place again. Others would give an old primary data that
#: is neither its own nor a copy of the new one's.
_FLAPPING = ("two primaries", "flipped", "old gone", "reply lost", "request lost", "unreachable", "slow", "kill")


@pytest.mark.parametrize("kind", _FAULTS)
async def test_nothing_is_lost_by_one_kind_of_fault(kind: str, autojump_clock: MockClock) -> None:
    world = World(1, [kind])
    await world.run()
    assert world.acked or kind == "full"


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_by_several(seed: int, autojump_clock: MockClock) -> None:
    await World(seed).run()


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_of_partitions_on_two_servers(seed: int, autojump_clock: MockClock) -> None:
    await World(seed, servers=2).run()


def play(seeds: range, kinds: Sequence[str] = (), servers: int = 1) -> int:
    """Run a world for each seed. How many entries were acked in all."""
    acked = 0
    for seed in seeds:
        world = World(seed, kinds, servers)
        trio.run(world.run, clock=MockClock(autojump_threshold=0))
        acked += world.acked
    return acked


@pytest.mark.long
def test_nothing_is_lost_in_many_runs() -> None:
    assert play(range(1_000, 1_500)) > 50_000


@pytest.mark.long
def test_nothing_is_lost_in_many_runs_on_two_servers() -> None:
    assert play(range(2_000, 2_300), servers=2) > 25_000


#: The checker saw it, or it did not end, or a node saw it.
NOTICED = (AssertionError, trio.TooSlowError, Forked)
#: A rule that is left out, and the faults under which that must be seen.
HOLES: dict[str, tuple[ModuleType, str, str, Sequence[str]]] = {
    "enough answers": (repair, "need, counting = self._need(partition),", "need, counting = 1,", ()),
    "history is put back": (
        repair,
        "return await self._put_back(server, partition, there)",
        "return await self._answer(server, partition, there or own, there or own)",
        (),
    ),
    "all look at the fences": (broadcast, "trio.move_on_after(WATCH_S)", "trio.move_on_after(1e9)", ("flushed",)),
    "all is sent again in a new term": (
        broadcast,
        "                self._pending[partition].sent = 0\n                self._terms",
        "                self._terms",
        ("tail lost", "reply lost"),
    ),
    "what is unknown is sent again": (
        broadcast,
        "        self._pending[batch.partition].sent = 0\n        if result",
        "        if result",
        ("request lost",),
    ),
    "a repair records alone": (
        broadcast,
        "            if partition in self._repairing:\n                continue\n",
        "",
        (),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("hole", HOLES)
def test_a_rule_that_is_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    module, rule, instead, kinds = HOLES[hole]
    plant(monkeypatch, module, rule, instead)
    with pytest.raises((*NOTICED, ExceptionGroup)) as caught:
        play(range(200), kinds)
    leaves = [caught.value]
    while isinstance(leaves[-1], ExceptionGroup):
        leaves.append(leaves[-1].exceptions[0])
    assert isinstance(leaves[-1], NOTICED), leaves[-1]


# ---------------------------------------------------------------------------------------------- those who can't follow


async def test_a_node_that_has_what_the_log_lost_for_good_says_so(autojump_clock: MockClock) -> None:
    """Another node sealed without it, as after it was put out of the cluster."""
    server, ring = MemoryServer(), MemoryRing()
    log = MemoryLog(server, "south")
    await log.create(0)
    (element,) = (await log.read({0: START}, 1))[0]
    ring.kept[0] = [element, Element(Position(element.position.term, 2), b"mine alone")]
    server.strike(faults.Promoted())
    await log.offer(0, (await log.fences([0])).servers[0], "south", element.position, 2)
    await log.seal(0, (await log.fences([0])).servers[0], 1)
    await _forked(server, ring)


async def test_a_node_that_was_away_for_longer_than_the_window_says_so(autojump_clock: MockClock) -> None:
    server, ring = MemoryServer(), MemoryRing()
    log = MemoryLog(server, "south")
    fence = await log.create(0)
    assert fence is not None
    ring.kept[0] = (await log.read({0: START}, 1))[0]
    await log.append([Batch(0, fence.term, [b"x"] * 9)])
    await log.trim(0, Position(fence.term, 9), 1, 100)
    await _forked(server, ring)


async def test_a_repair_of_a_log_that_has_another_entry_says_so(autojump_clock: MockClock) -> None:
    server, ring = MemoryServer(), MemoryRing()
    log = MemoryLog(server, "south")
    await log.create(0)
    (element,) = (await log.read({0: START}, 1))[0]
    for mine in ([Position(element.position.term - 1, 1)], [Position(1, 1), Position(1, 2)]):
        ring.kept[0] = [Element(position, b"x") for position in mine]
        server.strike(faults.Promoted())
        await _forked(server, ring)


async def _forked(server: MemoryServer, ring: MemoryRing) -> None:
    node = Broadcast(MemoryLog(server, "north"), ring, "north", [0], lambda _: 2, lambda *_: None)
    with trio.fail_after(HEALING_S), pytest.RaisesGroup(Forked):
        await node.run()


async def test_pending_entries_are_bounded(autojump_clock: MockClock) -> None:
    node = Broadcast(MemoryLog(MemoryServer(), "north"), MemoryRing(), "north", [0], lambda _: 1, lambda *_: None)
    for number in range(broadcast.MOST_PENDING):
        node.send(0, b"%d" % number)
    with pytest.raises(Full):
        node.send(0, b"one too many")


async def test_what_does_not_fit_into_a_batch_goes_out_right_after_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "WATCH_S", 10.0)  # A look at the fences has everything sent.
    log, recorded = MemoryLog(MemoryServer(), "north"), list[bytes]()
    await log.create(0)
    node = Broadcast(
        log,
        MemoryRing(),
        "north",
        [0],
        lambda _: 1,
        lambda _, elements: recorded.extend(element.data for element in elements),
    )
    entries = [b"%d" % number for number in range(3 * MOST_ENTRIES)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        await trio.sleep(1)
        for data in entries:
            node.send(0, data)
        await trio.sleep(1)
        assert recorded[1:] == entries
        nursery.cancel_scope.cancel()


async def cycles(*, nap_s: float) -> int:
    """In how many pieces a node records 500 entries that come one each tenth of a millisecond."""
    server, recorded = MemoryServer(), list[int]()
    log = MemoryLog(server, "south")
    fence = await log.create(0)
    assert fence is not None
    node = Broadcast(
        MemoryLog(server, "north"),
        MemoryRing(),
        "north",
        [0],
        lambda _: 1,
        lambda _, elements: recorded.append(len(elements)),
        nap_s=lambda: nap_s,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        await trio.sleep(1)
        for _ in range(500):
            await log.append([Batch(0, fence.term, [b"x"])])
            await trio.sleep(0.0001)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert sum(recorded) == 501
    return len(recorded)


async def test_what_concerns_nobody_is_read_together(autojump_clock: MockClock) -> None:
    assert await cycles(nap_s=0.005) * 2 < await cycles(nap_s=0)


@pytest.mark.parametrize("hurried", [True, False])
async def test_whoever_waits_for_the_next_entries_cuts_the_pause_short(
    hurried: bool, autojump_clock: MockClock
) -> None:
    server, ring = MemoryServer(), MemoryRing()
    log = MemoryLog(server, "south")
    fence = await log.create(0)
    assert fence is not None
    node = Broadcast(MemoryLog(server, "north"), ring, "north", [0], lambda _: 1, lambda *_: None, nap_s=lambda: 10.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        await trio.sleep(1)
        await log.append([Batch(0, fence.term, [b"x"])])
        if hurried:
            node.hurry()
        await trio.sleep(1)
        assert (ring.kept[0][-1].data == b"x") is hurried
        node.send(0, b"own")
        await trio.sleep(1)
        assert ring.kept[0][-1].data == b"own", "a node does not wait for its own entries"
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------------------------------------- a real server


async def _forget_everything(server: RealServer) -> None:
    server.command("FLUSHALL")


async def _be_demoted(server: RealServer) -> None:
    server.command("DEBUG", "CHANGE-REPL-ID")


async def _be_killed(server: RealServer) -> None:
    server.kill()
    await trio.sleep(0.05)
    server.start()


@pytest.mark.parametrize("befall", [_forget_everything, _be_demoted, _be_killed])
async def test_nothing_is_lost_on_a_real_server(own_redis: RealServer, befall: Callable[..., Awaitable[None]]) -> None:
    own_redis.keeps_nothing()
    own_redis.start()
    async with three_nodes(connector(own_redis.url, PATIENCE_S)) as nodes:
        await nodes.some_more()
        for _ in range(2):
            await befall(own_redis)
            await nodes.some_more()
