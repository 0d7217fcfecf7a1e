"""A node of a cluster serves while it counts, is known to count, and hears of the log; else it says why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.clock import PATIENCE_S
from gochat.cluster.journal import LEAVE_S, joined
from gochat.cluster.ports import PARTITIONS, ServerAway
from gochat.cluster.registry import CLOCK_S, NodeRegistry, RolledBack
from gochat.cluster.serving import AWAY_S, CATCHING_UP, LAG_S, LOOK_S, PUT_OUT
from gochat.domain.side_records import Audited, Revoked, Suspended
from gochat.errors import StoreError
from tests.cluster.joining import inline, journal_of, new_log, serving, shared, until

SUSPENDED = [Suspended("bob", True, 1), Audited(1, "root", "user.suspend", "bob")]

pytestmark = pytest.mark.usefixtures("one_clock")


async def test_nothing_is_taken_before_the_node_has_caught_up(autojump_clock: MockClock) -> None:
    async with inline() as store, joined(store.replica, shared(await new_log(), "north")) as journal:
        journal.listen(lambda batch: None)
        assert journal.behind == CATCHING_UP
        with pytest.raises(StoreError, match="caught up"):
            await journal.append_side_records(SUSPENDED)
        await journal.wait_present()
        await journal.append_side_records(SUSPENDED)


async def test_the_others_know_that_a_node_counts_before_it_serves(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with serving(server, "north") as (north,):
        server.strike(faults.Slow(node="north", delay_s=0.3))
        async with serving(server, "south"):
            known = [of.here for of in journal_of(north)._inbox.partitions]
            assert known == [["north", "south"]] * PARTITIONS


async def test_a_dead_node_keeps_nobody_from_serving(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with serving(server, "north", "west"), inline() as store:
        server.strike(faults.Unreachable(node="north"))
        await trio.sleep(5)
        since = trio.current_time()
        async with joined(store.replica, shared(server, "south")) as journal:
            journal.listen(lambda batch: None)
            await journal.wait_present()
            assert trio.current_time() - since < 2


async def test_a_node_that_is_put_out_sends_its_clients_away_and_takes_nothing(autojump_clock: MockClock) -> None:
    server = await new_log()
    left: list[str] = []
    async with serving(server, "north") as (north,), inline() as store:
        async with joined(store.replica, shared(server, "south")) as journal:
            journal.listen(lambda batch: None)
            await journal.wait_present()
            journal.when_clients_leave(lambda: left.append(journal.behind or ""))
            await journal_of(north).forget("south")
            await until(lambda: left)
            await trio.sleep(1)
            assert left == [PUT_OUT] and journal.behind == PUT_OUT
            with pytest.raises(StoreError, match="put out"):
                await journal.append_side_records(SUSPENDED)
            journal.note_user("ann", last_seen=1)
            await journal.flush_notes()
            since = trio.current_time()
        assert trio.current_time() - since < LEAVE_S, "it does not try to be away"


async def test_clients_start_anew_where_the_log_waited_for_a_node_while_it_was_put_out(
    autojump_clock: MockClock,
) -> None:
    """The log is in order when it begins, and then its server loses what that node alone may have had."""
    server = await new_log()
    answers: list[bool] = []
    async with serving(server, "north", "south") as (north, _):
        server.strike(faults.Unreachable(node="south"))
        await trio.sleep(5)
        journal = journal_of(north)
        assert journal.problem is None
        epoch = journal.epoch

        async def forget() -> None:
            answers.append(await journal.forget("south"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forget)
            server.strike(faults.Promoted(entries=1))
        assert answers == [True]
        assert journal.epoch != epoch
        assert journal.members == ["north"]


async def test_nodes_that_have_not_got_a_suspension_are_named(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = await new_log()
    async with serving(server, "north", "south", "west") as (north, _, _):
        server.strike(faults.Unreachable(node="west"))
        await trio.sleep(5)
        journal = journal_of(north)
        await journal.append_side_records([Revoked("jti", "ticket:t", 1)])
        assert "lack it" not in caplog.text, "no node has to know of a ticket"
        await journal.append_side_records(SUSPENDED)
        (warning,) = [record.getMessage() for record in caplog.records if "lack it" in record.getMessage()]
        assert warning.endswith(": west")
        await trio.sleep(1)
        entries, _ = await north.archive.audit(10, None)
        (named,) = [entry for entry in entries if entry.action == "node.unconfirmed"]
        assert (named.actor, named.subject) == ("root", "west") and '"bob"' in str(named.detail)
        server.strike(faults.Mended(node="west"))


async def test_a_node_that_has_not_heard_of_the_log_for_long_serves_nobody(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with serving(server, "north", "west") as (_, west):
        journal = journal_of(west)
        serves = journal.serving
        await trio.sleep(LAG_S)
        assert serves.lag is None and serves.behind_s <= LOOK_S, "it hears of the log"
        server.strike(faults.Unreachable(node="west"))
        await trio.sleep(LAG_S - LOOK_S)
        assert serves.lag is None
        await trio.sleep(2 * LOOK_S)
        assert serves.lag is not None and LAG_S < serves.behind_s <= LAG_S + 2 * LOOK_S
        await trio.sleep(AWAY_S - serves.behind_s - LOOK_S)
        assert journal.behind is None
        await trio.sleep(2 * LOOK_S)
        assert journal.behind is not None and "away" in journal.behind
        with pytest.raises(StoreError, match="away"):
            await journal.append_side_records(SUSPENDED)
        server.strike(faults.Mended(node="west"))
        await until(lambda: journal.behind is None)
        assert serves.lag is None
        await journal.append_side_records(SUSPENDED)


async def test_a_node_whose_clock_is_wrong_takes_nothing(autojump_clock: MockClock) -> None:
    async with serving(await new_log(), "north", "south") as (north, south):
        journal = journal_of(south)
        await until(lambda: journal.registry.alive)
        clock = journal.registry.clock
        right = clock._now_ms
        clock._now_ms = lambda: right() + 3_600_000
        with pytest.raises(StoreError, match="set forward by 3,600 s"):
            await journal.append_side_records(SUSPENDED)
        await until(lambda: "ahead" in str(journal.registry.clock_problem))
        with pytest.raises(StoreError, match="3,600 s ahead"):
            await journal.append_side_records(SUSPENDED)
        await journal_of(north).append_side_records(SUSPENDED)
        for user in ("ann", "bob"):
            journal.note_user(user, name=user.title(), last_seen=right() + 3_600_000)
        journal.note_user("cat", last_seen=right() + 3_600_000)
        await journal.flush_notes()
        assert await south.archive.users(["ann", "bob", "cat"]) == {"ann": ("Ann", None), "bob": ("Bob", None)}
        clock._now_ms = right
        await until(lambda: not journal.registry.clock_problem)
        await journal.append_side_records(SUSPENDED)


@pytest.mark.parametrize("is_away", [True, False], ids=["away", "too slow"])
async def test_a_clock_that_could_not_be_looked_at_is_not_taken_to_be_right(
    is_away: bool, autojump_clock: MockClock
) -> None:
    """As after a power cut, where a node is there before the time is and before Redis is."""
    server = await new_log()
    place = shared(server, "south")
    now, looks = place.bulletin.now, [0.0]

    async def later() -> int:
        looks.append(trio.current_time())
        if len(looks) > 2:
            return await now()
        if is_away:
            raise ServerAway("it does not answer")
        await trio.sleep(1.5)
        return await now()

    async with serving(server, "north"), inline() as store, joined(store.replica, place) as journal:
        right = journal.registry.clock._now_ms
        journal.registry.clock._now_ms = lambda: right() + 3_600_000
        place.bulletin.now = later  # type: ignore[method-assign,assignment]
        journal.listen(lambda batch: None)
        await journal.wait_present()
        with pytest.raises(StoreError, match=r"ahead of|takes too long"):
            await journal.append_side_records(SUSPENDED)
        await until(lambda: "ahead" in str(journal.registry.clock_problem))
        assert looks[2] - looks[1] < CLOCK_S / 2


@pytest.mark.parametrize("agrees", [False, True], ids=["and differs", "and has the server's time again"])
async def test_a_wrong_clock_is_not_right_because_the_others_are_away(autojump_clock: MockClock, agrees: bool) -> None:
    server = await new_log()
    async with serving(server, "north", "south") as (_, south):
        journal = journal_of(south)
        await until(lambda: journal.registry.alive)
        clock = journal.registry.clock
        right = clock._now_ms
        clock._now_ms = lambda: right() + 3_600_000
        await until(lambda: "ahead" in str(journal.registry.clock_problem))
        server.strike(faults.Unreachable(node="north"))
        await until(lambda: not journal.registry.alive)
        await trio.sleep(2 * CLOCK_S)
        assert "ahead" in str(journal.registry.clock_problem)
        clock._now_ms = lambda: right() + 3_660_000
        if agrees:
            clock._now_ms = right
            await until(lambda: journal.registry.clock_problem is None)
            await journal.append_side_records(SUSPENDED)
        else:
            await trio.sleep(2 * CLOCK_S)
            assert journal.registry.clock_problem is not None
        server.strike(faults.Mended(node="north"))


@pytest.mark.parametrize("alone", [True, False])
async def test_a_clock_that_leaps_and_is_right_costs_a_moment(autojump_clock: MockClock, alone: bool) -> None:
    """As after a machine slept, or where it started with a clock that was slow, and all others know better."""
    server = await new_log()
    async with serving(server, "north", *[] if alone else ["south"]) as (north, *others):
        journal = journal_of(north)
        await until(lambda: journal.registry.members and (alone or journal.registry.alive))
        await trio.sleep(CLOCK_S)
        clock, right = journal.registry.clock, journal.registry.clock._now_ms
        with trio.fail_after(PATIENCE_S):
            clock._now_ms = lambda: right() + 3_600_000
            for store in others:
                journal_of(store).registry.clock._now_ms = clock._now_ms
            server.strike(faults.ClockSet(ahead_ms=3_600_000))
            with pytest.raises(StoreError, match="set forward by 3,600 s"):
                await journal.append_side_records(SUSPENDED)
            await until(lambda: journal.registry.clock_problem is None)
            await journal.append_side_records(SUSPENDED)


@pytest.mark.parametrize("ahead_ms", [3_600_000, -3_600_000])
async def test_nodes_go_on_when_the_clock_of_the_server_is_set(autojump_clock: MockClock, ahead_ms: int) -> None:
    server = await new_log()
    async with AsyncExitStack() as stack:
        journals = []
        for name in ("north", "south", "west"):
            (store,) = await stack.enter_async_context(serving(server, name))
            journals.append(journal_of(store))
            await trio.sleep(CLOCK_S / 3)  # They look at different times.
        await until(lambda: all(len(journal.registry.alive) == 2 for journal in journals))
        server.strike(faults.ClockSet(ahead_ms=ahead_ms))
        ends = trio.current_time() + 20
        while trio.current_time() < ends:
            assert [journal.registry.clock_problem for journal in journals] == [None] * 3
            await trio.sleep(0.1)
        assert all(abs(journal.registry.clock.ahead_ms + ahead_ms) < 5_000 for journal in journals)


async def test_a_node_whose_disk_is_full_stops(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(certifier: Any, news: Mapping[int, Sequence[Any]]) -> NoReturn:
        raise StoreError("the disk is full")

    with trio.fail_after(60):
        async with inline() as store, joined(store.replica, shared(await new_log(), "north")) as journal:
            journal.listen(lambda batch: None)
            await journal.wait_present()
            monkeypatch.setattr(store.replica, "follow", full)
            journal.note_user("ann", last_seen=1)
            await until(lambda: journal.problem)


async def test_a_folder_that_was_rolled_back_is_not_served(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(registry: NodeRegistry) -> None:
        """Nobody is told."""

    server = await new_log()
    async with serving(server, "north"):
        with monkeypatch.context() as patch:
            patch.setattr(NodeRegistry, "leave", crash)
            async with serving(server, "south") as (south,):
                await journal_of(south).append_side_records(SUSPENDED)
                await trio.sleep(1)
        with pytest.raises(BaseExceptionGroup) as caught, trio.fail_after(60):
            async with serving(server, "south"):
                pass
        assert caught.value.subgroup(RolledBack) is not None
