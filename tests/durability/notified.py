"""Notifications of users who are away, judged from outside: the messages that were acked, the users who came back, and
the webhooks that arrived.

Pure: it knows no server and no socket. Times are milliseconds of one clock, which the server shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec


class Burst(NamedTuple):
    """Messages that one user was not there for. A room in which the user has read since begins another."""

    user: str
    room: str
    first: int
    """The seqs of its first and last message."""
    last: int
    sent_ms: int
    """When its first message was handed to a socket for the first time, and when its last ack had been read."""
    acked_ms: int


class Return(NamedTuple):
    """The user signed in, not before `begun_ms`, and was welcomed at `ended_ms`. Or, if not `welcomed`, the server was
    killed then, and may or may not have recorded that the user was there."""

    begun_ms: int
    ended_ms: int
    welcomed: bool = True


class Notice(NamedTuple):
    """A notification that the receiver verified."""

    id: str
    user: str
    room: str
    seq: int
    at_ms: int
    """When the server signed it."""


class Evidence(msgspec.Struct):
    """All that is known outside of the server."""

    after_ms: int
    bursts: list[Burst] = []
    returns: dict[str, list[Return]] = {}
    notices: list[Notice] = []
    complaints: list[str] = []
    """Faults that were seen on the way, a forged webhook for example."""


def violations(evidence: Evidence) -> list[str]:
    """Every broken promise; none: all is well."""
    told = _by_burst(evidence)
    return [
        *evidence.complaints,
        *_of_nothing(evidence),
        *(found for burst in evidence.bursts for found in _of_burst(evidence, burst, told[burst])),
    ]


def missing(evidence: Evidence) -> set[Burst]:
    """Bursts that must be told and were not: of users who have not come back since."""
    told = _by_burst(evidence)
    return {burst for burst in evidence.bursts if not told[burst] and not _came_after(evidence, burst)}


def repeated(evidence: Evidence) -> int:
    """How many notices came more than once."""
    return len(evidence.notices) - len({notice.id for notice in evidence.notices})


def _by_burst(evidence: Evidence) -> dict[Burst, list[Notice]]:
    of_place: dict[tuple[str, str], list[Burst]] = {}
    for burst in evidence.bursts:
        of_place.setdefault((burst.user, burst.room), []).append(burst)
    found: dict[Burst, list[Notice]] = {burst: [] for burst in evidence.bursts}
    for notice in evidence.notices:
        for burst in of_place.get((notice.user, notice.room), ()):
            if burst.first <= notice.seq <= burst.last:
                found[burst].append(notice)
    return found


def _of_nothing(evidence: Evidence) -> Iterator[str]:
    known = {notice for notices in _by_burst(evidence).values() for notice in notices}
    for notice in evidence.notices:
        if notice not in known:
            yield f"{notice} tells of no message that was sent to this user"


def _of_burst(evidence: Evidence, burst: Burst, told: list[Notice]) -> Iterator[str]:
    if not told and not _came_after(evidence, burst):
        yield f"nobody was told of {burst}"
    if len({notice.id for notice in told}) > 1:
        yield f"{burst} was told under {sorted({notice.id for notice in told})}"
    due_ms = burst.sent_ms + evidence.after_ms
    for notice in told:
        if notice.at_ms < due_ms:
            yield f"{burst} was told {due_ms - notice.at_ms} ms before it was due"
    in_time = [
        each
        for each in evidence.returns.get(burst.user, ())
        if each.welcomed and burst.acked_ms < each.begun_ms and each.ended_ms < due_ms
    ]
    if told and in_time:
        yield f"{burst} was told though the user came back before it was due: {in_time[0]}"


def _came_after(evidence: Evidence, burst: Burst) -> bool:
    """Whether the user was there, or may have been, since the burst was sent."""
    return any(each.ended_ms >= burst.sent_ms for each in evidence.returns.get(burst.user, ()))
