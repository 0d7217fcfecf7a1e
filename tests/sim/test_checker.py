"""The judge is judged: each planted fault is seen, and a clean chat is clean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gochat.sim.checker import Asked, Evidence, Fact, Look, Name, has_heard_all, lost, violations

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


# ---------------------------------------------------------------------------------------------- membership and time

OAK = "group:oak"
Frame = dict[str, Any]


class Scene:
    """Ann makes a group with bob, both write; bob is removed and added again. In private ann blocks bob for a while.
    Each request takes a second, and is heard a tenth of a second later."""

    def __init__(self) -> None:
        self.found = Evidence(users={"ann": "ann", "bob": "bob"}, heard={"ann": {}, "bob": {}})
        self.now = 0.0
        self.found.history = {
            OAK: [Fact(1, "member", "ann", users=("ann",), change="added")],
            DM: [],
        }
        self.hear(OAK, "ann")
        self.change("added", "ann", "bob")
        self.send(OAK, "ann")
        self.send(OAK, "bob")
        self.change("removed", "ann", "bob")
        self.send(OAK, "ann", to=("ann",))
        self.send(OAK, "ann", to=("ann",))
        self.change("added", "ann", "bob")
        self.send(OAK, "bob")
        self.look("bob", OAK)
        self.send(DM, "bob")
        self.edit(DM, "bob", 1)
        self.contact("ann", "block")
        self.ask("bob", {"type": "send", "to": DM, "key": "k-refused"}, {"type": "error", "code": "blocked"})
        self.found.given_up.add(Name(DM, "bob", "k-refused"))
        self.found.sent[Name(DM, "bob", "k-refused")] = "refused"
        self.contact("ann", "unblock")
        self.send(DM, "bob")
        self.look("bob", DM)

    def ask(self, user: str, frame: Frame, reply: Frame) -> Asked:
        asked = Asked(user, user, frame, self.now, tries=1, connection=1, reply=reply)
        self.now += 1.0
        asked.answered_at = self.now
        self.found.asked.append(asked)
        return asked

    def record(self, room: str, fact: Fact, *to: str) -> int:
        seq = len(self.found.history[room]) + 1
        self.found.history[room].append(fact._replace(seq=seq))
        self.hear(room, *to)
        return seq

    def hear(self, room: str, *readers: str) -> None:
        for reader in readers:
            self.found.heard[reader].setdefault(room, []).append(self.found.history[room][-1])
            hearings = self.found.hearings.setdefault(reader, {}).setdefault(room, [])
            hearings.append((1, self.now + 0.1))

    def send(self, room: str, user: str, to: tuple[str, ...] = ("ann", "bob")) -> None:
        name = Name(room, user, f"k{len(self.found.sent)}")
        self.found.sent[name] = f"body of {name.key}"
        seq = self.record(room, Fact(0, "message", user, name.key, self.found.sent[name]), *to)
        self.found.acks.append((name, seq))
        self.ask(user, {"type": "send", "to": room, "key": name.key}, {"type": "ack", "room": room, "seq": seq})

    def change(self, change: str, by: str, user: str) -> None:
        seq = self.record(OAK, Fact(0, "member", by, users=(user,), change=change), "ann", "bob")
        self.ask(by, {"type": "group", "name": "oak"}, {"type": "ok", "room": OAK, "seq": seq})

    def edit(self, room: str, user: str, target: int) -> None:
        seq = self.record(room, Fact(0, "edit", user, target=target), "ann", "bob")
        frame = {"type": "edit", "room": room, "seq": target, "body": "edited"}
        self.ask(user, frame, {"type": "ack", "room": room, "seq": seq})
        facts = self.found.history[room]
        facts[target - 1] = facts[target - 1]._replace(body="edited", shown_late=True)

    def contact(self, user: str, action: str) -> None:
        frame = {"type": "contact", "user": "bob", "action": action}
        self.ask(user, frame, {"type": "ok", "room": DM, "head": len(self.found.history[DM])})

    def look(self, user: str, room: str) -> None:
        self.found.looks.append(Look(user, user, room, self.now, self.now + 0.5, len(self.found.history[room])))
        self.now += 1.0


def write_after_the_removal(scene: Scene) -> None:
    facts = scene.found.history[OAK]
    facts[5] = facts[5]._replace(sender="bob")


def hear_after_the_removal(scene: Scene) -> None:
    heard, hearings = scene.found.heard["bob"][OAK], scene.found.hearings["bob"][OAK]
    at = next(place for place, fact in enumerate(heard) if fact.change == "removed") + 1
    heard.insert(at, scene.found.history[OAK][5])
    hearings.insert(at, hearings[at - 1])


def write_under_a_block(scene: Scene) -> None:
    contact = next(asked for asked in scene.found.asked if asked.kind == "contact")
    assert contact.reply is not None
    contact.reply["head"] = 1  # The edit stands above it.


def record_a_refused_message(scene: Scene) -> None:
    scene.found.history[DM].append(Fact(4, "message", "bob", "k-refused", "refused"))


def overtake(scene: Scene) -> None:
    last = [asked for asked in scene.found.asked if asked.kind == "send" and asked.frame["to"] == OAK][-1]
    last.at, last.answered_at = 0.1, 0.2


def forget_an_edit(scene: Scene) -> None:
    facts = scene.found.history[DM]
    facts[0] = facts[0]._replace(body=scene.found.sent[Name(DM, "bob", facts[0].key or "")])


def ack_an_edit_elsewhere(scene: Scene) -> None:
    edit = next(asked for asked in scene.found.asked if asked.kind == "edit")
    assert edit.reply is not None
    edit.reply["seq"] = 3


def read_what_was(scene: Scene) -> None:
    scene.found.looks[-1] = scene.found.looks[-1]._replace(head=2)


def read_what_is_not_there(scene: Scene) -> None:
    scene.found.looks[-1] = scene.found.looks[-1]._replace(head=9)


def edit_what_is_not_theirs(scene: Scene) -> None:
    facts = scene.found.history[DM]
    facts[1] = facts[1]._replace(sender="ann")


def go_back_in_time(scene: Scene) -> None:
    facts = scene.found.history[OAK]
    facts[1] = facts[1]._replace(ts=7)


def react_to_what_was_deleted(scene: Scene) -> None:
    facts = scene.found.history[DM]
    facts.append(Fact(4, "delete", "bob", target=1))
    facts.append(Fact(5, "reaction", "ann", target=1))


def record_twice_without_a_key(scene: Scene) -> None:
    scene.found.sent_once["once"] = (DM, "bob")
    scene.found.history[DM] += [Fact(seq, "message", "bob", None, "once") for seq in (4, 5)]


def ack_without_a_key_elsewhere(scene: Scene) -> None:
    scene.found.sent_once["once"] = (DM, "bob")
    scene.found.history[DM].append(Fact(4, "message", "bob", None, "once"))
    scene.ask("bob", {"type": "send", "to": DM, "body": "once"}, {"type": "ack", "room": DM, "seq": 3})


def write_when_muted(scene: Scene) -> None:
    at = scene.found.asked[2].at
    mute = Asked("ann", "ann", {"type": "group", "name": "oak", "action": "mute", "user": "bob"}, at - 0.5)
    mute.reply, mute.answered_at = {"type": "ok"}, at - 0.1
    scene.found.asked.append(mute)


def refuse_after_a_mute(scene: Scene) -> None:
    for action, at in (("mute", 0.01), ("unmute", 0.03)):
        asked = Asked("bob", "bob", {"type": "group", "name": "oak", "action": action, "user": "ann"}, at)
        asked.reply, asked.answered_at = {"type": "ok"}, at + 0.01
        scene.found.asked.append(asked)
    refuse_a_member(scene)


def refuse_a_member(scene: Scene) -> None:
    name = Name(OAK, "ann", "k-new")
    scene.found.sent[name] = "new"
    scene.found.given_up.add(name)
    scene.ask("ann", {"type": "send", "to": OAK, "key": "k-new"}, {"type": "error", "code": "not_member"})


def start_anew_without_need(scene: Scene) -> None:
    scene.found.resets.append(("bob", OAK, "e1", "e2"))


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (edit_what_is_not_theirs, "edited what is not theirs"),
        (go_back_in_time, "after one of 7"),
        (react_to_what_was_deleted, "which had been deleted"),
        (record_twice_without_a_key, "is recorded at [4, 5]"),
        (ack_without_a_key_elsewhere, "'once' was acked at 3"),
        (write_when_muted, "after bob was muted"),
        (refuse_a_member, "though ann was a member"),
        (refuse_after_a_mute, "though ann was a member"),
        (start_anew_without_need, "was told to start group:oak anew"),
        (write_after_the_removal, "bob is no member"),
        (hear_after_the_removal, "bob was removed at group:oak:5 and heard"),
        (write_under_a_block, "where ann blocked"),
        (record_a_refused_message, "refused with"),
        (overtake, "was acked before"),
        (forget_an_edit, "was edited at 2"),
        (ack_an_edit_elsewhere, "was acked at 3"),
        (read_what_was, "when 3 was known"),
        (read_what_is_not_there, "which ends at 3"),
    ],
)
def test_a_planted_fault_of_membership_or_time_is_seen(plant: Callable[[Scene], None], seen: str) -> None:
    scene = Scene()
    assert violations(scene.found) == []
    plant(scene)
    assert any(seen in violation for violation in violations(scene.found)), violations(scene.found)


def test_a_reader_who_lacks_the_end_has_not_heard_all() -> None:
    scene = Scene()
    assert has_heard_all(scene.found, "ann")
    assert has_heard_all(scene.found, "bob")
    scene.found.heard["bob"][DM].pop()
    assert not has_heard_all(scene.found, "bob")


def test_a_reader_who_is_back_may_be_told_what_was_said_meanwhile() -> None:
    scene = Scene()
    heard, hearings = scene.found.heard["bob"][OAK], scene.found.hearings["bob"][OAK]
    at = next(place for place, fact in enumerate(heard) if fact.change == "removed") + 1
    late = hearings[-1][1]
    heard[at:at] = scene.found.history[OAK][5:7]
    hearings[at:] = [(1, late)] * (len(heard) - at)
    assert violations(scene.found) == []
    back = [asked for asked in scene.found.asked if asked.kind == "group"][-1]
    back.at = late + 1
    assert any("bob was removed" in violation for violation in violations(scene.found))


# ---------------------------------------------------------------------------------------------- a node that is gone


def lose_what_north_had(scene: Scene) -> None:
    """Bob's last message and its ack, which came over a connection to a node that is given up; all start anew."""
    found = scene.found
    found.served = {("ann", 1): "south", ("bob", 1): "north"}
    found.gone = {"north"}
    lost = found.history[DM].pop()
    for reader in "ann", "bob":
        facts, hearings = found.heard[reader].pop(DM), found.hearings[reader].pop(DM)
        if reader == "ann":
            facts.remove(lost)  # It never came to her node.
        for fact, (connection, _) in zip(facts, hearings, strict=False):
            found.before_resets.append((reader, DM, connection, fact))
        found.heard[reader][DM] = []
        found.begins[reader, DM] = 2
        found.resets.append((reader, DM, "e1", "e2"))
    found.looks.pop()


def test_a_reading_that_may_be_incomplete_need_not_show_what_others_know() -> None:
    scene = Scene()
    look = scene.found.looks[-1]._replace(client="bob2", head=2)
    scene.found.looks.append(look)
    (found,) = violations(scene.found)
    assert found.startswith("bob2 was shown a head of 2")
    scene.found.looks[-1] = look._replace(follows=False)
    assert violations(scene.found) == []
    scene.found.looks.append(look._replace(follows=False, head=1, asked_at=look.at + 1, at=look.at + 2))
    assert len(violations(scene.found)) == 1, "but all that the reader itself was shown"


def test_what_a_node_that_is_gone_alone_had_may_be_lost() -> None:
    scene = Scene()
    lose_what_north_had(scene)
    assert violations(scene.found) == []
    assert has_heard_all(scene.found, "bob")
    assert lost(scene.found) == set()


def test_clients_may_start_anew_after_a_node_that_went_in_order() -> None:
    scene = Scene()
    scene.found.left = {"north"}
    scene.found.resets.append(("ann", OAK, "e1", "e2"))
    assert violations(scene.found) == []


def acked_by_another(found: Evidence) -> None:
    found.served["bob", 1] = "south"


def heard_by_another(found: Evidence) -> None:
    found.before_resets.append(("ann", DM, 1, Fact(3, "message", "bob", "k6", "body of k6")))


def no_new_epoch(found: Evidence) -> None:
    found.resets.append(("ann", OAK, "e2", "e2"))


def gone_in_order(found: Evidence) -> None:
    found.gone, found.left = set(), {"north"}


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (acked_by_another, "acked and lost"),
        (gone_in_order, "acked and lost"),
        (heard_by_another, "before a reset"),
        (no_new_epoch, "was told to start group:oak anew"),
    ],
)
def test_nothing_else_may_be_lost(plant: Callable[[Evidence], None], seen: str) -> None:
    scene = Scene()
    lose_what_north_had(scene)
    plant(scene.found)
    assert any(seen in violation for violation in violations(scene.found)), violations(scene.found)
