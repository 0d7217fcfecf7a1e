"""The demo's history is recorded once, in the past, and in nobody else's data."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.demo import story
from gochat.demo.history import ensure_story
from gochat.domain.facts import Message
from gochat.domain.ids import dm, group
from gochat.errors import StoreError
from gochat.ports.archive import Viewer

#: Some minutes after midnight, when "40m" is yesterday.
NIGHT = datetime(2026, 3, 1, 0, 7, tzinfo=timezone(timedelta(hours=1)))
NOON = NIGHT.replace(hour=12)


@pytest.mark.parametrize("now", [NIGHT, NOON])
async def test_everything_is_told_in_order_and_has_happened(tmp_path: Path, now: datetime) -> None:
    database = tmp_path / "gochat.db"
    assert await ensure_story(database, now)
    now_ms = int(now.timestamp() * 1000)
    async with stores.open(database) as store:
        room = await store.archive.page(Viewer("ann"), group(story.GROUP), before=None, after=0, limit=200)
        assert room is not None
        said = [fact for fact in room.entries if isinstance(fact, Message)]
        assert [fact.body for fact in said] == [each.body for each in story.IN_GROUP]
        times = [fact.ts for fact in room.entries]
        assert times == sorted(times) and times[-1] <= now_ms
        assert now_ms - times[0] > timedelta(days=3).total_seconds() * 1000
        assert next(fact.reactions for fact in said if fact.reactions) == {"🎉": 2}
        assert said[5].reply_to == said[3].seq


async def test_each_of_the_three_has_something_unread_and_ann_a_request(tmp_path: Path) -> None:
    database = tmp_path / "gochat.db"
    await ensure_story(database, NOON)
    async with stores.open(database) as store:
        for user in story.PEOPLE:
            welcome = await store.archive.welcome(user, 15, [])
            unread = {entry.user: entry.unread for entry in welcome.contacts}
            unread |= {entry.room: entry.unread for entry in welcome.rooms}
            assert 0 < sum(unread.values()) < 12, unread
            assert [entry.user for entry in welcome.requests] == (["dan"] if user == "ann" else [])
        contacts, _ = await store.archive.contacts("ann", 50, None)
        assert [(each.user, each.name) for each in contacts] == [("bob", "Bob"), ("bot", "Bot"), ("cat", "Cat")]


async def test_it_is_recorded_once(tmp_path: Path) -> None:
    database = tmp_path / "gochat.db"
    assert await ensure_story(database, NOON)
    assert not await ensure_story(database, NOON + timedelta(days=1))
    with closing(sqlite3.connect(database)) as connection:
        (rooms,) = connection.execute("SELECT count(*) FROM room").fetchone()
    assert rooms == 1 + len(story.IN_PRIVATE)


async def test_nobody_elses_data_gets_a_demo(tmp_path: Path) -> None:
    database = tmp_path / "gochat.db"
    async with stores.open(database) as store:
        record = await store.journal.load(dm("ann", "bob"))
        fact = Message(room=record.room, seq=1, ts=1, sender="ann", body="mine")
        store.journal.append(record, [fact], [], lambda _: None)
    with pytest.raises(StoreError, match="no demo"):
        await ensure_story(database, NOON)
    async with stores.open(database) as store:
        assert await store.archive.head(dm("ann", "bob")) == 1
        assert await store.archive.membership("ann", group(story.GROUP)) is None
