"""The law of certification: where an entry is valid, the rules themselves would decide the same at its place.

Most of the strength is in the holes: each rule of certification is taken out once, and the histories must notice.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from gochat.cluster import certify
from tests.cluster.histories import DM, TEA, Disagreement, History
from tests.cluster.planting import plant

#: Enough for each hole to be found many times over.
HISTORIES = 200
#: Outcomes that must occur, and how often, for the law to say anything.
SEEN = {
    "Valid": 1_000,
    "renumbered": 300,
    "refused": 300,
    "Repeat": 50,
    "DuplicateKeys": 50,
    "guard": 300,
    "target": 10,
    "same": 20,
    "deleted": 20,
}


def run(seeds: range, room: str | None = None, steps: int = 60) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in seeds:
        history = History(seed, room)
        try:
            history.run(steps)
        except Disagreement as error:
            raise Disagreement(f"seed {seed}: {error}") from error
        counts += history.counts
    return counts


def test_the_holes_of_private_rooms_are_holes() -> None:
    assert HOLES.keys() > OF_TWO_USERS


def test_valid_entries_are_what_the_rules_decide_at_their_place() -> None:
    counts = run(range(HISTORIES))
    assert {name: counts[name] for name in SEEN if counts[name] < SEEN[name]} == {}, counts


@pytest.mark.long
def test_the_law_holds_in_many_histories() -> None:
    counts = run(range(1_000_000, 1_003_000), steps=150)
    assert counts["Valid"] > 30_000


#: A rule of certification, and what is left where somebody forgot it.
HOLES = {
    "guard": ("if entry.base < room.guard:", "if False:"),
    "members raise it": ("facts.GUARDED", "(facts.Group, facts.Closed)"),
    "settings raise it": ("facts.GUARDED", "(facts.Member, facts.Closed)"),
    "sanctions raise it": ("isinstance(record, Related | Sanctioned)", "isinstance(record, Related)"),
    "relations raise it": ("isinstance(record, Related | Sanctioned)", "isinstance(record, Sanctioned)"),
    "requests raise it": ("bool(entry.hidden)", "False"),
    "repeats": ("if entry.counter <= replica.counter(entry.instance, entry.boot):", "if False:"),
    "keys": ("if known is not None:", "if False:"),
    "targets of the same batch": ("return seq <= self._entry.head", "return True"),
    "deleted targets": ('return "deleted" if self._bodies[seq][0] is None else None', "return None"),
    "replies": ("return None if fact.reply_to is None else self._unusable(fact.reply_to)", "return None"),
    "the same body": ("if body == fact.body:", "if False:"),
    "the same reaction": ("if self._reacted[place] == fact.on:", "if False:"),
    "reports of what is deleted": ("if target.body is None:", "if False:"),
    "reports move": ("structs.replace(record, seq=record.seq + shift)", "structs.replace(record, seq=record.seq)"),
    "what is hidden moves": ("{seq + shift: user for", "{seq: user for"),
    "relations move": ("at=record.change.at + shift", "at=record.change.at"),
    "what waits counts": ("while waiting and waiting[0]", "while False and waiting[0]"),
    "time does not fall": ("max(entry.ts, room.ts)", "entry.ts"),
}

#: Those that only a private room has.
OF_TWO_USERS = {
    "relations raise it",
    "requests raise it",
    "what is hidden moves",
    "relations move",
    "what waits counts",
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_rule_that_is_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    room = DM if hole in OF_TWO_USERS else TEA
    plant(monkeypatch, certify, *HOLES[hole])
    with pytest.raises(Disagreement):
        run(range(3 * HISTORIES), room)


@pytest.mark.long
def test_the_outcome_does_not_depend_on_the_order_of_sets() -> None:
    program = (
        "from tests.cluster.histories import History\n"
        "for seed in range(100):\n"
        "    history = History(seed)\n"
        "    history.run()\n"
        "    print(history.oracle.hash.hex())\n"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=600,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0]
    assert told[0] == told[1]
