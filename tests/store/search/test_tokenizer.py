# ruff: noqa: RUF001 -- widths and scripts are what is tested
"""The bounds of words, whatever the script; and that no text breaks the index or its query language."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gochat.domain.folding import words
from gochat.store.schema import SEQ_BITS, connect
from gochat.store.search import cut_first
from gochat.store.search.index import BLOCK_BITS, NEW, block_mark, put
from gochat.store.search.rare_terms import possible, rare_terms
from gochat.store.search.tokenizer import CUTTER, MOST_WORDS, Run, asked_words, index_text, is_dense, match_text
from gochat.store.setup import migrate

ROW = 5 << SEQ_BITS | 7
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
#: Letters of scripts without spaces.
DENSE = st.sampled_from([*"漢字北京大学見面ひらがなカタカナกขคงจกက", "\U00020000", "\U00030000", "鿿", "ꀀ", "ㄅ"])


def folded(text: str) -> str:
    return " ".join(words(text))


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    with closing(connect(":memory:")) as connection:
        migrate(connection, ":memory:")
        yield connection


def finds(index: sqlite3.Connection, body: str, q: str) -> bool:
    """Whether the row of that body is found; if so, it is located too, and has what was asked for when it is read."""
    for table in ("search", "message_word"):
        index.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
    put(index, [(ROW, body)])
    asked = CUTTER.asked(q)
    if not asked:
        return False
    found = index.execute("SELECT rowid FROM search WHERE search MATCH ?", (match_text(asked, block_mark(ROW)),))
    rows = found.fetchall()
    located = rare_terms(index, NEW, asked, None)
    assert located is not None
    assert rows == [] or located == {ROW >> BLOCK_BITS: ROW}
    assert possible(index, NEW, asked) or not rows
    assert CUTTER.has(body, asked) == bool(rows)
    return bool(rows)


@pytest.mark.parametrize(
    ("body", "q"),
    [
        ("Hello, World!", "WORLD hel"),
        ("ＦＵＬＬ width", "full ＷＩＤＴＨ"),
        ("naïve café", "NAIVE cafe"),
        ("cafe", "café"),
        ("e\u0301clair", "éclair"),
        ("Tiếng Việt", "tieng viet"),
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("हिन्दी में", "हिन्दी"),
        ("हिन्दी में", "हिन्"),
        ("தமிழ்", "தமிழ்"),
        ("العَرَبِيَّة", "العَرَ"),
        ("한국어 대화", "한국"),
        ("我们在北京大学见面", "北京"),
        ("我们在北京大学见面", "京大学见"),
        ("東京タワー", "タワ"),
        ("go語rust", "rust 語 go"),
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("ジョン・レノン", "レノン"),
        ("漢", "漢"),
        ("ﬁne", "fine"),
        ("3.14 m²", "14 m2"),
        ("snake_case", "case"),
        ("C3PO", "c3"),
        ("a\u200bb", "ab"),
        ("대한민국", "한민"),
        ("대한민국", "국"),
        ("새해 복 많이 받으세요", "해 받으"),
        ("C++ & Rust", "c++"),
        ("€50", "50 €"),
        ("so 👍🏽 good", "👍"),
        ("so 👍 good", "👍🏿"),
        ("👩‍💻", "💻"),
        ("🇩🇪🇫🇷", "🇫🇷"),
        ("I ❤️ it", "❤"),
        ("1 < 2", "<"),
        ("बाज़ार", "बाजार"),
        ("カタカナ", "かたか"),
        ("Łódź, Ærøskøbing", "lodz aeros"),
        ("٤٢", "42"),
        ("กำลังใจ", "ลัง"),
        ("ខ្មែរ", "មែរ"),
        ("မြန်မာ", "မာ"),
        ("ພາສາລາວ", "ລາວ"),
        ("བོད་སྐད", "སྐད"),
    ],
)
def test_found(index: sqlite3.Connection, body: str, q: str) -> None:
    assert finds(index, body, q)


@pytest.mark.parametrize(
    ("body", "q"),
    [
        ("Hello", "ello"),
        ("Hello", "hello there"),
        ("北京 大学", "京大"),
        ("北京", "京北"),
        ("北京大学", "北大"),
        ("r1", "r2"),
        ("हिन्दी", "हद"),
        ("body", "room"),
        ("anything", "!?"),
        ("anything", ""),
        ("日本 本日", "日本本"),
        ("🇩🇪", "🇪🇩"),
        ("한국", "국한"),
        ("か", "が"),
        ("c", "c++"),
        ("हिन्दी", "हिन्दु"),
    ],
)
def test_not_found(index: sqlite3.Connection, body: str, q: str) -> None:
    assert not finds(index, body, q)


def test_a_dense_letter_is_no_sign() -> None:
    """A sign is a word by itself, whatever its script: folding sets it apart, or leaves it out."""
    for character in map(chr, range(0x110000)):
        if is_dense(character) and unicodedata.category(character)[0] in "PSZ":
            assert CUTTER.index_words(f"a{character}a")[0] == "a" or "\U0001f1e6" <= character <= "\U0001f1ff"
    assert [CUTTER.index_words(sign) for sign in ("\u30a0", "\u30fb", "\u31c0", "\u0e3f")] == [
        [],
        [],
        ["\u31c0"],
        ["\u0e3f"],
    ]


@given(TEXT, TEXT)
@example("a", '" OR *')
@example("\u31c0", "\u31c0")
@example("漢", "漢\u0e3f字")
@example("\u0301", "\u0301 a")
@example("a", "a " * 100)
@example("a", "漢" * 200)
def test_no_text_breaks_anything(index: sqlite3.Connection, body: str, q: str) -> None:
    finds(index, body, q)
    CUTTER.name_words("ann", body)


@given(st.text())
def test_cutting_never_raises(text: str) -> None:
    """Lone surrogates and NUL included, though none gets here."""
    for cutter in (CUTTER, cut_first.CUTTER):
        index_text(cutter.index_words(text))
        asked_words(cutter.asked(text))
        match_text(cutter.asked(text), "x")


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
    for word in CUTTER.name_words("a", text) - {"a"}:
        assert finds(index, text, word), ascii(word)
        assert finds(index, text, text)


def test_what_follows_from_other_words_counts_once() -> None:
    assert CUTTER.asked("tea TEA te teapot Tea, t") == [Run("teapot", False)]
    assert CUTTER.asked("北京大学 京大 学 北京 a") == [Run("北京大学", True), Run("a", False)]
    assert CUTTER.asked("ab abc b 京北") == [Run("abc", False), Run("京北", True), Run("b", False)]
    assert CUTTER.asked("a " * 100) == [Run("a", False)]
    assert len(CUTTER.asked(" ".join(f"{n:02}" for n in range(60)))) == 60 > MOST_WORDS


def test_nobody_reads_the_tables_that_fts5_keeps_for_itself() -> None:
    """Their form is SQLite's affair, and may change with its release."""
    with closing(connect(":memory:")) as connection:
        migrate(connection, ":memory:")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        indexes = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%USING fts5 (%'")
        }
    own = {f"{index}_{part}" for index in indexes for part in ("data", "idx", "content", "docsize", "config")} & tables
    assert len(own) >= 4
    for path in sorted((Path(__file__).parents[3] / "gochat").rglob("*.py")):
        named = own & set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
        assert not named, f"{path} names {named}"
