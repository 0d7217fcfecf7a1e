"""A bug in gochat does not pass: each one that is planted is found by the first seeds."""

from __future__ import annotations

import inspect
from typing import Final

import pytest

from gochat.cluster.barrier import Barriers
from tests.sim.planted import ENOUGH, ONE, THREE, finds, put

#: Seeds that found one of them, as far as the first few do not. They are tried first.
FOUND_BY: Final[dict[str, tuple[int, ...]]] = {
    "a commit that is not synced": (12,),
    "a removal that is ignored": (13,),
    "a replay that leaves one out": (35,),
    "a reading of what is not merged": (4,),
    "a welcome whose facts are told again": (185,),
    "a gap that is not told": (47,),
    "the guard is not looked at": (2,),
    "blocks raise no guard": (6,),
    "time falls": (20,),
    "only writers look at the fences": (31,),
    "members raise no guard": (9,),
    "what was deleted is edited": (139,),
    "nobody waits for the log": (6,),
    "repeats count": (8,),
    "an edit's message moves": (41,),
    "clients keep what is lost": (15,),
    "a new epoch is not told": (15,),
    "mutes raise no guard": (110,),
    "an answer binds nobody": (137,),
    "answers in all ballots count": (137,),
    "a new term sends nothing again": (122,),
    "nobody looks for a fork": (59,),
    "refusals are not decided again": (26,),
    "a node serves before others know": (89,),
    "what is unknown is not sent again": (191,),
    "an old primary is not noticed": (176,),
    "a lost stream begins anew": (20,),
    "a node goes with what it alone has": (50,),
    "a folder that was rolled back is believed": (15,),
    "the fence names no server": (62,),
    "the log's ends are believed": (134,),
    "replays forget what is coming": (35,),
}
#: Bugs that make clients ask in vain until the run gives up, which takes seconds.
SLOW: Final = frozenset({"a repeat that is not recognised"})
#: Those that are looked for in each run of the tests.
DAILY: Final = frozenset(
    {"the guard is not looked at", "members raise no guard", "time falls", "what was deleted is edited"}
)


def test_each_rule_that_is_left_out_is_there() -> None:
    """Most of them are left out in the long tests alone."""
    holes = [hole for each in (*ONE.values(), *THREE.values()) for hole in each]
    assert [hole for hole in holes if inspect.getsource(hole.module).count(hole.rule) != 1] == []


def test_a_second_fault_of_a_module_does_not_undo_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = THREE["the log's ends are believed"]
    put(monkeypatch, bug)
    assert {"is_in_order", "term"}.isdisjoint(Barriers._look.__code__.co_names)
    with pytest.raises(AssertionError, match="a fault already"):
        put(monkeypatch, bug[:1])


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=[pytest.mark.long] if bug in SLOW else []) for bug in ONE])
def test_a_bug_of_one_node_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, ONE[bug])
    assert any(finds(seed, 1) for seed in (*FOUND_BY.get(bug, ()), *range(ENOUGH)))


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=[] if bug in DAILY else [pytest.mark.long]) for bug in THREE])
def test_a_bug_of_a_cluster_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, THREE[bug])
    assert any(finds(seed, 3) for seed in (*FOUND_BY.get(bug, ()), *range(ENOUGH)))
