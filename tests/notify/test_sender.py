"""Senders on a node whose clock is set, or that may not notify any more: what they send, and what they record of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import trio

from gochat.domain.notices import QuietHours, QuietSet
from gochat.errors import StoreError
from gochat.notify.due import Timing
from gochat.notify.retry import BASE_MS
from tests.notify.town import HOUR, START_MS, Build, Town

HOUR_MS = 3_600_000


async def in_quiet_hours(town: Town) -> None:
    """Bob is away, and is to be told of a message when two hours are over."""
    began = datetime.fromtimestamp(START_MS / 1000, UTC)
    begin = began.hour * 60 + began.minute
    hours = QuietHours(begin, (begin + 120) % 1440, "UTC")
    await town.store.journal.append_side_records([QuietSet("bob", hours)])
    await town.said(await town.dm(), "hi")
    await trio.sleep(HOUR / 2)
    assert town.results == {"wait": 1}


async def test_quiet_hours_are_not_over_by_a_clock_that_leaps(autojump_clock: object, build: Build) -> None:
    town = build()
    await in_quiet_hours(town)
    town.ahead_ms = 9 * HOUR_MS
    town.senders[0].wake()
    await trio.sleep(6)
    town.ahead_ms = 0
    await trio.sleep(HOUR)
    assert town.told == []
    await trio.sleep(HOUR)
    assert town.told == [("bob", 1)]
    assert town.results == {"wait": 1, "delivered": 1}


async def test_a_clock_that_leaps_while_it_is_read_what_is_due_has_nothing_sent(
    autojump_clock: object, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = build()
    due, leaps = type(town.store.notices).due, [9 * HOUR_MS]

    async def slow(self: Any, *given: Any) -> Any:
        found = await due(self, *given)
        if found and leaps:
            town.ahead_ms = leaps.pop()
        return found

    monkeypatch.setattr(type(town.store.notices), "due", slow)
    await town.said(await town.dm(), "hi")
    await trio.sleep(310)
    assert not leaps and town.told == [] and town.results == {}
    town.ahead_ms = 0
    await trio.sleep(1)
    assert town.told == [("bob", 1)]


async def test_a_failure_is_judged_by_the_clock_once_that_is_right(autojump_clock: object, build: Build) -> None:
    town = build(timing=Timing(after_ms=0))
    (channel,) = town.channels
    channel.then.append("silent")
    await town.said(await town.dm(), "hi")
    await trio.sleep(5)
    town.ahead_ms = 48 * HOUR_MS
    await trio.sleep(10)
    assert (channel.tried, town.results) == (1, {})
    town.ahead_ms = 0
    await trio.sleep(2)
    (entry,) = await town.store.notices.entries(dead=False, limit=10)
    assert entry.tries == 1 and entry.next_ts <= town.now_ms() + BASE_MS
    await trio.sleep(60)
    assert town.told == [("bob", 1)]


async def test_what_was_delivered_is_so_whatever_the_clock(autojump_clock: object, build: Build) -> None:
    town = build(timing=Timing(after_ms=0))
    (channel,) = town.channels
    channel.delay_s = 5
    await town.said(await town.dm(), "hi")
    await trio.sleep(1)
    town.ahead_ms = 48 * HOUR_MS
    await trio.sleep(6)
    assert town.results == {"delivered": 1}
    assert await town.store.notices.counts() == {}


async def test_nothing_is_due_by_a_clock_that_leaps(autojump_clock: object, build: Build) -> None:
    """And what was not looked at meanwhile is looked at later."""
    town = build()
    await town.said(await town.dm(), "hi")
    await trio.sleep(60)
    town.ahead_ms = 9 * HOUR_MS
    await town.said(await town.group("cy"), "hi")
    await trio.sleep(120)
    assert await town.store.notices.counts() == {}
    town.ahead_ms = 0
    await trio.sleep(60)
    assert town.told == [] and await town.store.notices.counts() == {}
    await trio.sleep(300)
    assert town.told[0] == ("bob", 1)


@pytest.mark.parametrize("outcome", ["delivered", "retry"])
async def test_of_results_that_can_not_be_recorded_before_the_end_only_facts_are_recorded_later(
    autojump_clock: object, build: Build, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    """Another node may have tried since: what was decided before would undo what that one has recorded."""
    town = build(timing=Timing(after_ms=0))
    (channel,), (sender,) = town.channels, town.senders
    channel.down = outcome == "retry"
    notices = type(town.store.notices)
    finish, recorded = notices.finish, []

    async def fails(*given: Any) -> None:
        raise StoreError("this node's clock was set forward")

    async def finishes(self: Any, attempts: Any, *rest: Any) -> None:
        recorded.extend((attempt.outcome, attempt.tries) for attempt in attempts)
        await finish(self, attempts, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(notices, "finish", fails)
        await town.said(await town.dm(), "hi")
        await trio.sleep(2)
        assert (channel.tried, town.results) == (1, {outcome: 1})
        town.scope.cancel()
        await trio.sleep(2)
    monkeypatch.setattr(notices, "finish", finishes)
    (entry,) = await town.store.notices.entries(dead=False, limit=10)
    key = (entry.id, 0)
    assert (key in sender._under_way) == (outcome == "delivered")
    channel.down = False
    await trio.sleep(HOUR)
    town.nursery.start_soon(sender.run)
    await trio.sleep(60)
    assert recorded == [("delivered", 1)]
    assert town.told == [("bob", 1)]
