"""Certification as the store calls it: bytes in, a ruling out. See certify.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gochat.cluster.certify import (
    OLD,
    Repeat,
    Stop,
    Valid,
    Verdict,
    Void,
    certify,
    judge,
    next_hash,
    record_numbers,
    room_number,
)
from gochat.cluster.entry import Entry, EntryCodec
from gochat.domain.facts import AnyFact
from gochat.domain.side_records import AnySideRecord
from gochat.replication import EpochIs, NodeIs, Noted, Replica

_NOTHING: Final[Mapping[int, str]] = {}
#: The kinds of entries that bring side records, of a room or of the site.
_OF_ROOMS: Final = ("room", "site")


class Certified(msgspec.Struct, frozen=True, gc=False):
    """An entry and its verdict: `replication.Ruling`. Store and teller ask for each attribute several times."""

    entry: Entry | None
    """None where the bytes are no entry, or the marker of a term."""
    verdict: Verdict
    producer: tuple[str, str, int] | None = None
    stop: str | None = None
    room: str = ""
    facts: Sequence[AnyFact] = ()
    side_records: Sequence[AnySideRecord] = ()
    noted: Sequence[Noted | NodeIs | EpochIs] = ()
    hidden: Mapping[int, str] = _NOTHING
    raises_guard: bool = False


def _certified(entry: Entry | None, verdict: Verdict) -> Certified:
    if entry is not None and type(verdict) is Valid:  # Nearly always.
        brought: Sequence[Any] = verdict.side_records
        side_records, noted = (brought, ()) if entry.kind in _OF_ROOMS else ((), brought)
        return Certified(
            entry,
            verdict,
            (entry.instance, entry.boot, entry.counter),
            None,
            entry.room,
            verdict.facts,
            side_records,
            noted,
            verdict.hidden,
            verdict.raises_guard,
        )
    stop = verdict.problem if isinstance(verdict, Stop) else None
    if entry is None:
        return Certified(entry, verdict, stop=stop)
    producer = None if isinstance(verdict, Repeat) or verdict == OLD else (entry.instance, entry.boot, entry.counter)
    return Certified(entry, verdict, producer, stop, entry.room)


class Certifying:
    """`replication.Certifier` of one cluster. May be used from several threads."""

    def __init__(self, codec: EntryCodec, above: int) -> None:
        self._codec = codec
        self._above = above

    def judge(self, data: bytes, n: int, partition: int, replica: Replica) -> Certified:
        try:
            entry = self._codec.decode(data, partition)
        except ValueError:  # It is none: `judge` says which kind of none.
            return _certified(*judge(data, n, partition, self._codec, replica))
        return _certified(entry, certify(entry, n, replica))

    def refused(self, ruling: Certified) -> Certified:
        return _certified(ruling.entry, Void("unfit") if isinstance(ruling.verdict, Valid) else ruling.verdict)

    def next_hash(self, before: bytes, data: bytes, ruling: Certified) -> bytes:
        return next_hash(before, data, ruling.verdict)

    def room_number(self, k: int, partition: int) -> int:
        return room_number(k, partition, self._above)

    def record_numbers(self, n: int, partition: int, count: int) -> Sequence[int]:
        return record_numbers(n, partition, count, self._above)
