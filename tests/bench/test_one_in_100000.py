"""One wrong message in 100,000 is found, whatever is wrong with it and in whichever load."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import Fault
from bench.load.outcome import Length
from bench.scenarios import dm, fanout
from tests.bench.stages import standin

MESSAGES = 100_000
LENGTH = Length(0.0, messages=MESSAGES, patience_s=2.0)
#: Not in the warm-up, which sends a tenth before.
AT = 87_654


@pytest.mark.parametrize("fault", ["drop", "repeat", "swap"])
def test_of_100000_deliveries_of_a_fanout_one_is_wrong(tmp_path: Path, fault: str) -> None:
    options = fanout.Options(LENGTH._replace(messages=1000), members=100, turns=1, yardsticks=False)
    stage = standin(tmp_path, faults=f"--fault {fault} --nth {AT}")
    with pytest.raises(Fault, match=r"u00\d\d: .*group:bench seq 8\d\d"):
        fanout.run(stage, options)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["drop", "repeat", "swap"])
def test_of_100000_messages_to_a_group_one_is_wrong_for_one_member(tmp_path: Path, fault: str) -> None:
    options = fanout.Options(LENGTH, members=2, turns=1, yardsticks=False)
    stage = standin(tmp_path, faults=f"--fault {fault} --at {AT} --victim u0001")
    with pytest.raises(Fault, match=r"u0001: .*\b8765\d\b"):
        fanout.run(stage, options)


@pytest.mark.parametrize("fault", ["drop", "repeat", "swap"])
def test_of_100000_messages_in_private_one_is_wrong(tmp_path: Path, fault: str) -> None:
    options = dm.Options(LENGTH, pairs=2, windows=(64,), turns=1, yardsticks=False)
    stage = standin(tmp_path, faults=f"--fault {fault} --nth {AT}")
    with pytest.raises(Fault, match=r"[ab]000\d: seq \d+ of dm:a000\d:b000\d expected"):
        dm.run(stage, options)
