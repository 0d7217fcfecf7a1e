"""The quick look rules out only texts in which close reading would find nothing."""

# ruff: noqa: RUF001 -- ambiguous characters are what this is about

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gochat.domain import links
from gochat.domain.links import foreign_links, suffix_rules
from gochat.domain.readings import readings
from gochat.domain.words import Hit, Words

LISTS = (
    Words(["grobnik", "plonk", "zass", "*snarx*", "two moons", "傻瓜", "мрак", "!plonker"]),
    Words(["ass", "tit*", "!assent", "1488", "*bad end", "lil", "ill*"]),
)
PIECES = (
    "grobnik", "plonk", "plonker", "zass", "snarx", "two", "moons", "傻瓜", "傻", "瓜", "мрак", "соха", "ass", "assent",
    "title", "1488", "bad", "end", "lil", "ill", "it's", "can't", "a", "i", "u", " ", " ", ", ", ".", "'", "-", "*",
    "~", "!", "?!", "。", "，", "1", "5", "0", "$", "@", "|", "+", "\u200b", "\u0301", "ﬁ", "½", "㏂", "ㅤ", "🙂", "\x00",
    "\ud800",
)  # fmt: skip
LEET = str.maketrans("asilot", "@$1107")


@st.composite
def odd_texts(draw: st.DrawFn) -> str:
    """Listed words and their lookalikes, disguised and put together in odd ways."""
    text = ""
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=9)):
        way = draw(st.sampled_from(("", "", "leet", "spaced", "signs", "repeated", "upper")))
        changed = {
            "leet": piece.translate(LEET),
            "spaced": " ".join(piece),
            "signs": piece[:1] + "'" + piece[1:],
            "repeated": "".join(char * 2 for char in piece),
            "upper": piece.upper(),
        }
        text += changed.get(way, piece)
    return text


@given(odd_texts(), st.sampled_from(LISTS))
@example("12gr0bnik", LISTS[0])
@example("5z@ss1 z455 z4555", LISTS[0])
@example("pl~onk", LISTS[0])
@example("p'lonk, pl'onk", LISTS[0])
@example("傻。瓜 傻*瓜 1", LISTS[0])
@example("z a s s 71t1e", LISTS[0])
@example("1i1 1l1", LISTS[1])
def test_the_sieve_lets_no_listed_word_pass(text: str, words: Words) -> None:
    thorough = any(True for reading in readings(text) for _ in words._hits(text, reading))
    assert bool(words.find(text)) == thorough


@pytest.mark.parametrize("text", ["two m00ns", "tw0 moons", "t.wo mo'ons", "k.i.l.l yourse'lf", "ki11 yourself"])
def test_a_disguise_of_one_word_is_enough_in_an_entry_of_two(text: str) -> None:
    assert Words(["two moons", "kill yourself"]).find(text)


def test_more_letters_than_there_are_codes_are_told_apart_all_the_same() -> None:
    words = Words([chr(0x4E00 + 2 * number) * 2 + chr(0x4E01 + 2 * number) for number in range(300)])
    assert words.find("\u4e00\u4e00\u4e01") == [Hit("\u4e00\u4e00\u4e01", 0, 3)]
    assert words.find("\u4e00\u4e00\u4e03") == []
    assert words.find(chr(0x4E00 + 254) * 2 + chr(0x4E00 + 1)) == []


def test_compiling_early_changes_nothing() -> None:
    words = Words(["grobnik"])
    assert words.compile() is words.compile()
    assert words.find("a gr0bnik") == [Hit("grobnik", 2, 9)]


SUFFIXES = suffix_rules(["com", "uk", "co.uk", "*.ck", "!www.ck", "it", "so", "md", "am", "рф", "xn--90ae"])
OWN = frozenset({"good.com", "sub.good.co.uk"})
NAMES = (
    "evil.com", "good.com", "a.good.com", "good.co.uk", "sub.good.co.uk", "co.uk", "a.ck", "www.ck", "b.a.ck",
    "came.It", "Came.It", "main.SO", "www.md", "-www.md", "a_www.md", "9.am", "9.am:80", "1.2.3.4", "1.2.3.4/x",
    "пример.рф",
    "бг.бг", "is\u0301.it", "e\u200bvil.com", "http://", "//", "/", "\\", "@", "-", "_", ".", "..", ":80",
    "/x.com", "x" * 64,
    "(dot)", "[.]", " ", ", ", "!",
)  # fmt: skip


@given(st.lists(st.sampled_from(NAMES), max_size=7).map("".join))
@example("see www.md")
@example("see -www.md")
@example("co.uk, evil.com")
@example("http://good.com/evil.com x//evil.com")
@example("9.am:80 1.2.3.4/x")
@example("see B.A.CK")
def test_no_name_is_ruled_out_that_close_reading_finds(text: str) -> None:
    quick = foreign_links(text, OWN, SUFFIXES)
    rules_out = links._may_have_bare
    links._may_have_bare = lambda *_: True  # type: ignore[assignment]
    try:
        assert quick == foreign_links(text, OWN, SUFFIXES)
    finally:
        links._may_have_bare = rules_out
