"""A node is put out: done, or nothing of it, or under way; and whoever asked is told which."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults, forgetting, repair
from gochat.cluster.answers import Forget, Forgotten, State, answers
from gochat.cluster.entry import SITE, partition_of
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import PARTITIONS, Batch, Refusal, ServerAway
from gochat.cluster.repair import is_in_order
from gochat.commands.cluster.forget import PATIENCE_S
from gochat.errors import GochatError, Lives, UnderWay
from gochat.replication import Answer
from gochat.store import Store
from tests.appending import append_to
from tests.cluster.joining import inline, new_log, shared, until
from tests.contracts.journal import DM, message

NAMES = ("north", "south", "west")
PARTITION = partition_of(DM)
#: Of the node, and of the one who asks.
BOUND_S, ASK_S = 4.0, 8.0

pytestmark = pytest.mark.usefixtures("one_clock")


class Three:
    """Nodes that are started and die one by one, each with its store."""

    def __init__(self, server: MemoryServer, stores: dict[str, Store], nursery: trio.Nursery) -> None:
        self.server = server
        self.stores = stores
        self.journals: dict[str, ClusterJournal] = {}
        self.logs: dict[str, Any] = {}
        self._nursery = nursery
        self._scopes: dict[str, trio.CancelScope] = {}
        self._ended: dict[str, trio.Event] = {}

    async def start(self, *names: str) -> None:
        for name in names:
            self.server.strike(faults.Mended(node=name))
            await self._nursery.start(self._run, name)

    async def _run(self, name: str, *, task_status: trio.TaskStatus[None]) -> None:
        self._ended[name] = trio.Event()
        place = shared(self.server, name)
        self.logs[name] = place.log
        with trio.CancelScope() as self._scopes[name]:
            async with joined(self.stores[name].replica, place) as self.journals[name]:
                self.journals[name].listen(lambda batch: None)
                task_status.started()
                await trio.sleep_forever()
        self._ended[name].set()

    async def serve(self, *names: str) -> None:
        with trio.fail_after(15):
            for name in names:
                await self.journals[name].wait_present()
            for name in names:
                while self.journals[name].problem is not None:
                    await trio.sleep(0.1)

    async def kill(self, *names: str) -> None:
        for name in names:
            self.server.strike(faults.Unreachable(node=name))
            self._scopes[name].cancel()
            await self._ended[name].wait()

    async def ask(self, name: str, unwanted: str) -> bool:
        """Whether clients start anew."""
        answer = answers(self.journals[name], shared(self.server, name))["/internal/forget"]
        with trio.fail_after(ASK_S):
            return msgspec.json.decode(await answer(msgspec.json.encode(Forget(unwanted))), type=Forgotten).new_epoch

    async def facts(self, name: str) -> int:
        """How many messages the node has."""
        return (await self.journals[name].load(DM)).head

    async def is_in_order(self, partition: int) -> bool:
        return is_in_order(await MemoryLog(self.server, "other").fences(range(PARTITIONS)), partition)


@pytest.fixture
async def three(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Three]:
    """All serve, west alone has an acknowledged message, and then the server loses everything, and west dies."""
    monkeypatch.setattr(forgetting, "BOUND_S", BOUND_S)
    monkeypatch.setattr(repair, "LOOK_S", 0.2)  # Repairs wait for long here.
    async with AsyncExitStack() as stack:
        stores = {name: await stack.enter_async_context(inline()) for name in NAMES}
        async with trio.open_nursery() as nursery:
            nodes = Three(await new_log(), stores, nursery)
            await nodes.start(*NAMES)
            await nodes.serve(*NAMES)
            for name in ("north", "south"):
                nodes.server.strike(faults.Unreachable(node=name))
            journal = nodes.journals["west"]
            await append_to(journal, await journal.load(DM), [message(DM, 1)])
            await nodes.kill("west")
            nodes.server.strike(faults.EverythingLost(restarted=True))
            for name in ("north", "south"):
                nodes.server.strike(faults.Mended(node=name))
            await trio.sleep(2.5)  # By now the signs of life are old that they know of.
            yield nodes
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def asked(nodes: Three, name: str, unwanted: str) -> AsyncIterator[list[object]]:
    """The outcome, once it is there."""
    outcome: list[object] = []

    async def ask() -> None:
        try:
            outcome.append(await nodes.ask(name, unwanted))
        except GochatError as error:
            outcome.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        yield outcome


def test_the_command_waits_for_the_outcome() -> None:
    assert PATIENCE_S > forgetting.BOUND_S + 5


async def test_a_node_that_is_told_to_be_as_before_is(three: Three, autojump_clock: MockClock) -> None:
    """Messages that it alone has are not lost after the operator was told that nothing was done."""
    await three.kill("south")
    north = three.journals["north"]
    epoch, began = north.epoch, trio.current_time()
    async with asked(three, "north", "west") as outcome:
        await trio.sleep(2)
        assert north.forgetting == ["west"], "as `gochat cluster status` tells"
        await until(lambda: outcome)
    assert type(outcome[0]) is GochatError and "nothing was done" in str(outcome[0])
    assert "south (south)" in str(outcome[0]), "it was waited for"
    assert BOUND_S <= trio.current_time() - began < BOUND_S + 1
    assert north.forgetting == [] and north.pending == 0
    await three.start("south")
    await trio.sleep(2)
    assert not await three.is_in_order(SITE), "west is waited for"
    await three.start("west")
    await three.serve(*NAMES)
    assert [await three.facts(name) for name in NAMES] == [1, 1, 1]
    assert [three.journals[name].epoch for name in NAMES] == [epoch] * 3
    assert north.members == list(NAMES)


async def test_a_node_that_comes_back_meanwhile_is_waited_for(three: Three, autojump_clock: MockClock) -> None:
    """Whoever asked has gone, and their word that nothing was done is not waited for."""
    await three.kill("south")
    north = three.journals["north"]
    epoch = north.epoch
    with trio.move_on_after(2):
        await three.ask("north", "west")
    assert north.forgetting == ["west"], "nobody cut it short"
    await three.start("west")
    await until(lambda: not north.forgetting)
    await three.start("south")
    await three.serve(*NAMES)
    assert [await three.facts(name) for name in NAMES] == [1, 1, 1]
    assert (north.epoch, north.members) == (epoch, list(NAMES))


async def test_it_is_done_when_the_others_are_back(three: Three, autojump_clock: MockClock) -> None:
    await three.kill("south")
    north = three.journals["north"]
    epoch = north.epoch
    async with asked(three, "north", "west") as outcome:
        await trio.sleep(2)
        await three.start("south")
    assert outcome == [True] and north.epoch != epoch and north.members == ["north", "south"]
    assert north.forgetting == []


async def test_all_who_ask_for_the_same_have_one_outcome(three: Three, autojump_clock: MockClock) -> None:
    await three.kill("south")
    north, epochs = three.journals["north"], set[str]()
    async with asked(three, "north", "west") as first:
        await trio.sleep(2)
        async with asked(three, "north", "west") as second:
            pass
    assert "nothing was done" in str(first[0]) and str(first[0]) == str(second[0])
    await three.start("south")
    async with asked(three, "north", "west") as first, asked(three, "north", "west") as second:
        while not (first and second):
            epochs.add(north.epoch)
            await trio.sleep(0.01)
    assert first == second == [True]
    assert len(epochs | {north.epoch}) == 2


async def test_two_operators_at_two_nodes(three: Three, autojump_clock: MockClock) -> None:
    epoch = three.journals["north"].epoch
    async with asked(three, "north", "west") as first, asked(three, "south", "west") as second:
        pass
    outcomes = [*first, *second]
    assert True in outcomes
    assert all(each is True or "no node west counts" in str(each) for each in outcomes)
    await until(lambda: three.journals["south"].members == ["north", "south"])
    assert epoch != three.journals["north"].epoch == three.journals["south"].epoch


async def test_nodes_that_a_repair_waits_for_are_put_out_together(three: Three, autojump_clock: MockClock) -> None:
    await three.kill("south")
    north = three.journals["north"]
    async with asked(three, "north", "west") as first, asked(three, "north", "south") as second:
        pass
    assert first == second == [True] and north.members == ["north"]


async def test_a_node_that_lives_is_not_left_out_of_a_repair(three: Three, autojump_clock: MockClock) -> None:
    north = three.journals["north"]
    epoch = north.epoch
    with pytest.raises(GochatError, match=r"south \(south\) lives"):
        await three.ask("north", "south")
    await three.start("west")
    await three.serve(*NAMES)
    assert (north.epoch, north.members) == (epoch, list(NAMES))


# ---------------------------------------------------------------------------------------- what can't be taken back


def hold_appends(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may reach the server later, for all that the node knows."""

    async def append(batches: Sequence[Batch]) -> list[Refusal]:
        await trio.sleep(0.01)
        return ["unknown"] * len(batches)

    monkeypatch.setattr(log, "append", append)


async def test_what_was_sent_goes_on_after_whoever_asked_was_told(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = three.journals["north"]
    epoch = north.epoch
    with monkeypatch.context() as held:
        hold_appends(three.logs["north"], held)
        with pytest.raises(UnderWay, match=r"west \(west\) will be forgotten .* do not start west"):
            await three.ask("north", "west")
        with pytest.raises(UnderWay, match="do not start"):
            await three.ask("north", "west")
        tell = answers(north, shared(three.server, "north"))["/internal/state"]
        assert msgspec.json.decode(await tell(b""), type=State).forgetting == ["west"]
    await until(lambda: not north.forgetting)
    assert north.epoch != epoch and north.members == ["north", "south"]


async def test_a_repair_that_may_have_left_the_node_out_is_followed_by_a_new_epoch(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it stands in the log as yet."""
    north = three.journals["north"]
    epoch = north.epoch

    async def seal(*_: object) -> None:
        raise ServerAway("no reply")

    with monkeypatch.context() as held:
        held.setattr(three.logs["north"], "seal", seal)
        with pytest.raises(UnderWay):
            await three.ask("north", "west")
    await until(lambda: not north.forgetting)
    assert north.epoch != epoch and north.members == ["north", "south"]


async def test_rooms_wait_for_a_node_that_comes_back_after_the_epoch(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    north, log = three.journals["north"], three.logs["north"]
    epoch, seal = north.epoch, log.seal

    async def seal_site(partition: int, *rest: Any) -> object:
        return await seal(partition, *rest) if partition == SITE else "wait"

    with monkeypatch.context() as held:
        held.setattr(log, "seal", seal_site)
        async with asked(three, "north", "west") as outcome:
            await until(lambda: north.epoch != epoch)
            await three.start("west")  # It answers, and the rooms are repaired, before its beat is heard of.
        assert "west (west) lives" in str(outcome[0]) and "all clients start anew" in str(outcome[0])
        assert north.forgetting == []
    await three.serve(*NAMES)
    assert [await three.facts(name) for name in NAMES] == [1, 1, 1]
    assert north.members == list(NAMES)


async def test_rooms_wait_for_a_node_that_comes_back_before_the_epoch(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site may have been repaired without it by then: so clients start anew all the same."""
    north = three.journals["north"]
    epoch = north.epoch
    async with asked(three, "north", "west") as outcome:
        with monkeypatch.context() as held:
            hold_appends(three.logs["north"], held)
            await trio.sleep(ASK_S)  # Whoever asked was told that it is under way.
            assert isinstance(outcome[0], UnderWay) and not await three.is_in_order(PARTITION)
            await three.start("west")
            await trio.sleep(3)
            assert north.epoch == epoch
        await until(lambda: not north.forgetting)
    await three.serve(*NAMES)
    assert [await three.facts(name) for name in NAMES] == [1, 1, 1]
    assert north.epoch != epoch and north.members == list(NAMES)


async def test_a_node_that_stops_does_not_know(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_appends(three.logs["north"], monkeypatch)
    async with asked(three, "north", "west") as outcome:
        await trio.sleep(2)
        await three.kill("north")
    assert isinstance(outcome[0], UnderWay) and "it is not known" in str(outcome[0])


async def test_a_node_that_counts_again_is_waited_for_in_the_round_that_runs(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is regarded again after the round has looked who counts, and before the seal."""
    north = three.journals["north"]
    keep = north._inbox.keep_answers
    kept = trio.Event()

    async def regard_and_keep(given: Any) -> None:
        await keep(given)
        if SITE in given:
            north._nodes.regard("west")
            kept.set()

    await three.kill("south")
    monkeypatch.setattr(north._inbox, "keep_answers", regard_and_keep)
    other = MemoryLog(three.server, "south")
    three.server.strike(faults.Mended(node="south"))
    answer: Answer = north._inbox.answers[SITE]
    for _ in range(10):
        ends, fences = await other.ends([SITE]), await other.fences([SITE])
        if ends:
            await other.offer(SITE, fences.servers[SITE], "south", ends[SITE], answer.ballot)
        north._nodes.disregard("west", [SITE])
        kept = trio.Event()
        await kept.wait()
    assert not await three.is_in_order(SITE)


async def test_a_seal_that_may_have_left_out_a_node_which_is_back_is_no_nothing(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else was sent. The node is waited for again, and the site goes on by the log it may not have had."""
    north, log = three.journals["north"], three.logs["north"]
    epoch, tried = north.epoch, trio.Event()

    async def seal(partition: int, *_: object) -> None:
        tried.set()
        raise ServerAway("no reply")

    with monkeypatch.context() as held:
        held.setattr(log, "seal", seal)
        hold_appends(log, held)
        async with asked(three, "north", "west") as outcome:
            await tried.wait()
            held.setattr(north.registry, "sighted", lambda instance: trio.current_time())
            await until(lambda: outcome)
        assert isinstance(outcome[0], Lives) and "all clients start anew once" in str(outcome[0])
        assert north.forgetting == [], "nobody is told not to start it"
        assert not north._nodes._disregarded
    await three.start("west")
    await until(lambda: north.epoch != epoch)
    assert north.members == list(NAMES)


async def test_a_node_that_may_be_forgotten_is_not_said_to_count(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had nothing of its own, so that entries were sent before it came back."""
    await three.start("west")
    await three.serve(*NAMES)
    await three.kill("west")
    await trio.sleep(2.5)
    north = three.journals["north"]
    monkeypatch.setattr(forgetting, "REGARD_S", 0.5)
    with monkeypatch.context() as held:
        hold_appends(three.logs["north"], held)
        async with asked(three, "north", "west") as outcome:
            await trio.sleep(2)
            held.setattr(north.registry, "sighted", lambda instance: trio.current_time())
            await until(lambda: outcome)
    assert isinstance(outcome[0], UnderWay) and "counts" not in str(outcome[0])
    await until(lambda: north.members == ["north", "south"])


async def test_an_epoch_that_another_one_came_before_is_given_again(
    three: Three, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that have the other one know of no loss."""
    north = three.journals["north"]
    epoch, present = north.epoch, north._forgetting._epoch
    told = ["an older one"]
    monkeypatch.setattr(north._forgetting, "_epoch", lambda: told.pop() if told else present())
    async with asked(three, "north", "west") as outcome:
        pass
    assert outcome == [True] and north.epoch != epoch
    assert told == []
