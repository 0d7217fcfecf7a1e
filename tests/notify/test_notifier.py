"""From a recorded message to its channel, in virtual time, on a real store."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing

from gochat.domain import commands
from gochat.domain.notices import (
    Bounds,
    MentionsWanted,
    QuietHours,
    QuietSet,
    Silenced,
    Subscribed,
    Subscription,
)
from gochat.errors import StoreError
from gochat.notify.due import MINUTE_MS, Timing
from gochat.notify.notifier import MEMBERS
from gochat.notify.notifier import TOGETHER as KEPT_TOGETHER
from gochat.notify.sender import OF_ONE_USER, PAUSE_S, TOGETHER
from gochat.notify.timetable import Timetable
from tests.contracts.channel import ChannelContract
from tests.contracts.scribe import Scribe
from tests.notify.receivers import NOTIFICATION
from tests.notify.stand_in import MemoryChannel
from tests.notify.town import HOUR, START_MS, TEA, Build


class MemoryStage:
    """The channel in memory, under the port's suite."""

    target = None
    secrets: tuple[str, ...] = ()
    forgets = True

    def __init__(self) -> None:
        self.channel = MemoryChannel(timeout_s=0.2)

    def ids(self) -> list[str]:
        return self.channel.ids()

    def then(self, what: str) -> None:
        self.channel.then.append(what)

    def calm(self) -> None:
        self.channel.then.clear()

    async def vanish(self) -> None:
        self.channel.down = True


class TestMemoryChannel(ChannelContract):
    @pytest.fixture
    def stage(self) -> MemoryStage:
        return MemoryStage()


async def test_it_is_told_when_it_is_due_and_not_before(autojump_clock: object, build: Build) -> None:
    town = build()
    await town.said(await town.dm(), "one")
    await trio.sleep(299)
    assert town.told == []
    await trio.sleep(2)
    assert town.told == [("bob", 1)]
    assert await town.store.notices.counts() == {}
    assert await town.store.notices.unseen(0, 10) == []


async def test_whoever_comes_in_between_is_not_told(autojump_clock: object, build: Build) -> None:
    town = build()
    dm = await town.dm()
    await town.said(dm, "one")
    await trio.sleep(100)
    town.online.add("bob")
    await trio.sleep(10)
    town.leaves("bob")
    await trio.sleep(HOUR)
    assert town.told == []
    await town.said(dm, "two")
    await trio.sleep(301)
    assert town.told == [("bob", 2)]


async def test_a_later_message_has_a_time_of_its_own(autojump_clock: object, build: Build) -> None:
    town = build()
    dm = await town.dm()
    await town.said(dm, "one")
    await trio.sleep(100)
    town.online.add("bob")
    town.leaves("bob")
    await trio.sleep(1)
    await town.said(dm, "two")
    await trio.sleep(298)
    assert town.told == []
    await trio.sleep(4)
    assert town.told == [("bob", 2)]


async def test_the_room_is_quiet_until_it_is_read(autojump_clock: object, build: Build) -> None:
    town = build()
    dm = await town.dm()
    for _ in range(3):
        await town.said(dm, "hi")
        await trio.sleep(HOUR)
    assert town.told == [("bob", 1)]
    town.store.journal.note_read(dm.record, "bob", 3)
    await town.said(dm, "more")
    await trio.sleep(HOUR)
    assert town.told == [("bob", 1), ("bob", 1)]
    assert len(set(town.channels[0].ids())) == 2


async def test_or_until_the_time_is_over(autojump_clock: object, build: Build) -> None:
    town = build(timing=Timing(5 * MINUTE_MS, 60 * MINUTE_MS))
    dm = await town.dm()
    await town.said(dm, "one")
    await trio.sleep(HOUR / 2)
    await town.said(dm, "two")
    await trio.sleep(HOUR)
    assert town.told == [("bob", 1)]
    await town.said(dm, "three")
    await trio.sleep(HOUR)
    assert town.told == [("bob", 1), ("bob", 2)]


async def test_a_receiver_that_is_gone_is_named_in_the_log(
    autojump_clock: object, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    town = build()
    town.channels[0].then.append("gone")
    await town.said(await town.dm(), "one")
    await trio.sleep(301)
    assert town.results == {"gone": 1} and await town.store.notices.counts() == {}
    assert "webhook: nothing more is sent there for bob: the receiver answered 410" in caplog.text


async def test_a_receiver_that_is_down_for_an_hour_gets_all_of_it_once(autojump_clock: object, build: Build) -> None:
    town = build()
    (channel,) = town.channels
    channel.down = True
    users = [f"u{n:03}" for n in range(200)]
    tea = await town.group(*users)
    await town.said(tea, "hi")
    await trio.sleep(301 + HOUR)
    assert town.told == []
    assert await town.store.notices.counts() == {("webhook", "waiting"): 200}
    assert channel.most_at_once <= TOGETHER
    tries = [entry.tries for entry in await town.store.notices.entries(dead=False, limit=200)]
    assert 8 <= min(tries) <= max(tries) <= 40, "10 s, doubled nine times, are more than an hour"
    channel.down = False
    await trio.sleep(3 * HOUR)
    assert sorted(user for user, _ in town.told) == users
    assert await town.store.notices.counts() == {}


async def test_after_24_hours_it_is_a_dead_letter_that_can_be_revived(autojump_clock: object, build: Build) -> None:
    town = build()
    (channel,) = town.channels
    channel.down = True
    await town.said(await town.dm(), "hi")
    await trio.sleep(24 * HOUR)
    assert await town.store.notices.counts() == {("webhook", "waiting"): 1}
    await trio.sleep(HOUR)
    assert await town.store.notices.counts() == {("webhook", "dead"): 1}
    (entry,) = await town.store.notices.entries(dead=True, limit=10)
    assert (entry.reason, entry.tries) == ("the receiver answered 503", channel.tried)
    assert 10 <= channel.tried <= 100
    channel.down = False
    await town.store.notices.revive(None, town.now_ms())
    await trio.sleep(60)
    assert town.told == [("bob", 1)]


async def test_what_waits_is_cancelled_by_whatever_the_user_does(autojump_clock: object, build: Build) -> None:
    town = build()
    (channel,) = town.channels
    channel.down = True
    tea = await town.group("here", "reads", "mutes", "leaves", "out", "stays")
    await town.said(tea, "hi")
    await trio.sleep(310)
    town.online.add("here")
    town.store.journal.note_read(tea.record, "reads", tea.head)
    await town.store.journal.flush_positions()
    await town.store.journal.append_side_records([Silenced("mutes", TEA, None, town.now_ms())])
    await tea.turn(commands.Remove(room=TEA, user="ann", users=("leaves",)))
    town.shut_out.add("out")
    channel.down = False
    await trio.sleep(12 * HOUR)
    assert town.told == [("stays", 1)]
    assert town.results["cancelled"] == 5
    assert await town.store.notices.counts() == {}


async def test_a_mention_is_told_of_a_silent_room_and_nothing_else_is_counted(
    autojump_clock: object, build: Build
) -> None:
    town = build()
    tea = await town.group("bob", "cat")
    want = town.store.journal.append_side_records
    await want([Silenced(user, TEA, None, town.now_ms()) for user in ("bob", "cat")])
    await want([MentionsWanted("bob", True)])
    for body in ("one", "@bob @cat", "three", "@bob"):
        await town.said(tea, body)
    await trio.sleep(400)
    assert town.told == [("bob", 2)]


async def test_after_a_cancelled_one_the_next_has_another_id(autojump_clock: object, build: Build) -> None:
    town = build()
    (channel,) = town.channels
    channel.down = True
    dm = await town.dm()
    await town.said(dm, "one")
    await trio.sleep(400)
    before = await town.waiting_ids()
    town.online.add("bob")
    await trio.sleep(3 * HOUR)
    town.leaves("bob")
    channel.down = False
    await town.said(dm, "two")
    await trio.sleep(400)
    assert town.told == [("bob", 2)]
    assert len(before) == 1
    assert before.isdisjoint(channel.ids())


async def test_quiet_hours_put_it_off(autojump_clock: object, build: Build) -> None:
    town = build()
    begin = START_MS // MINUTE_MS % 1440
    hours = QuietHours(begin, (begin + 120) % 1440, "UTC")
    await town.store.journal.append_side_records([QuietSet("bob", hours)])
    dm = await town.dm()
    await town.said(dm, "one")
    await trio.sleep(HOUR)
    await town.said(dm, "two")
    await trio.sleep(HOUR - 120)
    assert town.told == []
    await trio.sleep(180)
    assert town.told == [("bob", 2)], "one, with what came meanwhile"


async def test_large_rooms_are_looked_at_in_slices(autojump_clock: object, build: Build) -> None:
    town = build(bounds=Bounds(waiting=100_000))
    users = [f"u{n:04}" for n in range(2 * MEMBERS + 7)]
    tea = await town.group(*users)
    await town.said(tea, "hi")
    await trio.sleep(400)
    assert sorted(user for user, _ in town.told) == users


async def test_many_rooms_that_are_due_at_once_are_kept_in_small_transactions(
    autojump_clock: object, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The acks of others wait for each of them."""
    town = build()
    add, sizes = type(town.store.notices).add, []

    async def measured(self: Any, found: Any, *rest: Any) -> Any:
        sizes.append(len(found))
        return await add(self, found, *rest)

    monkeypatch.setattr(type(town.store.notices), "add", measured)
    users = [f"u{n:02}" for n in range(90)]
    for number in range(8):
        scribe = await Scribe.at(town.store, f"group:g{number}")
        scribe.now_ms = town.now_ms()
        await scribe.made(commands.Create, title="Tea", users=users)
        await town.said(scribe, "hi")
    await trio.sleep(600)
    large = await town.group(*(f"u{n:03}" for n in range(MEMBERS + 7)))
    await town.said(large, "hi")
    await trio.sleep(600)
    assert len(town.told) == 8 * len(users) + MEMBERS + 7
    assert max(sizes) == KEPT_TOGETHER


async def test_of_what_is_due_at_once_one_send_begins_after_the_other(
    autojump_clock: object, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes its part of the loop's time, and those of others come between."""
    town = build(timing=Timing(after_ms=0))
    send, begun = MemoryChannel.send, list[float]()

    async def timed(self: MemoryChannel, *given: Any) -> Any:
        begun.append(trio.current_time())
        return await send(self, *given)

    monkeypatch.setattr(MemoryChannel, "send", timed)
    await town.said(await town.group(*(f"u{n:02}" for n in range(50))), "hi")
    await trio.sleep(60)
    assert len(town.told) == len(begun) == 50
    assert min(later - earlier for earlier, later in pairwise(begun)) >= PAUSE_S * 0.999
    assert begun[-1] - begun[0] >= 49 * PAUSE_S * 0.999


async def test_it_goes_on_where_a_crash_left_it_and_with_the_same_ids(autojump_clock: object, build: Build) -> None:
    town = build()
    (channel,) = town.channels
    tea = await town.group("bob", "cy")
    channel.then.extend(["silent", "silent"])
    await town.said(tea, "hi")
    await trio.sleep(301)
    before = await town.waiting_ids()
    assert len(before) == 2
    town.scope.cancel()
    town.start()
    await trio.sleep(60)
    assert set(channel.ids()) == before
    assert Counter(town.told) == {("bob", 1): 1, ("cy", 1): 1}


async def test_a_message_that_nobody_told_of_is_found(autojump_clock: object, build: Build) -> None:
    town = build()
    await town.said(await town.dm(), "lost", told=False)
    town.scope.cancel()
    town.start()
    await trio.sleep(301)
    assert town.told == [("bob", 1)]
    tea = await town.group("cy")
    await town.said(tea, "lost too", told=False)
    await trio.sleep(700)
    assert town.told == [("bob", 1), ("cy", 1)]


async def test_what_is_a_day_late_is_no_news(autojump_clock: object, build: Build) -> None:
    town = build()
    town.scope.cancel()
    await town.said(await town.dm(), "old", told=False)
    await trio.sleep(25 * HOUR)
    town.start()
    await trio.sleep(HOUR)
    assert town.told == []
    assert await town.store.notices.unseen(0, 10) == []


async def test_a_failing_store_costs_time_and_nothing_else(
    autojump_clock: object, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = build()
    add, finish, left = town.store.notices.add, town.store.notices.finish, [3, 3]

    async def failing_add(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise StoreError("the disk is full")
        return await add(*args, **more)

    async def failing_settle(*args: Any, **more: Any) -> Any:
        left[1] -= 1
        if left[1] >= 0:
            raise StoreError("the disk is full")
        return await finish(*args, **more)

    monkeypatch.setattr(type(town.store.notices), "add", lambda self, *args: failing_add(*args))
    monkeypatch.setattr(type(town.store.notices), "finish", lambda self, *args: failing_settle(*args))
    await town.said(await town.dm(), "hi")
    await trio.sleep(400)
    assert town.told == [("bob", 1)]
    assert await town.store.notices.counts() == {}


async def test_slow_devices_hold_up_their_user_alone(autojump_clock: object, build: Build) -> None:
    town = build(channels=[MemoryChannel("push")], timing=Timing(after_ms=0))
    (channel,) = town.channels
    devices = [Subscription(f"https://push.example/{n}", "k", "a") for n in range(10)]
    await town.store.journal.append_side_records([Subscribed("mal", each, 1, None) for each in devices])
    good = Subscription("https://push.example/good", "k", "a")
    await town.store.journal.append_side_records([Subscribed("bob", good, 1, None)])
    channel.slow = set(devices)
    tea = await town.group("mal", "bob")
    await town.said(tea, "hi")
    await trio.sleep(1)
    assert town.told == [("bob", 1)]
    assert channel.most_at_once <= OF_ONE_USER + 1
    await trio.sleep(600)
    assert channel.tried < 100


async def test_a_crash_of_one_notification_is_its_own(
    autojump_clock: object, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = build()
    (channel,) = town.channels
    send, crashes = channel.send, [1]

    async def crashing(*args: Any) -> Any:
        if crashes:
            crashes.pop()
            raise RuntimeError("a fault")
        return await send(*args)

    monkeypatch.setattr(channel, "send", crashing)
    await town.said(await town.group("bob", "cy"), "hi")
    await trio.sleep(HOUR)
    assert sorted(town.told) == [("bob", 1), ("cy", 1)]


def test_the_timetable_has_the_earliest_time_of_each_room_and_a_bound() -> None:
    from gochat.domain.notices import UnseenRoom

    table = Timetable(most=2)
    rooms = [UnseenRoom(n, f"group:g{n}", 0) for n in range(3)]
    assert table.next_ms is None
    table.put(rooms[0], 100)
    table.put(rooms[0], 200)
    table.put(rooms[1], 50)
    table.put(rooms[0], 70)
    assert (table.next_ms, len(table), table.overflowed) == (50, 2, False)
    table.put(rooms[2], 1)
    assert (table.next_ms, len(table), table.overflowed) == (50, 2, True)
    assert table.take(69, 10) == [rooms[1]]
    assert table.take(70, 10) == [rooms[0]]
    assert table.take(1000, 10) == []
    assert NOTIFICATION.room not in table
