"""The knee: which of some rates it is, and what is measured to find it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner

from bench.cli import main
from bench.scenarios import knee, mixed
from tests.bench.stages import SHORT, standin

TALK: Mapping[str, int] = {"group": 70, "dm": 30}


def test_the_knee_is_the_rate_with_the_most_for_its_time() -> None:
    times = {100: [5.0, 5.0, 5.0], 200: [9.0, 6.0, 7.0], 300: [11.0, 12.0, 900.0], 400: [20.0, 20.0, 20.0]}
    assert knee.found(times) == 200, "by the medians over the turns"


def test_a_rate_that_only_some_turns_came_to_counts() -> None:
    assert knee.found({100: [5.0, 5.0], 200: [6.0, 6.0], 300: [20.0]}) == 200


def test_where_the_highest_is_the_best_the_knee_is_not_found() -> None:
    assert knee.found({100: [5.0], 200: [6.0], 300: [7.0]}) is None


def test_what_was_measured_is_told_although_no_knee_was_found(tmp_path: Path) -> None:
    community = mixed.Options(SHORT._replace(seconds=0.5), users=12, rooms=3, actions=TALK)
    options = knee.Options(community, rates=(40, 60, 80), turns=1)
    measures = knee.run(standin(tmp_path), options, lambda _: None).measures
    assert [measure.rate for measure in measures] == [40, 60, 80]
    assert "the knee is at 80/s or above: no figure at 70% of it" in measures[-1].remarks


def test_all_rates_are_measured_and_then_what_is_below_the_best(tmp_path: Path) -> None:
    community = mixed.Options(SHORT._replace(seconds=0.5), users=12, rooms=3, actions=TALK)
    options = knee.Options(community, rates=(40, 60, 80), turns=2)
    measures = knee.run(standin(tmp_path), options, lambda times: sorted(times)[1]).measures
    assert [(measure.rate, measure.turn) for measure in measures] == [
        (40, 1),
        (60, 1),
        (80, 1),
        (40, 2),
        (60, 2),
        (80, 2),
        (42, 1),
        (42, 2),
    ]
    assert measures[-1].load == "knee 12 users 42/s, 70% of the knee (60/s)"
    assert all(measure.unit == "deliveries/s" and measure.value > 0 for measure in measures)


def test_who_asks_for_too_few_rates_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["knee", "--rate", "10", "--rate", "10", "--rate", "20", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "among 3 rates at least" in result.output
