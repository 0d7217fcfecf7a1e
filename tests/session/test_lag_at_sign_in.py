"""Facts that a room leaves out while a welcome is read: the session reads them in the log, or is told that it lags."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

from gochat.domain import commands
from gochat.session.positions import MAX_EVENTS, NEVER, Lagging, Positions
from tests.actors.house import TEA, run
from tests.actors.test_live import Peer, Town, in_town

DM = "dm:ann:bob"


def held_welcomes(house: Any) -> trio.Event:
    """Welcomes are read, and go on once the event is set."""
    read, may_go_on = house.archive.welcome, trio.Event()

    async def slowly(*asked: Any, **more: Any) -> Any:
        snapshot = await read(*asked, **more)
        await may_go_on.wait()
        return snapshot

    house.archive.welcome = slowly
    return may_go_on


async def left_out(town: Town, *, room: str) -> None:
    """No room fits into memory any more when another node says something, and bob's welcome has been read by then."""
    house = town.house
    await house.tea("bob")
    await house.outcomes(*house.say("one", room=room))
    house.rooms.passivate_idle(trio.current_time() + 1)
    may_go_on = held_welcomes(house)
    bob = Peer(town, "bob")
    await house.settled()
    house.rooms._capacity = 0
    await house.elsewhere(commands.Send(room=room, user="ann", body="left out"))
    await house.settled()
    may_go_on.set()
    await house.settled()
    assert house.rooms.get(room) is None
    assert bob.facts == [len(house.journal.log[room])]


@pytest.mark.parametrize("room", [TEA, DM])
def test_it_is_replayed(room: str) -> None:
    run(partial(in_town, 1, partial(left_out, room=room)))


async def left_out_of_a_strangers_group(town: Town) -> None:
    house = town.house
    await house.tea("bob")
    house.rooms.passivate_idle(trio.current_time() + 1)
    house.rooms._capacity = 0
    may_go_on = held_welcomes(house)
    eve = Peer(town, "eve")
    await house.settled()
    assert house.live.sign_ins
    await house.elsewhere(commands.Send(room=TEA, user="ann", body="left out"))
    await house.settled()
    may_go_on.set()
    await house.settled()
    assert [frame["type"] for frame in eve.wire.frames] == ["welcome"]


def test_of_a_group_a_stranger_learns_nothing() -> None:
    run(partial(in_town, 1, left_out_of_a_strangers_group))


def test_a_room_that_the_welcome_does_not_tell_of_lags() -> None:
    machine = Positions()
    machine.begin_greeting()
    assert machine.note_lag(DM, 7) and machine.note_lag(DM, 5)
    assert machine.open(3) == []
    assert machine.take_missed() == {DM: 7} and machine.take_missed() == {}
    machine.catch_up_missed(DM, 7, None)
    assert machine.position(DM) == Lagging()


def test_what_the_welcome_holds_is_not_missed() -> None:
    machine = Positions()
    machine.begin_greeting()
    machine.note_lag(DM, 7)
    machine.open(3)
    for room, last in machine.take_missed().items():
        machine.catch_up_missed(room, last, 7)
    assert machine.position(DM) is None


def test_what_is_kept_while_a_welcome_is_read_is_bounded() -> None:
    machine = Positions()
    machine.begin_greeting()
    assert all(machine.note_lag(f"dm:a{n}:bob", 1) for n in range(MAX_EVENTS))
    assert not machine.note_lag("dm:zoe:bob", 1)
    assert machine.events is None and machine.take_missed() == {}
    assert machine.note_lag("dm:zoe:bob", 1), "it is told once"


def test_a_session_that_may_not_read_is_told_of_no_lag() -> None:
    machine = Positions()
    machine.begin_greeting()
    machine.open(NEVER)
    assert not machine.fall_behind(DM)
