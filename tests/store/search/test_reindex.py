"""Messages indexed by an older release are indexed anew while the node runs, and found meanwhile; a kill harms
nothing."""

from __future__ import annotations

import contextlib
import logging
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.domain.folding import VERSION
from gochat.errors import StoreError
from gochat.store import schema, setup
from gochat.store.schema import SEQ_BITS, SEQ_MASK
from gochat.store.search import index, reindex, search, user_search
from gochat.store.search.searches import Budget
from gochat.store.write.committer import Committer
from gochat.store.write.index_feeder import REINDEX_PAUSES
from gochat.store.write.write_buffer import WriteBuffer
from tests.appending import append_to
from tests.contracts.archive import until
from tests.contracts.journal import message
from tests.store.old_store import ANN, make

USERS = {"u1": "Zoë Müller", "u2": "Søren", "u3": "김민준", "u4": None, "u5": "Łukasz"}
ROOMS = [
    [f"Łódź café {n}" for n in range(1, 20)],
    [f"łódź 北京大学 {n}" for n in range(1, 8)],
    ["only one Łódź"],
    ["Łódź is left"],
]
OLD_TABLES = {"search_old", "message_word_old", "message_word_old_row", "user_word_old"}


@contextlib.contextmanager
def upgraded(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(schema.connect(str(path))) as connection:
        setup.migrate(connection, str(path))
        yield connection


def found(connection: sqlite3.Connection, q: str, room: str | None = None) -> list[tuple[int, int]]:
    """Room and seq of all matches, page by page, in the order they come."""
    places: list[tuple[int, int]] = []
    cursor = None
    while True:
        entries, cursor = search.messages(connection, ANN, q, room, 4, cursor, Budget())
        places += [(int(entry.room.removeprefix("group:g")), entry.seq) for entry in entries]
        if cursor is None:
            return places


def users(connection: sqlite3.Connection, q: str) -> list[str]:
    return [entry.user for entry in user_search.search_users(connection, ANN, q, 50, None, Budget())[0]]


def step(connection: sqlite3.Connection, most: int) -> int | None:
    connection.execute("BEGIN IMMEDIATE")
    done = reindex.step(connection, most)
    connection.execute("COMMIT")
    return done


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


#: The messages that ann may see, newest first: none from before she came, nor from a group that she has left.
SEEN = sorted(
    (
        (room_pk, seq)
        for room_pk, bodies in enumerate(ROOMS[:3], 1)
        for seq in range(3 if room_pk == 2 else 1, len(bodies) + 1)
    ),
    key=lambda place: (-10 * place[1] - place[0], -place[0], -place[1]),
)


@pytest.mark.parametrize("few_blocks", [0, 50])
def test_all_is_found_at_every_step(tmp_path: Path, few_blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FEW_BLOCKS", few_blocks)
    make(tmp_path / "a.db", ROOMS, USERS, since=3)
    with upgraded(tmp_path / "a.db") as connection:
        steps = 0
        while True:
            assert found(connection, "ŁÓDŹ") == SEEN
            assert found(connection, "café") == found(connection, "cafe") == [place for place in SEEN if place[0] == 1]
            assert found(connection, "京大") == [place for place in SEEN if place[0] == 2]
            assert found(connection, "absent") == []
            left = dict(connection.execute("SELECT num, upto FROM reindex"))
            assert found(connection, "lodz") == [(room_pk, seq) for room_pk, seq in SEEN if seq > left.get(room_pk, 0)]
            assert found(connection, "lodz", "group:g1") == [(1, seq) for seq in range(19, left.get(1, 0), -1)]
            steps += 1
            if step(connection, 3) is None:
                break
        assert steps > 10 and not tables(connection) & OLD_TABLES
        assert found(connection, "lodz") == SEEN


def test_what_changes_meanwhile_is_changed_in_both(tmp_path: Path) -> None:
    """Whether it was put in anew already or not: gone is gone, and what it says now is found."""
    for steps in range(0, 12, 2):
        path = tmp_path / f"{steps}.db"
        make(path, ROOMS, {})
        with upgraded(path) as connection:
            for _ in range(steps):
                step(connection, 3)
            for seq, body in (2, "Kraków"), (10, None), (18, "Gdańsk"):
                index.change(connection, 1, seq, body)
                connection.execute("UPDATE fact SET body = ? WHERE id = ?", (body, 1 << SEQ_BITS | seq))
            index.change(connection, 1, 18, "Łomża")
            connection.execute("UPDATE fact SET body = 'Łomża' WHERE id = ?", (1 << SEQ_BITS | 18,))
            for _ in range(40):
                assert found(connection, "łódź", "group:g1") == [
                    (1, n) for n in range(19, 0, -1) if n not in (2, 10, 18)
                ]
                assert found(connection, "kraków") == [(1, 2)]
                assert found(connection, "łomża") == [(1, 18)]
                assert found(connection, "gdańsk") == []
                if step(connection, 3) is None:
                    break
            assert found(connection, "krakow lomza") == [] and found(connection, "lomza") == [(1, 18)]
            for table in ("search", "message_word"):
                connection.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")


def test_users_are_found_by_their_old_words_until_all_have_new_ones(tmp_path: Path) -> None:
    make(tmp_path / "a.db", ROOMS[:1], USERS)
    with upgraded(tmp_path / "a.db") as connection:
        names = reindex.names(connection)
        assert [each.table for each in names] == ["user_word_old", "user_word"]
        step(connection, 2)
        # One who has new words and one who has not get other names; one comes.
        for user, before, name in ("u1", "Zoë Müller", "Noël"), ("u5", "Łukasz", "Jiří"), ("u0", None, "Åsa"):
            old = (before,) if before else None
            connection.execute("INSERT OR REPLACE INTO user (id, name) VALUES (?, ?)", (user, name))
            for each in reindex.names(connection):
                each.change(connection, user, old, name)
        for q, expected in {"noël": ["u1"], "jiří": ["u5"], "åsa": ["u0"], "søren": ["u2"], "zoë": []}.items():
            assert users(connection, q) == expected, q
        assert users(connection, "sor") == []
        while len(reindex.names(connection)) > 1:
            assert users(connection, "김민") == ["u3"] and users(connection, "u4") == ["u4"]
            step(connection, 2)
        assert "user_word_old" not in tables(connection)
        for q, expected in {
            "noel": ["u1"],
            "jiri": ["u5"],
            "asa": ["u0"],
            "soren": ["u2"],
            "민준": ["u3"],
            "zoe": [],
            "u4": ["u4"],
            "lukasz": [],
        }.items():
            assert users(connection, q) == expected, q


def test_a_store_that_had_nothing_has_nothing_to_do(tmp_path: Path) -> None:
    make(tmp_path / "a.db", [], {})
    with upgraded(tmp_path / "a.db") as connection:
        assert not tables(connection) & OLD_TABLES
        assert not reindex.Progress(connection).under_way
    setup.prepare(str(tmp_path / "b.db"))
    with upgraded(tmp_path / "b.db") as connection:
        assert not reindex.Progress(connection).under_way


def test_the_next_folding_begins_anew_also_amid_this_one(tmp_path: Path) -> None:
    make(tmp_path / "a.db", ROOMS, USERS)
    with upgraded(tmp_path / "a.db") as connection:
        for _ in range(6):
            step(connection, 3)
        connection.execute("UPDATE folding SET version = version - 1")
    with upgraded(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT version FROM folding").fetchone() == (VERSION,)
        assert index.unindexed_rooms(connection) == {1, 2, 3, 4}
        for room_pk in index.unindexed_rooms(connection):
            index.feed(connection, room_pk, 100)
        while step(connection, 3) is not None:
            pass
        assert len(found(connection, "lodz")) == 27 and users(connection, "soren") == ["u2"]
        assert not tables(connection) & OLD_TABLES


def test_a_store_of_a_later_folding_is_refused(tmp_path: Path) -> None:
    setup.prepare(str(tmp_path / "a.db"))
    with contextlib.closing(schema.connect(str(tmp_path / "a.db"))) as connection:
        connection.execute("UPDATE folding SET version = version + 1")
        with pytest.raises(StoreError, match="newer release"):
            setup.migrate(connection, "a.db")


async def test_a_node_does_it_by_itself_and_tells(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path / "a.db", [[f"Łódź {n}" for n in range(500)]], USERS)
    caplog.set_level(logging.INFO)
    async with stores.open(tmp_path / "a.db") as store:
        record = await store.journal.load("group:g1")
        await append_to(store.journal, record, [message("group:g1", 501, "Łódź now", sender=ANN)])

        async def left() -> int:
            return store.commits.reindexing

        async def lodz() -> list[int]:
            return [fact.seq for fact in (await store.archive.search_messages(ANN, "lodz", None, 200, None))[0]]

        await until(left, 0)
        await until(lodz, list(range(501, 301, -1)))
        assert (await store.archive.search_users(ANN, "soren", 5, None))[0][0].user == "u2"
    told = [record.message for record in caplog.records]
    assert "indexed anew for searches, while the node runs: 505 messages and users" in told
    assert [line for line in told if line.startswith("everything is indexed anew")]


def test_while_others_write_it_takes_a_part_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a.db", [[f"Łódź {n}" for n in range(2000)]], {})
    setup.prepare(str(tmp_path / "a.db"))
    committer = Committer(lambda: schema.connect(str(tmp_path / "a.db")), WriteBuffer())
    now, step_s, step_on = [1000.0], 0.01, committer._index._index_anew
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow_step(connection: sqlite3.Connection) -> None:
        now[0] += step_s
        step_on(connection)

    monkeypatch.setattr(committer._index, "_index_anew", slow_step)
    with contextlib.closing(committer._writer.connection):  # type: ignore[union-attr]
        for _ in range(10):
            committer._busy_at = now[0]  # A commit has just been.
            assert committer.idle() == 0.0
            pause = committer.idle()
            assert pause == pytest.approx(step_s * (REINDEX_PAUSES - 1))
            now[0] += pause + 0.001
        committer._busy_at = 0.0  # Nobody writes.
        assert committer.idle() == committer.idle() == 0.0


RUN = """
import sys
import trio
from gochat import store as stores

async def main():
    async with stores.open(sys.argv[1]):
        print("open", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_killed_it_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make(path, [[f"Łódź {n} of many words" for n in range(6000)]], USERS)
    root = Path(__file__).parents[3]
    lefts: list[int] = []
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", RUN, str(path)], stdout=subprocess.PIPE, cwd=root) as node:
            assert node.stdout is not None and node.stdout.readline() == b"open\n"
            begun = left_in(path)
            end = time.monotonic() + 20
            while left_in(path) > begun - 300 and time.monotonic() < end:
                time.sleep(0.005)
            node.send_signal(signal.SIGKILL)
        lefts.append(left_in(path))
    assert 6000 > lefts[0] > lefts[1] > lefts[2] > 0
    with upgraded(path) as connection:
        assert len(found(connection, "łódź many")) == 6000
        while step(connection, 500) is not None:
            pass
        places = found(connection, "lodz many")
        assert [seq for _, seq in places] == list(range(6000, 0, -1))
        assert connection.execute("SELECT count(*) FROM message_word_row WHERE term = 'lodz'").fetchone() == (6000,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert users(connection, "soren") == ["u2"]


def left_in(path: Path) -> int:
    with contextlib.closing(schema.connect(str(path), read_only=True)) as connection:
        (left,) = connection.execute("SELECT coalesce(sum(upto), 0) FROM reindex").fetchone()
        return int(left) & SEQ_MASK
