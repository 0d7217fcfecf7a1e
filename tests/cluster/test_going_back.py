"""A node that has answered a repair does not go back to the primary before, whatever befalls it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults, repair
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import Batch, Position, ServerAway
from tests.cluster.planting import plant
from tests.cluster.three import NODES, MemoryRing
from tests.waiting import until

HEALING_S = 60.0


async def _answers_and_is_sent_back(*, crashes: bool = False) -> None:
    """A node answers the new primary, and is then sent to the old one, where all seems to be in order. Its answer
    counts, and what it recorded at the old one would be missing there. So it is where it crashes in between, and begins
    anew while its answer counts."""
    server, rings = MemoryServer(), (MemoryRing(), MemoryRing())
    await MemoryLog(server, "maker").create(0)

    def begun(name: str, ring: MemoryRing) -> Broadcast:
        return Broadcast(MemoryLog(server, name), ring, name, [0], lambda _: 2, lambda *_: None)

    async def run(node: Broadcast) -> None:
        with power:
            await node.run()

    north, south = (begun(name, ring) for name, ring in zip(NODES, rings, strict=False))
    power = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, north)
        nursery.start_soon(south.run)
        await trio.sleep(0.5)
        server.strike(faults.Unreachable(node="south"))
        server.strike(faults.TwoPrimaries(entries=0))
        server.strike(faults.RequestLost(node="north"))
        await trio.sleep(2)
        assert [list(offers) for offers in server.primary.offers.values()] == [["north"]]
        server.strike(faults.Flipped())
        if crashes:
            power.cancel()
            north = begun("north", rings[0])
            nursery.start_soon(north.run)
        else:
            server.strike(faults.RequestLost(node="north"))
        north.send(0, b"x")
        await trio.sleep(2)
        assert rings[0].kept[0][-1].data == b"", "recorded from a server that may not be the one"
        server.strike(faults.Flipped())
        server.strike(faults.Mended(node="south"))
        with trio.fail_after(HEALING_S):
            while any(ring.kept[0][-1].data != b"x" for ring in rings):
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


async def test_a_node_that_has_answered_does_not_go_back(autojump_clock: MockClock) -> None:
    await _answers_and_is_sent_back()


async def test_a_node_that_has_answered_does_not_go_back_past_a_crash(autojump_clock: MockClock) -> None:
    await _answers_and_is_sent_back(crashes=True)


BINDING = ("if ballot_of(self._ring.end(partition).term) < answer.ballot and self._need(partition)", "if False")
"""An answer binds for good, and what is there instead."""


@pytest.mark.parametrize("crashes", [False, True])
async def test_a_node_that_goes_back_is_noticed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, crashes: bool
) -> None:
    plant(monkeypatch, repair, *BINDING)
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="recorded from a server")):
        await _answers_and_is_sent_back(crashes=crashes)


class Severed(MemoryLog):
    """Its answer arrives, and it hears nothing of it. When the server is sealed, another one has its address."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        super().__init__(server, node)
        self.answered = False
        self.before_it_leaves: Callable[[], object] = lambda: None

    async def offer(self, partition: int, server: str, instance: str, end: Position, ballot: int) -> int:
        highest = await super().offer(partition, server, instance, end, ballot)
        if not self.answered:
            self.answered = True
            while self._server.primary.fence_of[partition].server != server:
                await trio.sleep(0.01)
            self.before_it_leaves()
            self._server.strike(faults.Flipped())
            self._connected = None
            raise ServerAway("the connection was reset")
        return highest


async def _is_sealed_by_an_answer_whose_node_went_back(*, lives: bool) -> None:
    """The new primary is sealed by the answer of a node that never reaches it again, and finds the old one in order.
    Then the new one is named again where it `lives`, and the old one has an entry that was late; else it is lost, and
    the nodes meet at the old one."""
    server, rings = MemoryServer(), (MemoryRing(), MemoryRing())
    await MemoryLog(server, "maker").create(0)
    logs = Severed(server, "north"), MemoryLog(server, "south")
    north, south = (
        Broadcast(log, ring, name, [0], lambda _: 2, lambda *_: None)
        for log, ring, name in zip(logs, rings, NODES, strict=False)
    )
    logs[0].answered = True
    async with trio.open_nursery() as nursery:
        for node in (north, south):
            nursery.start_soon(node.run)
        await trio.sleep(0.5)
        south.send(0, b"before")
        await trio.sleep(0.5)
        old = server.primary
        server.strike(faults.TwoPrimaries(entries=0))
        server.strike(faults.RequestLost(node="south"))
        await trio.sleep(2)
        logs[0].answered = False
        if lives:
            logs[0].before_it_leaves = lambda: old.append(Batch(0, rings[0].end(0).term, [b"late"]))
        new = server.primary
        server.strike(faults.RequestLost(node="north"))
        await trio.sleep(2)
        assert new.fence_of[0].server == new.server and server.primary is old
        south.send(0, b"new")
        north.send(0, b"old")
        await trio.sleep(30)
        assert rings[1].kept[0][-1].data == b"new"
        assert rings[0].kept[0][-1].data == b"before", "a fork"
        assert north.problem == "partitions 0 are being repaired"
        if lives:
            server.strike(faults.Flipped())
        else:
            new.die()
        with trio.fail_after(repair.MOST_RENEW_S + 3 if lives else 3):
            while any({b"old", b"new"} - {element.data for element in ring.kept[0]} for ring in rings):
                await trio.sleep(0.1)
        assert rings[0].kept == rings[1].kept
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("lives", [True, False])
async def test_a_node_never_serves_at_the_primary_before_the_one_that_it_answered(
    autojump_clock: MockClock, lives: bool
) -> None:
    await _is_sealed_by_an_answer_whose_node_went_back(lives=lives)


@pytest.mark.parametrize(
    ("rule", "instead"),
    [
        BINDING,
        ("if news and not is_in_order(fences, partition) and (partition in self.bound()", "if (False"),
    ],
)
async def test_a_node_that_does_is_noticed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, rule: str, instead: str
) -> None:
    plant(monkeypatch, repair, rule, instead)
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="a fork")):
        await _is_sealed_by_an_answer_whose_node_went_back(lives=True)


async def _answers_cross() -> None:
    """Of two servers, both of them to be repaired, each node answers another one first, and then the other one."""
    server, rings = MemoryServer(), (MemoryRing(), MemoryRing())
    await MemoryLog(server, "maker").create(0)
    nodes = [
        Broadcast(MemoryLog(server, name), ring, name, [0], lambda _: 2, lambda *_: None)
        for name, ring in zip(NODES, rings, strict=False)
    ]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.run)
        await trio.sleep(1)
        server.strike(faults.Unreachable())
        await trio.sleep(2)
        server.strike(faults.Promoted())
        one = server.primary
        server.strike(faults.TwoPrimaries(entries=0))
        other = server.primary
        for name in NODES[:2]:
            server.strike(faults.Unreachable(node=name))
        server.strike(faults.Mended())
        for name, primary in ((NODES[0], one), (NODES[1], other), (NODES[0], other), (NODES[1], one)):
            server.primary = primary
            server.strike(faults.Mended(node=name))
            await trio.sleep(0.7)
            assert name in primary.offers.get((0, primary.server), {name})
            server.strike(faults.Unreachable(node=name))
        assert not all(each.fence_of[0].server == each.server for each in (one, other)), "both are sealed"
        server.primary = one
        for name in NODES[:2]:
            server.strike(faults.Mended(node=name))
        nodes[0].send(0, b"x")
        with trio.fail_after(HEALING_S):
            await until(lambda: all(ring.kept[0][-1].data == b"x" for ring in rings), pause_s=0.1)
        assert rings[0].kept == rings[1].kept
        nursery.cancel_scope.cancel()


async def test_of_two_servers_one_is_sealed(autojump_clock: MockClock) -> None:
    await _answers_cross()


async def test_answers_to_two_servers_in_one_ballot_are_noticed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    plant(monkeypatch, repair, "last.ballot + (last.server != ready.server)", "last.ballot")
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="both are sealed")):
        await _answers_cross()
