"""Facts of other nodes are told as the room's own: once, in order, to the same observers, in any phase of a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat import store as stores
from gochat.actors.deliveries import MOST_WAITING
from gochat.actors.foreign import debit, hear
from gochat.actors.live import OFFERS_A_SEND
from gochat.actors.room import MOST_OVERTAKEN
from gochat.domain import commands, facts
from gochat.domain.facts import AnyFact
from gochat.domain.limits import UserLimits
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import Relation, RelationChange
from gochat.domain.side_records import Related
from gochat.domain.turn import Done, RoomRules
from gochat.errors import Denied
from gochat.ports.journal import ForeignBatch
from gochat.protocol.replies import Contact, Request
from tests.actors.house import TEA, House, Recorder, keep_house, keep_users
from tests.contracts.journal import JournalContract, message
from tests.contracts.scribe import Scribe
from tests.shared_log import SharedLog

DM = "dm:ann:bob"


class TestSharedLog(JournalContract):
    """The journal of these tests keeps the promises of every journal."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[Any]:
        async with stores.open_inline(":memory:") as inner:
            journal = SharedLog(inner.journal)
            scribe = await Scribe.at(inner, "dm:yan:zoe")
            turn, _ = await scribe.decide(commands.Send(room=scribe.room, user="yan", body="of the other node"))
            journal.decide_elsewhere(scribe.record, turn.facts)
            yield SimpleNamespace(journal=journal, archive=inner.archive, lookups=inner.lookups)


class Notes:
    """An observer that remembers what it was told."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int], int]] = []
        self.unheard: list[tuple[str, list[int]]] = []
        self.listener: Recorder | None = None

    def recorded(self, room: str, record: RoomRecord, facts: Sequence[AnyFact], commit: int) -> None:
        self.batches.append((room, [fact.seq for fact in facts], record.head))
        if self.listener is not None:
            assert self.listener.seqs[-1] == facts[-1].seq, "the listeners come first"

    def recorded_unheard(self, batch: ForeignBatch) -> None:
        self.unheard.append((batch.room, [fact.seq for fact in batch.facts]))


def say(body: str, user: str = "ann", room: str = DM, **fields: Any) -> commands.Send:
    return commands.Send(room=room, user=user, body=body, **fields)


async def check(house: House, room: str, heard: list[int] | None, listener: Recorder) -> None:
    """The room in memory is as the store has it, and the listener heard each of these facts once, or all there are."""
    room_actor = house.rooms.get(room)
    assert room_actor is not None and room_actor.record == await house.store.journal.load(room)
    assert listener.seqs == (heard or [fact.seq for _, fact in house.journal.log[room]])


async def test_what_another_node_decided_is_told_like_the_rooms_own(autojump_clock: MockClock) -> None:
    notes = Notes()
    async with keep_house(observers=[notes]) as house:
        notes.listener = bob = Recorder(house, "bob")
        await house.outcomes(say("one"))
        await house.elsewhere(say("two"), say("three", user="bob"))
        assert [outcome.seq for outcome in await house.outcomes(say("four")) if isinstance(outcome, Done)] == [4]
        await check(house, DM, None, bob)
        assert notes.batches == [(DM, [1], 1), (DM, [2, 3], 3), (DM, [4], 4)]


async def test_a_batch_that_others_went_before_is_numbered_behind_them(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        bob = Recorder(house, "bob")
        await house.outcomes(say("one"))
        house.shared.held = True
        asked = house.ask(
            say("mine", key="k"), say("mine too"), commands.React(room=DM, user="bob", seq=1, emoji="+", on=True)
        )
        await trio.sleep(1)
        await house.elsewhere(say("theirs", user="bob"), say("theirs too", user="bob"))
        house.shared.release()
        await house.settled()
        outcomes = [each.outcome for each in asked]
        log = [fact for _, fact in house.journal.log[DM]]
        assert [(done.seq, done.ts) for done in outcomes if isinstance(done, Done)] == [
            (fact.seq, fact.ts) for fact in log[3:]
        ]
        assert [type(fact) for fact in log] == [*[facts.Message] * 5, facts.Reaction]
        await check(house, DM, None, bob)
        (again,) = await house.outcomes(say("mine", key="k"))
        assert again == Done(4, log[3].ts, duplicate=True)
        (refused,) = await house.outcomes(say("to the reaction", reply_to=6))
        assert isinstance(refused, Denied), "the reaction is known at its new place"
        (reply,) = await house.outcomes(say("to the message", reply_to=5))
        assert reply == Done(7, reply.ts)


async def test_a_batch_that_would_be_decided_otherwise_is_decided_again(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        await house.tea("bob", "cat")
        listener = Recorder(house, "ann")
        house.live.enter(TEA, listener)
        house.shared.held = True
        asked = house.ask(say("still here", "bob", TEA), say("me too", "cat", TEA))
        await trio.sleep(1)
        await house.elsewhere(commands.Remove(room=TEA, user="ann", users=("bob",)))
        house.shared.release()
        await house.settled()
        first, second = (each.outcome for each in asked)
        assert isinstance(first, Denied) and first.code == "not_member"
        assert isinstance(second, Done)
        room = house.rooms.get(TEA)
        assert room is not None and room.record == await house.store.journal.load(TEA)
        assert listener.seqs == [second.seq - 1, second.seq] and not listener.lags


async def test_a_room_that_others_change_all_the_time_is_busy(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        await house.tea("bob")
        tries = 0

        async def change() -> None:
            nonlocal tries
            while True:
                house.shared.held = True
                await trio.sleep(1)
                await house.elsewhere(commands.Configure(room=TEA, user="ann", title=f"{tries}"))
                tries += 1
                house.shared.release()

        house.shared.held = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            (asked,) = house.ask(say("one", room=TEA))
            await trio.sleep(20)
            assert isinstance(asked.outcome, Denied) and asked.outcome.code == "busy"
            assert tries > MOST_OVERTAKEN
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("asleep", [False, True])
async def test_a_block_from_another_node_ends_presence_here(autojump_clock: MockClock, asleep: bool) -> None:
    async with keep_house(RoomRules()) as house:
        await house.outcomes(say("one"), commands.Contact(room=DM, user="bob", action="accept"))
        bob, ann = Recorder(house, "bob"), Recorder(house, "ann")
        house.live.watches.replace(ann, ["bob"], oversees=False)  # type: ignore[arg-type]
        ann.watching = ("bob",)
        if asleep:
            house.rooms.passivate_idle(trio.current_time() + 1)
        ann.soft.clear()
        bob.soft.clear()
        await house.elsewhere(commands.Contact(room=DM, user="bob", action="block"))
        await house.settled()
        assert house.live.watches.watchers == {}
        assert b'"blocked"' in b"".join(bob.soft) and b"blocked" not in b"".join(ann.soft)
        assert b'"online":false' in b"".join(ann.soft)
        (refused,) = await house.outcomes(say("hello?"))
        assert isinstance(refused, Denied) and refused.code == "blocked"


async def test_a_request_from_another_node_is_told_to_nobody_but_as_a_request(autojump_clock: MockClock) -> None:
    async with keep_house(RoomRules()) as house:
        bob, ann = Recorder(house, "bob"), Recorder(house, "ann")
        await house.elsewhere(say("may I?"))
        await house.settled()
        assert (ann.seqs, bob.seqs) == ([1], [])
        assert b'"request"' in b"".join(bob.soft)
        room = house.rooms.get(DM)
        assert room is not None and room.record == await house.store.journal.load(DM)


@pytest.mark.parametrize("asleep", [False, True])
async def test_a_request_that_the_welcome_told_is_not_told_again(autojump_clock: MockClock, asleep: bool) -> None:
    async with keep_house(RoomRules()) as house:
        if not asleep:
            await house.outcomes(commands.Contact(room=DM, user="ann", action="add"))
        signed_in, older = Recorder(house, "bob"), Recorder(house, "bob")
        signed_in.since = 1_000
        await house.elsewhere(say("may I?"))
        await house.settled()
        assert signed_in.told == []
        assert [type(event) for event in older.told] == [Request]
        await house.elsewhere(commands.Contact(room=DM, user="bob", action="decline"))
        await house.settled()
        assert signed_in.told == []
        assert older.told[1:] == [Contact(user="ann", state="declined")]


async def test_a_stale_room_lets_nobody_catch_up_with_what_is_withheld(autojump_clock: MockClock) -> None:
    """A delivery may fail after an append did: what the users are to each other is then known from before."""
    async with keep_house(RoomRules()) as house:
        ann, bob = Recorder(house, "ann"), Recorder(house, "bob")
        await house.outcomes(say("may I?"))
        room = house.rooms.at(DM)
        room.mark_stale()
        room.let_catch_up()
        assert (ann.seqs, ann.lags) == ([1], [(DM, 1)])
        assert (bob.seqs, bob.lags) == ([], [])


async def test_listeners_lag_where_other_nodes_say_more_than_can_be_delivered(autojump_clock: MockClock) -> None:
    async with keep_house(slice_=1) as house:
        users = [f"u{n}" for n in range(OFFERS_A_SEND + 2)]
        await house.tea(*users)
        listeners = [Recorder(house, user) for user in users]
        for each in listeners:
            house.live.enter(TEA, each)
        room = house.rooms.get(TEA)
        assert room is not None and room.record is not None
        head = room.record.head
        for n in range(1, 101):
            base: dict[str, Any] = {"room": TEA, "seq": head + n, "ts": 1_000_000, "sender": "ann"}
            fact = facts.Member(**base, users=["u0"], change="removed") if n == 20 else facts.Message(**base, body="x")
            hear(house.rooms, house.live, ForeignBatch(TEA, 1_000 + n, [fact]))
            assert room._deliveries is not None and len(room._deliveries._waiting) <= MOST_WAITING + 1
        await house.settled()
        gone, *others = listeners
        assert gone.seqs[-1] == head + 20, "to come and to go is not left out"
        for each in others:
            assert each.lags and each.seqs[-1] == room.delivered == head + 100
            assert each.seqs == sorted(set(each.seqs)) and len(each.seqs) < 50


async def test_users_in_memory_pay_for_another_node_also_when_no_other_finds_room_there(
    autojump_clock: MockClock,
) -> None:
    async with keep_house() as house:
        users = keep_users(house, capacity=1, limits=UserLimits(messages_per_s=1.0, message_burst=5))
        ann = users.at("ann")
        ann.asks.learn(())
        now_ms = house.clock.steady_ms()
        asked = Related(RelationChange(1, 0, now_ms, "ann", "ask"), Relation(("ann", "bob")))
        before = ann.bucket.left(now_ms)
        debit(users, ForeignBatch(DM, 1, [message(DM, 1, sender="bob"), message(DM, 2)], [asked]))
        assert (before - ann.bucket.left(now_ms), len(ann.asks._at_ms), users.refused) == (1, 1, 1)


NEXT: dict[str, Any] = {"room": TEA, "seq": 1, "ts": 1, "sender": "ann"}


@pytest.mark.parametrize(
    ("fact", "charged"),
    [
        (facts.Edit(**NEXT, target=1, body="hello"), True),
        (facts.Group(**NEXT, title="Tea and more"), True),
        (facts.Group(**NEXT, post="owner"), False),
        (facts.Delete(**NEXT, target=1), False),
        (facts.Reaction(**NEXT, target=1, emoji="👍", on=True), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_texts_of_another_node_cost_as_they_do_here(
    fact: AnyFact, charged: bool, autojump_clock: MockClock
) -> None:
    async with keep_house() as house:
        users = keep_users(house, limits=UserLimits(messages_per_s=1.0, message_burst=5))
        ann, now_ms = users.at("ann"), house.clock.steady_ms()
        messages, actions = ann.bucket.left(now_ms), ann.actions.left(now_ms)
        debit(users, ForeignBatch(TEA, 1, [fact], []))
        taken = (messages - ann.bucket.left(now_ms), actions - ann.actions.left(now_ms))
        assert taken == ((1, 0) if charged else (0, 1))
