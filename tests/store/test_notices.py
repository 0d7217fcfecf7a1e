"""The SQLite store keeps what `ports.Notices` promises, with threads and inline; and nothing where it shall not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.store import Store
from tests.contracts.journal import DM
from tests.contracts.notices import NoticesContract, look, unseen
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


async def test_without_a_channel_no_room_is_marked(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db") as store:
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
        assert await store.archive.head(DM) == 1
        assert await unseen(store) == []


async def test_what_was_not_merged_is_marked_by_the_next_start(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db", pace=PACES["unmerged"], notices=True) as store:
        dm = await Scribe.at(store, DM)
        await dm.said("the first one, which is put into the log at once with what it makes of the two users")
        (room,) = await unseen(store)
        await store.notices.add([], {room.room_pk: 1}, [], 0, 0)
        await dm.said("hi")
        assert await unseen(store) == [], "an ack writes nothing for notifications"
    async with stores.open(tmp_path / "gochat.db", notices=True) as store:
        (room,) = await unseen(store)
        assert [reader.user for reader in (await look(store, room)).readers] == ["bob"]
