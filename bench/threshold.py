"""`--threshold "deliver.p99<50ms"`: what must hold for the run to succeed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

from bench.results import POINTS, Row

_FORM = re.compile(
    r"""(?: (?P<load>[^:]+) : )? \s* (?P<name>[a-z][a-z ,_]*?) (?: \. (?P<point>p[0-9.]+|max) )? \s*
    (?P<sign> <= | >= | < | > ) \s* (?P<number>[0-9.]+(?:e[0-9]+)?) \s* (?P<unit>ms|us|s)?""",
    re.VERBOSE,
)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
#: Names besides those of latencies.
FIELDS = {
    "value": "median",
    "server_us": "server_cpu_us_per_message",
    "delivery_us": "server_cpu_us_per_delivery",
    "switches": "switches_per_delivery",
    "syscalls": "syscalls_per_delivery",
    "memory_mb": "server_rss_mb",
    "ratio": "ratio",
    "cost": "cost_ratio",
}


class Verdict(NamedTuple):
    text: str
    holds: bool


class Threshold(NamedTuple):
    """Of every gochat row that has the figure, or of those whose load is like `load`."""

    text: str
    load: str
    name: str
    point: str
    sign: str
    limit: float
    """Milliseconds, where `point` is one of a latency."""

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Raises ValueError with what is wrong."""
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r}: write it as deliver.p99<50ms, value>=1000, or 'dm*:ack.p50<2ms'")
        name, point, unit = match["name"], match["point"] or "", match["unit"]
        if point and point not in POINTS:
            raise ValueError(f"{text!r}: a latency has {', '.join(POINTS)}")
        if bool(point) != bool(unit):
            raise ValueError(f"{text!r}: a latency needs a percentile and a unit, such as {name}.p99<50ms")
        if not point and name not in FIELDS:
            raise ValueError(f"{text!r}: {name} is none of {', '.join(FIELDS)}")
        limit = float(match["number"]) * (_MILLISECONDS[unit] if unit else 1.0)
        return cls(text.strip(), (match["load"] or "*").strip(), name, point, match["sign"], limit)

    def judge(self, rows: Sequence[Row]) -> list[Verdict]:
        """One for each row that it is about; one that fails if there is none."""
        found = []
        for row in rows:
            value = self._value(row)
            if row.target.startswith("gochat") and fnmatch(row.load, self.load) and value is not None:
                holds = _SIGNS[self.sign](value, self.limit)
                told = f"{value:.2f} ms" if self.point else f"{value:,.4g}"
                found.append(Verdict(f"{self.text}: {row.load}, {row.target}: {told}", holds))
        return found or [Verdict(f"{self.text}: no row has it", False)]

    def _value(self, row: Row) -> float | None:
        if self.point:
            return row.latencies.get(self.name, {}).get(self.point)
        value: float | None = getattr(row, FIELDS[self.name])
        return value
