"""A report in one HTML file that needs nothing else: the table, and two drawings a load, latencies by percentile and
throughput over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from bench.histogram import Histogram
from bench.report import HEADS, cells
from bench.results import Measure, Run

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _RIGHT = 560, 260, 64, 34, 24
_COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#b8860b", "#4b4b4b", "#00798c", "#d1495b")
_PERCENTILES = (0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99)
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1180px;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:13px}td,th{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:left}
td:nth-child(n+3){font-variant-numeric:tabular-nums}svg{vertical-align:top;max-width:100%;height:auto;
margin:.4em 1em .4em 0}
svg text{font:11px system-ui,sans-serif;fill:#444}p.small{color:#555;font-size:13px}h2{margin:1.4em 0 .2em}"""


class Line(NamedTuple):
    label: str
    points: list[tuple[float, float]]


def to_html(run: Run) -> str:
    environment = ", ".join(f"{escape(name)} {escape(str(value))}" for name, value in run.environment.items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>gochat bench, {escape(run.started)}</title><style>{_STYLE}</style>",
        f"<h1>gochat bench</h1><p class=small>{escape(run.started)}: bench {escape(' '.join(run.command))}",
        f"<br>{environment}</p>",
        _table(run),
    ]
    for load in dict.fromkeys(measure.load for measure in run.measures):
        measures = [measure for measure in run.measures if measure.load == load]
        drawings = [_latency_drawing(measures), _time_drawing(measures), _memory_drawing(measures)]
        if any(drawings):
            parts += [f"<h2>{escape(load)}</h2>", *drawings]
    return "\n".join(parts) + "\n"


def _table(run: Run) -> str:
    rows = [HEADS, *map(cells, run.rows)]
    kept = [column for column in range(len(HEADS)) if any(row[column] for row in rows[1:])]

    def line(row: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(row[column])}</{tag}>" for column in kept) + "</tr>"

    return "<table>" + line(rows[0], "th") + "".join(line(row, "td") for row in rows[1:]) + "</table>"


def _latency_drawing(measures: Sequence[Measure]) -> str:
    """Over all turns; to the right the axis stretches what is rare: each step is a tenth of what is left."""
    merged: dict[str, Histogram] = {}
    for measure in measures:
        for name, buckets in measure.latencies.items():
            merged.setdefault(f"{measure.target}: {name}", Histogram()).merge(buckets)
    lines = [
        Line(label, [(_rarity(p), math.log10(max(histogram.percentile(p), 1) / 1e6)) for p in _PERCENTILES if p])
        for label, histogram in merged.items()
    ]
    ticks = [(_rarity(p), f"{p:g} %") for p in (50.0, 90.0, 99.0, 99.9, 99.99)]
    return _drawing("latency, ms, by percentile", lines, ticks, log=True)


def _rarity(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _time_drawing(measures: Sequence[Measure]) -> str:
    lines = [Line(f"{m.target}, turn {m.turn}", list(m.timeline)) for m in measures if len(m.timeline) > 1]
    return _drawing("a second, over time in seconds", lines, None)


def _memory_drawing(measures: Sequence[Measure]) -> str:
    lines = [Line(f"{m.target}, turn {m.turn}", list(m.memory)) for m in measures if len(m.memory) > 5]
    return _drawing("memory, MB, over time in seconds", lines, None)


def _drawing(title: str, lines: Sequence[Line], ticks: Sequence[tuple[float, str]] | None, *, log: bool = False) -> str:
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    left, right = (least(x for x, _ in points) for least in (min, max))
    low, high = (least(y for _, y in points) for least in (min, max))
    low, high = (math.floor(low), max(math.ceil(high), math.floor(low) + 1)) if log else (min(0.0, low), high or 1.0)

    def x(value: float) -> float:
        return _LEFT + (value - left) / ((right - left) or 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / ((high - low) or 1) * (_HEIGHT - _BOTTOM - 24)

    parts = [
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT + 16 * len(lines)}' width={_WIDTH} role=img",
        f" aria-label='{escape(title)}'>",
    ]
    parts.append(f"<text x={_LEFT} y=14>{escape(title)}</text>")
    for at in _levels(low, high, log=log):
        told = f"{10**at:g}" if log else f"{at:,.10g}"
        parts.append(f"<path d='M{_LEFT} {y(at):.1f}H{_WIDTH - _RIGHT}' stroke=#ddd />")
        parts.append(f"<text x={_LEFT - 6} y={y(at) + 4:.1f} text-anchor=end>{told}</text>")
    for at, told in ticks or [(at, f"{at:,.10g}") for at in _levels(left, right, log=False)]:
        if left <= at <= right:
            parts.append(f"<text x={x(at):.1f} y={_HEIGHT - _BOTTOM + 16} text-anchor=middle>{told}</text>")
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in line.points)
        parts.append(f"<polyline points='{path}' fill=none stroke='{colour}' stroke-width=1.6 />")
        where = _HEIGHT + 16 * number
        parts.append(f"<path d='M{_LEFT} {where - 4}h18' stroke='{colour}' stroke-width=3 />")
        parts.append(f"<text x={_LEFT + 24} y={where}>{escape(line.label)}</text>")
    return "".join([*parts, "</svg>"])


def _levels(low: float, high: float, *, log: bool) -> Iterable[float]:
    if log:
        return range(int(low), int(high) + 1)
    rough = (high - low) / 5 or 1.0
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= rough)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]
