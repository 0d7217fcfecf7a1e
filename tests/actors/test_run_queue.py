"""Turns that need nothing but what is in memory, and turns that read first: the order is the same, and so is what comes
of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.messages import Submit
from gochat.actors.phases import IDLE, QUEUED
from gochat.actors.room import RoomActor
from gochat.actors.run_queue import SLICE, RunQueue
from gochat.domain import commands
from gochat.domain.turn import Done
from gochat.errors import Denied, StoreError
from tests.actors.house import Asked, House, Recorder, keep_house
from tests.waiting import until

DM = "dm:ann:bob"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with keep_house() as house:
        yield house


async def awake(house: House) -> RoomActor:
    """The private room, loaded."""
    await house.outcomes(*house.say("first", room=DM))
    actor = house.rooms.get(DM)
    assert actor is not None and actor.phase == IDLE
    return actor


async def test_a_turn_that_reads_nothing_needs_no_task(house: House, autojump_clock: MockClock) -> None:
    actor = await awake(house)
    ann = Recorder(house, "ann")
    asked = house.ask(*house.say("two", "three", room=DM))
    assert actor.phase == QUEUED and not actor.idle
    tasks = len(house.actors)
    seen: set[int] = set()
    await until(lambda: actor.idle, lambda: seen.add(len(house.actors)))
    assert seen == {tasks}
    assert [each.outcome.seq for each in asked if isinstance(each.outcome, Done)] == [2, 3]
    assert ann.seqs == [2, 3]
    assert len({commit for commit, _ in house.journal.log[DM][1:]}) == 1


async def test_many_rooms_are_one_commit(house: House, autojump_clock: MockClock) -> None:
    rooms = [f"dm:ann:u{n}" for n in range(3 * SLICE)]
    for text in ("first", "second"):
        await house.outcomes(*(house.say(text, room=room)[0] for room in rooms))
    commits = {house.journal.log[room][1][0] for room in rooms}
    assert len(commits) <= 4, "one for each slice of a tick, and one more"


async def test_order_is_kept_whatever_a_command_needs(house: House, autojump_clock: MockClock) -> None:
    await awake(house)
    dice = random.Random(7)
    kinds = ["send"] * 4 + ["edit", "react", "contact", "rest"]
    sent: list[tuple[str, Any]] = []
    for number in range(300):
        kind = dice.choice(kinds)
        if kind == "rest":
            for _ in range(dice.randrange(6)):
                await trio.lowlevel.checkpoint()
            continue
        command: commands.AnyCommand
        if kind == "send":
            command = commands.Send(room=DM, user="ann", body=str(number))
        elif kind == "edit":
            command = commands.Edit(room=DM, user="ann", seq=1, body=str(number))
        elif kind == "react":
            command = commands.React(room=DM, user="bob", seq=1, emoji="+", on=bool(number % 2))
        else:
            command = commands.Contact(room=DM, user="bob", action="add")
        sent += [(kind, each) for each in house.ask(command)]
    await house.settled()
    seqs = []
    for kind, asked in sent:
        assert isinstance(asked.outcome, Done), (kind, asked.outcome)
        if kind != "contact" and not asked.outcome.duplicate:
            seqs.append(asked.outcome.seq)
    assert seqs == list(range(2, len(seqs) + 2)), "in the order asked, without a gap"
    log = house.journal.log[DM]
    assert [fact.seq for _, fact in log] == list(range(1, len(log) + 1))


@pytest.mark.parametrize("meanwhile", [False, True])
async def test_a_key_that_was_forgotten(house: House, autojump_clock: MockClock, meanwhile: bool) -> None:
    await awake(house)
    (known,) = await house.outcomes(*house.say("x", room=DM, key="k"))
    house.forget_keys()
    asked = house.ask(*house.say("again", room=DM, key="k"), *house.say("new", room=DM))
    if meanwhile:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        asked += house.ask(commands.Edit(room=DM, user="ann", seq=1, body="edited"), *house.say("last", room=DM))
    await house.settled()
    assert isinstance(known, Done)
    again, new, *rest = [each.outcome for each in asked]
    assert again == Done(known.seq, known.ts, True)
    assert isinstance(new, Done) and new.seq == 3
    assert [outcome.seq for outcome in rest if isinstance(outcome, Done)] == ([4, 5] if meanwhile else [])


async def test_a_refused_send_with_a_key_is_looked_up(house: House, autojump_clock: MockClock) -> None:
    actor = await awake(house)
    (known,) = await house.outcomes(*house.say("x", room=DM, key="k"))
    house.forget_keys()
    rate = Denied("rate_limited", "slow")
    asked = house.ask(*house.say("x", room=DM, key="k"))
    mail = actor.mailbox.waiting[0]
    mail.refusal = rate
    await house.settled()
    assert isinstance(known, Done)
    assert asked[0].outcome == Done(known.seq, known.ts, True)


async def test_what_failed_is_unavailable_and_the_room_goes_on(house: House, autojump_clock: MockClock) -> None:
    await awake(house)
    ann = Recorder(house, "ann")
    house.journal.after.append(StoreError("gone", unknown=True))
    (outcome,) = await house.outcomes(*house.say("perhaps", room=DM))
    assert isinstance(outcome, Denied) and outcome.unknown
    await house.settled()
    assert ann.lags == [(DM, 2)], "it was recorded all the same: whoever listens catches up"
    (outcome,) = await house.outcomes(*house.say("next", room=DM))
    assert isinstance(outcome, Done) and outcome.seq == 3


async def test_a_ticket_that_fails_costs_nobody_else(house: House, autojump_clock: MockClock) -> None:
    actor = await awake(house)
    asked = house.ask(*house.say("a", "b", "c", room=DM))

    def broken(outcome: Any) -> None:
        raise RuntimeError("broken")

    asked[1].reply = broken  # type: ignore[method-assign]
    await house.settled()
    (outcome,) = await house.outcomes(*house.say("next", room=DM))
    assert isinstance(outcome, Done) and outcome.seq == 5
    assert house.rooms.get(DM) is actor


async def test_the_turns_of_a_tick_are_cut_in_slices(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    queue, taken, ticks = RunQueue(), list[int](), 0
    at: list[int] = []

    class Room:
        def __init__(self, number: int) -> None:
            self.number = number

        def run_turn(self) -> None:
            taken.append(self.number)
            at.append(ticks)

    nursery.start_soon(queue.run)
    await trio.testing.wait_all_tasks_blocked()
    for number in range(4 * SLICE):
        queue.add(Room(number))

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    await until(lambda: len(taken) >= 4 * SLICE, tick)
    assert taken == list(range(4 * SLICE))
    assert at[-1] - at[0] >= 2, "others had turns in between"


async def test_the_answers_of_all_sessions_leave(house: House, autojump_clock: MockClock) -> None:
    """Those of one session that stand in a row together, of sessions in turn each, and of askers without a session."""
    await awake(house)
    one, other = object(), object()
    asked = [Asked(house) for _ in range(7)]
    for reply_to, origin in zip(asked, [one, one, other, one, one, None, None], strict=True):
        [command] = house.say("x", room=DM)
        house.rooms.tell(DM, Submit(command, reply_to, origin=origin))
    await house.settled()
    assert all(isinstance(reply_to.outcome, Done) for reply_to in asked)
    assert [reply_to.flushed for reply_to in asked] == [1, 0, 1, 1, 0, 1, 1]


async def test_a_reply_to_what_is_not_in_memory_is_looked_up(house: House, autojump_clock: MockClock) -> None:
    """A room knows which of its seqs are messages since it was loaded; what was before only the store knows."""
    await house.tea("bob")
    (old,) = await house.outcomes(*house.say("old"))
    assert isinstance(old, Done) and house.rooms.passivate_idle(trio.current_time() + 1) == 1
    await house.outcomes(*house.say("the room is loaded again"))
    asked = house.ask(*house.say("yes", reply_to=old.seq), *house.say("no", reply_to=1), *house.say("last"))
    await house.settled()
    yes, no, last = [each.outcome for each in asked]
    assert isinstance(yes, Done) and isinstance(last, Done) and last.seq == yes.seq + 1
    assert isinstance(no, Denied) and no.code == "not_found", "seq 1 made the group: it is no message"
