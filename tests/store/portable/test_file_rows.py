"""Files that are made up or damaged: an import takes from them what a client could have said."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.errors import StoreError
from gochat.store.portable.export_room import export_room
from gochat.store.portable.import_room import import_room
from gochat.store.schema import connect
from tests.contracts.scribe import ALL, Scribe
from tests.store.portable.exports import Export
from tests.store.test_histories import DM, TEA

HOSTILE = [
    "UPDATE fact SET seq = 99 WHERE seq = 10",
    "DELETE FROM fact WHERE seq = 5",
    "UPDATE meta SET as_of = 1 << 40",
    "UPDATE meta SET room = 'group:../x'",
    "UPDATE fact SET ts = 0 WHERE seq = 6",
    "UPDATE fact SET ts = 'soon' WHERE seq = 6",
    "UPDATE fact SET kind = 'coup' WHERE seq = 6",
    "UPDATE fact SET sender = 'Ann; DROP' WHERE seq = 6",
    "UPDATE fact SET body = x'00ff' WHERE seq = 6",
    "UPDATE fact SET body = printf('%.*c', 100001, 'x') WHERE seq = 6",
    "UPDATE fact SET target = 9 WHERE seq = 6",
    "UPDATE fact SET target = 1 << 35 WHERE seq = 8",
    "UPDATE fact SET target = 1 WHERE seq = 8",
    "UPDATE fact SET target = NULL WHERE seq = 9",
    "UPDATE fact SET data = '[' WHERE seq = 7",
    "UPDATE fact SET data = '[]' WHERE seq = 7",
    "UPDATE fact SET data = json_set(data, '$.users[0]', 'A B') WHERE seq = 2",
    "UPDATE fact SET kind = 'message', body = 'x' WHERE seq = 1",
    "UPDATE fact SET key = 'k', sender = 'ann' WHERE seq = 5",
    """UPDATE fact SET data = '{"mentions": ["A B"]}' WHERE seq = 6""",
    """UPDATE fact SET data = '{"mentions": "bob"}' WHERE seq = 6""",
    f"""UPDATE fact SET data = '{{"mentions": {json.dumps([f"u{n}" for n in range(21)])}}}' WHERE seq = 6""",
    "UPDATE meta SET kind = 'user'",
    "DELETE FROM meta",
    "UPDATE meta SET as_of = 'ten'",
    "DROP TABLE fact",
    "DROP TABLE meta",
    "PRAGMA application_id = 1",
    "PRAGMA user_version = 2",
]


@pytest.mark.parametrize("change", HOSTILE)
def test_a_file_that_is_not_what_it_says(tea: Scribe, export: Export, tmp_path: Path, change: str) -> None:
    file = export()
    with closing(sqlite3.connect(file)) as db:
        db.execute(change)
        db.commit()
    with pytest.raises(StoreError):
        import_room(file, tmp_path / "new.db")
    if (tmp_path / "new.db").exists():
        with closing(connect(str(tmp_path / "new.db"))) as made:
            assert made.execute("SELECT count(*) FROM fact").fetchall() == [(0,)]


def title(text: str | int) -> str:
    return f"UPDATE fact SET data = json_set(data, '$.title', json('{json.dumps(text)}')) WHERE seq = 1"


CROWD = json.dumps([f"u{n}" for n in range(1001)])
#: By seq; 0: the row is no fact. Each is one that no client could have made.
MADE_UP = [
    (1, "UPDATE fact SET target = 'abc' WHERE seq = 1"),
    (1, "UPDATE fact SET target = 1 WHERE seq = 1"),
    (1, title("x" * 201)),
    (1, title("x" * 3_000_000)),
    (1, title("a\u202eb")),
    (1, title("a\0b")),
    (1, title(7)),
    (1, "UPDATE fact SET data = json_set(data, '$.role', 'tsar') WHERE seq = 1"),
    (1, "UPDATE fact SET data = json_set(data, '$.change', 'left') WHERE seq = 1"),
    (2, "UPDATE fact SET data = json_set(data, '$.title', 'again') WHERE seq = 2"),
    (2, f"UPDATE fact SET data = json_set(data, '$.users', json('{CROWD}')) WHERE seq = 2"),
    (2, "UPDATE fact SET data = json_set(data, '$.users', json('[]')) WHERE seq = 2"),
    (2, "UPDATE fact SET data = json_set(data, '$.more', printf('%.*c', 100001, 'x')) WHERE seq = 2"),
    (2, "UPDATE fact SET data = CAST(data AS BLOB) WHERE seq = 2"),
    (2, "UPDATE fact SET data = printf('%.*c', 99999, '[') WHERE seq = 2"),
    (2, "UPDATE fact SET body = 'hi' WHERE seq = 2"),
    (2, "UPDATE fact SET kind = 'hidden', data = NULL WHERE seq = 2"),
    (3, "UPDATE fact SET body = 'a' || char(8238) || 'b' WHERE seq = 3"),
    (3, "UPDATE fact SET body = 'a' || char(0) || 'b' WHERE seq = 3"),
    (3, "UPDATE fact SET body = '' WHERE seq = 3"),
    (3, "UPDATE fact SET body = char(8203) WHERE seq = 3"),
    (6, "UPDATE fact SET key = '' WHERE seq = 6"),
    (6, "UPDATE fact SET key = printf('%.*c', 65, 'k') WHERE seq = 6"),
    (6, "UPDATE fact SET key = 'a' || char(0) WHERE seq = 6"),
    (6, "UPDATE fact SET key = x'6b' WHERE seq = 6"),
    (6, "UPDATE fact SET ts = -1 WHERE seq = 6"),
    (10, "UPDATE fact SET ts = 253402300800000 WHERE seq = 10"),
    (7, "UPDATE fact SET data = json_set(data, '$.emoji', '') WHERE seq = 7"),
    (7, "UPDATE fact SET data = json_set(data, '$.emoji', printf('%.*c', 33, 'x')) WHERE seq = 7"),
    (7, "UPDATE fact SET data = json_set(data, '$.emoji', char(8238)) WHERE seq = 7"),
    (7, "UPDATE fact SET data = json_set(data, '$.on', 'yes') WHERE seq = 7"),
    (8, "UPDATE fact SET data = '{}' WHERE seq = 8"),
    (0, "UPDATE member SET name = x'ff' WHERE user = 'ann'"),
    (0, "UPDATE member SET name = printf('%.*c', 65, 'x') WHERE user = 'ann'"),
    (0, "UPDATE member SET name = 'a' || char(8238) WHERE user = 'ann'"),
    (0, "UPDATE member SET user = 'A B' WHERE user = 'ann'"),
    (0, "UPDATE member SET read = 'all' WHERE user = 'ann'"),
    (0, "INSERT INTO sanction VALUES ('bob', 'exile', NULL, 5)"),
    (0, "INSERT INTO sanction VALUES ('bob', 'ban', 'ever', 5)"),
    (0, "INSERT INTO relation VALUES ('ann', 'bob', 1, NULL, NULL, NULL, NULL, NULL)"),
]  # fmt: skip


@pytest.mark.parametrize(("seq", "change"), MADE_UP, ids=range(len(MADE_UP)))
def test_what_no_client_can_say_no_file_says(
    tea: Scribe, export: Export, tmp_path: Path, seq: int, change: str
) -> None:
    file = export()
    with closing(sqlite3.connect(file)) as db:
        db.execute(change)
        db.commit()
    with pytest.raises(StoreError) as refused:
        import_room(file, tmp_path / "new.db")
    told = str(refused.value)
    assert told.startswith(f"{file}: {f'fact {seq} of group:tea' if seq else ''}")
    assert "group:tea" in told
    assert len(told) < 400
    with closing(connect(str(tmp_path / "new.db"))) as made:
        for table in ("fact", "room", "user", "sanction", "relation"):
            assert made.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]


async def test_texts_are_cleaned_as_those_of_clients_are(tea: Scribe, export: Export, tmp_path: Path) -> None:
    file, new = export(), tmp_path / "new.db"
    turned = "'a' || char(8234) || 'b'"  # An embedding that does not end: whether it stays depends on what follows.
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"UPDATE fact SET data = json_set(data, '$.title', {turned}) WHERE seq = 1")
        db.execute(f"UPDATE fact SET body = {turned} WHERE seq = 3")
        db.execute(f"UPDATE member SET name = {turned} WHERE user = 'ann'")
        db.commit()
    assert import_room(file, new) == (TEA, 10, 10)
    assert import_room(file, new) == (TEA, 10, 0), "the title here is the clean one"
    async with stores.open(new) as store:
        log = await store.archive.replay(TEA, 0, ALL, ALL)
        assert (log[0].title, log[2].body) == ("ab", "ab")  # type: ignore[union-attr]
    with closing(connect(str(new))) as db:
        assert db.execute("SELECT name FROM user WHERE id = 'ann'").fetchall() == [("ab",)]


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO relation VALUES ('ann', 'cat', 1, NULL, NULL, NULL, NULL, NULL)",
        "INSERT INTO relation VALUES ('ann', 'ann', 1, NULL, NULL, NULL, NULL, NULL)",
        "INSERT INTO relation VALUES ('ann', 'bob', 'yes', NULL, NULL, NULL, NULL, NULL)",
        "INSERT INTO relation VALUES ('ann', 'bob', 1, 'now', NULL, NULL, NULL, NULL)",
        "INSERT INTO relation_change VALUES (1, 1, 5, 'ann', 'marry')",
        "INSERT INTO relation_change VALUES (1, 1, 5, 'cat', 'add')",
        "INSERT INTO sanction VALUES ('ann', 'ban', NULL, 5)",
    ],
)
async def test_a_private_rooms_file_holds_the_relation_of_its_users_alone(tmp_path: Path, change: str) -> None:
    async with stores.open(tmp_path / "gochat.db") as store:
        await (await Scribe.at(store, DM)).said("hi")
    export_room(tmp_path / "gochat.db", DM, tmp_path / "dm", now_ms=7)
    with closing(sqlite3.connect(tmp_path / "dm")) as db:
        db.execute(change)
        db.commit()
    with pytest.raises(StoreError, match=f"a row of relation.* of {DM}|a row of sanction of {DM}"):
        import_room(tmp_path / "dm", tmp_path / "new.db")
    with closing(connect(str(tmp_path / "new.db"))) as made:
        assert made.execute("SELECT count(*) FROM fact").fetchall() == [(0,)]


def test_what_data_says_does_not_go_over_what_was_checked(tea: Scribe, export: Export, tmp_path: Path) -> None:
    file = export()
    with closing(sqlite3.connect(file)) as db:
        db.execute(
            "UPDATE fact SET data = json_set(data, '$.target', 1, '$.seq', 3, '$.room', 'group:x') WHERE seq = 7"
        )
        db.commit()
    import_room(file, tmp_path / "new.db")
    with closing(connect(str(tmp_path / "new.db"))) as db:
        assert db.execute("SELECT target & 255, seq FROM reaction").fetchall() == [(4, 7)]


def test_a_file_that_is_damaged_or_no_database(tea: Scribe, export: Export, tmp_path: Path) -> None:
    file = export()
    content = bytearray(file.read_bytes())
    content[4096:40960] = bytes(40960 - 4096)
    file.write_bytes(content)
    for what in (file, Path(__file__), tmp_path / "absent"):
        with pytest.raises(StoreError):
            import_room(what, tmp_path / "new.db")
