"""The SQLite store keeps what `ports.Notices` promises, with threads and inline; and nothing where it shall not."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.domain import commands
from gochat.domain.notices import UnseenRoom
from gochat.ports.journal import DuplicateKeys
from gochat.store import Store
from tests.appending import append_to
from tests.contracts.journal import DM, TEA
from tests.contracts.notices import BOUNDS, NoticesContract, look, unseen
from tests.contracts.scribe import Scribe
from tests.store.conftest import PACES


class TestNotices(NoticesContract):
    @pytest.fixture(params=["threaded", "inline", "unmerged"])
    async def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
        inline = request.param == "inline"
        opening = (
            stores.open_inline(":memory:", notices=True)
            if inline
            else stores.open(tmp_path / "gochat.db", pace=PACES[request.param], notices=True)
        )
        async with opening as opened:
            yield opened


#: Rows are counted: no index is fed meanwhile.
STILL = PACES["unmerged"]._replace(feed_s=1e6)


async def rows_written(store: Store) -> int:
    """Rows that the writing connection has inserted, changed or deleted since it was opened."""
    return int(await store.notices._write(lambda connection: connection.total_changes))


async def cost(tmp_path: Path, members: int, *, notices: bool) -> tuple[list[int], list[int]]:
    """The rows that three acks write, each of a message to a group of so many; and those that its merge writes."""
    acks, merges = [], []
    async with stores.open(tmp_path / f"{notices}.db", pace=STILL, notices=notices) as store:
        tea = await Scribe.at(store, TEA)
        users = tuple(f"u{number}" for number in range(members - 1))
        await tea.made(commands.Create, users=users[:100])
        for begin in range(100, len(users), 100):
            await tea.made(commands.Add, users=users[begin : begin + 100])
        for body in ("one", "two", "three"):
            turn, _ = await tea.decide(commands.Send(room=TEA, user="ann", body=body))
            before = await rows_written(store)
            recorded = await append_to(store.journal, tea.record, turn.facts, turn.side_records)
            assert not isinstance(recorded, DuplicateKeys)
            tea.took(turn, recorded.commit)
            acked = await rows_written(store)
            await look(store, UnseenRoom(tea.record.room_pk, TEA, 0))
            acks.append(acked - before)
            merges.append(await rows_written(store) - acked)
    return acks, merges


@pytest.mark.parametrize("members", [3, 400])
async def test_a_message_marks_its_room_by_one_row_however_large_the_room_is(tmp_path: Path, members: int) -> None:
    acks, merges = await cost(tmp_path, members, notices=True)
    plain_acks, plain_merges = await cost(tmp_path, members, notices=False)
    assert acks == plain_acks == [1, 1, 1]
    assert [one - other for one, other in zip(merges, plain_merges, strict=True)] == [1, 0, 0]


async def test_without_a_channel_no_room_is_marked(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db") as store:
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
        assert await store.archive.head(DM) == 1
        assert await unseen(store) == []

        def kept(connection: sqlite3.Connection) -> list[int]:
            tables = ("notice_room", "notice", "notified")
            return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

        assert await store.notices._write(kept) == [0, 0, 0]


async def test_what_was_not_merged_is_marked_by_the_next_start(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db", pace=PACES["unmerged"], notices=True) as store:
        dm = await Scribe.at(store, DM)
        await dm.said("the first one, which is put into the log at once with what it makes of the two users")
        (room,) = await unseen(store)
        await store.notices.add([], {room.room_pk: 1}, [], BOUNDS, 0)
        await dm.said("hi")
        assert await unseen(store) == [], "an ack writes nothing for notifications"
    async with stores.open(tmp_path / "gochat.db", notices=True) as store:
        (room,) = await unseen(store)
        assert [reader.user for reader in (await look(store, room)).readers] == ["bob"]
