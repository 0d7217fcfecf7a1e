"""A node that starts beside others that count, and finds none of them, may be at a server that they have left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.answers import Forget, answers
from gochat.cluster.beat import BeatCodec
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.membership import Membership
from gochat.cluster.memory_server import MemoryServer
from gochat.domain.side_records import Audited
from gochat.errors import StoreError
from gochat.store import Store
from tests.cluster.joining import CLUSTER, SECRET, inline, journal_of, new_log, serving, shared, until

NOTED = [Audited(1, "root", "user.suspend", "bob")]
#: Long after a node that may serve does.
LONG_S = 30.0

pytestmark = pytest.mark.usefixtures("one_clock")


@asynccontextmanager
async def started(server: MemoryServer, name: str, store: Store) -> AsyncIterator[ClusterJournal]:
    async with joined(store.replica, shared(server, name)) as journal:
        journal.listen(lambda batch: None)
        yield journal


async def runs_once(server: MemoryServer, name: str, store: Store) -> None:
    async with started(server, name, store) as journal:
        await journal.wait_present()


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[MemoryServer], None]:
    """Cuts north off from the server at the instant in which another node has found it alive, and begins to count."""

    def prepare(server: MemoryServer) -> None:
        record = Membership.record

        async def record_alone(membership: Membership, *args: object) -> None:
            monkeypatch.setattr(Membership, "record", record)
            server.strike(faults.Unreachable(node="north"))
            await record(membership, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(Membership, "record", record_alone)

    return prepare


async def move_to_another_primary(server: MemoryServer, journal: ClusterJournal, *clients: object) -> None:
    """Have these connections of the node made anew, which lead where the sentinels point then."""
    terms = journal.terms
    server.strike(faults.TwoPrimaries(entries=0))
    for client in clients:
        client._connected = None  # type: ignore[attr-defined]
    await until(lambda: all(new > old for new, old in zip(journal.terms, terms, strict=True)))


async def assert_waits(journal: ClusterJournal, *names: str) -> None:
    await trio.sleep(LONG_S)
    assert journal.behind is not None
    assert all(name in journal.behind for name in names) and "gochat cluster forget" in journal.behind
    assert journal.problem is None
    with pytest.raises(StoreError, match="confirmed"):
        await journal.append_side_records(NOTED)


@pytest.mark.parametrize("beats", [True, False], ids=["beside its beats", "where nobody beats"])
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "back"])
async def test_a_node_does_not_serve_alone_at_an_old_primary(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, is_new: bool, beats: bool
) -> None:
    """All that it acknowledged there would be lost: the others do not wait for it at the new one."""
    server = await new_log()
    place = shared(server, "north")
    async with inline() as other, inline() as store, joined(other.replica, place) as north:
        north.listen(lambda batch: None)
        await north.wait_present()
        if not is_new:
            await runs_once(server, "south", store)
        if beats:
            # Its beats go on at the old one, as they do for a moment, until they follow the log.
            monkeypatch.setattr(place.bulletin, "renew", lambda: None)
        clients = (place.log,) if beats else (place.log, place.bulletin)
        await move_to_another_primary(server, north, *clients)
        await trio.sleep(5)
        server.strike(faults.Flipped())
        old = server.primary
        async with started(server, "south", store) as south:
            await assert_waits(south, "north")
            fresh = {each.instance for each in old.members() if each.age_ms < 2_000}
            assert fresh == ({"north", "south"} if beats else {"south"})
            assert north.members == ["north"]
            server.strike(faults.Flipped())
            server.strike(faults.OldGone())
            with trio.fail_after(60):
                await south.wait_present()
            await south.append_side_records(NOTED)
            await until(lambda: north.members == ["north", "south"])
            entries, _ = await other.archive.audit(10, None)
            assert [entry.actor for entry in entries] == ["root"]


async def test_after_a_stop_of_all_the_last_one_goes_on_and_any_other_waits_for_it(
    autojump_clock: MockClock,
) -> None:
    server = await new_log()
    async with inline() as first, inline() as last:
        async with started(server, "last", last) as journal:
            await journal.wait_present()
            await runs_once(server, "first", first)
        async with started(server, "first", first) as journal:
            await assert_waits(journal, "last")
            async with started(server, "last", last) as other:
                with trio.fail_after(5):
                    await other.wait_present()
                    await journal.wait_present()
                await journal.append_side_records(NOTED)


async def test_nodes_that_wait_do_not_confirm_each_other(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with AsyncExitStack() as stack:
        stores = {name: await stack.enter_async_context(inline()) for name in ("last", "one", "two")}
        async with started(server, "last", stores["last"]) as journal:
            await journal.wait_present()
            for name in ("one", "two"):
                await runs_once(server, name, stores[name])
        journals = [await stack.enter_async_context(started(server, name, stores[name])) for name in ("one", "two")]
        for journal in journals:
            await assert_waits(journal, "last")


async def test_a_node_that_waits_can_be_told_to_go_on_without_the_others(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with inline() as store:
        async with serving(server, "gone"):
            await runs_once(server, "south", store)
        async with started(server, "south", store) as journal:
            await assert_waits(journal, "gone")
            forget = answers(journal, shared(server, "south"))["/internal/forget"]
            await forget(msgspec.json.encode(Forget("gone")))
            with trio.fail_after(5):
                await journal.wait_present()
            assert journal.behind is None and journal.members == ["south"]


async def test_a_node_that_was_killed_goes_on_alone(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counted all the time: wherever the log is repaired it was waited for."""

    async def die(*_: object) -> None:
        """Nobody is told."""

    server = await new_log()
    async with inline() as store:
        async with serving(server, "north"):
            with monkeypatch.context() as patch:
                patch.setattr(ClusterJournal, "leave", die)
                await runs_once(server, "south", store)
            await trio.sleep(5)
        async with started(server, "south", store) as journal:
            with trio.fail_after(20):
                await journal.wait_present()
            assert journal.members == ["north", "south"]
            await journal.append_side_records(NOTED)


async def test_a_node_that_stops_before_it_is_confirmed_waits_again_at_its_next_start(
    autojump_clock: MockClock, cut_off: Callable[[MemoryServer], None]
) -> None:
    """Otherwise a restart would be a way to go on alone, and the first one that comes to mind."""
    server = await new_log()
    async with serving(server, "north") as (north,), inline() as store:
        cut_off(server)
        async with started(server, "south", store) as journal:
            await assert_waits(journal, "north")
            assert journal.members == ["north", "south"]
        async with started(server, "south", store) as journal:
            await assert_waits(journal, "north")
            assert journal.members == ["north"]
            server.strike(faults.Mended(node="north"))
            with trio.fail_after(60):
                await journal.wait_present()
        assert journal_of(north).problem is None


async def test_a_node_that_is_unconfirmed_confirms_nobody(
    autojump_clock: MockClock, cut_off: Callable[[MemoryServer], None]
) -> None:
    """It counts by the log that it follows, and beats there: two of them would serve, at a primary that all have
    left."""
    server = await new_log()
    async with serving(server, "north"), inline() as one, inline() as two:
        cut_off(server)
        async with started(server, "south", one) as south:
            await assert_waits(south, "north")
            async with started(server, "west", two) as west:
                await assert_waits(west, "north")
                await assert_waits(south, "north")
                assert south.members == ["north", "south"], "west does not count by this log"
                server.strike(faults.Mended(node="north"))
                with trio.fail_after(60):
                    await south.wait_present()
                    await west.wait_present()


async def test_a_node_does_not_take_an_old_sign_of_life_for_company(autojump_clock: MockClock) -> None:
    """The others may be cut off. None of them would know what the node wrote, and if the server lost that, they would
    put the log back without it: the node could not follow that any more."""
    server = await new_log()
    async with serving(server, "north"), inline() as store:
        await trio.sleep(1)
        server.strike(faults.Unreachable(node="north"))
        async with started(server, "south", store) as south:
            await trio.sleep(1)
            assert any(each.instance == "north" and each.age_ms < 2_000 for each in server.primary.members())
            assert south.members == ["north"]
            server.strike(faults.EverythingLost())
            server.strike(faults.Mended(node="north"))
            with trio.fail_after(60):
                await south.wait_present()
            await south.append_side_records(NOTED)


async def test_the_nodes_of_a_new_cluster_keep_nobody_waiting(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with AsyncExitStack() as stack:
        stores = {name: await stack.enter_async_context(inline()) for name in ("north", "south", "west")}
        journals = [await stack.enter_async_context(started(server, *each)) for each in stores.items()]
        with trio.fail_after(2):
            for journal in journals:
                await journal.wait_present()


async def test_nodes_that_start_together_keep_nobody_waiting(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(server, "north"))
        stores = {name: await stack.enter_async_context(inline()) for name in ("south", "west")}
        journals = [await stack.enter_async_context(started(server, *each)) for each in stores.items()]
        with trio.fail_after(2):
            for journal in journals:
                await journal.wait_present()


async def test_a_node_that_did_not_count_tells_from_its_start_nothing_of_what_it_has(
    autojump_clock: MockClock, cut_off: Callable[[MemoryServer], None]
) -> None:
    """A beat that it gave before it began to count would make sure of another node, once it does."""
    server = await new_log()
    decode = BeatCodec(CLUSTER, SECRET).decode

    async def told() -> set[bool]:
        """Whether beats of south tell how far it is."""
        members = [member for member in server.primary.members() if member.instance == "south"]
        return {bool(info.seen) for member in members if (info := decode(member)) is not None}

    async with serving(server, "north"), inline() as store:
        cut_off(server)
        seen: set[bool] = set()
        async with started(server, "south", store) as south:
            while south.members != ["north", "south"]:
                seen |= await told()
                await trio.sleep(0.01)
            await assert_waits(south, "north")
            assert seen | await told() == {False}
            server.strike(faults.Mended(node="north"))
            with trio.fail_after(60):
                await south.wait_present()
            await until(lambda: not south.registry.is_unconfirmed)
            await trio.sleep(1)
            assert await told() == {True}


async def test_nodes_that_are_all_unconfirmed_do_not_wait_for_each_other(
    autojump_clock: MockClock, cut_off: Callable[[MemoryServer], None]
) -> None:
    """The one that made them wait is given up."""
    server = await new_log()
    async with AsyncExitStack() as stack:
        stores = {name: await stack.enter_async_context(inline()) for name in ("south", "west")}
        await stack.enter_async_context(serving(server, "north"))
        cut_off(server)
        south, west = [await stack.enter_async_context(started(server, *each)) for each in stores.items()]
        await until(lambda: south.members == ["north", "south", "west"])
        await assert_waits(south, "north")
        await assert_waits(west, "north")
        forget = answers(west, shared(server, "west"))["/internal/forget"]
        await forget(msgspec.json.encode(Forget("north")))
        with trio.fail_after(10):
            await south.wait_present()
            await west.wait_present()


async def test_a_node_that_stops_while_it_begins_to_count_waits_at_its_next_start(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with serving(server, "north"), inline() as store:
        await runs_once(server, "south", store)

        async def stall(news: object) -> None:
            """As on a disk that stands still."""
            await trio.sleep_forever()

        async with joined(store.replica, shared(server, "south")) as journal:
            journal._inbox.record = stall  # type: ignore[method-assign,assignment]
            journal.listen(lambda batch: None)
            await until(lambda: journal._membership.has_begun)
            await trio.sleep(1)
            assert journal.members == ["north"], "the node has not read that it counts"
        server.strike(faults.Unreachable(node="north"))
        await trio.sleep(5)
        async with started(server, "south", store) as journal:
            await assert_waits(journal, "north")
