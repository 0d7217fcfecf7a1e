"""A node that does not count, and is far behind, leaves a server that has lost everything to those that count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults, trimming
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.forks import Forked
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import START
from gochat.cluster.repair import EMPTY_S
from gochat.ports.journal import Committed
from gochat.store import Store
from gochat.store.write import log_state
from tests.appending import append_to
from tests.cluster.joining import inline, new_log, shared
from tests.cluster.three import MemoryRing
from tests.contracts.journal import DM, message

NAMES = ("north", "south", "west")
pytestmark = pytest.mark.usefixtures("one_clock")


class Power:
    """Of some nodes, which run while it is on."""

    def __init__(self, server: MemoryServer, stores: Mapping[str, Store], nursery: trio.Nursery) -> None:
        self._server = server
        self._stores = stores
        self._nursery = nursery
        self._scopes: dict[str, trio.CancelScope] = {}
        self._ends: dict[str, trio.Event] = {}
        self._over: dict[str, trio.Event] = {}
        self.journals: dict[str, ClusterJournal] = {}
        self.forked: set[str] = set()

    async def on(self, *names: str) -> None:
        for name in names:
            self._server.strike(faults.Mended(node=name))
            await self._nursery.start(self._run, name)

    async def _run(self, name: str, *, task_status: trio.TaskStatus[None]) -> None:
        self._ends[name], self._over[name] = trio.Event(), trio.Event()
        try:
            with trio.CancelScope() as self._scopes[name]:
                async with joined(self._stores[name].replica, shared(self._server, name)) as self.journals[name]:
                    self.journals[name].listen(lambda batch: None)
                    task_status.started()
                    await self._ends[name].wait()
        except* Forked:
            self.forked.add(name)
        self._over[name].set()

    async def off(self, name: str) -> None:
        """In order: it counts no more."""
        self._ends[name].set()
        await self._over[name].wait()

    async def fails(self, *names: str) -> None:
        for name in names:
            self._server.strike(faults.Unreachable(node=name))
            self._scopes[name].cancel()
            await self._over[name].wait()


@pytest.mark.parametrize("pause_s", [0.0, 3.0, 30.0])
async def test_it_may_be_the_first_that_comes(
    pause_s: float, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power fails everywhere, and the server comes back without data. The two that count go on, however late."""
    for module, name in ((trimming, "KEEP_S"), (trimming, "KEEP"), (log_state, "KEPT")):
        monkeypatch.setattr(module, name, 5)
    server = await new_log()
    async with AsyncExitStack() as stack:
        stores = {name: await stack.enter_async_context(inline()) for name in NAMES}
        async with trio.open_nursery() as nursery:
            power = Power(server, stores, nursery)
            await power.on(*NAMES)
            for name in NAMES:
                await power.journals[name].wait_present()
            await power.off("west")
            for seq in range(1, 31):
                await say(power.journals["north"], seq)
                await trio.sleep(1)
            await power.fails("north", "south")
            server.strike(faults.EverythingLost(restarted=True))
            await trio.sleep(3)
            for name in ("west", "north", "south"):
                await power.on(name)
                await trio.sleep(pause_s)
            with trio.fail_after(10):
                await say(power.journals["north"], 31)
                await power.journals["south"].barrier()
            assert (await power.journals["south"].load(DM)).head == 31
            assert power.forked <= {"west"}
            nursery.cancel_scope.cancel()


async def say(journal: ClusterJournal, seq: int) -> None:
    while journal.problem is not None:  # noqa: ASYNC110 -- nothing tells
        await trio.sleep(0.1)
    assert isinstance(await append_to(journal, await journal.load(DM), [message(DM, seq, ts=1_000 + seq)]), Committed)


async def _put_back_after(need: int, others_live: Callable[[], bool]) -> float:
    """After how many seconds one node has put back the log, alone on its server."""
    server, ring = MemoryServer(), MemoryRing()
    log = MemoryLog(server, "maker")
    await log.create(0)
    ring.kept[0] = (await log.read({0: START}, 1))[0]
    server.strike(faults.EverythingLost())
    node = Broadcast(
        MemoryLog(server, "north"),
        ring,
        "north",
        [0],
        lambda _: need,
        lambda *_: None,
        lambda _: ["south"],
        others_live=others_live,
    )
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        with trio.move_on_after(60):
            while not server.primary.streams:  # noqa: ASYNC110 -- nothing tells
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return trio.current_time() - began


async def test_a_node_that_counts_puts_back_at_once(autojump_clock: MockClock) -> None:
    assert await _put_back_after(2, lambda: False) < 1


async def test_those_that_count_may_lack_what_it_has(autojump_clock: MockClock) -> None:
    """Such as where they can't read their own. They have time to put back theirs, and no longer."""
    assert EMPTY_S <= await _put_back_after(0, lambda: True) < EMPTY_S + 1


async def test_it_waits_for_one_that_counts_and_lives(autojump_clock: MockClock) -> None:
    assert await _put_back_after(0, lambda: False) > 59
    began = trio.current_time()
    took_s = await _put_back_after(0, lambda: trio.current_time() > began + 10)
    assert EMPTY_S + 9.5 < took_s < EMPTY_S + 11
