"""A node that has no part in the traffic reads the log less often, the longer the less, within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster.broadcast import READ_LIMIT
from gochat.cluster.entry import partition_of
from gochat.cluster.naps import LEAST_S, MOST_ALONE, MOST_ALONE_S, MOST_S, Naps
from gochat.cluster.ports import Element
from gochat.ports.journal import Committed, ForeignBatch
from gochat.store import Store
from gochat.store.write.committer import PACE
from tests.appending import append_to
from tests.cluster.joining import inline, joined_store, journal_of, new_log
from tests.contracts.journal import DM, message

OTHER_DM = "dm:carol:dave"


async def test_a_nap_grows_with_the_quiet_up_to_a_bound(autojump_clock: MockClock) -> None:
    naps = Naps()
    naps.concern()
    assert naps.next_s() == 0, "somebody here may wait for what comes next"
    assert naps.next_s() == LEAST_S
    await trio.sleep(0.2)
    assert naps.next_s() == pytest.approx(0.01)
    await trio.sleep(10)
    assert naps.next_s() == MOST_S


async def test_whatever_concerns_the_node_ends_the_quiet(autojump_clock: MockClock) -> None:
    naps = Naps()
    assert naps.next_s() == MOST_S, "nothing has concerned this node yet"
    naps.concern()
    assert [naps.next_s(), naps.next_s()] == [0, LEAST_S]


async def test_naps_are_longer_while_nobody_is_signed_in_and_grow_as_slowly(autojump_clock: MockClock) -> None:
    naps = Naps()
    naps.concern()
    assert [naps.next_s(alone=True), naps.next_s(alone=True)] == [0, LEAST_S]
    await trio.sleep(1)
    assert naps.next_s(alone=True) == pytest.approx(0.05)
    await trio.sleep(10)
    assert naps.next_s(alone=True) == MOST_ALONE_S
    assert naps.next_s() == MOST_S, "somebody signed in"


async def test_no_more_than_so_many_entries_gather_during_a_nap(autojump_clock: MockClock) -> None:
    naps = Naps()
    naps.next_s(alone=True)
    await trio.sleep(0.2)
    assert naps.next_s(alone=True, came=MOST_ALONE // 10) == MOST_ALONE_S
    await trio.sleep(0.2)
    nap_s = naps.next_s(alone=True, came=2 * MOST_ALONE)
    assert nap_s == pytest.approx(0.1)
    await trio.sleep(nap_s)
    assert naps.next_s(alone=True, came=MOST_ALONE) == pytest.approx(0.1), "they come as fast as before"


def test_naps_end_before_the_store_takes_them_for_quiet() -> None:
    assert 1.2 * MOST_ALONE_S <= PACE.quiet_s, "reading and recording take some time, too"


def test_what_gathers_during_a_nap_is_read_at_once() -> None:
    assert MOST_ALONE < READ_LIMIT


PARTITION = partition_of(DM)


class _Talk:
    """Users of the north write, and the south has been quiet for a while."""

    def __init__(self, north: Store, south: Store, heard: list[ForeignBatch]) -> None:
        self._north = north
        self.south = south
        self.heard = heard
        self.is_attended = False
        journal_of(south).nap_unless(lambda: self.is_attended)

    async def say(self) -> None:
        record = await self._north.journal.load(DM)
        assert isinstance(await append_to(self._north.journal, record, [message(DM, record.head + 1)]), Committed)

    async def nap(self) -> None:
        """Have the south begin a nap, with a message behind it in the log."""
        await self.say()
        await until_heard(self, 1)
        self.heard.clear()
        await self.say()
        assert not self.heard


async def until_heard(talk: _Talk, count: int) -> float:
    began = trio.current_time()
    with trio.fail_after(60):
        while len(talk.heard) < count:  # noqa: ASYNC110 -- nothing tells
            await trio.sleep(0.001)
    return trio.current_time() - began


@asynccontextmanager
async def talking() -> AsyncIterator[_Talk]:
    server = await new_log()
    async with (
        joined_store(server, "north", inline()) as (north, _),
        joined_store(server, "south", inline()) as (south, heard),
    ):
        await trio.sleep(10)
        yield _Talk(north, south, heard)


@pytest.mark.parametrize(("entry_bytes", "a_second"), [(200, 3_000), (4_200, 2_000)])
async def test_a_node_that_naps_keeps_up_with_one_partition_and_catches_up(
    entry_bytes: int, a_second: int, autojump_clock: MockClock
) -> None:
    """A reading has bounds, in entries and in bytes: with a nap after each that these cut short the node would fall
    behind for good, and nobody would be told."""
    server = await new_log()
    async with joined_store(server, "south", inline()) as (south, _):
        journal = journal_of(south)
        journal.nap_unless(lambda: False)
        await trio.sleep(20)
        stream = server.primary.streams[PARTITION]

        def write(count: int) -> None:
            last = stream[-1].position
            stream.extend(Element(last._replace(n=last.n + i), b"x" * entry_bytes) for i in range(1, count + 1))
            server.primary.wake()

        write(2 * a_second)
        for _ in range(200):
            write(a_second // 100)
            await trio.sleep(0.01)
        assert stream[-1].position.n - journal._inbox.end(PARTITION).n <= MOST_ALONE_S * a_second


@pytest.mark.parametrize("attended", [True, False])
async def test_a_message_is_late_by_the_long_nap_only_where_nobody_is_signed_in(
    attended: bool, autojump_clock: MockClock
) -> None:
    async with talking() as talk:
        talk.is_attended = attended
        await talk.nap()
        late_s = await until_heard(talk, 1)
    assert (late_s <= MOST_S + 0.002) is attended
    assert late_s <= MOST_ALONE_S + 0.002


async def barrier(store: Store) -> None:
    await store.journal.barrier()


async def append(store: Store) -> None:
    record = await store.journal.load(OTHER_DM)
    assert isinstance(await append_to(store.journal, record, [message(OTHER_DM, 1)]), Committed)


@pytest.mark.parametrize("does", [barrier, append])
async def test_nobody_waits_for_a_nap_to_end(
    does: Callable[[Store], Awaitable[None]], autojump_clock: MockClock
) -> None:
    async with talking() as talk:
        await talk.nap()
        began = trio.current_time()
        await does(talk.south)
        assert trio.current_time() - began < LEAST_S
        assert len(talk.heard) == 1, "what was acknowledged on the other node is here"


async def test_naps_are_short_right_after_a_reading_that_had_to_wait_for_nothing(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        await talk.south.journal.barrier()
        await talk.say()
        assert await until_heard(talk, 1) < LEAST_S
        await talk.say()
        assert await until_heard(talk, 2) < MOST_S
