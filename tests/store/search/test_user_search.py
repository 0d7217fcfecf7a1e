"""Users found with a letter wrong, and whom the search does not show."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.store import migrations, schema, setup
from gochat.store.search.cut_first import CUTTER as FIRST_CUTTER
from gochat.store.search.fuzzy import LAST, is_near, near_beginnings
from gochat.store.search.searches import Budget
from gochat.store.search.tokenizer import CUTTER, is_dense
from gochat.store.search.user_search import search_users
from gochat.store.write.notes import Notes
from gochat.store.write.transaction import Writer

#: Few letters, so that words are often near to each other; two of them of scripts without spaces.
LETTERS = "abcж漢字"
WORDS = st.text(LETTERS, min_size=1, max_size=7)


@contextlib.contextmanager
def database() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(schema.connect(":memory:")) as connection:
        setup.migrate(connection, ":memory:")
        yield connection


def noted(connection: sqlite3.Connection, users: dict[str, str | None]) -> None:
    Writer(connection).record([], Notes({}, {user: (name, None) for user, name in users.items()}, {}))


def found(connection: sqlite3.Connection, viewer: str, q: str, size: int = 3) -> list[str]:
    """All pages."""
    users: list[str] = []
    cursor = None
    while True:
        page, cursor = search_users(connection, viewer, q, size, cursor, Budget())
        users += [entry.user for entry in page]
        if cursor is None:
            return users
        assert len(page) == size and len(cursor) <= 200


def one_letter_off(typed: str, letters: str) -> set[str]:
    """All there is, said as plainly as can be."""
    variants = set()
    for at in range(len(typed) + 1):
        head, write_buffer = typed[:at], typed[at:]
        variants |= {head + write_buffer[1:], head + write_buffer[1:2] + write_buffer[:1] + write_buffer[2:]}
        variants |= {head + letter + write_buffer for letter in letters}
        variants |= {head + letter + write_buffer[1:] for letter in letters if write_buffer}
    return variants


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12), st.text(LETTERS, min_size=4, max_size=6))
def test_near_is_one_letter_off(words: list[str], typed: str) -> None:
    variants = one_letter_off(typed, LETTERS)
    with database() as connection:
        noted(connection, {f"u{n}": word for n, word in enumerate(words)})
        kept = [word for (word,) in connection.execute("SELECT DISTINCT word FROM user_word")]
        beginnings = near_beginnings(connection, typed)
    assert all(not after.startswith(before) for before, after in pairwise(beginnings))
    for word in kept:
        near = any(word.startswith(beginning) for beginning in beginnings)
        if not word.startswith(typed):
            assert near == is_near(word, typed)
        expected = any(word.startswith(variant) for variant in variants)
        if is_dense(typed[0]) or is_dense(word[0]):
            assert expected or not near, "another first letter is looked for among its like"
        elif not word.startswith(typed):
            assert near == expected, word


@settings(deadline=None)
@given(
    st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=15),
    st.lists(WORDS, min_size=1, max_size=2),
    st.integers(1, 20),
)
def test_everybody_who_matches_is_listed_once_the_exact_first(
    names: list[list[str]], asked: list[str], size: int
) -> None:
    users = {f"u{n}": " ".join(words) for n, words in enumerate(names)}
    with database() as connection:
        noted(connection, dict(users))
        listed = found(connection, "zoe", " ".join(asked), size)
        assert listed == found(connection, "zoe", " ".join(asked), 50)

    def all_in(user: str, *, near: bool) -> bool:
        own = CUTTER.name_words(user, users[user])
        typed = [word for part in asked for word in sorted(_runs_of(part))]
        return all(any(word.startswith(t) or (near and is_near(word, t)) for word in own) for t in typed)

    exact = {user for user in users if all_in(user, near=False)}
    assert set(listed[: len(exact)]) == exact
    assert sorted(listed) == sorted(user for user in users if all_in(user, near=True))


def _runs_of(part: str) -> set[str]:
    """The pieces of a text without spaces: runs of one kind of script."""
    runs, run = set(), part[0]
    for before, after in pairwise(part):
        if is_dense(before) != is_dense(after):
            runs.add(run)
            run = ""
        run += after
    return runs | {run}


def test_who_blocked_the_asker_is_not_there(tmp_path: Path) -> None:
    with database() as connection:
        noted(connection, {f"bob{n}": "Robert" for n in range(9)} | {"ann": "Ann"})
        connection.executemany(
            "INSERT INTO relation (user, peer, num, contact, blocked_at) VALUES (?, ?, ?, 1, ?)",
            [("bob1", "ann", 1, 0), ("bob4", "ann", 2, 7), ("bob5", "ann", 3, None), ("ann", "bob6", 4, 1)],
        )
        seen = ["bob0", "bob2", "bob3", "bob5", "bob6", "bob7", "bob8"]
        for q in ("bob", "robert", "rob", "robret", "Robert bob"):
            assert found(connection, "ann", q) == seen, q
        assert found(connection, "bob6", "ann") == []
        assert found(connection, "zoe", "robret") == [f"bob{n}" for n in range(9)]
        assert found(connection, "bob1", "bob1")[0] == "bob1", "oneself"


@pytest.mark.parametrize("cursor", ["", "x", "0.0", "0.0 a", "9.0 a b", "0.9 a b", "0.None a b", "0.0  ", "-1.0 a b"])
def test_a_cursor_of_no_page_is_the_beginning(cursor: str) -> None:
    with database() as connection:
        noted(connection, {"ann": "Ann", "anna": None})
        assert search_users(connection, "zoe", "ann", 5, cursor, Budget()) == search_users(
            connection, "zoe", "ann", 5, None, Budget()
        )


def test_cursors_stay_short_whatever_the_name(tmp_path: Path) -> None:
    with database() as connection:
        noted(connection, {f"{'a' * 62}{n}": "ﷺ" * 64 for n in range(10, 20)} | {"b": "漢" * 64, "c": "漢" * 64})
        for q in ("a" * 20, "ﷺ", "ﷺ" * 30, "漢" * 3, "a" * 200, "漢" * 200, "a b c " * 33):
            found(connection, "zoe", q, 1)


def test_a_new_name_takes_the_old_words_away() -> None:
    with database() as connection:
        noted(connection, {"ann": None, "bob.x": None})
        noted(connection, {"ann": "Änne 山田太郎", "bob.x": "Bob"})
        noted(connection, {"ann": "Anna", "bob.x": None})
        rows = connection.execute("SELECT user, word FROM user_word ORDER BY user, word").fetchall()
        assert rows == [("ann", "ann"), ("ann", "anna"), ("bob.x", "bob"), ("bob.x", "bob.x")]
        assert found(connection, "zoe", "太郎") == []


def test_users_and_messages_of_the_first_schema_are_indexed_anew(tmp_path: Path) -> None:
    with contextlib.closing(schema.connect(str(tmp_path / "old.db"))) as connection:
        migrations.apply(connection, before="m002_people")
        connection.execute("INSERT INTO user VALUES ('ann', '山田太郎', 5)")
        connection.executemany("INSERT INTO user_word VALUES (?, 'ann')", [("ann",), ("山田太郎",), ("stale",)])
        connection.execute(
            "INSERT INTO room (num, id, head, ts, messages, last, indexed) VALUES (1, 'r', 9, 1, 9, 9, 9)"
        )
        migrations.apply(connection)
        words = {word for (word,) in connection.execute("SELECT word FROM user_word_old")}
        assert words == FIRST_CUTTER.name_words("ann", "山田太郎") >= {"太郎", "郎", "ann"}
        assert connection.execute("SELECT indexed FROM room").fetchall() == [(0,)]
        assert connection.execute("SELECT rowid FROM search WHERE search MATCH 'x'").fetchall() == []
        assert near_beginnings(connection, "山田次郎", "user_word_old") == ["山田太郎"] and LAST > "郎"
