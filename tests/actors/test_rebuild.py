"""A room whose append failed is rebuilt without mail, by one task, and ever less often while that fails."""

from __future__ import annotations

from itertools import pairwise

import trio
from trio.testing import MockClock

from gochat.errors import StoreError
from tests.actors.house import House

DM = "dm:ann:bob"


async def test_while_the_store_fails_a_room_tries_it_ever_less_often_however_much_mail_comes(
    house: House, autojump_clock: MockClock
) -> None:
    await house.outcomes(*house.say("one", room=DM))
    loads = list[float]()

    async def broken(room: str) -> None:
        loads.append(trio.current_time())
        raise StoreError("the disk is gone")

    house.shared.before_load = broken
    house.journal.before.append(StoreError("the disk is gone"))
    for _ in range(10):
        house.ask(*house.say("two", room=DM))
        await trio.sleep(0.01)
    loads.clear()
    await trio.sleep(60)
    pauses = [round(after - before, 1) for before, after in pairwise(loads)]
    assert pauses == [1, 2, 4, *[8.0] * 6]
    assert sum(child.spec.name.startswith("rebuild") for child in house.actors) == 1
    house.shared.before_load = None
    await house.settled()
    room = house.rooms.get(DM)
    assert room is not None and not room.stale
    house.shared.before_load = broken
    house.journal.before.append(StoreError("the disk is gone again"))
    house.ask(*house.say("two", room=DM))
    began, loads[:] = trio.current_time(), []
    await trio.sleep(1)
    assert [round(at - began, 1) for at in loads] == [0.5], "the pause is short again"
