"""Quiet hours: a span of each day, in a user's own time zone, in which notifications wait. Pure but for the files of
time zones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gochat.domain.notices import QuietHours

_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def parse(span: str, tz: str) -> QuietHours:
    """`22:00-07:00` in an IANA time zone such as `Europe/Vienna`. Raises ValueError with a text for the user."""
    found = _SPAN.fullmatch(span)
    if found is None:
        raise ValueError("quiet: must be HH:MM-HH:MM, such as 22:00-07:00")
    hours = [int(part) for part in found.groups()]
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if begin == end:
        raise ValueError("quiet: begins when it ends")
    _zone(tz)
    return QuietHours(begin, end, tz)


@lru_cache(512)
def _zone(tz: str) -> ZoneInfo:
    """Raises ValueError."""
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):
        # A folder of the database, or a name with `..`, is no zone either.
        raise ValueError("tz: no such time zone; write it as Europe/Vienna or UTC") from None


def quiet_until(hours: QuietHours, now_ms: int) -> int | None:
    """When the quiet hours that `now_ms` lies in end; None where it lies in none.

    The clocks that go forward or back are the zone's: an end that the day leaves out comes when the clock passes it.
    """
    zone = _zone(hours.tz)
    now = datetime.fromtimestamp(now_ms / 1000, zone)
    minute = now.hour * 60 + now.minute
    if hours.begin < hours.end:
        if not hours.begin <= minute < hours.end:
            return None
        day = now.date()
    else:
        if hours.end <= minute < hours.begin:
            return None
        day = now.date() + timedelta(days=1 if minute >= hours.begin else 0)
    local = datetime(day.year, day.month, day.day, hours.end // 60, hours.end % 60, tzinfo=zone)
    end_ms = int(local.astimezone(UTC).timestamp() * 1000)
    if end_ms <= now_ms:
        # The clock was put back over the end: it comes a second time.
        end_ms = int(local.replace(fold=1).astimezone(UTC).timestamp() * 1000)
    return max(end_ms, now_ms + 1)
