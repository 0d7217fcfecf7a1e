"""The data that is kept of a user: exported in one file, and deleted for good."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import store as stores
from gochat.domain import commands
from gochat.domain.facts import AnyFact, Closed, Delete, Member, Message, Reaction
from gochat.errors import StoreError
from gochat.ports.archive import Viewer
from gochat.store.portable import delete_user as deleting
from gochat.store.portable.delete_user import Removed, delete_user
from gochat.store.portable.user_out import export_user
from gochat.store.schema import NOTICES_OF_USERS, connect
from tests.contracts.scribe import ALL, Scribe

TEA, DM, OWN, LAST = "group:tea", "dm:ann:bob", "group:own", "group:last"
SECRETS = ["xylophone", "quixotic", "zeppelin", "keystring"]


async def lived(database: Path) -> None:
    """Ann writes everywhere: in a private room, in groups with others, as last owner, alone."""
    async with stores.open(database) as store:
        dm = await Scribe.at(store, DM)
        await dm.said("xylophone one", "two")
        await dm.said("from bob", user="bob")
        await dm.made(commands.React, "ann", seq=3, emoji="+", on=True)
        await dm.made(commands.Edit, "ann", seq=2, body="quixotic two")
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, "cat", users=("ann", "bob"))
        await tea.made(commands.Send, "ann", body="zeppelin", key="keystring")
        await tea.said("from bob in tea", user="bob")
        own = await Scribe.at(store, OWN)
        await own.made(commands.Create, "ann", users=("cat", "dan", "bob"))
        await own.made(commands.Add, users=("eve",))
        for user in ("eve", "dan"):
            await own.made(commands.SetRole, "ann", member=user, role="moderator")
        await own.said("xylophone in own")
        last = await Scribe.at(store, LAST)
        await last.made(commands.Create, "ann", title="Mine")
        await last.said("quixotic alone")
        store.journal.note_user("ann", name="Ann Quixotic", last_seen=5)
        store.journal.note_user("bob", name="Bob")
        await store.journal.flush_positions()

        async def indexed() -> bool:
            with closing(connect(str(database), read_only=True)) as db:
                return bool(db.execute("SELECT count(*) = 0 FROM room WHERE indexed < head").fetchone()[0])

        with trio.fail_after(60):
            while not await indexed():
                await trio.sleep(0.01)
    with closing(connect(str(database))) as db:
        (room_pk,) = db.execute("SELECT num FROM room WHERE id = ?", (DM,)).fetchone()
        db.executemany(
            "INSERT INTO relation (user, peer, num, contact, blocked_at, asked_at) VALUES (?, ?, ?, ?, ?, ?)",
            [
                ("ann", "bob", room_pk, 1, None, None),
                ("bob", "ann", room_pk, 0, 3, None),
                ("cat", "ann", 9, 0, None, 1),
            ],
        )
        db.executemany(
            "INSERT INTO relation_change VALUES (?, ?, 1, 5, ?, ?)",
            [(room_pk, 1, "ann", "add"), (room_pk, 2, "bob", "block"), (9, 1, "ann", "ask")],
        )
        db.executemany(
            "INSERT INTO report (ts, num, seq, user, reason, closed_ts) VALUES (5, ?, ?, ?, ?, ?)",
            [
                (room_pk, 3, "ann", "quixotic rude", None),
                (room_pk, 2, "ann", "zeppelin", 6),
                (room_pk, 1, "bob", "spam", None),
            ],
        )
        db.execute("INSERT INTO suspension VALUES ('eve', 1, NULL, 'root', 'why')")
        for user, name in (("ann", "keystring"), ("bob", "other")):
            for table, values in (
                ("silent_room", (user, TEA, None)),
                ("quiet_hours", (user, 1320, 420, "UTC")),
                ("mention_notice", (user,)),
                ("push_device", (None, user, f"https://push.example/{name}", "p", "device secret", 5, "t1")),
                ("mail_address", (user, f"{name}@mail.example")),
                ("notice", (f"ntf_{user}", "webhook", 0, user, room_pk, 0, 1000, 1300, 2, 9000, "503", None, "e1")),
                ("notified", (user, room_pk, 3, 0, 1300, f"ntf_{user}", 0)),
            ):
                db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    trio.run(lived, tmp_path / "gochat.db")
    return tmp_path / "gochat.db"


def rows(file: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as db:
        return db.execute(query).fetchall()


async def log(database: Path, room: str) -> list[AnyFact]:
    async with stores.open(database) as store:
        record = await store.journal.load(room)
        facts = await store.archive.replay(room, 0, ALL, ALL)
        assert [fact.seq for fact in facts] == list(range(1, record.head + 1)), "dense"
        return facts


def test_a_users_file_has_what_is_theirs_and_nothing_of_others(database: Path, tmp_path: Path) -> None:
    file = tmp_path / "ann.sqlite"
    done = export_user(database, "ann", file, now_ms=7)
    assert (done.rooms, done.messages, done.received) == (4, 5, 1)
    assert rows(file, "SELECT user, name, last_seen FROM profile") == [("ann", "Ann Quixotic", 5)]
    assert rows(file, "SELECT room, sender, body FROM message ORDER BY room, seq") == [
        (DM, "ann", "xylophone one"),
        (DM, "ann", "quixotic two"),
        (DM, "bob", "from bob"),
        (LAST, "ann", "quixotic alone"),
        (OWN, "ann", "xylophone in own"),
        (TEA, "ann", "zeppelin"),
    ]
    assert rows(file, "SELECT room, role FROM rooms") == [
        (DM, "member"),
        (LAST, "owner"),
        (OWN, "owner"),
        (TEA, "member"),
    ]
    assert rows(file, "SELECT room, target, emoji FROM reaction") == [(DM, 3, "+")]
    assert rows(file, "SELECT * FROM relation") == [("bob", 1, None, None)]
    assert rows(file, "SELECT peer, change FROM relation_change WHERE change = 'add'") == [("bob", "add")]
    assert rows(file, "SELECT seq, reason FROM report ORDER BY seq") == [(2, "zeppelin"), (3, "quixotic rude")]
    assert rows(file, "SELECT * FROM silent_room") == [(TEA, None)]
    assert rows(file, "SELECT * FROM quiet_hours") == [(1320, 420, "UTC")]
    assert rows(file, "SELECT * FROM mention_notice") == [("yes",)]
    assert rows(file, "SELECT * FROM push_device") == [("https://push.example/keystring", 5)]
    assert b"device secret" not in file.read_bytes()
    assert rows(file, "SELECT * FROM mail_address") == [("keystring@mail.example",)]
    assert rows(file, "SELECT * FROM notification") == [("ntf_ann", "webhook", 0, DM, 1300, 2, None)]
    assert rows(file, "SELECT * FROM notified") == [(DM, 3, 1300)]
    assert b"from bob in tea" not in file.read_bytes()
    assert b"spam" not in file.read_bytes()
    assert rows(file, "SELECT kind, user FROM meta") == [("user", "ann")]
    with pytest.raises(StoreError, match="nothing is kept"):
        export_user(database, "nobody", tmp_path / "nobody", now_ms=7)


async def check_gone(database: Path) -> None:
    dm = await log(database, DM)
    assert [fact.target for fact in dm if isinstance(fact, Delete)] == [1, 2]
    assert dm[-1] == Reaction(room=DM, seq=len(dm), ts=dm[-1].ts, sender="ann", target=3, emoji="+", on=False)
    assert [(fact.sender, fact.body) for fact in dm if isinstance(fact, Message)] == [
        ("ann", None),
        ("ann", None),
        ("bob", "from bob"),
    ]
    tea = await log(database, TEA)
    assert isinstance(tea[-1], Member) and (tea[-1].users, tea[-1].change) == (["ann"], "left")
    own = await log(database, OWN)
    heir, left = own[-2:]
    assert isinstance(heir, Member) and (heir.users, heir.role) == (["dan"], "owner"), "eve is suspended"
    assert isinstance(left, Member) and left.change == "left"
    assert isinstance((await log(database, LAST))[-1], Closed)
    async with stores.open(database) as store:
        assert {room: (await store.archive.membership("ann", room)) for room in (TEA, OWN, LAST)} == {
            TEA: "former",
            OWN: "former",
            LAST: None,
        }
        assert await store.archive.search_users("zoe", "quixotic", 9, None) == ([], None)
        assert await store.archive.users(["ann"]) == {}
        assert (await store.archive.search_messages("bob", "xylophone", None, 9, None))[0] == []
        assert (await store.archive.page(Viewer("bob"), DM, before=None, after=None, limit=200)) is not None
    assert rows(database, "SELECT user, peer, blocked_at FROM relation") == [("bob", "ann", 3)]
    assert rows(database, "SELECT user, change FROM relation_change") == [("bob", "block")]
    assert rows(database, "SELECT user, seq, reason FROM report ORDER BY seq") == [("bob", 1, "spam"), ("ann", 3, None)]
    assert rows(database, "SELECT kind, value FROM revocation") == [("user", "ann")]
    assert rows(database, "SELECT count(*) FROM seat WHERE user = 'ann' AND read > 0") == [(0,)]
    for table in NOTICES_OF_USERS:
        assert rows(database, f"SELECT user FROM {table}") == [("bob",)], table
    for file in database.parent.glob("gochat.db*"):
        content = file.read_bytes().lower()
        assert not [word for word in SECRETS if word.encode() in content], file


def test_nothing_of_a_deleted_user_is_left(database: Path) -> None:
    on_disk = database.read_bytes().lower()
    assert all(word.encode() in on_disk for word in SECRETS)
    assert delete_user(database, "ann", now_ms=7_000) == Removed(
        "ann",
        messages=5,
        reactions=1,
        groups_left=2,
        groups_closed=1,
        successors={OWN: "dan"},
        keys=1,
        relations=1,
        reports=2,
    )
    trio.run(check_gone, database)
    assert delete_user(database, "ann", now_ms=8_000) == Removed("ann")


@pytest.mark.parametrize("stop", range(1, 15))
def test_stopped_anywhere_it_goes_on(database: Path, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    """Stopped as a kill would, after any of its transactions."""
    monkeypatch.setattr(deleting, "CHUNK", 1)
    connects = deleting.connect
    left = stop

    class Killed(BaseException):
        pass

    class Mortal(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            nonlocal left
            done = super().execute(sql, *values)
            if sql.startswith(("COMMIT", "VACUUM", "INSERT INTO search (search) VALUES")):
                left -= 1
                if not left:
                    raise Killed
            return done

    def mortal(path: str) -> sqlite3.Connection:
        connects(path).close()
        connection = sqlite3.connect(path, isolation_level=None, factory=Mortal)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    monkeypatch.setattr(deleting, "connect", mortal)
    try:
        delete_user(database, "ann", now_ms=7_000)
    except Killed:
        pass  # At a statement of the test's choice, or never.
    monkeypatch.setattr(deleting, "connect", connects)
    delete_user(database, "ann", now_ms=8_000)
    trio.run(check_gone, database)


def test_whom_nobody_knows(database: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is kept of a user nobody"):
        delete_user(database, "nobody", now_ms=7)
    with pytest.raises(StoreError, match="no file"):
        delete_user(tmp_path / "absent.db", "ann", now_ms=7)
