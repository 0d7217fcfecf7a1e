"""A node that was made from nothing, or from a backup, and has never counted, does not begin a log that is lost: others
have what it lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.answers import Forget, answers
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.nodes import Nodes
from gochat.domain.side_records import Audited
from gochat.store import Store
from tests.cluster.joining import inline, new_log, shared

NOTED = [Audited(1, "root", "user.suspend", "bob")]
#: Long after a node that may seal has.
LONG_S = 15.0

pytestmark = pytest.mark.usefixtures("one_clock")


@asynccontextmanager
async def started(
    server: MemoryServer, name: str, store: Store, *, has_joined: bool = False
) -> AsyncIterator[ClusterJournal]:
    place = shared(server, name)
    place = place._replace(identity=msgspec.structs.replace(place.identity, joined=has_joined))
    async with joined(store.replica, place) as journal:
        journal.listen(lambda batch: None)
        yield journal


def lose_all_but_the_beginning(server: MemoryServer) -> None:
    """As a server that starts again with a dump from when the cluster was created."""
    for stream in server.primary.streams.values():
        del stream[1:]
    server.strike(faults.TailLost(entries=0))


async def take_part(*journals: ClusterJournal) -> None:
    with trio.fail_after(5):
        for journal in journals:
            await journal.wait_present()


async def noted(store: Store) -> list[str]:
    entries, _ = await store.archive.audit(10, None)
    return [entry.actor for entry in entries]


async def test_a_node_that_has_never_counted_does_not_begin_a_log_that_is_lost(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with inline() as full, inline() as new:
        async with started(server, "north", full) as journal:
            await journal.wait_present()
            await journal.append_side_records(NOTED)
        lose_all_but_the_beginning(server)
        async with started(server, "south", new, has_joined=True) as south:
            await trio.sleep(LONG_S)
            assert south.problem is not None and "has never counted" in south.problem
            async with started(server, "north", full) as north:
                await take_part(north, south)
                assert north.members == south.members == ["north", "south"]
                assert await noted(full) == await noted(new) == ["root"]


async def test_a_node_that_has_never_counted_can_be_told_to_go_on_without_those_that_have(
    autojump_clock: MockClock,
) -> None:
    """Redis was restarted, and has lost nothing; the record is from a backup of a node that counts no more."""
    server = await new_log()
    async with inline() as copied:
        async with started(server, "north", copied) as north:
            await north.wait_present()
            await north.append_side_records(NOTED)
            await north._membership.away()
        server.strike(faults.TailLost(entries=0))
        async with started(server, "south", copied, has_joined=True) as south:
            await trio.sleep(LONG_S)
            assert south.problem is not None and "north must answer" in south.problem
            tell = answers(south, shared(server, "south"))
            assert msgspec.json.decode(await tell["/internal/state"](b""))["here"] == ["north"]
            await tell["/internal/forget"](msgspec.json.encode(Forget("north")))
            await take_part(south)
            assert south.members == ["south"]
            assert await noted(copied) == ["root"]


async def test_where_a_new_log_is_lost_nodes_wait_for_the_one_that_the_cluster_was_created_at(
    autojump_clock: MockClock,
) -> None:
    server = await new_log()
    lose_all_but_the_beginning(server)
    async with inline() as one, inline() as other, started(server, "south", other, has_joined=True) as south:
        await trio.sleep(LONG_S)
        assert south.problem is not None and "gochat cluster create" in south.problem
        async with started(server, "north", one) as north:
            await take_part(north, south)
            await south.append_side_records(NOTED)
            await north.barrier()
            assert await noted(one) == ["root"]


async def test_a_log_in_which_nothing_was_lost_is_begun_by_any_node(autojump_clock: MockClock) -> None:
    async with inline() as store, started(await new_log(), "south", store, has_joined=True) as south:
        with trio.fail_after(2):
            await south.wait_present()


@pytest.mark.parametrize(
    ("nodes", "joined", "need", "awaited"),
    [
        ({}, False, 1, []),
        ({}, True, 0, []),
        ({"north": "away"}, True, 0, ["north"]),
        ({"north": "away"}, False, 0, ["north"]),
        ({"north": "forgotten", "west": "away"}, True, 0, ["west"]),
        ({"north": "forgotten"}, True, 1, []),
        ({"north": "away", "south": "away"}, True, 1, []),
        ({"north": "here"}, True, 0, ["north"]),
        ({"north": "here", "south": "here"}, True, 2, ["north"]),
    ],
)
def test_who_may_begin_where_nobody_counts(nodes: dict[str, str], joined: bool, need: int, awaited: list[str]) -> None:
    here = [name for name, state in nodes.items() if state == "here"]
    known = Nodes(
        SimpleNamespace(partitions=[SimpleNamespace(nodes=nodes, here=here)]),  # type: ignore[arg-type]
        "south",
        joined=joined,
    )
    assert known.need(0) == need
    assert known.awaited == awaited
    assert known.knows_nobody is (not nodes and joined)
    for name in awaited:
        known.disregard(name, [0])
    assert known.need(0) == (1 if awaited or need else 0)
    assert known.awaited == []
