"""All nodes keep the notices that one of them finds and sends; whichever takes over goes on, and nothing gets lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat import store as stores
from gochat.actors.live import Live
from gochat.auth.standing import Standing
from gochat.cluster import faults
from gochat.cluster import notices as logged_notices
from gochat.cluster.lease import Lease
from gochat.cluster.memory import MemoryBulletin
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.notices import LoggedNotices
from gochat.domain import commands
from gochat.domain.facts import AnyFact
from gochat.domain.notices import Attempt, Subscribed, Subscription
from gochat.domain.record import RoomRecord
from gochat.domain.side_records import AnySideRecord
from gochat.errors import Full, StoreError
from gochat.neighbours import Neighbours
from gochat.notifying import Notifying
from gochat.ports.journal import Journal, OnRecorded
from gochat.store import Store
from gochat.wall_clock import wall_ms
from tests.cluster.joining import joined_store, journal_of, new_log, shared, until
from tests.contracts.notices import BOUNDS, HOOK, NoticesContract, notice
from tests.contracts.scribe import Scribe
from tests.e2e.conftest import make_settings
from tests.notify.stand_in import MemoryChannel
from tests.notify.town import TEA, Town

TABLES = ("notified", "notice", "notice_room", "push_device")


class TwoJournals:
    """Whatever is recorded is recorded by two nodes."""

    def __init__(self, first: Journal, second: Journal) -> None:
        self._first = first
        self._second = second

    def __getattr__(self, name: str) -> Any:
        return getattr(self._first, name)

    def append(
        self, record: RoomRecord, facts: Sequence[AnyFact], side_records: Sequence[AnySideRecord], done: OnRecorded
    ) -> None:
        self._first.append(record, facts, side_records, done)
        self._second.append(record, facts, side_records, lambda result: None)

    async def append_side_records(self, side_records: Sequence[AnySideRecord], *, room: str = "") -> None:
        await self._first.append_side_records(side_records, room=room)
        await self._second.append_side_records(side_records, room=room)


class TestLoggedNotices(NoticesContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Any]:
        async with stores.open_inline(":memory:", notices=True) as inner:
            logged = LoggedNotices(inner.notices, inner.journal)
            yield SimpleNamespace(journal=inner.journal, lookups=inner.lookups, notices=logged)


class Nodes:
    """Two nodes with one log. Each may notify."""

    def __init__(self, stores_: Sequence[Store], nursery: trio.Nursery) -> None:
        self.stores = stores_
        self.journal: Any = TwoJournals(stores_[0].journal, stores_[1].journal)
        self.lookups = stores_[0].lookups
        self.nursery = nursery
        self._began = trio.current_time()

    def notify(self, place: int, *channels: MemoryChannel, kind: type[Town] = Town) -> Town:
        """Have a node notify."""
        logged = LoggedNotices(self.stores[place].notices, self.journal)
        parts: Any = SimpleNamespace(notices=logged, journal=self.journal, lookups=self.lookups)
        town = kind(parts, self.nursery, channels=list(channels))
        town.began = self._began
        return town

    async def rows(self, place: int) -> dict[str, list[Any]]:
        store = self.stores[place]
        return {
            table: await store.notices._write(
                lambda connection, table=table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            )
            for table in TABLES
        }


@asynccontextmanager
async def keep_nodes() -> AsyncIterator[Nodes]:
    async with (
        stores.open_inline(":memory:", notices=True) as first,
        stores.open_inline(":memory:", notices=True) as second,
        trio.open_nursery() as nursery,
    ):
        for store in (first, second):
            # Nodes of a cluster have one.
            await store.notices._write(lambda connection: connection.execute("UPDATE meta SET epoch = 'e'"))
        yield Nodes((first, second), nursery)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def nodes(autojump_clock: MockClock) -> AsyncIterator[Nodes]:
    async with keep_nodes() as nodes:
        yield nodes


async def test_much_that_was_found_is_several_entries(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged_notices, "MOST_AT_ONCE", 2)
    recorded: list[Any] = []

    class Recording:
        async def append_side_records(self, side_records: Sequence[Any]) -> None:
            recorded.extend(side_records)
            await nodes.journal.append_side_records(side_records)

    logged = LoggedNotices(nodes.stores[0].notices, Recording())  # type: ignore[arg-type]
    scribe = await Scribe.at(nodes, "dm:ann:bob")
    await scribe.said("hi")
    users = ["u1", "u2", "u3", "u4", "u5"]
    for count, sizes in ((5, [2, 2, 1]), (4, [2, 2]), (1, [1]), (0, [0])):
        found = [notice(user, scribe.record.room_pk) for user in users[:count]]
        await logged.add(found, {scribe.record.room_pk: 1}, HOOK, BOUNDS, 5000)
        assert [len(each.found) for each in recorded] == sizes
        assert [user for each in recorded for _, user, *_ in each.found] == users[:count]
        assert [bool(each.looked) for each in recorded] == [False] * (len(sizes) - 1) + [True]
        recorded.clear()
    tried = [Attempt(f"ntf_{user}", "webhook", 0, "delivered", 6000) for user in users]
    await logged.finish(tried, BOUNDS)
    assert [each.attempts for each in recorded] == [tried[:2], tried[2:4], tried[4:]]
    assert not await nodes.stores[1].notices.entries(dead=False, limit=9)


async def test_both_nodes_keep_the_same(nodes: Nodes, autojump_clock: MockClock) -> None:
    hook, push = MemoryChannel(), MemoryChannel("push")
    town = nodes.notify(0, hook, push)
    for user in ("bob", "cat"):
        device = Subscription(f"https://push.example/{user}", "p", "a")
        await nodes.journal.append_side_records([Subscribed(user, device, town.now_ms(), None)])
    tea = await Scribe.at(nodes, TEA)
    tea.now_ms = town.now_ms()
    await tea.made(commands.Create, users=("bob", "cat"))
    dm = await Scribe.at(nodes, "dm:ann:bob")
    hook.then.extend(["busy", "gone"])
    push.then.extend(["gone", "busy"])
    for scribe in (tea, dm):
        await town.said(scribe, "one")
        await trio.sleep(400)
        assert await nodes.rows(0) == await nodes.rows(1)
    hook.down = True
    await town.said(tea, "more", user="bob")
    await trio.sleep(600)
    waiting = await nodes.stores[0].notices.entries(dead=False, limit=10)
    assert waiting
    dead = [Attempt(each.id, each.channel, 0, "dead", town.now_ms(), 30, 0, "503") for each in waiting]
    await town.store.notices.finish(dead, BOUNDS)
    assert (await nodes.stores[1].notices.counts())["webhook", "dead"]
    assert await town.store.notices.revive(None, town.now_ms())
    assert await nodes.rows(0) == await nodes.rows(1)
    hook.down = False
    town.senders[0].wake()
    await trio.sleep(60)
    found = await nodes.rows(1)
    assert found == await nodes.rows(0)
    assert not found["notice"]


async def test_a_node_that_takes_over_sends_the_rest_and_nothing_twice(nodes: Nodes, autojump_clock: MockClock) -> None:
    first, second = MemoryChannel(), MemoryChannel()
    town = nodes.notify(0, first)
    tea = await Scribe.at(nodes, TEA)
    tea.now_ms = town.now_ms()
    await tea.made(commands.Create, users=tuple(f"u{n}" for n in range(6)))
    first.then.extend(["", "", *["busy"] * 100])
    await town.said(tea, "one")
    await trio.sleep(303)
    assert len(first.received) == 2
    town.scope.cancel()
    await trio.sleep(1)
    nodes.notify(1, second)
    await trio.sleep(3600)
    told = [each.user for each, _ in [*first.received, *second.received]]
    assert sorted(told) == [f"u{n}" for n in range(6)]


async def test_what_was_sent_and_not_recorded_is_sent_again_under_its_id(
    nodes: Nodes, autojump_clock: MockClock
) -> None:
    first, second = MemoryChannel(), MemoryChannel()
    town = nodes.notify(0, first)
    dm = await Scribe.at(nodes, "dm:ann:bob")

    async def dies(*found: Any, **fields: Any) -> None:
        await trio.sleep_forever()

    town.store.notices.finish = dies  # type: ignore[method-assign]
    await town.said(dm, "one")
    await trio.sleep(310)
    assert len(first.received) == 1
    town.scope.cancel()
    await trio.sleep(2)
    nodes.notify(1, second)
    await trio.sleep(60)
    assert second.ids() == first.ids()


@asynccontextmanager
async def two_of_a_cluster() -> AsyncIterator[tuple[MemoryServer, Nodes]]:
    """The same over a cluster's log. Each node records what it finds itself."""
    server = await new_log()
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(joined_store(server, name, stores.open_inline(":memory:", notices=True)))
            for name in ("north", "south")
        ]
        nursery = await stack.enter_async_context(trio.open_nursery())
        nodes = Nodes([store for store, _ in found], nursery)
        yield server, nodes
        nursery.cancel_scope.cancel()


async def test_a_notification_keeps_its_id_when_the_epoch_becomes_another_one(autojump_clock: MockClock) -> None:
    """A node dies with a notification that it sent and did not record, and the cluster goes on without it."""
    first, second = MemoryChannel(), MemoryChannel()

    async def dies(*found: Any, **fields: Any) -> None:
        await trio.sleep_forever()

    async with two_of_a_cluster() as (_, nodes):
        north, south = nodes.stores
        nodes.journal = north.journal
        town = nodes.notify(0, first)
        town.store.notices.finish = dies  # type: ignore[method-assign]
        dm = await Scribe.at(nodes, "dm:ann:bob")
        await town.said(dm, "one")
        await trio.sleep(310)
        assert len(first.received) == 1
        town.scope.cancel()
        before = south.journal.epoch
        assert await journal_of(south).forget("dead", lacking=True)
        assert south.journal.epoch != before
        nodes.journal = south.journal
        town = nodes.notify(1, second)
        await trio.sleep(60)
        assert second.ids() == first.ids()


async def test_a_node_that_reads_a_new_epoch_and_notices_at_once_keeps_them_as_the_others_do(
    autojump_clock: MockClock,
) -> None:
    async with two_of_a_cluster() as (server, nodes):
        north, south = nodes.stores
        nodes.journal = north.journal
        await Scribe.at(nodes, "dm:ann:bob")
        logged = LoggedNotices(north.notices, north.journal)
        server.strike(faults.Unreachable(node="south"))
        await logged.add([notice("bob", 1)], {}, HOOK, BOUNDS, 5000)
        assert await journal_of(north).forget("dead", lacking=True)
        await logged.add([notice("cat", 1)], {}, HOOK, BOUNDS, 5000)
        server.strike(faults.Mended(node="south"))
        await south.journal.barrier()
        rows = [(await nodes.rows(place))["notice"] for place in (0, 1)]
        assert rows[0] == rows[1]
        assert len({row[-1] for row in rows[0]}) == 2


async def test_a_node_whose_clock_leaps_sends_nothing_though_it_has_the_lease(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    channel = MemoryChannel()
    async with two_of_a_cluster() as (server, nodes):
        north, south = nodes.stores
        nodes.journal = south.journal
        dm = await Scribe.at(nodes, "dm:ann:bob")
        await dm.said("hi")
        await until(lambda: journal_of(north).registry.alive)
        lease = Neighbours(shared(server, "north"), Live(), north, 3, wall_ms).notifier
        settings = make_settings(tmp_path, notify={"webhook_url": "https://example.org", "webhook_secret": "x" * 32})
        logged = [LoggedNotices(store.notices, store.journal) for store in nodes.stores]
        notifying = Notifying(settings, logged[0], north.journal, Live(), Standing(), wall_ms, lease)
        (sender,) = notifying.senders
        sender.channel = channel
        nodes.nursery.start_soon(notifying.run)
        await until(lambda: lease.is_held)
        clock = journal_of(north).registry.clock
        right = clock._now_ms
        clock._now_ms = lambda: right() + 9 * 3_600_000
        await logged[1].add([notice("bob", dm.record.room_pk)], {}, HOOK, BOUNDS, wall_ms())
        sender.wake()
        await trio.sleep(1)
        assert lease.is_held and (await logged[0].counts()) == {("webhook", "waiting"): 1}
        assert channel.tried == 0
        clock._now_ms = right
        await until(lambda: channel.received)


class Candidate(Town):
    """A node that notifies while it has the lease."""

    lease: Lease

    async def run(self) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.notifier.stand_by)
                await self.lease.run(self._notify)

    async def _notify(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.notifier.run)
            for sender in self.senders:
                nursery.start_soon(sender.run)


async def test_each_burst_is_one_nodes_work_whoever_dies(nodes: Nodes, autojump_clock: MockClock) -> None:
    """Of what becomes due within the ten seconds after a node's death nothing gets lost, and nothing is told twice."""
    server, channels = MemoryServer(), [MemoryChannel(), MemoryChannel()]

    class North(Candidate):
        lease = Lease(MemoryBulletin(server, "north"), "notifier", "north")

    class South(Candidate):
        lease = Lease(MemoryBulletin(server, "south"), "notifier", "south")

    towns = [nodes.notify(0, channels[0], kind=North)]
    await trio.sleep(1)
    towns.append(nodes.notify(1, channels[1], kind=South))

    async def said(user: str) -> None:
        scribe = await Scribe.at(nodes, f"dm:ann:{user}")
        await towns[0].said(scribe, "hi")
        towns[1].notifier.recorded(scribe.room, scribe.record, scribe.log[-1:], 1)

    users = [f"u{n:02}" for n in range(60)]
    for user in users:
        await said(user)
        await trio.sleep(5)
    await trio.sleep(150)
    assert channels[0].received
    assert not channels[1].received
    assert towns[1].notifier.rooms() < len(users), "what another node has done is forgotten"
    server.strike(faults.Unreachable(node="north"))
    towns[0].scope.cancel()
    await trio.sleep(600)
    told = [each.user for channel in channels for each, _ in channel.received]
    assert sorted(told) == users
    assert channels[1].received


async def test_a_log_that_is_full_is_waited_for(nodes: Nodes, autojump_clock: MockClock) -> None:
    class FullJournal:
        async def append_side_records(self, side_records: Any, *, room: str = "") -> None:
            raise Full("too many entries wait")

    journal: Any = FullJournal()
    logged = LoggedNotices(nodes.stores[0].notices, journal)
    with pytest.raises(StoreError):
        await logged.add([notice("bob", 1)], {}, HOOK, BOUNDS, 5000)
    assert await nodes.stores[0].notices.counts() == {}
