"""Two runs, row by row: what became better, what worse. Rows are of the same load and server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.faults import Misused
from bench.report import aligned
from bench.results import SCHEMA, Row, Run

#: Where less is better; of all else more is.
_LESS = ("KB/", "MB/", "us/", "ms ")
#: Environments may differ in these without a warning.
_PASSING = frozenset(("commit", "load_average"))


class Change(NamedTuple):
    load: str
    target: str
    figure: str
    before: float
    after: float
    less_is_better: bool

    @property
    def ratio(self) -> float:
        return self.after / self.before

    def verdict(self, tolerance: float) -> str:
        """`tolerance` 0.1 lets a figure be a tenth worse."""
        gain = 1 / self.ratio if self.less_is_better and self.ratio else self.ratio
        if gain < 1 / (1 + tolerance):
            return "WORSE"
        return "better" if gain > 1 + tolerance else "same"


class Comparison(NamedTuple):
    changes: list[Change]
    missing: list[str]
    """Rows that only one of the runs has."""
    differences: list[str]
    """Of the environments."""


def read(path: Path) -> Run:
    """Raises Misused for what is no run of this schema."""
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError) as error:
        raise Misused(f"{path}: {error}") from None
    if run.schema != SCHEMA:
        raise Misused(f"{path}: its schema is {run.schema}, not {SCHEMA}")
    return run


def compare(before: Run, after: Run, latencies: Sequence[str] = ("p50", "p99")) -> Comparison:
    """`latencies` are the percentiles that are compared."""
    olds, news = ({(row.load, row.target): row for row in run.rows} for run in (before, after))
    changes = [change for key in olds.keys() & news.keys() for change in _changes(olds[key], news[key], latencies)]
    order = list(olds)
    changes.sort(key=lambda change: order.index((change.load, change.target)))
    missing = [f"{load}, {target}: only in the first run" for load, target in olds if (load, target) not in news]
    missing += [f"{load}, {target}: only in the second run" for load, target in news if (load, target) not in olds]
    differences = [
        f"{name}: {before.environment.get(name)} and {after.environment.get(name)}"
        for name in before.environment.keys() | after.environment.keys()
        if name not in _PASSING and before.environment.get(name) != after.environment.get(name)
    ]
    return Comparison(changes, missing, sorted(differences))


def _changes(old: Row, new: Row, latencies: Sequence[str]) -> Iterator[Change]:
    yield Change(old.load, old.target, old.unit, old.median, new.median, old.unit.startswith(_LESS))
    figures = {
        "server us/message": (old.server_cpu_us_per_message, new.server_cpu_us_per_message),
        "server us/delivery": (old.server_cpu_us_per_delivery, new.server_cpu_us_per_delivery),
        "switches/delivery": (old.switches_per_delivery, new.switches_per_delivery),
        "syscalls/delivery": (old.syscalls_per_delivery, new.syscalls_per_delivery),
    }
    for name, points in old.latencies.items():
        if name == "late":
            continue  # The load's own.
        for point in latencies:
            figures[f"{name} {point} ms"] = (points.get(point, 0.0), new.latencies.get(name, {}).get(point, 0.0))
    for figure, (before, after) in figures.items():
        if before and after:
            yield Change(old.load, old.target, figure, before, after, less_is_better=True)


def table(comparison: Comparison, tolerance: float) -> str:
    heads = ("load", "server", "figure", "before", "after", "ratio", "")
    cells = [
        (
            change.load,
            change.target,
            change.figure,
            f"{change.before:,.4g}",
            f"{change.after:,.4g}",
            f"{change.ratio:.2f}",
            change.verdict(tolerance),
        )
        for change in comparison.changes
    ]
    lines = aligned([heads, *cells]) if cells else ["the runs have no row in common"]
    lines += ["", *comparison.missing, *(f"other surroundings: {said}" for said in comparison.differences)]
    return "\n".join(lines).rstrip()
