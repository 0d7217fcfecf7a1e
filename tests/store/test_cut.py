# ruff: noqa: RUF001 -- widths and scripts are what is tested
"""What is a word, whatever the script; and that no text breaks the index or its query language."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gochat.store.cut import folded, index_text, is_dense, match_text, name_words, query_words
from gochat.store.index import BLOCK_BITS, block_mark, put
from gochat.store.locate import locate
from gochat.store.schema import SEQ_BITS, connect
from gochat.store.setup import migrate

ROW = 5 << SEQ_BITS | 7
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
#: Letters of scripts without spaces.
DENSE = st.sampled_from([*"漢字北京大学見面ひらがなカタカナกขคงจกက", "\U00020000", "\U00030000", "鿿", "ꀀ", "ㄅ"])


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    with closing(connect(":memory:")) as connection:
        migrate(connection, ":memory:")
        yield connection


def finds(index: sqlite3.Connection, body: str, q: str) -> bool:
    """Whether the row of that body is found; if so, it is located too."""
    for table in ("search", "message_word"):
        index.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
    put(index, [(ROW, body)])
    match = match_text(q, block_mark(ROW))
    if match is None:
        assert list(query_words(q)) == []
        return False
    found = index.execute("SELECT rowid FROM search WHERE search MATCH ?", (match,)).fetchall()
    located = locate(index, q, None)
    assert located is not None
    assert found == [] or located == {ROW >> BLOCK_BITS: ROW}
    return bool(found)


@pytest.mark.parametrize(
    ("body", "q"),
    [
        ("Hello, World!", "WORLD hel"), ("ＦＵＬＬ width", "full ＷＩＤＴＨ"), ("naïve café", "NAIVE cafe"),
        ("cafe", "café"),
        ("e\u0301clair", "éclair"), ("Tiếng Việt", "tieng viet"), ("Straße", "STRASSE"), ("İstanbul", "istanbul"),
        ("हिन्दी में", "हिन्दी"), ("हिन्दी में", "हिन्"), ("தமிழ்", "தமிழ்"),
        ("العَرَبِيَّة", "العَرَ"),
        ("한국어 대화", "한국"),
        ("我们在北京大学见面", "北京"), ("我们在北京大学见面", "京大学见"), ("東京タワー", "タワ"),
        ("go語rust", "rust 語 go"), ("ｶﾞｲﾄﾞ", "ガイド"), ("ジョン・レノン", "レノン"),
        ("漢", "漢"), ("ﬁne", "fine"), ("3.14 m²", "14 m2"), ("snake_case", "case"), ("C3PO", "c3"), ("a\u200bb", "b"),
    ],
)  # fmt: skip
def test_found(index: sqlite3.Connection, body: str, q: str) -> None:
    assert finds(index, body, q)


@pytest.mark.parametrize(
    ("body", "q"),
    [
        ("Hello", "ello"), ("Hello", "hello there"), ("北京 大学", "京大"), ("北京", "京北"), ("北京大学", "北大"),
        ("r1", "r2"),
        ("हिन्दी", "हद"), ("body", "room"), ("anything", "!?"), ("anything", ""), ("日本 本日", "日本本"),
    ],
)  # fmt: skip
def test_not_found(index: sqlite3.Connection, body: str, q: str) -> None:
    assert not finds(index, body, q)


def test_a_dense_letter_is_one_for_the_index_too(index: sqlite3.Connection) -> None:
    """Its tokenizer takes signs for spaces, whatever their script."""
    dense = [character for character in map(chr, range(0x10000)) if is_dense(character)]
    assert not [character for character in dense if unicodedata.category(character)[0] in "PSZ"]
    assert [index_text(sign) for sign in "\u30a0\u30fb\u31c0\u0e3f"] == [""] * 4


@given(TEXT, TEXT)
@example("a", '" OR *')
@example("\u31c0", "\u31c0")
@example("漢", "漢\u0e3f字")
@example("\u0301", "\u0301 a")
@example("a", "a " * 100)
@example("a", "漢" * 200)
def test_no_text_breaks_anything(index: sqlite3.Connection, body: str, q: str) -> None:
    finds(index, body, q)
    name_words("ann", body)


@given(st.text())
def test_cutting_never_raises(text: str) -> None:
    """Lone surrogates and NUL included, though none gets here."""
    index_text(text)
    match_text(text, "x")
    list(query_words(text))


@given(st.text(DENSE, max_size=8), st.text(DENSE, min_size=2, max_size=2), st.text(DENSE, max_size=8))
def test_two_characters_of_a_dense_run_are_found_anywhere(
    index: sqlite3.Connection, before: str, word: str, after: str
) -> None:
    assert finds(index, f"x {before}{word}{after}.", word)


@given(st.text(DENSE, max_size=8), st.text(DENSE, min_size=1, max_size=5))
def test_what_is_not_in_a_dense_run_is_not_found(index: sqlite3.Connection, body: str, word: str) -> None:
    assert finds(index, body, word) == (folded(word) in folded(body))


@given(TEXT)
def test_every_word_of_a_text_finds_it(index: sqlite3.Connection, text: str) -> None:
    for word in name_words("a", text) - {"a"}:
        # Marks that Latin letters lose may be all that there is of a word.
        if any(unicodedata.category(character)[0] in "LN" for character in word):
            assert finds(index, text, word), ascii(word)
            assert finds(index, text, text)
