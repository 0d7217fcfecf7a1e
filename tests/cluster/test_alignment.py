"""The signs of life go where the log goes, and a node whose entries come is alive whether it beats or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.alignment import AGAIN_S, MOST_AGAIN_S, Alignment
from gochat.cluster.answers import Forget, answers
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.link import ServerLink, connector
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import BEAT_LIFE_S, ServerAway
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.registry import HEARD_S
from gochat.cluster.shared import Shared
from gochat.errors import Lives
from gochat.store import Store
from tests.appending import append_to
from tests.cluster.joining import inline, journal_of, new_log, serving, shared, until
from tests.cluster.real import PATIENCE_S, RealServer
from tests.contracts.journal import DM, message

NAMES = ("north", "south")

pytestmark = pytest.mark.usefixtures("one_clock")


@asynccontextmanager
async def started(place: Shared, store: Store) -> AsyncIterator[ClusterJournal]:
    async with joined(store.replica, place) as journal:
        journal.listen(lambda batch: None)
        with trio.fail_after(30):
            await journal.wait_present()
        yield journal


@asynccontextmanager
async def two_nodes(server: MemoryServer) -> AsyncIterator[tuple[list[Shared], list[ClusterJournal]]]:
    async with AsyncExitStack() as stack:
        places = [shared(server, name) for name in NAMES]
        stores = [await stack.enter_async_context(inline()) for _ in NAMES]
        yield places, [await stack.enter_async_context(started(*each)) for each in zip(places, stores, strict=True)]


async def move_the_log(server: MemoryServer, places: list[Shared], journals: list[ClusterJournal]) -> None:
    """To another primary. The old one lives on, and so do the connections of the bulletins to it."""
    terms = journals[0].terms
    server.strike(faults.TwoPrimaries(entries=0))
    for place in places:
        place.log._connected = None  # type: ignore[attr-defined]
    await until(lambda: all(new > old for j in journals for new, old in zip(j.terms, terms, strict=True)))


async def say(journal: ClusterJournal) -> None:
    record = await journal.load(DM)
    await append_to(journal, record, [message(DM, record.head + 1, ts=record.ts + 1)])


async def test_the_signs_of_life_and_subscriptions_follow_the_log_to_another_primary(
    autojump_clock: MockClock,
) -> None:
    server = await new_log()
    async with two_nodes(server) as (places, journals), places[0].bulletin.subscribe(["soft"]) as subscription:
        old = server.primary
        await move_the_log(server, places, journals)
        await until(lambda: {each.instance for each in server.primary.members() if each.age_ms < 1_000} == {*NAMES})
        await trio.sleep(BEAT_LIFE_S + 1)
        assert all(each.age_ms > BEAT_LIFE_S * 1_000 for each in old.members()), "nobody beats there any more"
        with pytest.raises(ServerAway):
            await subscription.receive()
        assert journals[0].problem is None


async def test_a_node_that_starts_after_the_log_has_moved_finds_the_others(autojump_clock: MockClock) -> None:
    """It would wait for ever, and tell its operator to put out nodes that serve."""
    server = await new_log()
    async with inline() as store, two_nodes(server) as (places, journals):
        async with started(shared(server, "west"), store):
            pass
        await move_the_log(server, places, journals)
        async with started(shared(server, "west"), store) as west:
            assert west.behind is None


async def test_a_node_whose_entries_come_is_not_put_out(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with two_nodes(server) as (places, (north, south)):
        forget = answers(north, places[0])["/internal/forget"]

        async def beat(*_: object, **__: object) -> bool:
            raise ServerAway("the bulletin is at a server that is away")

        places[1].bulletin.beat = beat  # type: ignore[method-assign]

        async def go_on() -> None:
            while True:
                await say(south)
                await trio.sleep(HEARD_S / 2)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on)
            await trio.sleep(3 * HEARD_S)
            assert north.registry.silent(["south"])
            with pytest.raises(Lives):
                await forget(msgspec.json.encode(Forget("south")))
            assert north.members == [*NAMES]
            nursery.cancel_scope.cancel()
        await trio.sleep(HEARD_S)
        await forget(msgspec.json.encode(Forget("south")))
        assert north.members == ["north"], "its last word is old"


async def test_entries_that_are_read_once_a_node_is_being_put_out_are_no_sign_of_life(
    autojump_clock: MockClock,
) -> None:
    """A node behind a slow disk comes to old ones late: all clients would start anew, and the other one still count."""
    server = await new_log()
    async with serving(server, "north") as (store,):
        north = journal_of(store)
        async with serving(server, "south"):
            server.strike(faults.Unreachable(node="south"))
        await trio.sleep(2 * BEAT_LIFE_S)
        north.registry._heard = lambda _: trio.current_time()
        with trio.fail_after(60):
            assert await north.forget("south", lacking=True)
        assert north.members == ["north"]


async def test_entries_that_are_read_while_a_node_catches_up_are_no_sign_of_life(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with two_nodes(server) as (_, (_, south)), inline() as store:
        await trio.sleep(1)
        for _ in range(3):
            await say(south)
        async with joined(store.replica, shared(server, "west")) as west:
            heard: list[float] = []
            compare = west._nodes.compare

            def compare_and_look(partition: int) -> None:
                compare(partition)
                heard.append(west._nodes.heard("south"))

            west._nodes.compare = compare_and_look  # type: ignore[method-assign]
            west.listen(lambda batch: None)
            with trio.fail_after(30):
                await west.wait_present()
            assert heard and max(heard) < 0


async def test_entries_from_before_the_start_or_a_repair_are_no_sign_of_life(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with two_nodes(server) as (_, (north, south)), inline() as store:
        await trio.sleep(1)
        for _ in range(3):
            await say(south)
        assert trio.current_time() - north._nodes.heard("south") < HEARD_S
        async with started(shared(server, "west"), store) as west:
            assert west._nodes.heard("south") < 0
            await say(south)
            await until(lambda: west._nodes.heard("south") > 0)
            terms = west.terms
            server.strike(faults.EverythingLost())
            await until(lambda: all(new > old for new, old in zip(west.terms, terms, strict=True)))
            assert west._nodes.heard("south") < 0


class _Bulletin:
    """At a server, and how often it was made anew."""

    def __init__(self, server: str | None) -> None:
        self.server = server
        self.renewed = 0

    def renew(self) -> None:
        self.renewed += 1


@pytest.mark.parametrize("servers", [(), ("new", "other")], ids=["not in order", "on several"])
async def test_nothing_is_made_anew_where_it_is_not_known_which_server_is_meant(servers: tuple[str, ...]) -> None:
    bulletin = _Bulletin("old")
    Alignment(bulletin, lambda: servers).look()  # type: ignore[arg-type]
    assert bulletin.renewed == 0


async def test_a_bulletin_that_stays_elsewhere_is_made_anew_ever_more_seldom(autojump_clock: MockClock) -> None:
    bulletin, times = _Bulletin(None), list[float]()
    alignment = Alignment(bulletin, lambda: {"new"})  # type: ignore[arg-type]
    alignment.look()
    assert bulletin.renewed == 0, "nobody has answered yet"
    bulletin.server = "old"
    while len(times) < 11:
        alignment.look()
        if bulletin.renewed > len(times):
            times.append(trio.current_time())
        await trio.sleep(0.5)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] == AGAIN_S and pauses[-1] == MOST_AGAIN_S and pauses == sorted(pauses)
    bulletin.server = "new"
    alignment.look()
    bulletin.server = "old"
    alignment.look()
    assert bulletin.renewed == len(times) + 1, "at once, since it was right meanwhile"


@contextmanager
def two_servers() -> Iterator[list[RealServer]]:
    with TemporaryDirectory(prefix="gc") as folder, ExitStack() as stack:
        servers = []
        for name in ("a", "b"):
            Path(folder, name).mkdir()
            servers.append(RealServer(Path(folder, name)))
            stack.callback(servers[-1].kill)
            servers[-1].start()
        yield servers


async def test_a_bulletin_that_is_made_anew_goes_where_the_name_leads_now() -> None:
    with two_servers() as servers, trio.fail_after(PATIENCE_S):
        named = [servers[0]]

        def connect() -> ServerLink:
            return connector(named[0].url, PATIENCE_S)()

        bulletin = RedisBulletin("c1", connect)
        try:
            async with bulletin.subscribe(["soft"]) as subscription, trio.open_nursery() as nursery:
                assert await bulletin.beat("n", "boot1", b"")
                await bulletin.members()
                first, named[0] = bulletin.server, servers[1]
                assert len(await bulletin.members()) == 1 and bulletin.server == first

                async def hear_no_more() -> None:
                    with pytest.raises(ServerAway):
                        await subscription.receive()

                nursery.start_soon(hear_no_more)
                await trio.sleep(0.05)
                bulletin.renew()
                assert await bulletin.members() == [] and bulletin.server not in (None, first)
            async with bulletin.subscribe(["soft"]) as subscription:
                servers[1].command("PUBLISH", "gc:c1:soft", "there")
                assert await subscription.receive() == [("soft", b"there")]
        finally:
            bulletin.close()
