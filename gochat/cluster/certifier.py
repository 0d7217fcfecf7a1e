"""Certification as the store calls it: bytes in, a ruling out. See certify.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gochat.cluster.certify import Repeat, Stop, Valid, Verdict, Void, judge, next_hash, record_numbers, room_number
from gochat.cluster.entry import Entry, EntryCodec
from gochat.domain.facts import AnyFact
from gochat.domain.side_records import AnySideRecord
from gochat.replication import EpochIs, NodeIs, Noted, Replica

_NOTHING: Final[Mapping[int, str]] = {}


class Certified(msgspec.Struct, frozen=True):
    """An entry and its verdict: `replication.Ruling`."""

    entry: Entry | None
    """None where the bytes are no entry, or the marker of a term."""
    verdict: Verdict

    @property
    def producer(self) -> tuple[str, str, int] | None:
        if self.entry is None or isinstance(self.verdict, Repeat):
            return None
        return self.entry.instance, self.entry.boot, self.entry.counter

    @property
    def stop(self) -> str | None:
        return self.verdict.problem if isinstance(self.verdict, Stop) else None

    @property
    def room(self) -> str:
        return "" if self.entry is None else self.entry.room

    @property
    def facts(self) -> Sequence[AnyFact]:
        return self.verdict.facts if isinstance(self.verdict, Valid) else ()

    @property
    def side_records(self) -> Sequence[AnySideRecord]:
        return self._news("room", "site")  # type: ignore[return-value]

    @property
    def noted(self) -> Sequence[Noted | NodeIs | EpochIs]:
        return self._news("notes", "nodes")  # type: ignore[return-value]

    def _news(self, *kinds: str) -> Sequence[object]:
        if not isinstance(self.verdict, Valid) or self.entry is None or self.entry.kind not in kinds:
            return ()
        return self.verdict.side_records

    @property
    def hidden(self) -> Mapping[int, str]:
        return self.verdict.hidden if isinstance(self.verdict, Valid) else _NOTHING

    @property
    def raises_guard(self) -> bool:
        return isinstance(self.verdict, Valid) and self.verdict.raises_guard


class Certifying:
    """`replication.Certifier` of one cluster. May be used from several threads."""

    def __init__(self, codec: EntryCodec, above: int) -> None:
        self._codec = codec
        self._above = above

    def judge(self, data: bytes, n: int, partition: int, replica: Replica) -> Certified:
        return Certified(*judge(data, n, partition, self._codec, replica))

    def refused(self, ruling: Certified) -> Certified:
        return Certified(ruling.entry, Void("unfit") if isinstance(ruling.verdict, Valid) else ruling.verdict)

    def next_hash(self, before: bytes, data: bytes, ruling: Certified) -> bytes:
        return next_hash(before, data, ruling.verdict)

    def room_number(self, k: int, partition: int) -> int:
        return room_number(k, partition, self._above)

    def record_numbers(self, n: int, partition: int, count: int) -> Sequence[int]:
        return record_numbers(n, partition, count, self._above)
