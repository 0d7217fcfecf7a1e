"""A device confirms the latest of each room, now and then."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gochat.client.confirmed import AT_ONCE, EVERY_S, Confirmed
from gochat.protocol.requests import Got


async def test_what_comes_within_a_second_is_one_confirmation(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    confirmed, posted = Confirmed(), list[tuple[float, Got]]()
    began = trio.current_time()
    nursery.start_soon(confirmed.run, lambda got: posted.append((trio.current_time() - began, got)))
    for seq in (4, 5, 3):
        confirmed.note("group:tea", seq)
    confirmed.note("dm:ann:bob", 1)
    await trio.sleep(EVERY_S / 2)
    assert [got for _, got in posted] == [Got(room="group:tea", seq=5), Got(room="dm:ann:bob", seq=1)]
    confirmed.note("group:tea", 5)
    confirmed.note("group:tea", 6)
    confirmed.note("group:tea", 7)
    await trio.sleep(10 * EVERY_S)
    assert [(at, got.seq) for at, got in posted[2:]] == [(EVERY_S, 7)]


async def test_many_rooms_take_their_turns(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    confirmed, posted = Confirmed(), list[Got]()
    for number in range(3 * AT_ONCE):
        confirmed.note(f"group:g{number}", 1)
    nursery.start_soon(confirmed.run, posted.append)
    for turn in (1, 2, 3, 3):
        await trio.sleep(EVERY_S * 0.9 if turn == 1 else EVERY_S)
        assert len(posted) == turn * AT_ONCE


async def test_a_log_that_begins_anew_is_confirmed_from_its_first_fact(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    confirmed, posted = Confirmed(), list[Got]()
    nursery.start_soon(confirmed.run, posted.append)
    confirmed.note("group:tea", 9)
    await trio.sleep(2 * EVERY_S)
    confirmed.note("group:tea", 10)
    confirmed.forget("group:tea")
    confirmed.forget("group:unknown")
    confirmed.note("group:tea", 3)
    await trio.sleep(2 * EVERY_S)
    assert [got.seq for got in posted] == [9, 3]
