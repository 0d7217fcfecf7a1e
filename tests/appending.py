"""`Journal.append` for tests that wait for what becomes of each batch."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from gochat.domain.facts import AnyFact
from gochat.domain.record import RoomRecord
from gochat.domain.side_records import AnySideRecord
from gochat.errors import StoreError
from gochat.ports.journal import AppendResult, Committed, DuplicateKeys, Journal, Overtaken


async def append_to(
    journal: Journal, record: RoomRecord, facts: Sequence[AnyFact], side_records: Sequence[AnySideRecord] = ()
) -> Committed | DuplicateKeys | Overtaken:
    """Append, and return what the journal tells of the batch. Raises StoreError if it tells that, and Full."""
    results: list[AppendResult] = []
    answered = trio.Event()

    def done(result: AppendResult) -> None:
        results.append(result)
        answered.set()

    journal.append(record, facts, side_records, done)
    await answered.wait()
    if isinstance(results[0], StoreError):
        raise results[0]
    return results[0]
