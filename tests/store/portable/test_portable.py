"""Rooms as files: out of one database and into another they are the same rooms."""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gochat import store as stores
from gochat.domain import commands, facts
from gochat.domain.ids import is_dm
from gochat.errors import StoreError
from gochat.ports.archive import Viewer
from gochat.store import Store
from gochat.store.portable import import_room as importing
from gochat.store.portable.export_room import export_room
from gochat.store.portable.import_room import import_room
from gochat.store.schema import connect
from gochat.store.write.expiry import Old, expire
from tests.contracts.archive import until
from tests.contracts.scribe import ALL, Scribe
from tests.store.portable.exports import Export
from tests.store.test_histories import DM, PEOPLE, TEA, check_log, check_search, check_welcomes, histories, play

Turns = list[list[Any]]


async def lived(folder: Path, tea: Turns, dm: Turns) -> tuple[Scribe, Scribe]:
    """Two rooms, in the database `folder`/gochat.db and, beside it, as files."""
    async with stores.open(folder / "gochat.db") as store:
        scribes = await Scribe.at(store, TEA), await Scribe.at(store, DM)
        await scribes[0].made(commands.Create, title="T", users=("bob", "cat"))
        for user in PEOPLE:
            store.journal.note_user(user, name=f"{user.title()} X", last_seen=5)
        await play(store, scribes[0], tea)
        await play(store, scribes[1], dm)
    for scribe in scribes:
        if scribe.head:
            export_room(folder / "gochat.db", scribe.room, folder / name(scribe.room), now_ms=7)
    return scribes


def name(room: str) -> str:
    return f"{room.replace(':', '.')}.sqlite"


async def names(store: Store, room: str) -> Any:
    return await store.archive.members(Viewer("root", admin=True), room, 200, None)


@settings(max_examples=25)
@given(histories(TEA, PEOPLE), histories(DM, ["ann", "bob"]), st.booleans())
def test_what_went_out_comes_back_the_same(tea: Turns, dm: Turns, twice: bool) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as made:
            old, new = Path(made), Path(made, "new.db")
            scribes = await lived(old, tea, dm)
            # Without a fact there is no room to go out, whatever the two may hold of each other.
            assume(all(scribe.head or not (held := scribe.record.relation) or not held.changes for scribe in scribes))
            for scribe in scribes:
                for time in range(1 + twice) if scribe.head else ():
                    done = import_room(old / name(scribe.room), new)
                    assert done == (scribe.room, scribe.head, 0 if time else scribe.head)
            async with stores.open(old / "gochat.db") as before, stores.open(new) as after:
                for scribe in scribes:
                    await same(before, after, scribe)
                await check_welcomes(after, *scribes)
                await check_search(after, *scribes)

    trio.run(main)


async def same(before: Store, after: Store, scribe: Scribe) -> None:
    await check_log(after, scribe)
    old, new = await before.journal.load(scribe.room), await after.journal.load(scribe.room)
    assert msgspec.structs.replace(new, room_pk=old.room_pk) == old
    sent = [fact for fact in scribe.log if isinstance(fact, facts.Message) and fact.key]
    keys = [(fact.sender, fact.key) for fact in sent] + [("ann", "never")]
    found = await after.lookups.recorded(new, keys)
    assert found == await before.lookups.recorded(old, keys)
    assert len(found) == len(sent)
    if scribe.head:
        assert await names(after, scribe.room) == await names(before, scribe.room)
        assert await after.lookups.reacted(new, all_reactions(scribe)) == await before.lookups.reacted(
            old, all_reactions(scribe)
        )


def all_reactions(scribe: Scribe) -> list[tuple[int, str, str]]:
    return [(fact.target, fact.sender, fact.emoji) for fact in scribe.log if isinstance(fact, facts.Reaction)]


@settings(max_examples=40)
@given(histories(TEA, PEOPLE), histories(DM, ["ann", "bob"]), st.integers(0, 100))
def test_as_of_is_as_it_was(tea: Turns, dm: Turns, percent: int) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            for scribe in await lived(folder, tea, dm):
                if scribe.head:
                    seq = max(1, scribe.head * percent // 100)
                    file = folder / "then.sqlite"
                    export_room(folder / "gochat.db", scribe.room, file, now_ms=7, upto_seq=seq)
                    check_as_of(file, scribe, seq)
                    at_that_time = folder / "time.sqlite"
                    last = max(fact.seq for fact in scribe.log if fact.ts <= scribe.log[seq - 1].ts)
                    done = export_room(
                        folder / "gochat.db", scribe.room, at_that_time, now_ms=7, upto_ms=scribe.log[seq - 1].ts
                    )
                    assert done.as_of == last
                    file.unlink()
                    at_that_time.unlink()

    trio.run(main)


def check_as_of(file: Path, scribe: Scribe, seq: int) -> None:
    then = Scribe(scribe.journal, scribe.lookups, scribe.record)
    then.log = scribe.log[:seq]
    later = scribe.log[seq:]
    with closing(sqlite3.connect(file)) as db:
        rows = db.execute("SELECT seq, ts, kind, sender, body, edited_ts, deleted_ts, later FROM fact ORDER BY seq")
        for shown, row in zip(then.shown(), rows, strict=True):
            assert row[:4] == (shown.seq, shown.ts, shown.__struct_config__.tag, shown.sender)
            if isinstance(shown, facts.Message):
                gone = {fact.target for fact in later if isinstance(fact, facts.Delete)}
                edited = {fact.target for fact in later if isinstance(fact, facts.Edit)}
                mark = "deleted" if shown.seq in gone else "edited" if shown.seq in edited else None
                assert row[7] == mark
                if mark is None:
                    assert row[4] == shown.body
                assert row[6] == shown.deleted
                assert shown.deleted or row[5] == shown.edited
                counts = dict(
                    db.execute("SELECT emoji, count(*) FROM reaction WHERE target = ? GROUP BY 1", (shown.seq,))
                )
                assert counts == (shown.reactions or {})
        record = then.folded()
        members = dict(db.execute("SELECT user, role FROM member WHERE role <> 'former'"))
        assert members == ({"ann": "member", "bob": "member"} if is_dm(scribe.room) else record.members)
        assert {user for (user,) in db.execute("SELECT user FROM former_members")} == record.former
        assert db.execute("SELECT head, as_of, title, history, post, closed FROM meta").fetchone() == (
            scribe.head,
            seq,
            record.title,
            record.history,
            record.post,
            record.closed,
        )


# ---------------------------------------------------------------------------------------------- one room, step by step


def sqlite3_alone(file: Path, query: str) -> list[str]:
    done = subprocess.run(["sqlite3", "-readonly", str(file), query], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def test_the_file_explains_itself_to_sqlite3(tea: Scribe, export: Export) -> None:
    file = export()
    assert "gochat room import" in "\n".join(sqlite3_alone(file, "SELECT * FROM readme"))
    assert sqlite3_alone(file, "SELECT seq, sender, body, reply_to FROM messages") == [
        "3|bob|black tea|",
        "4|bob||",
        "5|bob|北京大学|",
        "6|ann|with a key|4",
    ]
    assert sqlite3_alone(file, "SELECT user, role FROM members") == ["ann|owner", "bob|member"]
    assert sqlite3_alone(file, "SELECT user FROM former_members") == ["cat"]
    for words, found in ("TEA", ["3"]), ("gre*", []), ("apfel", []), ("bla*", ["3"]), ('"北京 京大"', ["5"]):
        assert sqlite3_alone(file, f"SELECT rowid FROM search WHERE search MATCH '{words}'") == found
    assert sqlite3_alone(file, "PRAGMA integrity_check; PRAGMA application_id") == ["ok", str(0x676F6368)]


def test_what_was_edited_or_deleted_later_is_marked(tea: Scribe, export: Export) -> None:
    file = export(upto_seq=7)
    assert sqlite3_alone(file, "SELECT seq, body, later, reactions FROM messages") == [
        "3|black tea|edited|",
        "4||deleted|👍 1",
        "5|北京大学||",
        "6|with a key||",
    ]
    assert sqlite3_alone(file, "SELECT user FROM members") == ["ann", "bob", "cat"]


@pytest.mark.parametrize("point", [{"upto_seq": 0}, {"upto_seq": 11}, {"upto_ms": 1}])
def test_a_point_that_the_log_does_not_have(tea: Scribe, export: Export, point: dict[str, int]) -> None:
    with pytest.raises(StoreError, match="group:tea"):
        export(**point)


def test_there_is_no_such_room_or_database(tea: Scribe, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no room group:none"):
        export_room(tmp_path / "gochat.db", "group:none", tmp_path / "x", now_ms=7)
    with pytest.raises(StoreError, match="no file"):
        export_room(tmp_path / "absent.db", TEA, tmp_path / "y", now_ms=7)
    assert not (tmp_path / "absent.db").exists()


async def test_an_export_is_one_moment_beside_a_writer(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db") as store:
        dm = await Scribe.at(store, DM)
        for _ in range(3):
            await dm.said(*(f"m{n}" for n in range(1000)))
        seen: list[int] = []

        def write_meanwhile(done: int, goal: int) -> None:
            seen.append(goal)
            trio.from_thread.run(dm.said, "meanwhile")

        done = await trio.to_thread.run_sync(
            lambda: export_room(tmp_path / "gochat.db", DM, tmp_path / "dm", now_ms=7, progress=write_meanwhile)
        )
        assert (done.head, done.messages, set(seen)) == (3000, 3000, {3000})
        assert dm.head > 3000


async def test_what_is_missing_is_appended(tea: Scribe, export: Export, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    assert import_room(export("short.sqlite", upto_seq=3), new) == (TEA, 3, 3)
    async with stores.open(new) as store:

        async def found() -> list[int]:
            return [fact.seq for fact in (await store.archive.search_messages("ann", "tea", None, 9, None))[0]]

        await until(found, [3])
    assert import_room(export(), new) == (TEA, 10, 7)
    assert import_room(export("short2.sqlite", upto_seq=3), new) == (TEA, 10, 0)
    async with stores.open(new) as store:
        await check_log(store, tea)
        entries, _ = await store.archive.search_messages("ann", "black", None, 9, None)
        assert [fact.seq for fact in entries] == [3], "the index follows an edit of what it held already"


async def test_a_log_that_differs_is_refused_whole(tea: Scribe, export: Export, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    import_room(export("short.sqlite", upto_seq=3), new)
    async with stores.open(new) as store:
        other = await Scribe.at(store, TEA)
        other.now_ms = 2000
        await other.made(commands.Send, body="something else")
    with pytest.raises(StoreError, match="differs from the file from seq 4 on"):
        import_room(export(), new)
    assert import_room(export("again.sqlite"), new, room="group:tea2") == ("group:tea2", 10, 10)
    async with stores.open(new) as store:
        assert await store.archive.head(TEA) == 4
        assert await store.archive.membership("bob", "group:tea2") == "member"


async def test_the_past_comes_back_with_what_was_lost_deleted(tea: Scribe, export: Export, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for _ in range(2):
        assert import_room(export("past.sqlite", upto_seq=7), new).facts == 8
        (tmp_path / "past.sqlite").unlink()
    async with stores.open(new) as store:
        log = await store.archive.replay(TEA, 0, ALL, ALL)
        assert log[-1] == facts.Delete(room=TEA, seq=8, ts=log[6].ts, sender="bob", target=4)
        assert (log[3].body, log[3].deleted) == (None, log[6].ts)  # type: ignore[union-attr]
        assert await store.archive.membership("cat", TEA) == "member"


async def green_tea(folder: Path, export: Export, new: Path) -> Scribe:
    """A group with two messages, in the database of the folder and as `new`. There the first has been edited since."""
    async with stores.open(folder / "gochat.db") as store:
        scribe = await Scribe.at(store, TEA)
        await scribe.made(commands.Create, title="Tea")
        await scribe.said("green tea", "a cup of tea")
    import_room(export("short.sqlite"), new)
    async with stores.open(folder / "gochat.db") as store:
        scribe.journal, scribe.lookups = store.journal, store.lookups
        await scribe.made(commands.Edit, seq=2, body="white tea")
    return scribe


def expire_all(database: Path) -> None:
    with closing(connect(str(database))) as db:
        (room_pk,) = db.execute("SELECT num FROM room").fetchone()
        expire(db, Old(room_pk, TEA, 1 << 41), 1 << 41)


@pytest.mark.parametrize("expires", [False, True])
async def test_an_edit_whose_text_was_lost_deletes_what_the_room_held_before(
    export: Export, tmp_path: Path, expires: bool
) -> None:
    new, old = tmp_path / "new.db", tmp_path / "gochat.db"
    scribe = await green_tea(tmp_path, export, new)
    if expires:
        expire_all(old)
    else:
        async with stores.open(old) as store:
            scribe.journal, scribe.lookups = store.journal, store.lookups
            await scribe.made(commands.Delete, seq=2)
            await scribe.made(commands.Delete, seq=3)
    # The file has neither text. The edit of seq 2 is new here; seq 3 is what it was.
    assert import_room(export(upto_seq=4), new) == (TEA, 5, 2)
    async with stores.open(new) as store:
        log = await store.archive.replay(TEA, 0, ALL, ALL)
        assert log[4] == facts.Delete(room=TEA, seq=5, ts=log[3].ts, sender="ann", target=2)
        assert [(fact.body, fact.deleted) for fact in log if isinstance(fact, facts.Message)] == [
            (None, log[3].ts),
            ("a cup of tea", None),
        ]

        async def found() -> list[int]:
            return [fact.seq for fact in (await store.archive.search_messages("ann", "tea", None, 9, None))[0]]

        await until(found, [3])
    assert import_room(tmp_path / "tea.sqlite", new) == (TEA, 5, 0)


async def test_an_edit_of_what_expired_here_too_adds_no_deletion(export: Export, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    await green_tea(tmp_path, export, new)
    expire_all(tmp_path / "gochat.db")
    expire_all(new)
    assert import_room(export(), new) == (TEA, 4, 1)
    async with stores.open(new) as store:
        log = await store.archive.replay(TEA, 0, ALL, ALL)
        assert [(fact.body, fact.deleted) for fact in log if isinstance(fact, facts.Message)] == [(None, 1 << 41)] * 2


def test_an_import_that_is_stopped_changes_nothing(
    tea: Scribe, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new.db"
    import_room(export("short.sqlite", upto_seq=3), new)
    monkeypatch.setattr(importing, "SLICE", 2)

    def stop(done: int, goal: int) -> None:
        if done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_room(export(), new, progress=stop)
    with closing(connect(str(new))) as db:
        assert db.execute("SELECT head FROM room").fetchall() == [(3,)]
        assert db.execute("SELECT count(*) FROM fact").fetchall() == [(3,)]


async def test_a_private_room_keeps_its_name_and_what_its_users_hold_of_each_other(tmp_path: Path) -> None:
    async with stores.open(tmp_path / "gochat.db") as store:
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
    with closing(connect(str(tmp_path / "gochat.db"))) as db:
        db.execute("INSERT INTO relation (user, peer, num, contact) VALUES ('bob', 'ann', 1, 1)")
        db.execute("INSERT INTO relation_change VALUES (1, 1, 1, 5, 'bob', 'add')")
    export_room(tmp_path / "gochat.db", DM, tmp_path / "dm", now_ms=7)
    with pytest.raises(StoreError, match="only a group"):
        import_room(tmp_path / "dm", tmp_path / "new.db", room="dm:ann:cat")
    import_room(tmp_path / "dm", tmp_path / "new.db")
    with closing(connect(str(tmp_path / "new.db"))) as db:
        assert db.execute("SELECT user, peer, contact FROM relation").fetchall() == [("bob", "ann", 1)]
        assert db.execute("SELECT * FROM relation_change").fetchall() == [(1, 1, 1, 5, "bob", "add")]
