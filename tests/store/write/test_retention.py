"""Texts that are too old are gone, wherever they were; the messages stay, and nothing else changes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from gochat import store as stores
from gochat.config.chat_sections import Retention as RetentionSettings
from gochat.domain import facts
from gochat.domain.facts import AnyFact, Message
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import RelationChange
from gochat.domain.side_records import Related
from gochat.errors import Damaged
from gochat.housekeeping import expire_texts
from gochat.ports.archive import Viewer
from gochat.ports.journal import Committed, DuplicateKeys
from gochat.store import Store, setup
from gochat.store.listing import BLOCK
from gochat.store.portable.export_room import export_room
from gochat.store.read.source import reading
from gochat.store.schema import SEQ_MASK
from gochat.store.write.expiry import SLICE, count
from gochat.store.write.retention import DAY_MS, FIRST, cutoffs, expire_all
from tests import forked
from tests.appending import append_to
from tests.contracts.journal import DM, SOON, TEA, message

NOW = time.time_ns() // 1_000_000
OTHER = "dm:cat:dan"


def said(room: str, seq: int, days: float, body: str = "hi", **fields: Any) -> Message:
    sender = room.split(":")[1] if room.startswith("dm:") else "ann"
    return msgspec.structs.replace(message(room, seq, body, sender=sender, **fields), ts=NOW - int(days * DAY_MS))


async def append(store: Store, record: RoomRecord, *batch: AnyFact) -> None:
    assert isinstance(await append_to(store.journal, record, batch), Committed)
    record.head = batch[-1].seq


async def merged(store: Store) -> None:
    with trio.fail_after(SOON):
        while store.commits.unmerged or store.commits.backlog:
            await trio.sleep(0.01)


async def shown(store: Store, room: str) -> list[tuple[int, str | None, bool]]:
    found = await store.archive.replay(room, 0, 1 << 30, 1 << 20)
    return [(f.seq, f.body, f.deleted is not None) for f in found if isinstance(f, Message)]


async def test_old_texts_are_gone_and_messages_stay(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        dm = await store.journal.load(DM)
        await append(store, dm, said(DM, 1, 40, "SECRETONE old", key="k1"), said(DM, 2, 35, "SECRETTWO old"))
        await append(store, dm, said(DM, 3, 5, "young"))
        other = await store.journal.load(OTHER)
        await append(store, other, said(OTHER, 1, 1, "SECRETNOT of others"))
        await merged(store)
        assert len((await store.archive.search_messages("ann", "old", None, 9, None))[0]) == 2
        unread = (await store.archive.welcome("bob", 15, [])).contacts[0].unread
        assert unread == 3
        assert await store.retention.sweep(cutoffs(0, 30, NOW), NOW) == 2
        assert await shown(store, DM) == [(1, None, True), (2, None, True), (3, "young", False)]
        page = await store.archive.page(Viewer("bob"), DM, before=None, after=0, limit=9)
        assert page is not None and page.head == 3 and page.entries[0].deleted == NOW  # type: ignore[union-attr]
        assert (await store.archive.search_messages("ann", "old", None, 9, None))[0] == []
        assert len((await store.archive.search_messages("ann", "young", None, 9, None))[0]) == 1
        assert (await store.archive.welcome("bob", 15, [])).contacts[0].unread == 1
        assert await shown(store, OTHER) == [(1, "SECRETNOT of others", False)]
        assert (await store.journal.load(DM)).head == 3, "no fact was added"
        assert isinstance(await append_to(store.journal, dm, [said(DM, 4, 0, key="k1")]), DuplicateKeys), (
            "a repeat is no new message"
        )
        assert store.commits.expired == 2
        assert await store.retention.sweep(cutoffs(0, 30, NOW), NOW) == 0
    content = path.read_bytes()
    assert b"SECRETONE" not in content and b"SECRETTWO" not in content and b"SECRETNOT" in content


async def test_groups_and_private_rooms_have_their_own_age_and_0_is_for_ever(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db") as store:
        tea = await store.journal.load(TEA)
        made = facts.Member(
            room=TEA, seq=1, ts=NOW - 50 * DAY_MS, sender="ann", users=["ann"], change="added", role="owner", title="T"
        )
        await append(store, tea, made, said(TEA, 2, 45), said(TEA, 3, 20))
        await append(store, await store.journal.load(DM), said(DM, 1, 45), said(DM, 2, 20))
        await merged(store)
        assert await store.retention.sweep(cutoffs(0, 0, NOW), NOW) == 0
        assert await store.retention.sweep(cutoffs(30, 0, NOW), NOW) == 1
        assert [body for _, body, _ in await shown(store, TEA)] == [None, "hi"]
        assert [body for _, body, _ in await shown(store, DM)] == ["hi", "hi"]
        assert (await store.archive.members(Viewer("ann"), TEA, 9, None))[0][0].user == "ann"  # type: ignore[index]
        assert await store.retention.sweep(cutoffs(10, 10, NOW), NOW) == 3


async def test_what_is_unread_and_what_is_left_out_of_lists_is_counted_as_for_deletes(tmp_path: Path) -> None:
    """Over blocks of a log, and where some was deleted before."""
    path, head = tmp_path / "gochat.db", 3 * BLOCK
    async with stores.open(path) as store:
        dm = await store.journal.load(DM)
        await append(store, dm, *[said(DM, seq, 40 if seq < head - 5 else 5) for seq in range(1, head + 1)])
        gone = [
            facts.Delete(room=DM, seq=head + n, ts=NOW, sender="ann", target=seq)
            for n, seq in enumerate((1, BLOCK, head - 1), 1)
        ]
        await append(store, dm, *gone)
        await merged(store)
        assert await store.retention.sweep(cutoffs(0, 30, NOW), NOW) == head - 6 - 2
        assert (await store.archive.welcome("bob", 15, [])).contacts[0].unread == 5
        deleted = facts.Delete(room=DM, seq=dm.head + 1, ts=NOW, sender="ann", target=5)
        await append(store, dm, deleted)  # Decided before the text expired: it counts once.
        assert (await store.archive.welcome("bob", 15, [])).contacts[0].unread == 5
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT block, facts, deleted FROM skipped ORDER BY block").fetchall()
        assert (
            found
            == db.execute(
                f"""SELECT (id & {SEQ_MASK}) / {BLOCK}, count(*), count(delete_seq) FROM fact
                WHERE kind <> 0 OR delete_seq IS NOT NULL GROUP BY 1 ORDER BY 1"""
            ).fetchall()
        )


async def test_an_edit_that_was_decided_before_brings_nothing_back(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db") as store:
        dm = await store.journal.load(DM)
        await append(store, dm, said(DM, 1, 40, "old"))
        await merged(store)
        assert await store.retention.sweep(cutoffs(0, 30, NOW), NOW) == 1
        await append(store, dm, facts.Edit(room=DM, seq=2, ts=NOW, sender="ann", target=1, body="LATE"))
        await merged(store)
        assert await shown(store, DM) == [(1, None, True)]
        assert (await store.archive.search_messages("ann", "late", None, 9, None))[0] == []


async def test_commits_do_not_wait_for_a_sweep(tmp_path: Path) -> None:
    """20 slices of old messages, and acks between them."""
    async with stores.open(tmp_path / "gochat.db") as store:
        dm = await store.journal.load(DM)
        await append(store, dm, *[said(DM, seq, 40) for seq in range(1, 20 * SLICE + 1)])
        await merged(store)
        acks: list[int] = []
        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:

                async def write() -> None:
                    other = await store.journal.load(OTHER)
                    while True:
                        await append(store, other, said(OTHER, other.head + 1, 0))
                        acks.append(store.commits.expired)

                nursery.start_soon(write)
                assert await store.retention.sweep(cutoffs(0, 30, NOW), NOW) == 20 * SLICE
                nursery.cancel_scope.cancel()
        assert len(set(acks)) >= 18, "acks came between nearly all slices"


async def filled(path: Path) -> None:
    async with stores.open(path) as store:
        dm = await store.journal.load(DM)
        await append(store, dm, said(DM, 1, 40, "SECRETOLD"), said(DM, 2, 5))
        await append(store, await store.journal.load(OTHER), said(OTHER, 1, 50))


async def test_an_export_says_deleted(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    await filled(path)
    assert expire_all(path, (0, 30), NOW) == 2
    export_room(path, DM, tmp_path / "room", now_ms=NOW)
    with closing(sqlite3.connect(tmp_path / "room")) as db:
        found = db.execute("SELECT seq, body, deleted_seq, deleted_ts, later FROM fact").fetchall()
    assert found == [(1, None, 1, NOW, None), (2, "hi", None, None, None)]


async def test_a_request_that_expired_in_a_stopped_node_asks_no_more(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    async with stores.open(path) as store:
        for room, days in ((DM, 40.0), (OTHER, 5.0)):
            record = await store.journal.load(room)
            assert record.relation is not None
            one = record.relation.users[0]
            change = RelationChange(1, 0, NOW - 40 * DAY_MS, one, "ask")
            record.relation = record.relation.apply(change)
            batch = [said(room, 1, 40), said(room, 2, days)]
            assert isinstance(
                await append_to(store.journal, record, batch, [Related(change, record.relation)]), Committed
            )
        await merged(store)
        assert len((await store.archive.requests("bob", 9, None))[0]) == 1
    assert expire_all(path, (0, 30), NOW) == 3
    async with stores.open(path) as store:
        assert (await store.archive.welcome("bob", 15, [])).requests == []
        assert (await store.archive.requests("bob", 9, None)) == ([], None)
        assert [entry.user for entry in (await store.archive.requests("dan", 9, None))[0]] == ["cat"]
        record = await store.journal.load(DM)
        assert record.relation is not None and record.relation.changes == 2
        assert record.relation.asked is None and record.relation.withheld == "bob", "what was said stays untold"
        assert await store.retention.spent_requests(FIRST) == ([], None)


def test_the_command_counts_first_and_takes_no_more(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    trio.run(filled, data / "gochat.db")

    def gochat(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = forked.run(["room", "expire", "--data", str(data), *arguments], cwd=tmp_path)
        assert done.returncode == code, done
        return done

    assert "retention.group_days" in gochat("--dry-run", code=1).stderr
    told = gochat("--dry-run", "--older-than", "30")
    assert "2 messages in 2 private rooms, the oldest of " in told.stdout
    assert "--yes" in gochat("--older-than", "30", code=2).stderr
    counted = json.loads(gochat("--dry-run", "--older-than", "30", "--json").stdout)
    assert (counted["private"]["messages"], counted["groups"]["messages"], counted["expired"]) == (2, 0, 0)
    assert b"SECRETOLD" in (data / "gochat.db").read_bytes()
    assert json.loads(gochat("--older-than", "30", "--yes", "--json").stdout)["expired"] == 2
    assert b"SECRETOLD" not in (data / "gochat.db").read_bytes()
    assert json.loads(gochat("--older-than", "30", "--yes", "--json").stdout)["expired"] == 0


def test_a_count_of_nothing(tmp_path: Path) -> None:
    setup.prepare(str(tmp_path / "gochat.db"))
    with reading(tmp_path / "gochat.db") as connection:
        assert count(connection, cutoffs(1, 1, NOW)) == ((0, 0, None), (0, 0, None))


@pytest.mark.parametrize("days", [(0, 0), (3, 0), (0, 3)])
def test_cutoffs(days: tuple[int, int]) -> None:
    assert cutoffs(*days, 10 * DAY_MS) == tuple(7 * DAY_MS if each else None for each in days)


async def test_a_damaged_page_costs_no_other_room_its_retention(tmp_path: Path) -> None:
    path, rooms = tmp_path / "gochat.db", [f"dm:ann:u{n}" for n in range(4)]
    async with stores.open(path) as store:
        for room in rooms:
            await append(store, await store.journal.load(room), *[said(room, seq, 40) for seq in (1, 2)])
    with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("UPDATE room SET id = CAST(x'ff' AS TEXT) WHERE id = ?", (rooms[1],))
    async with stores.open(path) as store:
        assert await store.retention.sweep(cutoffs(0, 30, NOW), NOW) == 3 * 2
        assert await shown(store, rooms[3]) == [(1, None, True), (2, None, True)]
        assert store.health.damage is not None
        assert await store.retention.sweep(cutoffs(0, 30, NOW), NOW) == 0


async def test_requests_are_looked_at_though_a_sweep_failed(autojump_clock: object) -> None:
    looked = trio.Event()

    class Failing:
        async def sweep(self, found: object, now_ms: int) -> int:
            raise Damaged("a bad page")

        async def spent_requests(self, after: tuple[str, str]) -> tuple[list[Any], None]:
            looked.set()
            return [], None

    settings, retention, rooms = RetentionSettings(private_days=30), Failing(), object()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expire_texts, settings, retention, rooms, lambda: NOW)
            await looked.wait()
            nursery.cancel_scope.cancel()
