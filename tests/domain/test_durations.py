from __future__ import annotations

import pytest

from gochat.domain import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("0", 0)],
)
def test_a_span_is_read_as_it_is_typed(text: str, seconds: int) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "1.5h", "1w", "15 m", "٣m", "9" * 10, "1m\n"])
def test_what_is_no_span_is_none(text: str) -> None:
    assert durations.seconds(text) is None


def test_a_span_is_shown_in_a_unit_that_fits() -> None:
    shown = [durations.shown(seconds) for seconds in (0.25, 59, 119, 120, 7_200, 86_400, 172_800)]
    assert shown == ["0.2 s", "59 s", "119 s", "2 min", "2 h", "24 h", "2 d"]
