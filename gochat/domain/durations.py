"""Spans of time as people type them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
#: How to type one, for whoever has not.
FORM = "a time such as 90s, 15m, 12h or 30d"


def seconds(text: str) -> int | None:
    """The seconds that `90`, `90s`, `15m`, `12h` or `30d` mean; None for anything else."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def shown(span_s: float) -> str:
    """A span in the largest unit that it fills at least twice, such as `36 h`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if span_s >= 2 * length:
            return f"{span_s / length:.0f} {unit}"
    return f"{span_s:.1f} s" if span_s < 10 else f"{span_s:.0f} s"
