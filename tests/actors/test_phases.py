"""The table of phases is whole: every phase can be reached and left, and a room follows it."""

from __future__ import annotations

import random
from typing import Any

import trio
from trio.testing import MockClock

from gochat.actors.phases import DECIDING, IDLE, PREPARING, RECORDING, TRANSITIONS, Phase
from gochat.domain import commands
from tests.actors.house import TEA, keep_house
from tests.waiting import until


def test_every_phase_is_reached_from_idle_and_leads_back() -> None:
    def reached(start: Phase) -> set[Phase]:
        found, todo = {start}, [start]
        while todo:
            for phase in TRANSITIONS[todo.pop()].values():
                if phase not in found:
                    found.add(phase)
                    todo.append(phase)
        return found

    assert all(reached(phase) == set(TRANSITIONS) for phase in TRANSITIONS)


def test_what_is_decided_is_recorded_before_anything_else_is_decided() -> None:
    """While the journal has a batch, no event but its answer is possible; and only a decision is recorded."""
    assert list(TRANSITIONS[RECORDING].values()) == [IDLE]
    before = {phase for phase, events in TRANSITIONS.items() if RECORDING in events.values()}
    assert before == {DECIDING}
    assert DECIDING not in TRANSITIONS[DECIDING].values()


async def test_only_preparing_lasts_while_others_run_and_nothing_waits(
    autojump_clock: MockClock, monkeypatch: Any
) -> None:
    """Whoever looks at a room from outside of its calls never finds it deciding, and a room with mail is never idle."""
    seen: set[Phase] = set()
    async with keep_house() as house, trio.open_nursery() as nursery:
        await house.tea("bob")

        async def watch() -> None:
            while True:
                for room in house.rooms:
                    seen.add(room.phase)
                    assert room.phase != IDLE or not len(room.mailbox) or room.held
                await trio.lowlevel.checkpoint()

        nursery.start_soon(watch)
        dice = random.Random(3)
        for number in range(200):
            wanted: list[commands.AnyCommand] = [
                *house.say(str(number)),
                commands.React(room=TEA, user="bob", seq=3, emoji="+", on=bool(number % 2)),
                commands.Send(room=TEA, user="zoe", body="refused", key=str(number)),
            ]
            house.ask(*dice.sample(wanted, dice.randrange(1, 3)))
            for _ in range(dice.randrange(4)):
                await trio.lowlevel.checkpoint()
        await until(lambda: all(room.idle for room in house.rooms))
        nursery.cancel_scope.cancel()  # Until here the watch keeps the clock from jumping.
    assert seen >= {PREPARING, RECORDING} and DECIDING not in seen
