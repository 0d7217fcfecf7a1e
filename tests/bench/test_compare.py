"""Two runs side by side: what is better, what is worse, and what can't be compared. The reports of one."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import compare, html, report
from bench.cli import main
from bench.faults import Broken
from bench.results import Measure, Run, summarize


def run(
    value: float = 1000.0, p50_ms: float = 10.0, kilobytes: float = 20.0, cpu: str = "a cpu", loads: str = "ab"
) -> Run:
    buckets = {int(p50_ms * 1e6): 50, int(p50_ms * 1e6) * 2: 50}
    measures = [
        Measure(
            load=f"dm {load}",
            target="gochat",
            turn=1,
            value=value,
            unit="messages/s",
            latencies={"ack": buckets},
            timeline=[(0.25, value), (0.5, value / 2)],
            memory=[(at, 50.0 + at) for at in range(8)],
        )
        for load in loads
    ]
    measures.append(Measure(load="idle", target="gochat", turn=1, value=kilobytes, unit="KB/user"))
    environment: dict[str, str | float | bool] = {"cpu": cpu, "commit": "1", "durable": True}
    return Run(
        started="2026-01-01T00:00:00+00:00",
        command=["dm", "<b>"],
        environment=environment,
        rows=summarize(measures, []),
        bounds=[],
        measures=measures,
    )


def verdicts(before: Run, after: Run, tolerance: float = 0.1) -> set[str]:
    return {
        f"{change.load}: {change.figure}: {change.verdict(tolerance)}"
        for change in compare.compare(before, after).changes
        if change.verdict(tolerance) != "same"
    }


def test_a_run_is_as_good_as_itself() -> None:
    assert verdicts(run(), run()) == set()


def test_less_is_better_of_memory_and_latency_and_more_of_throughput() -> None:
    assert verdicts(run(loads="a"), run(value=800, p50_ms=8, kilobytes=30, loads="a")) == {
        "dm a: messages/s: WORSE",
        "dm a: ack p50 ms: better",
        "dm a: ack p99 ms: better",
        "idle: KB/user: WORSE",
    }
    assert verdicts(run(loads="a"), run(value=800, p50_ms=8, kilobytes=22, loads="a"), tolerance=0.3) == set()


def test_what_only_one_run_has_is_named_and_so_are_other_surroundings() -> None:
    found = compare.compare(run(loads="ab"), run(loads="ac", cpu="another"))
    assert found.missing == ["dm b, gochat: only in the first run", "dm c, gochat: only in the second run"]
    assert found.differences == ["cpu: a cpu and another"]


def test_the_command_has_a_status_for_what_became_worse(tmp_path: Path) -> None:
    paths = [tmp_path / "before.json", tmp_path / "after.json"]
    for path, value in zip(paths, (1000.0, 800.0), strict=True):
        path.write_bytes(report.to_json(run(value=value)))
    there, back = (CliRunner().invoke(main, ["compare", *map(str, order)]) for order in (paths, paths[::-1]))
    assert (there.exit_code, back.exit_code) == (3, 0)
    assert "0.80   WORSE" in there.output
    assert "1.25   better" in back.output
    loose = CliRunner().invoke(main, ["compare", *map(str, paths), "--tolerance", "0.3"])
    assert loose.exit_code == 0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"schema":"gochat-bench/2"}'])
def test_what_is_no_run_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(Broken, match=r"run\.json: "):
        compare.read(path)


def test_the_page_needs_nothing_else_and_draws_every_load() -> None:
    page = html.to_html(run())
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<h2>dm ") == 2
    assert "http" not in page.replace("http-equiv", "")
    for start in (at for at in range(len(page)) if page.startswith("<svg", at)):
        drawing = page[start : page.index("</svg>", start) + 6]
        assert drawing.count("<polyline") >= 1
        # Attribute values are quoted or plain numbers, so that XML's rules need only quotes.
        ElementTree.fromstring(quoted(drawing))


def quoted(drawing: str) -> str:
    import re

    return re.sub(r"=([\w.#-]+)(?=[\s/>])", r"='\1'", drawing)
