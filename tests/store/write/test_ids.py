"""Reports and audit entries get the ids that a journal gives, and are counted where it gives none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from gochat.domain.facts import Message
from gochat.domain.side_records import AnySideRecord, Audited, ReportClosed, Reported
from gochat.store import schema, setup
from gochat.store.write.logs import Batch
from gochat.store.write.transaction import Writer

DM = "dm:ann:bob"
RECORDS: list[AnySideRecord] = [
    Audited(1, "ann", "room.read"),
    Reported(1, 2, user="bob"),
    Reported(1, 3, rule="words"),
    Audited(4, "ann", "report.close", room=DM),
]


@pytest.fixture
def writer() -> Iterator[Writer]:
    with closing(schema.connect(schema.MEMORY)) as connection:
        setup.migrate(connection, schema.MEMORY)
        made = Writer(connection)
        made.record([Batch(DM, 1, [Message(room=DM, seq=1, ts=1, sender="ann", body="hi")])], None)
        yield made


def ids(writer: Writer) -> tuple[list[int], list[tuple[int, str]]]:
    reports = writer.connection.execute("SELECT id FROM report ORDER BY id").fetchall()
    audit = writer.connection.execute("SELECT id, action FROM audit ORDER BY id").fetchall()
    return [id_ for (id_,) in reports], audit


def test_given_ids_are_kept(writer: Writer) -> None:
    given = [0x100, 0x110, 0x120, 0x130]
    (result,) = writer.record([Batch(DM, 1, (), RECORDS, ids=given)], None)
    assert isinstance(result, int)
    # That a user reported something is in the audit log too, under the report's id.
    assert ids(writer) == ([0x110, 0x120], [(0x100, "room.read"), (0x110, "message.report"), (0x130, "report.close")])
    writer.record([Batch(DM, 1, (), [ReportClosed(0x110, 5, "ann")], ids=[0x140])], None)
    assert writer.connection.execute("SELECT closed_ts FROM report WHERE id = ?", (0x110,)).fetchone() == (5,)


def test_otherwise_they_are_counted(writer: Writer) -> None:
    writer.record([Batch(DM, 1, (), RECORDS)], None)
    assert ids(writer) == ([1, 2], [(1, "room.read"), (2, "message.report"), (3, "report.close")])
