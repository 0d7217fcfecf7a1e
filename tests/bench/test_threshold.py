"""Thresholds: how they are written, and which rows they are about."""

from __future__ import annotations

import pytest

from bench.results import Measure, summarize
from bench.threshold import Threshold

ROWS = summarize(
    [
        Measure(
            load=load,
            target=target,
            turn=1,
            value=1000.0,
            unit="messages/s",
            server_cpu_us_per_message=80.0,
            latencies={"ack": {2_000_000: 99, 9_000_000: 1}},
        )
        for load, target in (("dm W=1", "gochat"), ("dm W=16", "gochat"), ("dm W=1", "echo"))
    ],
    [],
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("ack.p99<3ms", [True, True]),
        ("ack.max < 9000us", [False, False]),
        ("ack.max<=0.009s", [True, True]),
        ("value>=1000", [True, True]),
        ("value > 1e3", [False, False]),
        ("dm W=16:server_us<80.5", [True]),
        ("dm*16: ack.p50<1ms", [False]),
    ],
)
def test_a_threshold_is_about_the_servers_rows(text: str, holds: list[bool]) -> None:
    assert [verdict.holds for verdict in Threshold.parse(text).judge(ROWS)] == holds


@pytest.mark.parametrize("text", ["deliver.p99<3ms", "fanout*:value>1", "ratio>1"])
def test_a_threshold_that_is_about_nothing_does_not_hold(text: str) -> None:
    [verdict] = Threshold.parse(text).judge(ROWS)
    assert (verdict.holds, verdict.text) == (False, f"{text}: no row has it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast", "write it as"),
        ("ack.p42<3ms", "a latency has p50"),
        ("ack.p99<3", "needs a percentile and a unit"),
        ("value<3ms", "needs a percentile and a unit"),
        ("speed>3", "speed is none of value"),
    ],
)
def test_a_threshold_that_can_not_be_read_says_how_to_write_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Threshold.parse(text)
