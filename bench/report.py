"""Says what a run found: a table for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.load.book import NAMES
from bench.results import POINTS, Row, Run

#: Above this share of its core the load itself may be what limits the figure.
_BUSY = 0.9

HEADS = (
    "load",
    "server",
    "median",
    "least..greatest",
    "unit",
    "p50 ms",
    "p99 ms",
    "server us",
    "switches",
    "syscalls",
    "load cpu",
    "ratio",
    "",
)
_NOTES = {
    "server us": "the server's CPU time, in microseconds a message",
    "switches": "context switches of the server's threads, a delivery",
    "syscalls": "the server's system calls, a delivery, counted in a stretch of its own",
    "load cpu": f"the load's share of its own core; from {_BUSY:.0%} on the figure is marked 'at least'",
    "ratio": "to the yardstick, or to the other server in the same turn; median over turns",
}


def to_json(run: Run) -> bytes:
    return msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"


def to_table(run: Run) -> str:
    columns = [column for column in zip(HEADS, *map(cells, run.rows), strict=True) if any(column[1:])]
    lines = [
        ", ".join(f"{name} {value}" for name, value in run.environment.items()),
        "",
        *aligned(list(zip(*columns, strict=True))),
        "",
    ]
    lines += [f"{head}: {_NOTES[head]}" for head, *_ in columns if head in _NOTES]
    lines += dict.fromkeys(f"p50, p99: {row.load}: {row.latency_of}" for row in run.rows if row.latency_of)
    lines += _latencies(run.rows)
    if not run.environment["durable"]:
        lines.append(
            "WARNING: the data folder is in memory: nothing was flushed to a disk, and the figures say little."
        )
    return "\n".join(lines)


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row in the table, under HEADS."""
    return (
        row.load,
        row.target,
        _number(row.median),
        f"{_number(row.least)}..{_number(row.greatest)}" if row.least != row.greatest else "",
        row.unit,
        f"{row.latency_ms['p50']:.2f}" if row.latency_ms else "",
        f"{row.latency_ms['p99']:.2f}" if row.latency_ms else "",
        f"{row.server_cpu_us_per_message:.1f}" if row.server_cpu_us_per_message else "",
        _small(row.switches_per_delivery),
        _small(row.syscalls_per_delivery),
        f"{row.generator_cpu:.0%}" if row.generator_cpu else "",
        f"{row.ratio:.2f} of {row.against}" if row.ratio is not None else "",
        " ".join(_remarks(row)),
    )


def _remarks(row: Row) -> list[str]:
    remarks = []
    if row.holds is not None:
        remarks.append(f"wanted {row.bound}: {'holds' if row.holds else 'DOES NOT HOLD'}")
    if row.generator_cpu >= _BUSY:
        remarks.append("(at least)")
    return remarks + [f"({remark})" for remark in row.remarks]


def _latencies(rows: Sequence[Row]) -> list[str]:
    """A table of every latency that was counted, and what their names mean."""
    found = [
        (row.load, row.target, name, *(f"{points[point]:.2f}" for point in POINTS))
        for row in rows
        for name, points in row.latencies.items()
        if points
    ]
    if not found:
        return []
    names = dict.fromkeys(name for _, _, name, *_ in found)
    table = aligned([("load", "server", "latency, ms", *POINTS), *found])
    return ["", *table, "", *(f"{name}: {NAMES[name]}" for name in names if name in NAMES)]


def _small(value: float) -> str:
    return f"{value:.3g}" if value else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines in which the cells of each column stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
