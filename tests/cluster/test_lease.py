"""One node at a time does the work; and soon another, whatever becomes of the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.lease import AGAIN_S, LIFE_S, Lease
from gochat.cluster.memory import MemoryBulletin
from gochat.cluster.memory_server import MemoryServer
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.servers import OnRedis

Work = Callable[[str], Lease]


class Works:
    """The nodes that are at work, by name."""

    def __init__(self) -> None:
        self.at_work: dict[str, float] = {}
        self.most = 0

    async def work(self, name: str) -> None:
        self.at_work[name] = trio.current_time()
        self.most = max(self.most, len(self.at_work))
        try:
            await trio.sleep_forever()
        finally:
            del self.at_work[name]


class Place:
    def __init__(self, nursery: trio.Nursery) -> None:
        self.server = MemoryServer()
        self.works = Works()
        self._nursery = nursery
        self._scopes: dict[str, trio.CancelScope] = {}

    def open(self, name: str) -> None:
        self._scopes[name] = trio.CancelScope()
        self._nursery.start_soon(self._run, name)

    async def _run(self, name: str) -> None:
        lease = Lease(MemoryBulletin(self.server, name), "work", name)
        with self._scopes[name]:
            await lease.run(partial(self.works.work, name))

    def stop(self, name: str) -> None:
        self._scopes.pop(name).cancel()

    def kill(self, name: str) -> None:
        self.server.strike(faults.Unreachable(node=name))
        self.stop(name)


@pytest.fixture
async def place(autojump_clock: MockClock) -> AsyncIterator[Place]:
    async with trio.open_nursery() as nursery:
        yield Place(nursery)
        nursery.cancel_scope.cancel()


async def test_one_node_works(place: Place, autojump_clock: MockClock) -> None:
    for name in ("north", "south", "west"):
        place.open(name)
        await trio.sleep(0.1)
    await trio.sleep(100)
    assert list(place.works.at_work) == ["north"]
    assert place.works.at_work["north"] < 1, "without a break"


async def test_a_node_that_stops_gives_the_work_away(place: Place, autojump_clock: MockClock) -> None:
    place.open("north")
    await trio.sleep(0.1)
    place.open("south")
    await trio.sleep(20)
    place.stop("north")
    await trio.sleep(AGAIN_S + 0.1)
    assert list(place.works.at_work) == ["south"]


async def test_the_work_of_a_node_that_died_is_anothers_within_its_time(
    place: Place, autojump_clock: MockClock
) -> None:
    place.open("north")
    await trio.sleep(0.1)
    place.open("south")
    await trio.sleep(20)
    place.kill("north")
    await trio.sleep(LIFE_S + AGAIN_S)
    assert list(place.works.at_work) == ["south"]


async def test_a_node_that_is_started_again_has_its_work_at_once(place: Place, autojump_clock: MockClock) -> None:
    place.open("north")
    await trio.sleep(1)
    place.kill("north")
    place.server.strike(faults.Mended(node="north"))
    place.open("north")
    await trio.sleep(0.1)
    assert list(place.works.at_work) == ["north"]


async def test_a_node_that_is_cut_off_stops_before_another_begins(place: Place, autojump_clock: MockClock) -> None:
    place.open("north")
    await trio.sleep(0.1)
    place.open("south")
    await trio.sleep(20)
    place.server.strike(faults.Unreachable(node="north"))
    await trio.sleep(LIFE_S + AGAIN_S)
    assert list(place.works.at_work) == ["south"]
    assert place.works.most == 1
    place.server.strike(faults.Mended(node="north"))
    await trio.sleep(20)
    assert list(place.works.at_work) == ["south"]


async def test_a_lease_that_another_node_was_given_ends(place: Place, autojump_clock: MockClock) -> None:
    """By a server that had forgotten it: for some seconds both work, and no longer."""
    place.open("north")
    await trio.sleep(0.1)
    place.open("south")
    await trio.sleep(AGAIN_S)
    for _ in range(20):
        place.server.strike(faults.EverythingLost())
        await trio.sleep(AGAIN_S + 0.1)
        assert len(place.works.at_work) == 1


@pytest.mark.parametrize("seed", range(5))
async def test_never_do_two_nodes_work_while_the_server_remembers(
    place: Place, seed: int, autojump_clock: MockClock
) -> None:
    random, up = Random(seed), set[str]()
    for _ in range(100):
        name = random.choice(("north", "south", "west"))
        if name not in up:
            place.server.strike(faults.Mended(node=name))
            place.open(name)
            up.add(name)
        elif random.random() < 0.5:
            random.choice((place.stop, place.kill))(name)
            up.discard(name)
        else:
            place.server.strike(
                random.choice((faults.Unreachable, faults.Mended, faults.ReplyLost, faults.Late))(node=name)
            )
        await trio.sleep(random.choice((0.1, 1, 5, 12)))
    assert place.works.most == 1
    for name in up:
        place.server.strike(faults.Mended(node=name))
    place.open("last") if not up else None
    await trio.sleep(2 * (LIFE_S + AGAIN_S))
    assert len(place.works.at_work) == 1


async def test_work_that_is_done_is_not_begun_again(place: Place, autojump_clock: MockClock) -> None:
    begun = []

    async def work() -> None:
        begun.append(1)
        await trio.sleep(5)

    await Lease(MemoryBulletin(place.server, "north"), "work", "north").run(work)
    assert begun == [1]
    assert await MemoryBulletin(place.server, "south").hold("work", "south", 1)


async def test_a_node_that_is_not_fit_leaves_the_work_to_others(place: Place, autojump_clock: MockClock) -> None:
    fit = False
    lease = Lease(MemoryBulletin(place.server, "north"), "work", "north", lambda: fit)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease.run, partial(place.works.work, "north"))
        await trio.sleep(10)
        assert not place.works.at_work
        fit = True
        await trio.sleep(1)
        assert list(place.works.at_work) == ["north"]
        fit = False
        place.open("south")
        await trio.sleep(2 * AGAIN_S)
        assert list(place.works.at_work) == ["south"], "the lease was given back: it had some 9 s to go"
        nursery.cancel_scope.cancel()


async def test_on_a_real_server_the_work_goes_over(redis: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gochat.cluster.lease.AGAIN_S", 0.05)
    server, works, scopes = OnRedis.alone(redis), Works(), [trio.CancelScope(), trio.CancelScope()]
    asks: Counter[str] = Counter()

    def asks_again(name: str) -> bool:
        asks[name] += 1
        return True

    async def node(scope: trio.CancelScope, name: str) -> None:
        lease = Lease(server.bulletin(name), "work", name, partial(asks_again, name))
        with scope:
            await lease.run(partial(works.work, name))

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as own:
            own.start_soon(node, scopes[0], "north")
            while not works.at_work:
                await trio.sleep(0.01)
            own.start_soon(node, scopes[1], "south")
            while asks["south"] < 3:  # Once before it asks for the lease, and once after the answer.
                await trio.sleep(0.01)
            assert list(works.at_work) == ["north"]
            scopes[0].cancel()
            while list(works.at_work) != ["south"]:
                await trio.sleep(0.01)
            own.cancel_scope.cancel()
    server.close()
