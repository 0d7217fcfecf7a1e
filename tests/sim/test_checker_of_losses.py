"""The judge is judged: a node that is given up, and all that it takes with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gochat.sim.checker import Evidence, Fact, has_heard_all, lost, violations
from tests.sim.scene import DM, OAK, Scene


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
