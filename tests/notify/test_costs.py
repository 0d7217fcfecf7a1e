"""The cost of one user's notifications for others is bounded: the places that wait, the dead letters, the workers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from gochat.config import Notify
from gochat.domain.notices import Bounds, Subscribed, Subscription, Unsubscribed
from gochat.domain.turn import RoomRules
from gochat.notify.channel import DELIVERED, Retry
from gochat.notify.channels import Channels
from gochat.notify.circuit import FAILURES, PAUSE_MS, Circuits
from gochat.notify.due import Timing
from gochat.notify.http import Poster
from gochat.notify.wait_budget import FORGET_S, MOST_S, WaitBudget
from tests.contracts.channel import SOON
from tests.contracts.scribe import Scribe
from tests.notify.receivers import NOTIFICATION, HttpReceiver
from tests.notify.stages import SECRET, Device, now_ms
from tests.notify.stand_in import MemoryChannel
from tests.notify.town import HOUR, Build, Town

NOW = Timing(after_ms=0)


async def devices(town: Town, *users: str, count: int = 10) -> set[Subscription]:
    """Each user has so many devices."""
    found = {
        user: [Subscription(f"https://{user}.example/{number}", "k", "a") for number in range(count)] for user in users
    }
    await town.store.journal.append_side_records(
        [Subscribed(user, device, number, None) for user in users for number, device in enumerate(found[user])]
    )
    return {device for each in found.values() for device in each}


async def dms(town: Town, receiver: str, count: int, *, rules: RoomRules | None = None) -> list[Scribe]:
    """A message to the receiver by each of so many users."""
    scribes = []
    for number in range(count):
        room = "dm:" + ":".join(sorted((receiver, f"s{number:03}")))
        scribes.append(await Scribe.at(town.store, room))
        scribes[-1].rules = rules or scribes[-1].rules
        await town.said(scribes[-1], "hi", user=f"s{number:03}")
    return scribes


# ---------------------------------------------------------------------------------------------- places


async def test_of_each_stranger_one_message_is_told_however_often_they_ask(
    autojump_clock: object, build: Build
) -> None:
    town = build(timing=Timing(after_ms=0, again_ms=1))
    scribes = await dms(town, "bob", 20, rules=RoomRules())
    await trio.sleep(10)
    for number, scribe in enumerate(scribes):
        await town.said(scribe, "please", "please!", user=f"s{number:03}")
    await trio.sleep(HOUR)
    assert town.told == [("bob", 1)] * 20
    assert all(notification.request for notification, _ in town.channels[0].received)


async def test_what_waits_for_one_user_takes_no_place_of_the_others(autojump_clock: object, build: Build) -> None:
    town = build(timing=NOW, bounds=Bounds(waiting=50, dead=10, of_user=30))
    (channel,) = town.channels
    channel.down = True
    await dms(town, "bob", 60)
    await trio.sleep(60)
    assert await town.store.notices.counts() == {("webhook", "waiting"): 30}
    await dms(town, "cy", 5)
    await trio.sleep(60)
    assert await town.store.notices.counts() == {("webhook", "waiting"): 35}
    channel.down = False
    await trio.sleep(5 * HOUR)
    assert Counter(user for user, _ in town.told) == {"bob": 30, "cy": 5}
    await dms(town, "bob", 60)
    await trio.sleep(60)
    assert Counter(user for user, _ in town.told)["bob"] == 60, "those that had no place are told with the next message"


async def test_a_full_queue_keeps_the_latest_dead_letters_and_no_more(autojump_clock: object, build: Build) -> None:
    town = build(timing=NOW, bounds=Bounds(waiting=5, dead=3))
    town.channels[0].down = True
    await town.said(await town.group(*(f"u{number:02}" for number in range(20))), "hi")
    await trio.sleep(60)
    assert await town.store.notices.counts() == {("webhook", "waiting"): 5, ("webhook", "dead"): 3}
    for entry in await town.store.notices.entries(dead=True, limit=10):
        assert entry.reason == "too many wait for this channel"


# ---------------------------------------------------------------------------------------------- workers


async def test_users_whose_devices_hang_hold_up_the_others_for_a_bounded_time(
    autojump_clock: object, build: Build
) -> None:
    """40 users have 10 devices each that never answer: 400 time-outs of 10 s for 16 workers would be 250 s."""
    town = build(channels=[MemoryChannel("push")], timing=NOW, bounds=Bounds(waiting=100_000))
    (channel,) = town.channels
    bad = [f"m{number:02}" for number in range(40)]
    channel.slow = set(await devices(town, *bad))
    await devices(town, "bob", count=1)
    await town.said(await town.group(*bad), "hi")
    await trio.sleep(1)
    await town.said(await town.dm(), "hi")  # Behind all of theirs.
    await trio.sleep(len(bad) * 2 * 10 / 16 + 30)  # Two time-outs each.
    assert town.told == [("bob", 1)]
    before = channel.tried
    await trio.sleep(HOUR)
    assert channel.tried - before < 3 * len(bad), "and hardly at all afterwards"


async def test_ten_thousand_subscriptions_of_one_user_are_ten(autojump_clock: object, build: Build) -> None:
    town = build(channels=[MemoryChannel("push")], timing=NOW)
    for number in range(0, 10_000, 1_000):
        await town.store.journal.append_side_records(
            [
                Subscribed("mal", Subscription(f"https://push.example/{number + each}", "k", "a"), number + each, None)
                for each in range(1_000)
            ]
        )
    await town.said(await town.group("mal"), "hi")
    await trio.sleep(60)
    assert town.told == [("mal", 1)] * 10


async def test_an_endpoint_of_somebody_else_is_taken_over_and_not_forgotten_by_its_old_user(
    autojump_clock: object, build: Build
) -> None:
    """Only the browser knows its endpoint. Of the user who had it before nothing goes there any more."""
    town = build(channels=[MemoryChannel("push")], timing=NOW)
    device = Subscription("https://push.example/shared", "k", "a")
    await town.store.journal.append_side_records(
        [Subscribed("bob", device, 1, None), Subscribed("cy", device, 2, None)]
    )
    await town.store.journal.append_side_records([Unsubscribed("bob", device.endpoint)])
    await town.said(await town.group("bob", "cy"), "hi")
    await trio.sleep(60)
    assert town.told == [("cy", 1)]


def test_waiting_is_forgotten_slowly_and_of_few_users() -> None:
    budget = WaitBudget(most=2)
    for _ in range(2):
        assert budget.has("mal", 0.0)
        budget.took("mal", MOST_S / 2, 0.0)
    assert not budget.has("mal", 0.0)
    assert budget.has("bob", 0.0)
    assert budget.has("mal", FORGET_S)
    budget.took("mal", 2.0, FORGET_S)
    assert not budget.has("mal", FORGET_S)
    for user in ("bob", "cy"):
        budget.took(user, 0.9, FORGET_S)
        assert not budget.has("mal", FORGET_S), "what is quick takes no place"
    for user in ("bob", "cy"):
        budget.took(user, MOST_S, FORGET_S)
    assert budget.has("mal", FORGET_S), "the bound of users"


def test_a_circuit_opens_and_one_try_at_a_time_may_close_it() -> None:
    circuits = Circuits(most=2)
    for number in range(FAILURES):
        assert circuits.refusal("down.example", 0) is None
        circuits.failed("down.example", 0, f"reason {number}")
    assert circuits.refusal("down.example", PAUSE_MS - 1) == f"reason {FAILURES - 1}"
    assert circuits.refusal("up.example", 0) is None
    assert circuits.refusal("down.example", PAUSE_MS) is None
    assert circuits.refusal("down.example", PAUSE_MS) is not None, "one at a time"
    circuits.cancelled("down.example")
    assert circuits.refusal("down.example", PAUSE_MS) is None
    circuits.failed("down.example", PAUSE_MS, "still")
    assert circuits.refusal("down.example", 2 * PAUSE_MS - 1) == "still"
    assert circuits.refusal("down.example", 2 * PAUSE_MS) is None
    circuits.answered("down.example")
    assert circuits.refusal("down.example", 2 * PAUSE_MS) is None
    assert circuits.refusal("down.example", 2 * PAUSE_MS) is None
    for host in ("a", "b", "c"):
        for _ in range(FAILURES):
            circuits.failed(host, 0, "no")
    assert [circuits.refusal(host, 0) for host in ("a", "b", "c")] == [None, "no", "no"], "the bound of hosts"


# ---------------------------------------------------------------------------------------------- the channels together


def settings(receiver: HttpReceiver, **more: Any) -> Notify:
    return Notify(
        webhook_url=f"http://127.0.0.1:{receiver.port}/",
        webhook_secret=SECRET,
        push=True,
        push_contact="mailto:ops@chat.example",
        allow_private=True,
        timeout_s=SOON,
        **more,
    )


async def test_push_services_that_hang_hold_up_no_webhook(tmp_path: Path, nursery: trio.Nursery) -> None:
    receiver = HttpReceiver()
    await nursery.start(receiver.serve)
    (silent,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = silent.socket.getsockname()[1]
    channels = Channels(settings(receiver), tmp_path, now_ms)
    webhook, push = channels.all
    ended = []

    async def hang(number: int) -> None:
        await push.send(NOTIFICATION, Device().subscription(f"https://127.0.0.1:{port}/{number}"))
        ended.append(number)

    async with trio.open_nursery() as inner:
        for number in range(20):
            inner.start_soon(hang, number)
        await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.fail_after(SOON):
            assert await webhook.send(NOTIFICATION, None) == DELIVERED
        assert ended == []
        inner.cancel_scope.cancel()
    await channels.aclose()
    await silent.aclose()


async def test_connections_of_each_channel_are_let_go_of_whatever_another_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised, so that the error which ended the work stays the one that is told."""
    channels = Channels(settings(HttpReceiver()), tmp_path, now_ms)
    closed: list[int] = []

    async def close(poster: Poster) -> None:
        closed.append(channels._posters.index(poster))
        if len(closed) == 1:
            raise OSError("bad file descriptor")

    monkeypatch.setattr(Poster, "aclose", close)
    await channels.aclose()
    assert sorted(closed) == [0, 1] and "bad file descriptor" in caplog.text


@pytest.mark.parametrize("private", [True, False])
async def test_private_push_services_may_be_refused_beside_a_private_webhook(
    tmp_path: Path, nursery: trio.Nursery, private: bool
) -> None:
    hook, service = HttpReceiver(), HttpReceiver()
    await nursery.start(hook.serve)
    await nursery.start(service.serve)
    channels = Channels(settings(hook, push_private=private), tmp_path, now_ms)
    webhook, push = channels.all
    assert await webhook.send(NOTIFICATION, None) == DELIVERED
    result = await push.send(NOTIFICATION, Device().subscription(f"https://127.0.0.1:{service.port}/"))
    assert isinstance(result, Retry), "it speaks no TLS"
    assert ("private" in result.reason) is not private
    assert service.connections == int(private)
    await channels.aclose()
