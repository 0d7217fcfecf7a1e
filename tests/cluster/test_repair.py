"""A node takes its part in a repair, as far as it can, while its own entries can't be read."""

from __future__ import annotations

import sqlite3
from typing import Any

from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.entry import partition_of
from gochat.cluster.journal import joined
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import PARTITIONS, Element
from gochat.errors import StoreError
from gochat.ports.journal import Committed
from tests.appending import append_to
from tests.cluster.held_back import two_nodes
from tests.cluster.joining import caught_up, inline, journal_of, new_log, shared, until
from tests.contracts.journal import DM, message

OTHER_DM = "dm:carol:dave"


class Unreadable:
    """A node's copy of the log, in which some partitions can't be read at times. All else is the real one's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.partitions: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def after(self, partition: int, *where: Any) -> Any:
        if partition in self.partitions:
            raise StoreError("disk I/O error")
        return await self._inner.after(partition, *where)


async def test_the_node_tells_why_and_goes_on_with_the_other_partitions(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with inline() as store:
        replica: Any = Unreadable(store.replica)
        async with joined(replica, shared(server, "north")) as journal:
            journal.listen(lambda batch: None)
            await caught_up(journal)
            for room, fact in ((DM, message(DM, 1)), (OTHER_DM, message(OTHER_DM, 1))):
                await append_to(journal, await journal.load(room), [fact])
            replica.partitions = {partition_of(DM)}
            server.strike(faults.EverythingLost())
            await until(lambda: "disk I/O error" in (journal.problem or ""))
            assert f"can't read its own entries of partition {partition_of(DM)}" in (journal.problem or "")
            there = MemoryLog(server, "somebody").begins
            assert list(await there([partition_of(DM), partition_of(OTHER_DM)])) == [partition_of(OTHER_DM)]
            replica.partitions.clear()
            await until(lambda: journal.problem is None)
            assert isinstance(await append_to(journal, await journal.load(DM), [message(DM, 2)]), Committed)


async def test_a_node_that_answered_has_all_of_the_new_primary_at_an_old_one_that_is_named_again(
    autojump_clock: MockClock,
) -> None:
    """Its own reading stands still meanwhile. The old primary's fence is in order."""
    server = await new_log()
    async with two_nodes(server) as (north, south, log):
        await append_to(south, await south.load(DM), [message(DM, 1)])
        await north.journal.barrier()
        log.hold()
        move_on(server, faults.TwoPrimaries(entries=0))
        await until(lambda: journal_of(north).problem is None and south.problem is None)
        assert isinstance(await append_to(north.journal, await north.journal.load(DM), [message(DM, 2)]), Committed)
        log.goes.set()
        move_on(server, faults.Flipped())
        await until(lambda: journal_of(north).problem is None and south.problem is None)
        await south.barrier()
        assert (await south.load(DM)).head == 2
        assert isinstance(await append_to(south, await south.load(DM), [message(DM, 3)]), Committed)


async def test_an_entry_that_a_disk_has_changed_is_put_back_by_another_node(autojump_clock: MockClock) -> None:
    """North, whose copy has a bit flipped, is the first that could: south can't read its own for a while."""
    server = await new_log()
    partition = partition_of(DM)
    async with inline() as of_north, inline() as of_south:
        held: Any = Unreadable(of_south.replica)
        async with (
            joined(of_north.replica, shared(server, "north")) as north,
            joined(held, shared(server, "south")) as south,
        ):
            for journal in (north, south):
                journal.listen(lambda batch: None)
                await caught_up(journal)
            for seq in (1, 2, 3):
                await append_to(north, await north.load(DM), [message(DM, seq)])
            await south.barrier()
            before = list(server.primary.streams[partition])
            await flip_a_bit(of_north, before[-2])
            held.partitions = set(range(PARTITIONS))
            server.strike(faults.EverythingLost())
            await until(lambda: "is damaged" in (north.problem or ""))
            assert server.primary.streams[partition] == before[:-2]
            assert f"entry {before[-2].position.n} of the log's partition {partition}" in (north.problem or "")
            held.partitions.clear()
            await until(lambda: north.problem is None and south.problem is None)
            assert server.primary.streams[partition][: len(before)] == before
            assert isinstance(await append_to(north, await north.load(DM), [message(DM, 4)]), Committed)


async def flip_a_bit(store: Any, element: Element) -> None:
    """On the disk, in an entry that is kept."""
    changed = bytes((element.data[0] ^ 1,)) + element.data[1:]

    def flip(connection: sqlite3.Connection) -> None:
        done = connection.execute("UPDATE log_entry SET data = ? WHERE data = ?", (changed, element.data))
        assert done.rowcount == 1

    await store.replica._committer.call(lambda committer: committer.run(flip))


def move_on(server: MemoryServer, fault: faults.Fault) -> None:
    """Have another server be the primary, and both nodes see that."""
    server.strike(fault)
    for node in ("north", "south"):
        server.strike(faults.ReplyLost(node=node, calls=3))
