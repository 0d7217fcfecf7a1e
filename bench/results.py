"""A run's findings: the schema of `--out`, and the few figures drawn from it. In version 1 fields are only added."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from bench.histogram import Histogram

SCHEMA = "gochat-bench/1"
#: The percentiles that are shown, by name.
POINTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


class Measure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One stretch of load on one server."""

    load: str
    """The name of the load, for example "dm W=16"; measures of the same load are compared."""
    target: str
    """"gochat", or the yardstick's name."""
    turn: int
    value: float
    unit: str
    messages: int = 0
    seconds: float = 0
    latency_of: str = ""
    """From when to when."""
    latency_ns: dict[int, int] = {}
    """Counts by the upper edge of a bucket, 32 buckets an octave."""
    generator_cpu: float = 0
    """Share of its core that the load took. Near 1 the value is a lower bound: the load could take no more."""
    server_cpu_us_per_message: float = 0
    server_cpu_us_per_delivery: float = 0
    server_rss_mb: float = 0
    """Megabytes of 10^6 bytes."""
    deliveries: int = 0
    latencies: dict[str, dict[int, int]] = {}
    """Every latency that was counted, by name (bench/load/book.py), as in `latency_ns`."""
    hdr: dict[str, str] = {}
    """The same as HdrHistogram's log encoding: V2, compressed, base64; nanoseconds."""
    timeline: list[tuple[float, float]] = []
    """(seconds since the begin, what the value counts, a second, since the point before)."""
    memory: list[tuple[float, float]] = []
    """(seconds since the begin, resident megabytes of the server), for what runs long."""
    counts: dict[str, int] = {}
    """Counts of other events, by name."""
    processes: int = 1
    rate: float = 0
    """Open loop: what was planned a second. 0: closed loop."""
    switches_per_delivery: float = 0
    """Context switches of the server's threads."""
    syscalls_per_delivery: float = 0
    remarks: list[str] = []
    """Facts that a reader of the figure must know, for example that something could not be measured here."""


class Bound(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """The bound for a load's target: for its ratio to `against`, or for its value where `against` is empty."""

    load: str
    target: str
    against: str = ""
    at_least: float | None = None
    at_most: float | None = None
    """Neither: nothing is wanted, only the ratio is to be shown."""

    def holds(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        if self.at_least is None and self.at_most is None:
            return ""
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All turns of one target under one load."""

    load: str
    target: str
    unit: str
    median: float
    least: float
    greatest: float
    latency_of: str
    latency_ms: dict[str, float]
    """Milliseconds at POINTS, over the messages of all turns."""
    generator_cpu: float
    server_cpu_us_per_message: float
    server_cpu_us_per_delivery: float
    server_rss_mb: float
    against: str = ""
    ratio: float | None = None
    """Median, over the turns, of the ratio within a turn: neighbours in time share the machine's mood."""
    bound: str = ""
    holds: bool | None = None
    latencies: dict[str, dict[str, float]] = {}
    """Milliseconds at POINTS, by the latency's name."""
    switches_per_delivery: float = 0
    syscalls_per_delivery: float = 0
    remarks: list[str] = []
    cost_ratio: float | None = None
    """With `--against`: this checkout's cost (see Cost) to the other's."""


class Cost(msgspec.Struct, kw_only=True, frozen=True):
    """The server's CPU time or memory under one load, in two checkouts that took turns."""

    load: str
    target: str
    against: str
    figure: str
    """With its unit; less is better."""
    here: float
    there: float
    """Medians over the turns."""
    ratio: float
    """Median, over the turns, of here / there within a turn."""
    least: float
    greatest: float
    """Of the turns' ratios."""
    turns: int


class Run(msgspec.Struct, kw_only=True):
    schema: str = SCHEMA
    started: str
    """ISO 8601, UTC."""
    command: list[str]
    environment: dict[str, str | float | bool]
    rows: list[Row]
    bounds: list[Bound]
    measures: list[Measure]
    costs: list[Cost] = []


class Drawn(NamedTuple):
    """The measures and bounds that a scenario hands to the report."""

    measures: list[Measure]
    bounds: list[Bound]


def summarize(measures: Sequence[Measure], bounds: Iterable[Bound], costs: Iterable[Cost] = ()) -> list[Row]:
    """One row for each load and target, in the order of their first measure."""
    wanted = {(bound.load, bound.target): bound for bound in bounds}
    ratios = {(cost.load, cost.target): cost.ratio for cost in costs}
    groups: dict[tuple[str, str], list[Measure]] = {}
    for measure in measures:
        groups.setdefault((measure.load, measure.target), []).append(measure)
    rows = []
    for (load, target), group in groups.items():
        row = _row(group)
        if (load, target) in wanted:
            _judge(row, wanted[load, target], group, groups)
        row.cost_ratio = ratios.get((load, target))
        rows.append(row)
    return rows


def _judge(row: Row, bound: Bound, group: list[Measure], groups: dict[tuple[str, str], list[Measure]]) -> None:
    value: float | None = row.median
    if bound.against:
        value = ratio(group, groups.get((bound.load, bound.against), []))
        row.against, row.ratio = bound.against, value
    row.bound = str(bound)
    row.holds = None if value is None or not row.bound else bound.holds(value)


def ratio(mine: Iterable[Measure], others: Iterable[Measure]) -> float | None:
    """The median of value / value over turns that both have; None where there is none."""
    values = {other.turn: other.value for other in others}
    ratios = [measure.value / values[measure.turn] for measure in mine if values.get(measure.turn)]
    return statistics.median(ratios) if ratios else None


def _row(group: Sequence[Measure]) -> Row:
    values = [measure.value for measure in group]
    first = group[0]

    def median(name: str) -> float:
        return float(statistics.median(getattr(measure, name) for measure in group))

    return Row(
        load=first.load,
        target=first.target,
        unit=first.unit,
        median=statistics.median(values),
        least=min(values),
        greatest=max(values),
        latency_of=first.latency_of,
        latency_ms=milliseconds(measure.latency_ns for measure in group),
        latencies={
            name: milliseconds(measure.latencies.get(name, {}) for measure in group)
            for name in dict.fromkeys(name for measure in group for name in measure.latencies)
        },
        generator_cpu=median("generator_cpu"),
        server_cpu_us_per_message=median("server_cpu_us_per_message"),
        server_cpu_us_per_delivery=median("server_cpu_us_per_delivery"),
        server_rss_mb=median("server_rss_mb"),
        switches_per_delivery=median("switches_per_delivery"),
        syscalls_per_delivery=median("syscalls_per_delivery"),
        remarks=list(dict.fromkeys(remark for measure in group for remark in measure.remarks)),
    )


def milliseconds(parts: Iterable[Mapping[int, int]]) -> dict[str, float]:
    """At POINTS, over all parts together; nothing where they hold nothing."""
    merged = Histogram()
    for part in parts:
        merged.merge(part)
    return {name: merged.percentile(at) / 1e6 for name, at in POINTS.items()} if merged.count else {}
