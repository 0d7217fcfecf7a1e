"""The outcome of a campaign in numbers: counted from the histories of clients and nodes, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gochat.sim.checker import Evidence, Fact, Name
from tests.cluster.fleet import History, Outcome


class Tally(NamedTuple):
    acked: int
    lost: int
    """Messages that were acknowledged and that a node does not have."""
    doubled: int
    """Messages that a node has twice."""
    moved: int
    """Acknowledgements that name another place than a node's."""
    unequal: int
    """Rooms that a node has otherwise than the first one."""


def tally(evidence: Evidence, histories: Sequence[History]) -> Tally:
    acked = {name for name, _ in evidence.acks}
    lost: set[Name] = set()
    doubled: set[Name] = set()
    moved: set[tuple[Name, int]] = set()
    unequal = 0
    for history in histories:
        places = _places(history)
        lost |= acked - places.keys()
        doubled |= {name for name, seqs in places.items() if len(seqs) > 1}
        moved |= {(name, seq) for name, seq in evidence.acks if name in places and seq not in places[name]}
        unequal += sum(facts != histories[0].get(room) for room, facts in history.items())
    return Tally(len(acked), len(lost), len(doubled), len(moved), unequal)


def _places(history: History) -> dict[Name, list[int]]:
    places: dict[Name, list[int]] = {}
    for room, facts in history.items():
        for fact in facts:
            if fact.message and fact.key is not None:
                places.setdefault(_name(room, fact), []).append(fact.seq)
    return places


def _name(room: str, fact: Fact) -> Name:
    return Name(room, fact.sender, fact.key or "")


_HEAD = ("fault", "times", "acked", "lost", "doubled", "moved", "unequal", "away", "back")


def head() -> str:
    return _line(*_HEAD)


def row(fault: str, outcome: Outcome, found: Tally) -> str:
    """The last two: the longest time that a node acknowledged nothing, and the longest that it took from when all was
    there again."""
    worst = [f"{max(seconds):.2f} s" for seconds in (outcome.away_s, outcome.back_s)]
    return _line(fault, len(outcome.back_s), *found, *worst)


def _line(fault: str, *numbers: object) -> str:
    return f"{fault:<40}" + "".join(f"{number!s:>9}" for number in numbers)
