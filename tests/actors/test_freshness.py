"""In a cluster an answer that depends on what other nodes have is not given where these can't be heard, and nobody else
pays for it."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from trio.testing import MockClock

from gochat.domain import commands
from gochat.domain.ids import MAX_SEQ
from gochat.domain.turn import Done
from gochat.errors import Denied, NotCurrent, StoreError
from gochat.protocol.replies import Got, Read
from tests.actors.house import TEA, House, Recorder, keep_house

UNKNOWABLE = [
    commands.Read(room=TEA, user="bob", seq=99),
    commands.Read(room=TEA, user="bob", seq=MAX_SEQ),
    commands.Got(room=TEA, user="bob", seq=99),
    commands.Edit(room=TEA, user="bob", seq=99, body="new"),
    commands.Send(room=TEA, user="stranger", body="let me in"),
]


def cut_off(house: House, monkeypatch: pytest.MonkeyPatch, error: StoreError) -> None:
    async def barrier(rooms: Collection[str] | None = None) -> None:
        raise error

    monkeypatch.setattr(house.shared, "barrier", barrier, raising=False)


@pytest.mark.parametrize("error", [StoreError("the log is away"), NotCurrent("this node is behind")])
@pytest.mark.parametrize("command", UNKNOWABLE, ids=lambda command: type(command).__name__)
async def test_one_command_costs_the_others_of_its_batch_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, command: commands.AnyCommand, error: StoreError
) -> None:
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        ann = Recorder(house, "ann")
        house.live.enter(TEA, ann)
        cut_off(house, monkeypatch, error)
        one, refused, two = await house.outcomes(*house.say("one"), command, *house.say("two"))
        assert isinstance(refused, Denied) and refused.code == "unavailable"
        assert [isinstance(outcome, Done) and outcome.seq for outcome in (one, two)] == [3, 4]
        assert not ann.told, "nothing of it is passed on"
        monkeypatch.undo()
        again = await house.outcomes(command, *house.say("three"))
        assert not isinstance(again[0], Denied) or again[0].code != "unavailable"
        assert isinstance(again[1], Done)


@pytest.mark.parametrize("seq", [MAX_SEQ + 1, 2**53])
async def test_a_position_that_no_node_can_have_is_capped_without_a_question(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, seq: int
) -> None:
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        await house.outcomes(*house.say("one"))
        ann = Recorder(house, "ann")
        house.live.enter(TEA, ann)
        cut_off(house, monkeypatch, StoreError("the log is away"))
        for kind in (commands.Read, commands.Got):
            read, sent = await house.outcomes(kind(room=TEA, user="bob", seq=seq), *house.say("two"))
            assert isinstance(read, Done) and isinstance(sent, Done)
        told = [event for event in ann.told if isinstance(event, Read | Got)]
        assert [event.seq if isinstance(event, Read) else event.got["bob"] for event in told] == [4, 5]
