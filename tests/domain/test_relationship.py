"""Two users: whatever they do to each other, who may write follows from what both hold, and never passes a block."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.domain import commands, relationship
from gochat.domain.facts import Message
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import RoomRecord, Target
from gochat.domain.relationship import DAY_MS, ContactPolicy, Relation
from gochat.domain.side_records import Related
from gochat.domain.turn import Done, Outcome, Prefetched, RoomRules, Turn
from gochat.errors import Denied

ROOM = "dm:ann:bob"
REQUEST = ContactPolicy()


class Pair:
    """The private room of ann and bob, turn by turn."""

    def __init__(self, policy: ContactPolicy = REQUEST, asks: int = 100) -> None:
        self.record = RoomRecord.new(ROOM, 1)
        self.rules = RoomRules(contacts=policy)
        self.now_ms = 1000
        self.windows = {user: SlidingWindow(asks, DAY_MS) for user in ("ann", "bob")}
        self.messages: list[Message] = []
        self.changes: list[Related] = []
        self.hidden: dict[int, str] = {}

    def turn(self, *wanted: commands.AnyCommand, refusal: Denied | None = None) -> list[Outcome]:
        turn = Turn(self.record, {}, Prefetched(), self.rules, self.now_ms, self.windows)
        outcomes = [turn.decide(command, refusal) for command in wanted]
        self.record = turn.draft
        self.messages += [fact for fact in turn.facts if isinstance(fact, Message)]
        self.changes += [entry for entry in turn.side_records if isinstance(entry, Related)]
        self.hidden |= turn.hidden
        return outcomes

    def say(self, user: str) -> str:
        return told(self.turn(commands.Send(room=ROOM, user=user, body="x"))[0])

    def act(self, user: str, action: Any) -> str:
        return told(self.turn(commands.Contact(room=ROOM, user=user, action=action))[0])

    @property
    def relation(self) -> Relation:
        assert self.record.relation is not None
        return self.record.relation


def told(outcome: Outcome) -> str:
    if isinstance(outcome, Denied):
        return outcome.rule or outcome.code
    return outcome.state or "sent"


def test_three_messages_wait_and_the_fourth_is_declined() -> None:
    pair = Pair()
    assert [pair.say("ann") for _ in range(4)] == ["sent", "sent", "sent", "request.waits"]
    assert pair.hidden == {1: "bob", 2: "bob", 3: "bob"}
    assert pair.relation.of("bob").waiting == 3
    assert pair.act("bob", "accept") == "contact"
    assert (pair.say("ann"), pair.say("bob")) == ("sent", "sent")
    assert len(pair.hidden) == 3


def test_within_one_turn() -> None:
    """A request, its answer, and what comes after: who hears what is known for each fact."""
    pair = Pair()
    say = [commands.Send(room=ROOM, user=user, body="x") for user in ("ann", "ann", "bob", "ann")]
    assert [told(outcome) for outcome in pair.turn(*say)] == ["sent"] * 4
    assert pair.hidden == {1: "bob", 2: "bob"}
    assert [(entry.change.change, entry.change.at) for entry in pair.changes] == [("ask", 0), ("accept", 2)]


def test_a_decline_is_over_after_its_days() -> None:
    pair = Pair(ContactPolicy(decline_ms=1000))
    pair.say("ann")
    assert pair.act("bob", "decline") == "declined"
    assert pair.say("ann") == "request.declined"
    pair.now_ms += 1000
    assert pair.relation.state("bob", pair.now_ms, pair.rules.contacts) == "none"
    assert pair.say("ann") == "sent"
    assert pair.relation.state("bob", pair.now_ms, pair.rules.contacts) == "request"


def test_a_block_covers_what_was_and_an_unblock_uncovers_it() -> None:
    for before in ("none", "contact", "request", "declined"):
        pair = Pair()
        if before == "contact":
            pair.act("bob", "add")
        elif before != "none":
            pair.say("ann")
            if before == "declined":
                pair.act("bob", "decline")
        assert pair.act("bob", "block") == "blocked"
        assert pair.say("ann") == pair.say("bob") == "contact.blocked"
        assert pair.act("bob", "unblock") == before


def test_both_may_block() -> None:
    pair = Pair()
    pair.act("ann", "block")
    pair.act("bob", "block")
    pair.act("ann", "unblock")
    assert pair.say("ann") == "contact.blocked"
    pair.act("bob", "unblock")
    assert pair.say("ann") == "sent"


@pytest.mark.parametrize(("strangers", "expected"), [("allow", "sent"), ("deny", "strangers.deny")])
def test_the_other_policies(strangers: Any, expected: str) -> None:
    pair = Pair(ContactPolicy(strangers=strangers))
    assert pair.say("ann") == expected
    pair.act("bob", "add")
    assert pair.say("ann") == "sent"
    assert pair.hidden == {}


def test_only_new_strangers_count_against_the_day() -> None:
    pair = Pair(asks=0)
    assert pair.say("ann") == "request.budget"
    pair.windows["ann"] = SlidingWindow(1, DAY_MS)
    assert [pair.say("ann") for _ in range(3)] == ["sent"] * 3
    assert pair.windows["ann"].wait(pair.now_ms) == DAY_MS


def test_what_is_refused_asks_nobody() -> None:
    pair = Pair()
    rate = Denied("rate_limited", "slow", retry_after_ms=5)
    command = commands.Send(room=ROOM, user="ann", body="x")
    assert pair.turn(command, refusal=rate) == [rate]
    assert (pair.changes, pair.windows["ann"].wait(pair.now_ms)) == ([], 0)


def test_a_turn_that_came_to_nothing_gives_back_what_it_took() -> None:
    pair = Pair(asks=1)
    turn = Turn(pair.record, {}, Prefetched(), pair.rules, 1000, pair.windows)
    assert isinstance(turn.decide(commands.Send(room=ROOM, user="ann", body="x")), Done)
    assert pair.windows["ann"].wait(1000) > 0
    turn.undo()
    assert pair.windows["ann"].wait(1000) == 0


def test_an_edit_neither_asks_nor_answers() -> None:
    pair = Pair()
    pair.act("bob", "add")
    pair.say("ann")
    pair.act("bob", "remove")
    prefetched = Prefetched({1: relationship_target()})
    turn = Turn(pair.record, {}, prefetched, pair.rules, 1000, pair.windows)
    assert told(turn.decide(commands.Edit(room=ROOM, user="ann", seq=1, body="y"))) == "request.none"
    assert told(turn.decide(commands.React(room=ROOM, user="ann", seq=1, emoji="+", on=True))) == "request.none"
    assert turn.side_records == []


def relationship_target() -> Target:
    return Target(author="ann", ts=1000, body="x")


def test_an_outsider_with_admin_rights_writes_nothing_here() -> None:
    pair = Pair()
    pair.act("bob", "add")
    pair.say("ann")
    turn = Turn(pair.record, {}, Prefetched({1: relationship_target()}), pair.rules, 1000)
    for command in (
        commands.Edit(room=ROOM, user="root", admin=True, seq=1, body="y"),
        commands.React(room=ROOM, user="root", admin=True, seq=1, emoji="+", on=True),
    ):
        assert told(turn.decide(command)) == "forbidden"
    assert isinstance(turn.decide(commands.Delete(room=ROOM, user="root", admin=True, seq=1)), Done)


def test_a_window_counts_what_was_before() -> None:
    window = SlidingWindow(2, 1000)
    window.take(500)
    window.learn([100, 200])
    window.learn([1, 2, 3])
    assert window.wait(600) == 500, "the oldest of three within a second, of which two may be"
    assert window.wait(1250) == 0


STEPS = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(["ann", "bob"])),
    st.tuples(
        st.sampled_from(["add", "remove", "block", "unblock", "accept", "decline"]), st.sampled_from(["ann", "bob"])
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=4), max_size=10), st.sampled_from(["request", "allow", "deny"]))
def test_whatever_they_do(turns: list[list[tuple[Any, str]]], strangers: Any) -> None:
    pair = Pair(ContactPolicy(strangers=strangers))
    for steps in turns:
        wanted = [
            commands.Send(room=ROOM, user=user, body="x")
            if step == "say"
            else commands.Contact(room=ROOM, user=user, action=step)
            for step, user in steps
        ]
        pair.turn(*wanted)
        pair.now_ms += 1
        waiting = pair.relation.of("ann").waiting + pair.relation.of("bob").waiting
        assert waiting <= 3
        assert not (pair.relation.one.asked_at is not None and pair.relation.other.asked_at is not None)
    # A block's `at`: nothing above it until it is undone.
    blocked: dict[str, int] = {}
    events = sorted(
        [(entry.change.at, 0, entry.change.n, entry.change) for entry in pair.changes]
        + [(fact.seq, 1, 0, fact) for fact in pair.messages],
        key=lambda event: (event[0] - event[1], event[1], event[2]),
    )
    for _, _, _, event in events:
        if isinstance(event, Message):
            assert not blocked, event
        elif event.change == "block":
            blocked[event.user] = event.at
        elif event.change == "unblock":
            del blocked[event.user]
    relation = relationship.of_room(ROOM)
    assert relation is not None
    for entry in pair.changes:
        before, relation = relation, relation.apply(entry.change)
        touched = entry.change.touches(relation.peer(entry.change.user))
        now_ms, policy = entry.change.ts, pair.rules.contacts
        for user in relation.users:
            assert user in touched or relation.state(user, now_ms, policy) == before.state(user, now_ms, policy)
    for user in ("ann", "bob"):
        rebuilt, live = relation.of(user), pair.relation.of(user)
        assert (rebuilt.contact, rebuilt.blocked_at, rebuilt.declined_ts, rebuilt.asked_at) == (
            live.contact,
            live.blocked_at,
            live.declined_ts,
            live.asked_at,
        )
        expected = sum(fact.seq > live.asked_at for fact in pair.messages) if live.asked_at is not None else 0
        assert live.waiting == expected


def test_facts_of_another_node_that_came_first_are_below_the_head_of_a_block() -> None:
    """As told to the user who blocks: nothing of the other's stands above it."""
    turn = Turn(RoomRecord.new(ROOM, 1), {}, Prefetched(), RoomRules(contacts=REQUEST), 1000)
    decided = turn.decide(commands.Contact(room=ROOM, user="ann", action="block"), None)
    meanwhile = RoomRecord.new(ROOM, 1)
    meanwhile.head = 3
    (outcome,) = turn.renumber(meanwhile, (), [decided])
    assert isinstance(outcome, Done)
    assert (outcome.seq, outcome.state) == (3, "blocked")
