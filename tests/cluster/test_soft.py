"""Ephemeral events come to the other nodes, soon and once; a flood of one user's costs the others a share of it."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.memory import MemoryBulletin
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.news import MOST_EVENTS, EventRow, News
from gochat.cluster.soft import (
    BEAT_S,
    CHANNEL,
    MOST_WAITING,
    OF_ONE_USER,
    WAITING_OF_ONE_USER,
    WINDOW_S,
    EventQueue,
)
from gochat.domain import commands
from gochat.domain.commands import AnyEphemeral
from tests.cluster.stations import Station, Town, keep_town

TEA = "group:tea"


def typing(user: str = "ann", room: str = TEA) -> commands.Typing:
    return commands.Typing(room=room, user=user)


def read(seq: int, user: str = "ann", room: str = TEA) -> commands.Read:
    return commands.Read(room=room, user=user, seq=seq)


@pytest.fixture
async def town(autojump_clock: MockClock) -> Town:
    async with keep_town("north", "south", "west") as town:
        yield town


class Tap:
    """Everything that is published."""

    def __init__(self, server: MemoryServer) -> None:
        self.messages: list[tuple[float, str, bytes]] = []
        self._bulletin = MemoryBulletin(server, "tap")

    async def run(self, channels: list[str]) -> None:
        async with self._bulletin.subscribe(channels) as subscription:
            while True:
                for channel, data in await subscription.receive():
                    self.messages.append((trio.current_time(), channel, data))


# ------------------------------------------------------------------------------------------ the way


async def test_events_come_to_all_others_and_not_back(town: Town, autojump_clock: MockClock) -> None:
    north, south, west = town.stations.values()
    north.soft.tell(typing())
    north.soft.tell(read(3), withheld=True)
    north.soft.tell(commands.Got(room=TEA, user="ann", seq=4))
    await trio.sleep(2 * WINDOW_S)
    expected: list[tuple[AnyEphemeral, bool]] = [
        (typing(), False),
        (read(3), True),
        (commands.Got(room=TEA, user="ann", seq=4), False),
    ]
    assert (south.heard, west.heard, north.heard) == (expected, expected, [])


async def test_the_first_event_comes_at_once_and_those_behind_it_together(
    town: Town, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tap = Tap(town.server)
    nursery.start_soon(tap.run, [CHANNEL])
    north, south, _ = town.stations.values()
    await trio.sleep(5)  # By then they have asked each other, and been answered.
    latest = max(at for at, _, data in tap.messages if b"north" in data)
    await trio.sleep_until(latest + 1.5 * BEAT_S)  # Between two beats: a message just before would put it off.
    tap.messages.clear()
    begun = trio.current_time()
    for seq in range(1, 31):
        north.soft.tell(read(seq))
        await trio.sleep(0.01)
    await trio.sleep(2 * WINDOW_S)
    assert [event.seq for event, _ in south.heard if isinstance(event, commands.Read)][-1] == 30
    assert south.heard[0] == (read(1), False)
    own = [message for message in tap.messages if b"north" in message[2]]
    assert own[0][0] == begun
    assert len(own) <= 5, "30 reads within 0.3 s"


async def test_an_idle_node_says_little(town: Town, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    tap = Tap(town.server)
    nursery.start_soon(tap.run, [CHANNEL, *(f"{CHANNEL}.{name}" for name in town.stations)])
    await trio.sleep(10 * BEAT_S)
    assert len(tap.messages) <= 3 * 11


async def test_what_comes_twice_or_late_is_told_once(town: Town, autojump_clock: MockClock) -> None:
    north, south, _ = town.stations.values()
    for fault in (faults.ReplyLost(node="north"), faults.Late(node="north", delay_s=1.0)):
        town.server.strike(fault)
        north.soft.tell(typing())
        await trio.sleep(5)
        south.heard.clear()
    north.soft.tell(typing("bob"))
    await trio.sleep(5)
    assert south.heard == [(typing("bob"), False)]


async def test_events_of_before_are_not_told_after_a_failure(town: Town, autojump_clock: MockClock) -> None:
    north, south, _ = town.stations.values()
    town.server.strike(faults.Unreachable(node="north"))
    north.soft.tell(typing())
    await trio.sleep(4)
    north.soft.tell(typing("bob"))
    await trio.sleep(1)
    town.server.strike(faults.Mended(node="north"))
    await trio.sleep(2)
    assert not south.heard
    north.soft.tell(typing("cat"))
    await trio.sleep(2 * WINDOW_S)
    assert south.heard == [(typing("cat"), False)]


async def test_channels_that_broke_are_subscribed_to_anew(town: Town, autojump_clock: MockClock) -> None:
    north, south, _ = town.stations.values()
    town.server.strike(faults.Unsubscribed())
    await trio.sleep(1)
    assert south.soft.problem is None
    north.soft.tell(typing())
    await trio.sleep(2 * WINDOW_S)
    assert south.heard == [(typing(), False)]


# ------------------------------------------------------------------------------------------ strangers


async def test_strangers_are_not_believed(
    town: Town, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """Whoever may write to the server, and does not know the secret; and a node of another cluster."""
    south = town.stations["south"]
    tap = Tap(town.server)
    nursery.start_soon(tap.run, [CHANNEL])
    await trio.sleep(BEAT_S)
    stranger = Station("north", MemoryBulletin(town.server, "stranger"), secret="a guess")
    other = Station("other", MemoryBulletin(town.server, "other"), cluster="c2")
    with caplog.at_level(logging.WARNING):
        for station in (stranger, other):
            for _ in range(50):
                news = News(station.name, "boot", 1, 0, [], [], [EventRow("typing", TEA, "ann")])
                await MemoryBulletin(town.server, "x").publish(CHANNEL, station.codec.encode(news, CHANNEL))
        await trio.sleep(1)
    assert south.soft.refused == 100
    assert not south.heard
    assert len(caplog.records) == 3, "one line a node"
    assert len(south.presence.roster) == 2


async def test_what_was_caught_is_not_believed_once_more(
    town: Town, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Neither from a node that lives, nor from one that was started anew, nor from one that is gone."""
    north, south, _ = town.stations.values()
    tap = Tap(town.server)
    nursery.start_soon(tap.run, [CHANNEL, f"{CHANNEL}.south"])
    await trio.sleep(0.1)
    session = north.begin("ann")
    north.soft.tell(typing())
    await trio.sleep(1)
    north.end(session)
    await trio.sleep(1)
    caught = list(tap.messages)

    async def replay() -> None:
        south.heard.clear()
        for _, channel, data in caught:
            await MemoryBulletin(town.server, "x").publish(channel, data)
        await trio.sleep(3)
        assert not south.heard
        assert not south.presence.is_online("ann")

    await replay()
    town.kill("north")
    await replay()
    town.revive("north")
    await trio.sleep(2)
    await replay()
    town.stop("north")
    await trio.sleep(2)
    await replay()


# ------------------------------------------------------------------------------------------ floods


async def test_a_flood_of_one_user_costs_the_others_a_share(
    town: Town, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Of the other nodes some looks into a table; and of other users no event."""
    north, south, west = town.stations.values()
    tap = Tap(town.server)
    nursery.start_soon(tap.run, [CHANNEL])
    await trio.sleep(0.1)
    for tenth in range(50):
        for room in range(500):
            north.soft.tell(typing("mallory", f"group:g{room}"))
        if tenth % 10 == 0:
            north.soft.tell(read(tenth + 1))
        await trio.sleep(0.1)
    await trio.sleep(2 * WINDOW_S)
    for node in (south, west):
        assert [event for event, _ in node.heard if event.user == "ann"] == [read(n) for n in (1, 11, 21, 31, 41)]
        assert sum(event.user == "mallory" for event, _ in node.heard) <= OF_ONE_USER * 5.5 / WINDOW_S
    size = sum(len(data) for _, _, data in tap.messages)
    assert size <= 5.5 * (40 * 100 + 3 * 200), "some 5 KB a second"
    assert north.soft.dropped >= 50 * 300


def row(user: str, room: str = TEA, seq: int = 0) -> EventRow:
    return EventRow("read", room, user, seq)


def test_later_events_take_the_place_of_earlier_ones() -> None:
    queue = EventQueue()
    for seq in range(1, 10):
        queue.put(row("ann", seq=seq))
        queue.put(row("bob", seq=seq))
    assert queue.take() == [row("ann", seq=9), row("bob", seq=9)]
    assert (queue.take(), len(queue), queue.dropped) == ([], 0, 0)


def test_each_user_has_a_turn() -> None:
    queue = EventQueue()
    for number in range(3 * OF_ONE_USER):
        queue.put(row("mallory", f"group:g{number}"))
    queue.put(row("ann"))
    first = queue.take()
    assert [each.user for each in first] == ["mallory"] * OF_ONE_USER + ["ann"]
    queue.put(row("bob"))
    assert [each.user for each in queue.take()] == ["mallory"] * OF_ONE_USER + ["bob"]


def test_no_more_waits_than_there_is_room_for() -> None:
    queue = EventQueue()
    for number in range(2 * WAITING_OF_ONE_USER):
        queue.put(row("mallory", f"group:g{number}"))
    assert (len(queue), queue.dropped) == (WAITING_OF_ONE_USER, WAITING_OF_ONE_USER)
    for user in range(MOST_WAITING):
        for number in range(3):
            queue.put(row(f"u{user}", f"group:g{number}"))
    assert len(queue) <= MOST_WAITING + MOST_WAITING
    queue.put(row("ann"))
    queue.put(row("ann", "group:milk"))
    rows: list[EventRow] = []
    while taken := queue.take():
        assert len(taken) <= MOST_EVENTS
        rows += taken
    assert [each.room for each in rows if each.user == "ann"] == [TEA]
    assert len(queue) == 0
