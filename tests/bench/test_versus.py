"""`--against CHECKOUT`: turns that alternate, ratios within a turn, and a server by the other's own interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import versus
from bench.faults import Broken
from bench.results import Drawn, Measure, summarize
from bench.scenarios.stage import Stage
from bench.server import HERE, ROOT, Checkout
from bench.threshold import Threshold
from tests.bench.stages import STANDIN, standin

QUICK = ["--messages", "20", "--transport", "tcp"]
SCENARIOS = {
    "dm": ["--pairs", "2", "--window", "2", *QUICK],
    "fanout": ["--members", "4", *QUICK],
    "idle": ["--users", "8", "--turns", "1"],
}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A checkout whose interpreter notes in `started` what it was started for, and with which PYTHONPATH."""
    root = tmp_path / "other"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "gochat").symlink_to(ROOT / "gochat")
    python = root / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho "$PYTHONPATH $*" >> {root}/started\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return root


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "bench", *arguments, "--data", str(folder / "data")]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)


class Scenario:
    """Stands for one turn of a scenario: each checkout costs what it is told to, turn by turn."""

    def __init__(self, here: list[float], there: list[float]) -> None:
        self.order: list[Path] = []
        self._costs: dict[Path, Iterator[float]] = {HERE.root: iter(here), Path("/other"): iter(there)}

    def __call__(self, stage: Stage) -> Drawn:
        self.order.append(stage.checkout.root)
        cost = next(self._costs[stage.checkout.root])
        rate = 1e6 / cost if cost else 0.0
        measure = Measure(
            load="dm", target="gochat", turn=1, value=rate, unit="messages/s", server_cpu_us_per_message=cost
        )
        return Drawn([measure], [])


RIVALS = versus.Rivals((HERE, Checkout(Path("/other"), "python")), ("", " at other 1234567"))


def test_the_checkout_that_begins_alternates_and_the_ratio_is_the_median_of_those_within_a_turn(tmp_path: Path) -> None:
    # The machine is three times slower in the second turn: ratios across turns would say so, those within don't.
    scenario = Scenario([100, 330, 100], [100, 300, 50])
    drawn = versus.run(standin(tmp_path), RIVALS, 3, scenario)
    here, there = HERE.root, Path("/other")
    assert scenario.order == [here, there, there, here, here, there]
    [cost] = costs = versus.costs(drawn.measures, RIVALS)
    assert (cost.here, cost.there, cost.turns) == (100, 100, 3)
    assert [cost.least, cost.ratio, cost.greatest] == pytest.approx([1.0, 1.1, 2.0])
    mine, other = summarize(drawn.measures, drawn.bounds, costs)
    assert (mine.target, other.target) == ("gochat", "gochat at other 1234567")
    assert mine.ratio == pytest.approx(1 / 1.1)


def test_a_threshold_judges_the_cost(tmp_path: Path) -> None:
    drawn = versus.run(standin(tmp_path), RIVALS, 1, Scenario([104], [100]))
    rows = summarize(drawn.measures, drawn.bounds, versus.costs(drawn.measures, RIVALS))
    [verdict] = Threshold.parse("cost<=1.03").judge(rows)
    assert not verdict.holds
    [verdict] = Threshold.parse("cost<=1.05").judge(rows)
    assert verdict.holds


def test_no_cost_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="dm: too little was done"):
        versus.run(standin(tmp_path), RIVALS, 1, Scenario([100], [0]))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_runs_the_other_checkout_by_its_own_interpreter(
    tmp_path: Path, other: Path, scenario: str
) -> None:
    out = tmp_path / "run.json"
    arguments = ["--turns", "2", *SCENARIOS[scenario], "--program", STANDIN, "--out", str(out)]
    done = command(tmp_path, scenario, *arguments, "--against", str(other), "--threshold", "cost<1e9")
    assert (done.returncode, done.stderr) == (0, "")
    assert "holds: cost<1e9" in done.stdout
    assert f"there: {other} unknown" in done.stdout
    run = json.loads(out.read_text())
    [cost] = run["costs"]
    assert cost["figure"] == ("KB/user" if scenario == "idle" else "server us/message")
    assert (cost["target"], cost["against"]) == ("gochat", "gochat at other unknown")
    started = (other / "started").read_text().splitlines()
    servers = [line for line in started if STANDIN in line]
    # Two turns; or one of `idle`, which starts a server to make the data, and anew to measure.
    assert len(servers) == 2
    assert all(line.startswith(f"{other} ") for line in servers)


def test_a_sign_in_of_two_real_servers(tmp_path: Path, other: Path) -> None:
    arguments = ["connect", "--users", "8", "--places", "2", "--missed", "2", "--messages", "20", "--turns", "1"]
    done = command(tmp_path, *arguments, "--against", str(other), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    costs = json.loads(done.stdout)["costs"]
    assert [(cost["load"], cost["figure"]) for cost in costs] == [
        ("connect new x2", "server us/sign-in"),
        ("connect resuming x2", "server us/sign-in"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dm", "--against", "{empty}"], r"is no checkout with an environment of its own"),
        (["mixed", "--against", "{other}"], "only dm, fanout, idle and connect compare checkouts"),
        (["dm", "--against", "{other}", "--url", "tcp://127.0.0.1:1"], "leave --url out"),
    ],
)
def test_wrong_usage_is_explained(tmp_path: Path, other: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    filled = [argument.format(empty=tmp_path / "empty", other=other) for argument in arguments]
    done = command(tmp_path, *filled)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_versions_that_differ_are_told(tmp_path: Path, other: Path) -> None:
    python = other / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "python 2.7"\n')
    rivals = versus.Rivals.of(Checkout.at(other))
    said = versus.table(rivals, [], [])
    assert f"WARNING: python is {'.'.join(map(str, sys.version_info[:3]))} here and 2.7 there" in said
    assert os.fspath(ROOT) in said
