"""Numbers out of overviews: values, rates, and how both are written. Pure."""

from __future__ import annotations

from typing import Final

from gochat.protocol.replies import Overview

#: The rates that are told, by their name: the metric, and the label whose samples count.
RATES: Final[dict[str, str]] = {
    "messages_per_s": "gochat_messages_recorded_total",
    "deliveries_per_s": "gochat_deliveries_total",
    "refusals_per_s": "gochat_denials_total",
    "commits_per_s": "gochat_commit_seconds_count",
    "hellos_per_s": "gochat_hellos_total",
    "http_responses_per_s": "gochat_http_responses_total",
    "cpu": "process_cpu_seconds_total",
}


def value(overview: Overview, name: str, label: str | None = None) -> float | None:
    """The value of a metric: of one label, else of all together. None where the node does not tell it."""
    samples = overview.metrics.get(name)
    if samples is None:
        return None
    return sum(samples.values()) if label is None else samples.get(label)


def per_second(before: Overview | None, now: Overview, name: str, label: str | None = None) -> float | None:
    """How much a counter grew a second; None where there is no earlier overview, or the node began anew."""
    if before is None or now.ts <= before.ts:
        return None
    grown_from, grown_to = value(before, name, label) or 0.0, value(now, name, label)
    if grown_to is None or grown_to < grown_from:
        return None
    return (grown_to - grown_from) / ((now.ts - before.ts) / 1000)


def rates(before: Overview | None, now: Overview) -> dict[str, float]:
    """All rates that are known."""
    found = {name: per_second(before, now, metric) for name, metric in RATES.items()}
    return {name: round(rate, 3) for name, rate in found.items() if rate is not None}


def commit_ms(before: Overview | None, now: Overview) -> float | None:
    """How long a commit took on average since the earlier overview, in milliseconds; None if there was none."""
    commits = per_second(before, now, "gochat_commit_seconds_count")
    seconds = per_second(before, now, "gochat_commit_seconds_sum")
    return None if not commits or seconds is None else seconds / commits * 1000


def count(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 100 or number == 0 else f"{number:.1f}"


def size(number: float | None) -> str:
    """Bytes in the unit that they fill: `3.4 MB`."""
    if number is None:
        return "-"
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"
