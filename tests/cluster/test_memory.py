"""The faults of a server in memory do what they say, so that a simulation means something."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.memory import MemoryBulletin, MemoryLog
from gochat.cluster.memory_server import MOST_MESSAGES, MemoryServer
from gochat.cluster.ports import START, TERM_STEP, Batch, Element, Fence, Position, ServerAway


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer(random=Random(1))


async def made(server: MemoryServer, node: str = "north") -> tuple[MemoryLog, int]:
    log = MemoryLog(server, node)
    fence = await log.create(0)
    assert fence is not None
    return log, fence.term


async def datas(log: MemoryLog) -> list[bytes]:
    return [element.data for element in (await log.read({0: START}, 1000)).get(0, [])]


async def test_a_lost_reply_is_of_a_call_that_was_carried_out(server: MemoryServer, autojump_clock: MockClock) -> None:
    north, term = await made(server)
    south = MemoryLog(server, "south")
    server.strike(faults.ReplyLost(node="north", calls=2))
    assert await south.append([Batch(0, term, [b"s"])]) == [Position(term, 2)]
    assert await north.append([Batch(0, term, [b"a"])]) == ["unknown"]
    with pytest.raises(ServerAway):
        await north.ends([0])
    assert await north.append([Batch(0, term, [b"a"])]) == [Position(term, 4)]
    assert await datas(south) == [b"", b"s", b"a", b"a"]


async def test_a_lost_request_is_not_carried_out(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)
    server.strike(faults.RequestLost())
    before = trio.current_time()
    assert await log.append([Batch(0, term, [b"a"])]) == ["unknown"]
    assert trio.current_time() - before == 0.5, "its caller waited for the answer"
    assert await datas(log) == [b""]


async def test_a_late_call_is_carried_out_after_others(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)
    server.strike(faults.Late(node="north", delay_s=3))
    assert await log.append([Batch(0, term, [b"late"])]) == ["unknown"]
    await log.append([Batch(0, term, [b"next"])])
    assert await datas(log) == [b"", b"next"]
    await trio.sleep(3)
    assert await datas(log) == [b"", b"next", b"late"]


async def test_a_late_call_wakes_who_reads(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)
    server.strike(faults.Late(delay_s=0.7))
    await log.append([Batch(0, term, [b"late"])])
    found = await MemoryLog(server, "south").read({0: Position(term, 1)}, 10)
    assert found == {0: [Element(Position(term, 2), b"late")]}
    assert trio.current_time() == pytest.approx(0.7)


async def test_a_late_call_under_an_old_fence_is_refused(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)
    server.strike(faults.Late(delay_s=3))
    await log.append([Batch(0, term, [b"late"])])
    server.strike(faults.Promoted())
    await trio.sleep(3)
    assert await datas(log) == [b""]


async def test_a_node_that_is_cut_off_hears_nothing_until_it_is_mended(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    north, term = await made(server)
    south = MemoryLog(server, "south")
    server.strike(faults.Unreachable(node="north"))
    assert await north.append([Batch(0, term, [b"a"])]) == ["unknown"]
    with pytest.raises(ServerAway):
        await north.fences([0])
    assert await south.append([Batch(0, term, [b"a"])]) == [Position(term, 2)]
    server.strike(faults.Mended(node="north"))
    assert await north.append([Batch(0, term, [b"a"])]) == [Position(term, 3)]


async def test_a_slow_server_takes_its_time(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, _ = await made(server)
    server.strike(faults.Slow(delay_s=2))
    before = trio.current_time()
    await log.ends([0])
    assert trio.current_time() - before == 2
    server.strike(faults.Slow())
    await log.ends([0])
    assert trio.current_time() - before == 2


async def test_a_failover_loses_the_tail_and_breaks_connections(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    log, term = await made(server)
    await log.append([Batch(0, term, [b"a", b"b", b"c"])])
    before = await log.fences([0])
    server.strike(faults.TailLost(entries=2))
    with pytest.raises(ServerAway):
        await log.fences([0])
    after = await log.fences([0])
    assert after.servers != before.servers
    assert after.by_partition == before.by_partition, "the fence came along, and names the old one"
    assert await datas(log) == [b"", b"a"]
    assert await log.append([Batch(0, term, [b"d"])]) == ["fenced"]


async def test_a_reading_wakes_when_something_comes(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)

    async def read() -> None:
        assert await log.read({0: Position(term, 1)}, 10) == {0: [Element(Position(term, 2), b"x")]}
        assert trio.current_time() == pytest.approx(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(0.1)
        await MemoryLog(server, "south").append([Batch(0, term, [b"x"])])


async def test_the_old_primary_may_be_the_primary_again(server: MemoryServer, autojump_clock: MockClock) -> None:
    _, term = await made(server)
    server.strike(faults.Flipped())
    server.strike(faults.TwoPrimaries(entries=0))
    new = (await MemoryLog(server, "south").fences([0])).servers[0]
    server.strike(faults.Flipped())
    west = MemoryLog(server, "west")
    old = (await west.fences([0])).servers[0]
    assert old != new
    assert await west.append([Batch(0, term, [b"x"])]) == [Position(term, 2)]
    server.strike(faults.OldGone())
    assert (await west.fences([0])).servers[0] == old, "the other one is the old one now"


async def test_a_failover_ends_a_reading_that_waits(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)

    async def read() -> None:
        with pytest.raises(ServerAway):
            await log.read({0: Position(term, 1)}, 10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(0.1)
        server.strike(faults.TailLost())


async def test_an_old_primary_that_lives_on_keeps_those_who_are_connected(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    north, term = await made(server)
    south = MemoryLog(server, "south")
    server.strike(faults.TwoPrimaries(entries=0))
    assert await north.append([Batch(0, term, [b"old"])]) == [Position(term, 2)], "its fence is in order there"
    assert await datas(south) == [b""]
    assert await south.append([Batch(0, term, [b"new"])]) == ["fenced"]
    server.strike(faults.RequestLost(node="north"))
    assert await north.append([Batch(0, term, [b"x"])]) == ["unknown"]
    assert await datas(north) == [b""], "it has another connection now"


async def test_an_answer_of_the_future_does_not_count(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)
    server.strike(faults.Promoted())
    id_ = (await log.fences([0])).servers[0]
    assert await log.offer(0, id_, "north", Position(term, 1), 2)
    server.strike(faults.ClockSet(ahead_ms=-3_600_000))
    assert await log.seal(0, id_, 1) == "wait"
    assert await log.offer(0, id_, "north", Position(term, 1), 2)
    assert isinstance(await log.seal(0, id_, 1), Fence)


async def test_a_beat_of_the_future_is_as_old_as_it_is_ahead(server: MemoryServer, autojump_clock: MockClock) -> None:
    bulletin = MemoryBulletin(server, "north")
    assert await bulletin.beat("north", "1", b"")
    server.strike(faults.ClockSet(ahead_ms=-3_600_000))
    (member,) = await bulletin.members()
    assert member.age_ms == 3_600_000


async def test_a_restart_without_data_is_another_server(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)
    before = (await log.fences([0])).servers[0]
    server.strike(faults.EverythingLost(restarted=True))
    assert await log.append([Batch(0, term, [b"x"])]) == ["unknown"]
    after = await log.fences([0])
    assert (after.servers[0] == before, after.by_partition) == (False, {})


async def test_flushing_wakes_nobody(server: MemoryServer, autojump_clock: MockClock) -> None:
    log, term = await made(server)
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            assert await log.read({0: Position(term, 1)}, 10) == {}
            assert trio.current_time() == pytest.approx(1)

        nursery.start_soon(read)
        await trio.sleep(0.5)
        server.strike(faults.EverythingLost())


async def test_a_promotion_can_lose_entries_under_a_living_connection(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    log, term = await made(server)
    await log.append([Batch(0, term, [b"a", b"b"])])
    server.strike(faults.Promoted(entries=1))
    assert await datas(log) == [b"", b"a"]
    assert await log.append([Batch(0, term, [b"c"])]) == ["fenced"]


async def test_two_repairs_after_the_same_term_have_different_terms(
    server: MemoryServer, autojump_clock: MockClock
) -> None:
    """The old primary lives on with its term, and the new one is sealed after the same entry."""
    north, _ = await made(server)
    server.strike(faults.Promoted())
    old = await north.seal(0, (await north.fences([0])).servers[0], 0)
    server.strike(faults.TwoPrimaries(entries=1))
    south = MemoryLog(server, "south")
    new = await south.seal(0, (await south.fences([0])).servers[0], 0)
    assert isinstance(old, Fence)
    assert isinstance(new, Fence)
    assert (await north.fences([0])).by_partition[0] == old
    assert old.term // TERM_STEP == new.term // TERM_STEP == 2
    assert old.term != new.term


async def test_a_subscription_that_nobody_reads_breaks(server: MemoryServer, autojump_clock: MockClock) -> None:
    bulletin = MemoryBulletin(server, "north")
    async with bulletin.subscribe(["soft"]) as subscription:
        for _ in range(MOST_MESSAGES + 1):
            server.primary.publish("soft", b"x")
        with pytest.raises(ServerAway):
            await subscription.receive()


async def test_the_same_seed_gives_the_same_server(autojump_clock: MockClock) -> None:
    told = []
    for _ in range(2):
        log, term = await made(MemoryServer(random=Random(7)))
        told.append((term, await log.fences([0])))
    assert told[0] == told[1]
