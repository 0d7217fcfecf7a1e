"""A node in a bad hour: a server with older data, other nodes that do not come back, and the words for it."""

from __future__ import annotations

import logging

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults, trimming
from gochat.cluster.answers import Forget, answers
from gochat.cluster.entry import SITE, partition_of
from gochat.cluster.membership import Recording
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import PARTITIONS, Batch, ballot_of
from gochat.cluster.registry import SecondBoot
from gochat.cluster.repair import is_in_order
from gochat.replication import EpochIs, NodeIs
from gochat.store import Store
from gochat.store.write import log_state
from tests.appending import append_to
from tests.cluster.joining import inline, joined_store, journal_of, new_log, shared
from tests.contracts.journal import DM, message

PATIENCE_S = 60
PARTITION = partition_of(DM)


async def talk(store: Store, messages: int) -> None:
    for _ in range(messages):
        record = await store.journal.load(DM)
        await append_to(store.journal, record, [message(DM, record.head + 1, ts=record.ts + 1)])


async def count_here(store: Store, *instances: str) -> None:
    """Have nodes count that do nothing of themselves."""
    for instance in instances:
        await journal_of(store)._membership.record([NodeIs(instance, "here")], range(PARTITIONS))


def kept(server: MemoryServer) -> int:
    return len(server.primary.streams[PARTITION])


# ------------------------------------------------------------------------------------------ whose place it is


@pytest.mark.parametrize("age_ms", [60_000, 0, -3_600_000], ids=["stale", "fresh", "future"])
async def test_a_server_that_went_back_to_older_data_ends_nobody(age_ms: int, autojump_clock: MockClock) -> None:
    server = await new_log()
    async with joined_store(server, "north", inline()):
        await trio.sleep(3)
        boot, at_ms, info = server.primary.nodes["north"]
        server.primary.nodes["north"] = "earlier", at_ms - age_ms, info
        await trio.sleep(10)
        assert server.primary.nodes["north"][0] == boot


async def test_a_second_process_of_a_node_ends(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with joined_store(server, "north", inline()):
        await trio.sleep(3)
        boot = server.primary.nodes["north"][0]
        with (
            trio.fail_after(PATIENCE_S),
            pytest.RaisesGroup(pytest.RaisesExc(SecondBoot, match="gochat cluster join"), flatten_subgroups=True),
        ):
            async with joined_store(server, "north", inline()):
                await trio.sleep_forever()
        assert server.primary.nodes["north"][0] == boot


async def test_a_process_whose_place_was_taken_meanwhile_ends(autojump_clock: MockClock) -> None:
    server = await new_log()
    with trio.fail_after(PATIENCE_S), pytest.RaisesGroup(SecondBoot, flatten_subgroups=True):
        async with joined_store(server, "north", inline()):
            while True:
                await trio.sleep(0.1)
                server.primary.nodes["north"] = "other", server.primary.now_ms(), b""


# ------------------------------------------------------------------------------------------ what is kept, and how long


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is kept, and for a short time."""
    for module, name, value in (
        (trimming, "KEEP", 5),
        (trimming, "CAP", 20),
        (trimming, "KEEP_S", 60.0),
        (log_state, "KEPT", 5),
    ):
        monkeypatch.setattr(module, name, value)


async def test_what_is_young_is_kept_for_nodes_that_are_restarted(
    little: None, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(trimming, "CAP", 1_000)
    server = await new_log()
    async with joined_store(server, "north", inline()) as (store, _):
        await talk(store, 40)
        await trio.sleep(40)
        assert kept(server) > 40, "nobody else counts, and still"
        assert len(await store.replica.after(PARTITION, None, 100)) > 40
        await trio.sleep(60)
        assert kept(server) == 5
        assert len(await store.replica.after(PARTITION, None, 100)) <= 6


async def test_a_node_that_does_not_come_back_makes_nobody_keep_everything(
    little: None, autojump_clock: MockClock
) -> None:
    server = await new_log()
    async with joined_store(server, "north", inline()) as (store, _):
        await count_here(store, "gone")
        await talk(store, 60)
        await trio.sleep(15)
        assert kept(server) == 20
        assert 20 <= len(await store.replica.after(PARTITION, None, 100)) <= 21


@pytest.fixture
def much(little: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever somebody may lack is kept."""
    monkeypatch.setattr(trimming, "CAP", 1_000)


async def test_a_server_that_is_full_is_trimmed(much: None, autojump_clock: MockClock) -> None:
    """It takes no beats, and nodes go by the latest that it has."""
    server = await new_log()
    async with joined_store(server, "north", inline()) as (north, _), joined_store(server, "south", inline()):
        await talk(north, 40)
        await trio.sleep(5)
        server.strike(faults.Full())
        await trio.sleep(100)
        assert kept(server) == 5


async def test_a_node_that_has_never_beaten_trims_a_full_server(much: None, autojump_clock: MockClock) -> None:
    """As after a restart of all nodes: by the beats of their earlier starts."""
    server = await new_log()
    async with joined_store(server, "north", inline()) as (north, _), joined_store(server, "south", inline()):
        await talk(north, 40)
        await trio.sleep(5)
        server.strike(faults.Full())
        journal_of(north).registry.members = []
        await trio.sleep(100)
        assert kept(server) == 5


async def test_a_full_server_keeps_all_that_a_node_which_counts_may_lack(much: None, autojump_clock: MockClock) -> None:
    server = await new_log()
    async with joined_store(server, "north", inline()) as (north, _):
        await count_here(north, "gone")
        await talk(north, 40)
        await trio.sleep(5)
        server.strike(faults.Full())
        await trio.sleep(100)
        assert kept(server) > 40


# ------------------------------------------------------------------------------------------ repairs that wait


async def test_a_server_with_data_that_is_too_old_is_told_of_with_the_way_out(
    little: None, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = await new_log()
    async with joined_store(server, "north", inline()) as (store, _):
        await talk(store, 40)
        await store.replica.trim(PARTITION, 1_000)
        with caplog.at_level(logging.ERROR):
            server.strike(faults.Promoted(entries=30))
            await trio.sleep(10)
        (told,) = [record.message for record in caplog.records if "older data" in record.message]
        journal = journal_of(store)
        assert told in str(journal.problem)
        assert f"partition {PARTITION} ends there at {kept(server)}" in told and "FLUSHDB" in told
        server.strike(faults.EverythingLost())
        with trio.fail_after(PATIENCE_S):
            while journal.problem is not None:
                await trio.sleep(0.1)
        await talk(store, 1)


async def test_the_answer_of_a_node_that_is_being_forgotten_stands_for_no_other(autojump_clock: MockClock) -> None:
    server = await new_log()
    other = MemoryLog(server, "other")

    async def offer(instance: str) -> None:
        fences, ends = await other.fences(range(PARTITIONS)), await other.ends(range(PARTITIONS))
        for partition, end in ends.items():
            await other.offer(partition, fences.servers[partition], instance, end, ballot_of(end.term) + 1)

    async with joined_store(server, "north", inline()) as (store, _), trio.open_nursery() as nursery:
        journal = journal_of(store)
        await count_here(store, "south", "gone")
        await trio.sleep(3)
        server.strike(faults.Promoted())
        nursery.start_soon(journal.forget, "gone")
        for _ in range(6):
            await offer("gone")
            await trio.sleep(1)
        fences = await other.fences(range(PARTITIONS))
        assert not any(is_in_order(fences, partition) for partition in range(PARTITIONS)), "the south may have more"
        problem = str(journal.problem)
        assert "being repaired; south must answer" in problem and "gochat cluster forget" in problem
        with trio.fail_after(PATIENCE_S):
            while journal.problem is not None:
                await offer("south")
                await trio.sleep(0.1)
            while "gone" in journal.members:
                await trio.sleep(0.1)


async def test_a_node_that_was_forgotten_by_half_can_be_forgotten_again(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with joined_store(server, "north", inline()) as (store, _):
        journal = journal_of(store)
        await count_here(store, "gone")
        await journal._membership.record([NodeIs("gone", "forgotten")], [SITE])
        assert journal.members == ["gone", "north"], "other partitions still wait for it"
        forget = answers(journal, shared(server, "north"))["/internal/forget"]
        await forget(msgspec.json.encode(Forget("gone")))
        assert journal.members == ["north"]


@pytest.mark.parametrize("dies_with", [EpochIs, NodeIs], ids=["before the epoch", "after the epoch"])
async def test_a_forget_that_was_cut_short_by_a_death_gives_a_new_epoch_when_it_is_run_again(
    dies_with: type, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room's partition is repaired without the dead node before the new epoch stands in the log: a client that has
    what was lost with the node would be told of the old epoch."""
    send_to, dead = Recording._send_to, trio.Event()

    def dies(self: Recording, partition: int) -> None:
        if not isinstance(self._news[0], dies_with):
            send_to(self, partition)
            return
        self._on_way[partition] = 0
        dead.set()

    server = await new_log()
    question = msgspec.json.encode(Forget("west"))
    async with joined_store(server, "south", inline()) as (south, _):
        journal = journal_of(south)
        first = journal.epoch
        async with joined_store(server, "north", inline()) as (north, _):
            async with joined_store(server, "west", inline()):
                await trio.sleep(1)
                server.strike(faults.Unreachable(node="west"))
            server.strike(faults.Promoted())
            await trio.sleep(1)
            assert "west (west) must answer" in str(journal.problem)
            monkeypatch.setattr(Recording, "_send_to", dies)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answers(journal_of(north), shared(server, "north"))["/internal/forget"], question)
                with trio.fail_after(PATIENCE_S):
                    await dead.wait()
                await trio.sleep(1)  # All that may be repaired is by then.
                nursery.cancel_scope.cancel()
            monkeypatch.undo()
            server.strike(faults.Unreachable(node="north"))
        in_order = dict.fromkeys((SITE, PARTITION), True)
        if dies_with is EpochIs:
            in_order[PARTITION] = False
        fences = await MemoryLog(server, "other").fences(range(PARTITIONS))
        assert {p: is_in_order(fences, p) for p in in_order} == in_order
        assert "west" in journal.members, "nobody was told"
        before = journal.epoch
        assert (before == first) == (dies_with is EpochIs)
        forget = answers(journal, shared(server, "south"))["/internal/forget"]
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(forget, msgspec.json.encode(Forget("north")))
                assert await forget(question) == b'{"new_epoch":true}'
        assert journal.members == ["south"] and journal.epoch != before


# ---------------------------------------------------------------------------------------------- who else writes


async def test_what_no_node_wrote_is_void_and_told_of_once_in_a_while(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = await new_log()
    forger = MemoryLog(server, "forger")
    async with joined_store(server, "north", inline()) as (store, _):
        term = (await forger.fences([PARTITION])).by_partition[PARTITION].term
        for _ in range(2):
            await forger.append([Batch(PARTITION, term, [b"x" * 100, b"x"])])
            await talk(store, 1)
        verdicts = journal_of(store).verdicts
        assert (verdicts["forged"], verdicts["void"]) == (4, 0)
        assert (await store.journal.load(DM)).head == 2
        (told,) = [record for record in caplog.messages if "nobody who knows cluster.secret wrote it" in record]
        await trio.sleep(60)
        await forger.append([Batch(PARTITION, term, [b"y"])])
        await talk(store, 1)
        assert caplog.messages[-1] != told and "5 so far" in caplog.messages[-1]
