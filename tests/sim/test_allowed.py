"""The judge is fair: what may happen is no violation, and what differs from it in one point is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gochat.sim.checker import Fact, Look, Name, violations
from tests.sim.scene import DM, OAK, Scene


def send_once_without_a_key(scene: Scene) -> None:
    scene.found.sent_once["once"] = (DM, "bob")
    seq = scene.record(DM, Fact(0, "message", "bob", None, "once"), "ann", "bob")
    scene.ask("bob", {"type": "send", "to": DM, "body": "once"}, {"type": "ack", "room": DM, "seq": seq})


def edit_what_was_sent_without_a_key(scene: Scene) -> None:
    send_once_without_a_key(scene)
    facts = scene.found.history[DM]
    facts[-1] = facts[-1]._replace(body="other words", shown_late=True)


def take_off_no_reaction(scene: Scene) -> None:
    frame = {"type": "react", "room": DM, "seq": 1, "emoji": "+", "on": False}
    scene.ask("ann", frame, {"type": "ack", "room": DM, "seq": 1})


def change_a_message_twice(scene: Scene) -> None:
    scene.record(DM, Fact(0, "reaction", "ann", target=1), "ann", "bob")
    scene.edit(DM, "bob", 1)


def delete(scene: Scene) -> None:
    seq = scene.record(DM, Fact(0, "delete", "bob", target=1), "ann", "bob")
    facts = scene.found.history[DM]
    facts[0] = facts[0]._replace(body=None, shown_late=True)
    scene.ask("bob", {"type": "delete", "room": DM, "seq": 1}, {"type": "ack", "room": DM, "seq": seq})


def refuse_somebody_who_was_not_added_yet(scene: Scene) -> None:
    """Cat writes while the answer to the request that adds her is on its way."""
    scene.found.heard["cat"] = {}
    scene.found.users["cat"] = "cat"
    added = {"type": "group", "name": "oak", "action": "add", "users": ["cat"]}
    seq = scene.record(OAK, Fact(0, "member", "ann", users=("cat",), change="added"), "ann", "bob", "cat")
    scene.ask("ann", added, {"type": "ok", "room": OAK, "seq": seq})
    name = Name(OAK, "cat", "k-cat")
    scene.found.sent[name] = "hello"
    scene.found.given_up.add(name)
    asked = scene.ask("cat", {"type": "send", "to": OAK, "key": "k-cat"}, {"type": "error", "code": "not_member"})
    asked.at -= 1.5


def read_while_the_last_is_recorded(scene: Scene) -> None:
    """Two looks, before anybody has been told of the last message."""
    at = scene.now
    scene.send(DM, "bob")
    head = len(scene.found.history[DM])
    scene.found.looks += [Look("ann", "ann", DM, at + part, at + part + 0.02, head) for part in (0.01, 0.05)]


@pytest.mark.parametrize(
    "happens",
    [
        send_once_without_a_key,
        edit_what_was_sent_without_a_key,
        take_off_no_reaction,
        change_a_message_twice,
        delete,
        refuse_somebody_who_was_not_added_yet,
        read_while_the_last_is_recorded,
    ],
)
def test_what_may_happen_is_no_violation(happens: Callable[[Scene], None]) -> None:
    scene = Scene()
    happens(scene)
    assert violations(scene.found) == []


def show_what_was_deleted(scene: Scene) -> None:
    delete(scene)
    facts = scene.found.history[DM]
    facts[0] = facts[0]._replace(body="edited")


def refuse_somebody_who_was_added(scene: Scene) -> None:
    refuse_somebody_who_was_not_added_yet(scene)
    scene.found.asked[-1].at = scene.found.asked[-2].answered_at + 0.1


def read_less_than_before(scene: Scene) -> None:
    read_while_the_last_is_recorded(scene)
    looks = scene.found.looks
    looks[-1] = looks[-1]._replace(head=looks[-1].head - 1)


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (show_what_was_deleted, "was deleted and is shown"),
        (refuse_somebody_who_was_added, "though cat was a member"),
        (read_less_than_before, "when 4 was known"),
    ],
)
def test_what_differs_in_one_point_is_seen(plant: Callable[[Scene], None], seen: str) -> None:
    scene = Scene()
    plant(scene)
    assert [violation for violation in violations(scene.found) if seen not in violation] == []
    assert violations(scene.found) != []
