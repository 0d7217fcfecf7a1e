"""Observers hear of every recorded batch, in order, and cost nobody anything when they fail."""

from __future__ import annotations

from collections.abc import Sequence

from trio.testing import MockClock

from gochat.domain import commands
from gochat.domain.facts import AnyFact
from gochat.domain.record import RoomRecord
from gochat.domain.turn import Done
from gochat.errors import StoreError
from gochat.ports.journal import ForeignBatch
from tests.actors.house import TEA, Asked, House, Recorder, keep_house

DM = "dm:ann:bob"


class Notes:
    """Remembers what it was told, and how much had left by then."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int], int, int]] = []
        self.house: House | None = None
        self.asked: list[Asked] = []
        self.listener: Recorder | None = None

    def recorded(self, room: str, record: RoomRecord, facts: Sequence[AnyFact], commit: int) -> None:
        assert record.room == room and all(fact.room == room for fact in facts)
        self.batches.append((room, [fact.seq for fact in facts], record.head, commit))
        assert all(each.outcome is not None for each in self.asked), "the askers come first"
        if self.listener is not None and facts:
            assert self.listener.seqs[-1] == facts[-1].seq, "then the listeners"

    def recorded_unheard(self, batch: ForeignBatch) -> None:
        raise AssertionError("there is no other node")


class Broken:
    def recorded(self, room: str, record: RoomRecord, facts: Sequence[AnyFact], commit: int) -> None:
        raise RuntimeError("an observer's fault")

    def recorded_unheard(self, batch: ForeignBatch) -> None:
        raise RuntimeError("an observer's fault")


async def test_each_batch_is_told_once_after_replies_and_delivery(autojump_clock: MockClock) -> None:
    notes = Notes()
    async with keep_house(observers=[notes]) as house:
        await house.tea("bob")
        notes.listener = Recorder(house, "bob")
        house.live.enter(TEA, notes.listener)
        notes.asked = house.ask(
            *house.say("one", "two"), commands.React(room=TEA, user="bob", seq=3, emoji="+", on=True)
        )
        await house.settled()
        await house.outcomes(commands.Report(room=TEA, user="bob", seq=3, reason="spam"))
        await house.outcomes(*house.say("refused", user="zoe"), commands.Typing(room=TEA, user="ann"))
    log = house.journal.log[TEA]
    told = [seq for _, seqs, _, _ in notes.batches for seq in seqs]
    assert told == [fact.seq for _, fact in log] == [1, 2, 3, 4, 5]
    assert notes.batches[-1][1:3] == ([], 5), "a report is recorded beside the log; what was refused is not told"
    commits = [commit for *_, commit in notes.batches]
    assert commits == sorted(set(commits)) and {commit for commit, _ in log} <= set(commits)


async def test_what_is_not_recorded_is_not_told(autojump_clock: MockClock) -> None:
    notes = Notes()
    async with keep_house(observers=[notes]) as house:
        await house.outcomes(*house.say("one", room=DM))
        house.journal.before.append(StoreError("disk full"))
        await house.outcomes(*house.say("two", room=DM))
        await house.outcomes(*house.say("three", room=DM))
    assert [seqs for _, seqs, _, _ in notes.batches] == [[1], [2]]


async def test_an_observer_that_raises_costs_nobody_anything(autojump_clock: MockClock) -> None:
    notes = Notes()
    async with keep_house(observers=[Broken(), notes, Broken()]) as house:
        bob = Recorder(house, "bob")
        outcomes = await house.outcomes(*house.say("one", "two", room=DM))
        outcomes += await house.outcomes(*house.say("three", room=DM))
        assert [outcome.seq for outcome in outcomes if isinstance(outcome, Done)] == [1, 2, 3]
        assert (bob.seqs, bob.lags) == ([1, 2, 3], [])
        assert [seqs for _, seqs, _, _ in notes.batches] == [[1, 2], [3]]
