"""The cluster's scenario, small: three real nodes and a real Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.scenarios import cluster
from tests.bench.stages import SHORT, gochat
from tests.cluster.real import binary


@pytest.mark.long
def test_each_process_of_a_cluster_has_its_figures(tmp_path: Path) -> None:
    binary()
    options = cluster.Options(SHORT, pairs=4, windows=(1,), rate=50, calm=(20,), members=9, turns=1)
    drawn = cluster.run(gochat(tmp_path), options)
    by_load: dict[str, dict[str, float]] = {}
    for measure in drawn.measures:
        by_load.setdefault(measure.load, {})[measure.target] = measure.value
    assert by_load.keys() == {
        "nothing happens",
        "20/s",
        "20/s, ack p50",
        "20/s, ack p99",
        "20/s, deliver p50",
        "20/s, deliver p99",
        "dm 4 pairs W=1",
        "dm 4 pairs W=1, median",
        "dm 4 pairs W=1, CPU",
        "dm 4 pairs 50/s, CPU",
        "fanout 9 W=64",
    }
    processes = {cluster.ASKER, cluster.LISTENER, cluster.BYSTANDER, cluster.REDIS}
    for load in ("nothing happens", "dm 4 pairs W=1, CPU", "dm 4 pairs 50/s, CPU"):
        assert by_load[load].keys() == processes
        assert all(value > 0 for value in by_load[load].values())
    for load in ("dm 4 pairs W=1", "fanout 9 W=64"):
        assert by_load[load].keys() == {"one node", "3 nodes"}
    assert {(bound.load, bound.target) for bound in drawn.bounds} == {
        ("dm 4 pairs 50/s, CPU", cluster.BYSTANDER),
        ("dm 4 pairs W=1, median", "later than one node"),
        ("20/s, ack p50", "later than one node"),
        ("20/s, deliver p50", "later than one node"),
    }
    for load in ("20/s, ack p50", "20/s, deliver p99"):
        one, three, later = (by_load[load][target] for target in ("one node", "3 nodes", "later than one node"))
        assert one > 0 and three > 0 and later == pytest.approx(three - one)
