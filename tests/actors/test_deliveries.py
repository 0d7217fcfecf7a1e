"""More of other nodes' facts than can be delivered: what is left out is told as lag, and nobody waits for ever."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from gochat.actors.deliveries import MOST, MOST_WAITING
from gochat.actors.fact_batch import FactBatch
from gochat.actors.foreign import hear
from gochat.actors.live import OFFERS_A_SEND
from gochat.actors.room import RoomActor
from gochat.domain import facts
from gochat.errors import Denied
from gochat.ports.journal import ForeignBatch
from tests.actors.house import TEA, House, Recorder


async def large_room(house: House) -> tuple[RoomActor, int]:
    """The room, with more listeners than a slice, and its head."""
    users = [f"u{n}" for n in range(OFFERS_A_SEND + 2)]
    await house.tea(*users)
    for user in users:
        house.live.enter(TEA, Recorder(house, user))
    room = house.rooms.get(TEA)
    assert room is not None and room.record is not None
    return room, room.record.head


def say_elsewhere(house: House, seq: int, added: str | None = None) -> None:
    base: dict[str, Any] = {"room": TEA, "seq": seq, "ts": 1_000_000, "sender": "ann"}
    fact = facts.Message(**base, body="x") if added is None else facts.Member(**base, users=[added], change="added")
    hear(house.rooms, house.live, ForeignBatch(TEA, 1_000 + seq, [fact]))


async def test_users_who_came_before_what_was_dropped_lag_and_delivered_never_goes_back(
    small_house: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, live = small_house, small_house.live
    room, head = await large_room(house)
    zoe = Recorder(house, "zoe")
    begin, delivered = live.begin, list[int]()

    def noted(fact_batch: FactBatch) -> None:
        delivered.append(room.delivered)
        begin(fact_batch)

    monkeypatch.setattr(live, "begin", noted)
    latest = head + MOST_WAITING + 1
    for seq in range(head + 1, latest + 1):
        say_elsewhere(house, seq, added="zoe" if seq == head + 10 else None)
    await house.settled()
    assert delivered == [latest] * 3, "the one under way, the one that lets zoe in, the latest"
    assert zoe.seqs[0] == head + 10
    assert zoe.lags == [(TEA, latest)], "the facts between were left out"


async def test_mail_that_waited_for_what_was_dropped_is_answered(small_house: House, autojump_clock: MockClock) -> None:
    house = small_house
    room, head = await large_room(house)
    for seq in range(head + 1, head + MOST + 1):
        say_elsewhere(house, seq)
    assert room.held
    (asked,) = house.ask(*house.say("may I?", user="eve"))
    for seq in range(head + MOST + 1, head + MOST_WAITING + 2):
        say_elsewhere(house, seq)
    await house.settled()
    assert isinstance(asked.outcome, Denied) and asked.outcome.code == "not_found"
