"""Numbers for operators: what the parts count, and the text that Prometheus reads (exposition format 0.0.4).

Counters are plain integers that only grow, added to once a batch where a batch is at hand. There are no locks: each is
written by one thread, and a reader may see one a moment before another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


class Histogram:
    """How often a value fell into which bucket; `bounds` are the upper edges, ascending, each within its bucket."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total: float = 0

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counts:
    """Counts of the work of a node's rooms and sessions since it started. Written by the loop's thread only."""

    __slots__ = (
        "closes",
        "commands",
        "deliveries",
        "denials",
        "hellos",
        "lags",
        "queries",
        "rules",
        "sessions",
        "slowed",
        "turns",
    )

    def __init__(self, codes: Iterable[str], closes: Iterable[int]) -> None:
        self.turns = 0
        self.commands = 0
        self.deliveries = 0
        self.lags = 0
        self.queries: dict[str, int] = {}
        self.denials = dict.fromkeys(codes, 0)
        self.rules: dict[str, int] = {}
        """Refusals by the rule that refused, where there is one; over sockets and REST."""
        self.hellos = {"ok": 0}
        self.closes = dict.fromkeys(closes, 0)
        self.sessions: dict[str, int] = {}
        """Open sessions by transport. This number also falls, and so does the next."""
        self.slowed = 0
        """Users who have cost too much just now, and wait."""

    def refused_by(self, rule: str | None) -> None:
        """Count a refusal by its rule, if it names one."""
        if rule is not None:
            self.rules[rule] = self.rules.get(rule, 0) + 1


class Commits:
    """Counts of the journal's commits since the store was opened. Written by the commit thread only."""

    __slots__ = (
        "backlog",
        "batches",
        "expired",
        "facts",
        "failed",
        "messages",
        "number",
        "reindexing",
        "seconds",
        "unmerged",
        "unmerged_bytes",
    )

    def __init__(self) -> None:
        self.facts = 0
        self.messages = 0
        self.failed = 0
        self.expired = 0
        """Messages that lost their texts with their age."""
        self.number = 0
        """Of the last transaction."""
        self.backlog = 0
        """Rooms with facts that the search index does not hold yet."""
        self.reindexing = 0
        """Messages and users that are still to be indexed anew, after an upgrade."""
        self.unmerged = 0
        """Messages that are recorded and not yet in their rooms' logs."""
        self.unmerged_bytes = 0
        """The memory that these messages take."""
        self.batches = Histogram(0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
        """Rooms' batches in one commit; none where only notes were written."""
        self.seconds = Histogram(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class NotificationCounts:
    """Counts of notifications, by channel. Written by the loop's thread only."""

    __slots__ = ("dead", "results", "rooms", "waiting")

    def __init__(self) -> None:
        self.results: dict[str, dict[str, int]] = {}
        """How often a notification was looked at to be sent, by what came of it."""
        self.waiting: dict[str, int] = {}
        self.dead: dict[str, int] = {}
        self.rooms: Callable[[], int] = int
        """How many rooms the notifier has on its timetable."""


# ---------------------------------------------------------------------------------------------- as text

Samples: TypeAlias = Mapping[tuple[str, ...], float]
"""Values by the values of the labels; a family without labels has one, by the empty tuple."""


class Family(NamedTuple):
    """One metric as it is told: its samples, or its histogram."""

    name: str
    kind: Kind
    help: str
    labels: Sequence[str]
    values: Samples | Histogram


def render(families: Iterable[Family]) -> bytes:
    lines: list[str] = []
    for family in families:
        lines += (f"# HELP {family.name} {_escaped(family.help)}", f"# TYPE {family.name} {family.kind}")
        if isinstance(family.values, Histogram):
            lines += _histogram(family.name, family.values)
        else:
            lines += [
                f"{family.name}{_labels(family.labels, labels)} {_number(value)}"
                for labels, value in family.values.items()
            ]
    return ("\n".join(lines) + "\n").encode()


def _histogram(name: str, histogram: Histogram) -> Iterable[str]:
    # One look: what is added meanwhile is in the next scrape, and the buckets agree with the count.
    buckets, count = list(histogram.buckets), 0
    for bound, size in zip((*histogram.bounds, float("inf")), buckets, strict=True):
        count += size
        yield f'{name}_bucket{{le="{_number(bound)}"}} {count}'
    yield f"{name}_sum {_number(histogram.total)}"
    yield f"{name}_count {count}"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = [
        '{}="{}"'.format(name, _escaped(value).replace('"', '\\"')) for name, value in zip(names, values, strict=True)
    ]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else str(value)
