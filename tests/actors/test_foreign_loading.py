"""Facts of other nodes and rooms that are not in memory: which are brought there, and what is told meanwhile."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.foreign import hear
from gochat.domain import commands, facts
from gochat.domain.turn import Done, RoomRules
from gochat.errors import StoreError
from gochat.ports.journal import ForeignBatch
from gochat.protocol.replies import Contact
from tests.actors.house import TEA, Recorder, keep_house, run
from tests.actors.test_foreign import DM, Notes, check, say
from tests.actors.test_live import Peer, Town, in_town


async def broken(room: str) -> None:
    raise StoreError("the disk is gone")


async def test_a_room_that_is_not_in_memory_tells_it_once_all_the_same(autojump_clock: MockClock) -> None:
    notes = Notes()
    async with keep_house(observers=[notes]) as house:
        await house.outcomes(say("one"))
        assert house.rooms.passivate_idle(trio.current_time() + 1) == 1
        notes.listener = bob = Recorder(house, "bob")
        await house.elsewhere(say("two"))
        await house.elsewhere(say("three"))
        await house.settled()
        assert (bob.seqs, bob.lags) == ([2, 3], [])
        assert [seqs for _, seqs, _ in notes.batches] == [[1], [2], [3]]
        (done,) = await house.outcomes(say("four"))
        assert isinstance(done, Done) and done.seq == 4 and bob.seqs == [2, 3, 4]


async def test_what_nobody_hears_brings_no_room_into_memory(autojump_clock: MockClock) -> None:
    notes = Notes()
    async with keep_house(observers=[notes]) as house:
        await house.outcomes(say("one"))
        assert house.rooms.passivate_idle(trio.current_time() + 1) == 1
        activated, concerned = house.rooms.activated, []
        house.journal.listen(lambda batch: concerned.append(hear(house.rooms, house.live, batch, [notes])))
        await house.elsewhere(say("two"))
        await house.elsewhere(commands.React(room=DM, user="bob", seq=1, emoji="+", on=True))
        await house.settled()
        assert (concerned, notes.unheard) == ([False, False], [(DM, [2]), (DM, [3])])
        assert house.rooms.activated == activated and house.rooms.get(DM) is None
        (done,) = await house.outcomes(say("four"))
        assert isinstance(done, Done) and done.seq == 4, "what was left out is read from the log"
        assert [seqs for _, seqs, _ in notes.batches] == [[1], [4]]


@pytest.mark.parametrize("why", ["a session listens", "a session signs in", "a session reads", "members change"])
async def test_what_somebody_may_hear_brings_the_room_into_memory(why: str, autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        await house.tea("bob")
        await house.settled()
        house.rooms.passivate_idle(trio.current_time() + 1)
        recorder = Recorder(house, "cat")
        if why == "a session listens":
            house.live.enter(TEA, recorder)
        elif why == "a session signs in":
            house.live.sign_ins[recorder] = trio.current_time()
        elif why == "a session reads":
            house.live.readings[recorder] = trio.current_time()
        others = commands.Add(room=TEA, user="ann", users=("cat",))
        await house.elsewhere(others if why == "members change" else say("hi", room=TEA))
        await house.settled()
        assert house.rooms.get(TEA) is not None


async def test_a_room_that_nobody_hears_goes_to_rest_whatever_others_write(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        await house.outcomes(say("one"))
        for _ in range(3):
            await house.elsewhere(say("more"))
            await house.settled()
        room = house.rooms.get(DM)
        assert room is not None and room.record is not None and room.record.head == 4
        assert house.rooms.passivate_idle(trio.current_time() - 100) == 1
        bob = Recorder(house, "bob")
        await house.outcomes(say("five"))
        await trio.sleep(100)
        await house.elsewhere(say("six"))
        await trio.sleep(1)
        assert house.rooms.passivate_idle(trio.current_time() - 90) == 0, "somebody hears it"
        assert bob.seqs == [5, 6]


def test_a_session_that_read_it_in_the_log_is_not_told_it_again() -> None:
    async def act(here: Town) -> None:
        house = here.house
        await house.tea("bob")
        bob = Peer(here, "bob")
        await house.settled()
        await house.outcomes(say("one", room=TEA), say("two", room=TEA))
        house.rooms.passivate_idle(trio.current_time() + 1)
        house.shared.silent = True
        await house.elsewhere(say("three", room=TEA))
        await house.settled()
        bob.restart(3)
        await house.settled()
        assert bob.facts == [3, 4, 4, 5], "what is recorded stands in the log"
        house.shared.speak()
        await house.settled()
        await house.outcomes(say("four", room=TEA))
        assert bob.facts == [3, 4, 4, 5, 6]

    run(partial(in_town, 1, act))


async def test_a_room_that_told_it_lately_stays_for_those_who_read_the_log(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        await house.outcomes(say("one"))
        await trio.sleep(10)
        reading_since = trio.current_time()
        house.live.readings["a reading"] = reading_since
        await trio.sleep(1)
        await house.elsewhere(say("two"))
        await trio.sleep(1)
        assert house.rooms.passivate_idle(reading_since) == 0
        assert house.rooms.passivate_idle(trio.current_time()) == 1


async def test_a_room_that_has_to_be_loaded_tells_each_change_of_a_state_once(autojump_clock: MockClock) -> None:
    async with keep_house(RoomRules()) as house:
        ann, bob, gate = Recorder(house, "ann"), Recorder(house, "bob"), trio.Event()

        async def wait(room: str) -> None:
            await gate.wait()

        house.shared.before_load = wait
        for step in ("ask", "accept", "block", "unblock"):
            command: Any = commands.Contact(room=DM, user="bob", action=step) if step != "ask" else say("may I?")
            await house.elsewhere(command)
            await trio.sleep(1)
        gate.set()
        await house.settled()
        assert ann.told == [Contact(user="bob", state="contact")]
        assert bob.told == [Contact(user="ann", state=state) for state in ("contact", "blocked", "contact")]


async def test_listeners_lag_where_the_room_can_not_be_loaded(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        bob = Recorder(house, "bob")
        batch = ForeignBatch(DM, 7, [facts.Message(room=DM, seq=1, ts=1, sender="ann", body="x")])
        house.shared.before_load = broken
        hear(house.rooms, house.live, batch)
        await trio.sleep(0.1)
        assert (bob.seqs, bob.lags) == ([], [(DM, 1)])


async def test_listeners_lag_where_too_many_rooms_are_in_memory(autojump_clock: MockClock) -> None:
    async with keep_house(rooms=0) as house:
        bob = Recorder(house, "bob")
        await house.elsewhere(say("one"))
        await house.settled()
        assert (bob.seqs, bob.lags) == ([], [(DM, 1)])
        assert len(house.rooms) == 0


@pytest.mark.parametrize("fault", ["not loaded", "too many"])
async def test_no_lag_tells_a_user_of_what_is_withheld(autojump_clock: MockClock, fault: str) -> None:
    async with keep_house(rooms=0 if fault == "too many" else 1000) as house:
        ann, bob = Recorder(house, "ann"), Recorder(house, "bob")
        house.shared.before_load = broken
        said = [facts.Message(room=DM, seq=seq, ts=seq, sender="ann", body="x") for seq in (1, 2, 3)]
        hear(house.rooms, house.live, ForeignBatch(DM, 7, said[:2], hidden={1: "bob", 2: "bob"}))
        await trio.sleep(0.1)
        assert (ann.lags, bob.lags) == ([(DM, 2)], [])
        hear(house.rooms, house.live, ForeignBatch(DM, 8, said[2:]))
        await trio.sleep(0.1)
        assert (ann.lags[-1], bob.lags) == ((DM, 3), [(DM, 3)])


async def test_a_room_that_is_given_up_leaves_no_batch_untold(autojump_clock: MockClock) -> None:
    async with keep_house(RoomRules()) as house:
        ann, bob = Recorder(house, "ann"), Recorder(house, "bob")

        async def never(room: str) -> None:
            await trio.sleep_forever()

        house.shared.before_load = never
        said = [facts.Message(room=DM, seq=seq, ts=seq, sender="ann", body="x") for seq in (1, 2)]
        hear(house.rooms, house.live, ForeignBatch(DM, 7, said, hidden={1: "bob", 2: "bob"}))
        await trio.sleep(1)
        assert ann.lags == []
        house.rooms.at(DM).given_up()
        assert (ann.lags, bob.lags) == ([(DM, 2)], [])


async def test_batches_that_wait_for_the_room_are_bounded(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        await house.outcomes(say("1"))
        house.rooms.passivate_idle(trio.current_time() + 1)
        bob, gate = Recorder(house, "bob"), trio.Event()

        async def wait(room: str) -> None:
            await gate.wait()

        house.shared.before_load = wait
        room = house.rooms.at(DM)
        room._context = room._context._replace(mailbox=3)
        for n in range(2, 7):
            await house.elsewhere(say(str(n)))
            await trio.sleep(1)
        assert bob.lags == [(DM, 4)], "the first three are to be read in the log"
        gate.set()
        await house.settled()
        assert bob.seqs == [5, 6]
        await check(house, DM, [5, 6], bob)
