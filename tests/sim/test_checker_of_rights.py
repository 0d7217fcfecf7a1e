"""The judge is judged: rights, membership and time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gochat.sim.checker import Asked, Fact, Name, has_heard_all, violations
from tests.sim.scene import DM, OAK, Scene


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
