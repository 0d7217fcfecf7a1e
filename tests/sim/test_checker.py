"""The judge is judged: each planted fault is seen, and a clean chat is clean."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gochat.sim.checker import Evidence, Fact, Name, lost, violations

TEA, DM = "group:tea", "dm:ann:bob"


def evidence() -> Evidence:
    """Ann and bob write by turns in a group, ann to bob in their private room; bob reads both, twice."""
    found = Evidence()
    found.history = {TEA: [Fact(1, "member", "ann")], DM: []}
    for room, sender in [(TEA, "ann"), (TEA, "bob"), (DM, "ann"), (TEA, "ann"), (DM, "ann"), (TEA, "bob")]:
        number = len(found.sent)
        name = Name(room, sender, f"k{number}")
        seq = len(found.history[room]) + 1
        found.sent[name] = f"body {number}"
        found.acks.append((name, seq))
        found.history[room].append(Fact(seq, "message", sender, name.key, f"body {number}"))
    for reader in "bob's phone", "bob's desk":
        found.heard[reader] = {room: list(facts) for room, facts in found.history.items()}
    return found


def renumber(facts: list[Fact]) -> None:
    facts[:] = [fact._replace(seq=seq) for seq, fact in enumerate(facts, start=1)]


def lose_the_last(found: Evidence) -> None:
    found.history[TEA].pop()


def lose_one_in_the_middle(found: Evidence) -> None:
    del found.history[TEA][2]
    renumber(found.history[TEA])


def leave_a_hole(found: Evidence) -> None:
    del found.history[TEA][2]


def record_twice(found: Evidence) -> None:
    facts = found.history[TEA]
    facts.append(facts[2]._replace(seq=len(facts) + 1))


def record_twice_at_one_seq(found: Evidence) -> None:
    found.history[TEA].append(found.history[TEA][-1])


def swap(found: Evidence) -> None:
    facts = found.history[TEA]
    facts[2], facts[3] = facts[3]._replace(seq=3), facts[2]._replace(seq=4)


def move(found: Evidence) -> None:
    found.history[DM].append(found.history[TEA].pop()._replace(seq=3))


def invent(found: Evidence) -> None:
    found.history[DM].append(Fact(3, "message", "ann", "k99", "never said"))


def invent_without_a_key(found: Evidence) -> None:
    found.history[DM].append(Fact(3, "message", "ann", None, "never said"))


def change(found: Evidence) -> None:
    found.history[TEA][2] = found.history[TEA][2]._replace(body="other words")


def attribute_to_another(found: Evidence) -> None:
    found.history[TEA][2] = found.history[TEA][2]._replace(sender="ann")


def ack_at_two_places(found: Evidence) -> None:
    found.acks.append((found.acks[0][0], found.acks[0][1] + 1))


def never_ack(found: Evidence) -> None:
    found.acks.pop()


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (lose_the_last, "acked and lost"),
        (lose_one_in_the_middle, "acked and lost"),
        (leave_a_hole, "stands where 3 should"),
        (record_twice, "recorded 2 times"),
        (record_twice_at_one_seq, "recorded 2 times"),
        (swap, "acked at 3, recorded at 4"),
        (move, "acked and lost"),
        (move, "nobody sent it"),
        (invent, "nobody sent it"),
        (invent_without_a_key, "nobody sent it"),
        (change, "recorded as 'other words'"),
        (attribute_to_another, "nobody sent it"),
        (ack_at_two_places, "acked at 3, recorded at 2"),
        (never_ack, "never acked"),
    ],
)
def test_a_planted_fault_is_seen(plant: Callable[[Evidence], None], seen: str) -> None:
    found = evidence()
    assert violations(found) == []
    plant(found)
    # The readers saw what the store now says: only the fault itself is to be found.
    for reader in found.heard:
        found.heard[reader] = {room: list(facts) for room, facts in found.history.items()}
    assert any(seen in violation for violation in violations(found)), violations(found)


def miss_the_last(facts: list[Fact]) -> None:
    facts.pop()


def skip_one(facts: list[Fact]) -> None:
    del facts[2]


def hear_twice(facts: list[Fact]) -> None:
    facts.insert(3, facts[2])


def hear_in_another_order(facts: list[Fact]) -> None:
    facts[2], facts[3] = facts[3], facts[2]


def hear_what_is_not_there(facts: list[Fact]) -> None:
    facts.append(Fact(len(facts) + 1, "message", "ann", "k0", "body 0"))


@pytest.mark.parametrize("plant", [miss_the_last, skip_one, hear_twice, hear_in_another_order, hear_what_is_not_there])
def test_a_reader_who_heard_something_else_is_seen(plant: Callable[[list[Fact]], None]) -> None:
    found = evidence()
    plant(found.heard["bob's desk"][TEA])
    (violation,) = violations(found)
    assert violation.startswith("bob's desk heard")


def test_what_was_given_up_may_be_there_or_not() -> None:
    found = evidence()
    name, _ = found.acks.pop()
    found.given_up.add(name)
    assert violations(found) == []
    for facts in found.history[TEA], *(rooms[TEA] for rooms in found.heard.values()):
        facts.pop()
    assert violations(found) == []


def test_lost_names_what_was_acked() -> None:
    found = evidence()
    found.history[DM].clear()
    assert lost(found) == {Name(DM, "ann", "k2"), Name(DM, "ann", "k4")}
