"""Medians, ratios and bounds; the table and the JSON."""

from __future__ import annotations

import msgspec
import pytest

from bench import report
from bench.results import SCHEMA, Bound, Measure, Run, ratio, summarize


def measures(target: str, *values: float, generator_cpu: float = 0.5) -> list[Measure]:
    return [
        Measure(
            load="dm W=1",
            target=target,
            turn=turn,
            value=value,
            unit="messages/s",
            generator_cpu=generator_cpu,
            latency_of="send to acked",
            latency_ns={int(value * 1e6): 10},
        )
        for turn, value in enumerate(values, 1)
    ]


MINE, OTHERS = measures("gochat", 10.0, 30.0, 80.0), measures("echo", 10.0, 10.0, 20.0, generator_cpu=0.95)


def run(bound: Bound, durable: bool = True) -> Run:
    return Run(
        started="2026-01-01T00:00:00+00:00",
        command=["dm"],
        environment={"cpu": "a cpu", "durable": durable},
        rows=summarize([*MINE, *OTHERS], [bound]),
        bounds=[bound],
        measures=[*MINE, *OTHERS],
    )


def test_the_ratio_is_the_median_over_turns_of_the_ratio_within_a_turn() -> None:
    assert ratio(MINE, OTHERS) == 3.0
    assert ratio(MINE, OTHERS[2:]) == 4.0
    assert ratio(MINE, []) is None


@pytest.mark.parametrize(("at_least", "holds"), [(3.0, True), (3.01, False)])
def test_a_bound_on_a_ratio(at_least: float, holds: bool) -> None:
    mine, others = run(Bound(load="dm W=1", target="gochat", against="echo", at_least=at_least)).rows
    assert (mine.median, mine.least, mine.greatest, mine.ratio, mine.holds) == (30.0, 10.0, 80.0, 3.0, holds)
    assert (others.ratio, others.holds) == (None, None)


def test_latencies_are_those_of_all_turns_together() -> None:
    mine, _ = run(Bound(load="dm W=1", target="gochat", at_most=1)).rows
    p50 = pytest.approx(30, rel=1 / 32)
    assert mine.latency_ms == {"p50": p50, "p90": 80.0, "p99": 80.0, "p99.9": 80.0, "max": 80.0}


@pytest.mark.parametrize(("at_most", "holds"), [(30.0, True), (29.9, False)])
def test_a_bound_on_a_value(at_most: float, holds: bool) -> None:
    mine, _ = run(Bound(load="dm W=1", target="gochat", at_most=at_most)).rows
    assert (mine.ratio, mine.holds) == (None, holds)


def test_the_table_says_what_holds_what_is_a_lower_bound_and_what_was_not_durable() -> None:
    bound = Bound(load="dm W=1", target="gochat", against="echo", at_least=5.0)
    table = report.to_table(run(bound, durable=False))
    mine = next(line for line in table.splitlines() if "gochat" in line)
    others = next(line for line in table.splitlines() if " echo " in line and "gochat" not in line)
    assert "3.00 of echo" in mine
    assert "wanted >= 5: DOES NOT HOLD" in mine
    assert "(at least)" in others
    assert "(at least)" not in mine
    assert "WARNING" in table
    assert "WARNING" not in report.to_table(run(bound))


def test_the_json_reads_back_and_names_its_schema() -> None:
    made = run(Bound(load="dm W=1", target="gochat", against="echo", at_least=5.0))
    data = report.to_json(made)
    assert msgspec.json.decode(data)["schema"] == SCHEMA == "gochat-bench/1"
    assert msgspec.json.decode(data, type=Run) == made
