"""Texts that hide or deceive are cleaned, and nothing is left out of others."""

# ruff: noqa: RUF001, E501 -- ambiguous characters are what this is about

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gochat.domain.display_text import bare_emoji, clean_body, clean_line, is_raw
from gochat.policy.emoji import load_emoji
from tests.cost import cpu_s

CLEAN = Path(__file__).with_name("clean.txt").read_text(encoding="utf-8").splitlines()
FLAG = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
NOTHING = [
    "", " \n\t", "\u200b", "\u2800", "\u3164", "\uffa0", "\u115f", "\u1160", "\u200e\u200f", "\u202e", "\u2066\u2069",
    "\u2067 \u2069", "\ufe0f", "\ufeff", "\u00ad", "\u034f", "\u2060\u2064", "\U000e0041", "\U000e0101", "\u180e", "\x07\x1b",
    "\ufffc", "\U0001d159", "\u17b5", "\u200d\u200d", "\u2028", "\x85", "\U0001d173",
]  # fmt: skip


@pytest.mark.parametrize("text", NOTHING, ids=ascii)
def test_what_shows_nothing_is_empty(text: str) -> None:
    assert (clean_body(text), clean_line(text)) == ("", "")


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("a\x07b\x1b[2Jc\x9b", "ab[2Jc"),
        ("a\r\nb\rc\u2028d\x0be\x85f", "a\nb\nc\nd\ne\nf"),
        ("\tcode\n\tmore\t.", "code\n\tmore\t."),
        ("\u202egnp.exe", "gnp.exe"),
        ("ann\u202e\u202d x", "ann x"),
        ("\u2067abc\nrest", "abc\nrest"),
        ("a\u2069b\u202cc", "abc"),
        ("\u2067x\u202bab\u2069c", "\u2067xab\u2069c"),
        ("ann\u200f", "ann"),
        ("a\u200bb\u200cc\u200dd\u2060e\ufefff\xadg", "abcdefg"),
        ("a\ufe0fb\ufe01", "ab"),
        ("😀\ufe0f\ufe00\ufe01\U000e0101\U000e0102x", "😀\ufe0fx"),
        ("😀\U000e0067\U000e007fx", "😀x"),
        ("🏴\U000e0067x", "🏴x"),
        ("Z\u0301\u0301\u0301\u0301\u0301\u0336\u0336o", "Z\u0301\u0301\u0301\u0301o"),
        ("ก" + "\u0e47" * 30, "ก" + "\u0e47" * 8),
        ("one\n\n\n\n\n\n\n\ntwo", "one\n\n\n\ntwo"),
        ("one\n \n\t\n \n \n \n \ntwo", "one\n\n\n\ntwo"),
        ("a\u3164b\u2800c", "a b c"),
        ("a\ufffeb\U0001ffffc\U0010ffffd", "abcd"),
        ("क\u200d\u200d\u200d\u200d\u200d\u200dष", "क\u200d\u200d\u200dष"),
    ],
    ids=ascii,
)
def test_what_hides_or_deceives_is_left_out(text: str, body: str) -> None:
    assert clean_body(text) == body


@pytest.mark.parametrize(
    "text",
    [
        *(line for line in CLEAN if "\u200b" not in line),
        "שלום\u200f! (abc)",
        "می\u200cخواهم",
        "ه\u200d",
        "क\u094d\u200dष",
        "ක\u094d\u200dෂ",
        "ไทย\u200bไทย",
        "ខ្មែរ\u200bខ្មែរ",
        "👩\u200d💻 👩🏽\u200d❤️\u200d💋\u200d👨🏽 ❤️ 1️⃣ #️⃣ 🇫🇷 🏳️\u200d🌈 🐻\u200d❄️",
        FLAG,
        "\u2067שלום\u2069 \u202aabc\u202c",
        "葛\U000e0100飾",
        "ᠮᠣᠩᠭᠣᠯ\u180bᠤ",
        "⠓⠑\u2800⠇⠇⠕",
        "\u2800⣿\n⣿\u2800⣿",
        "Tiê\u0301ng Viê\u0323t",
        "בְּרֵאשִׁ֖ית",
        "ལྷ་ས",
        "日本\u3000語",
        "a\u00a0b",
        "x\n\ny\n\n\nz",
        "\uf8ff \U0001fae9",
        "ᄀ\u1160ᆨ",
        "H\u2082O x\u0304\u0301",
        "ﷺ",
        "\u0600123",
        "tab\there",
        "\u0e47",
    ],
    ids=ascii,
)
def test_what_a_script_or_an_emoji_needs_stays(text: str) -> None:
    assert clean_body(text) == text.strip()


def test_every_emoji_stays() -> None:
    for emoji in load_emoji().values():
        assert clean_body(emoji) == emoji == clean_line(emoji)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  padded \n\t  name  ", "padded name"),
        ("a" + " " * 60 + "b", "a b"),
        ("a\u3000\u3000b\u2003c\u00a0d", "a b c d"),
        ("\u0301ann", "ann"),
        ("\u0e47\u200bก", "ก"),
        ("a\u2028b\x1cc", "a bc"),
        ("Ann \u2067אבא\u2069", "Ann \u2067אבא\u2069"),
        ("👩\u200d💻 Ann", "👩\u200d💻 Ann"),
    ],
    ids=ascii,
)
def test_a_text_of_one_line_has_no_padding(text: str, line: str) -> None:
    assert clean_line(text) == line


def test_every_mark_that_piles_up_is_seen() -> None:
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Mn", "Me")]
    kept = {mark for mark in marks if len(clean_body("a" + mark * 20)) > 9}
    assert kept == set()


ODD = st.text(
    st.one_of(
        st.sampled_from(
            "a \n\t\r\x00\x07\u0301\u0e47\u200b\u200c\u200d\u200e\u202a\u202c\u202e\u2066\u2069\u2800⠓\u3164\ufe0f❤👩🏴"
            "\U000e0067\U000e007fשกकម한\u1160ᄀ"
        ),
        st.characters(),
    ),
    max_size=30,
)


@given(ODD)
@example("\u0301\u1160\u1100\u1161")
def test_cleaning_twice_changes_nothing(text: str) -> None:
    body, line = clean_body(text), clean_line(text)
    assert (clean_body(body), clean_line(line)) == (body, line)
    assert body == body.strip()
    assert "\n" not in line
    assert "  " not in line


@given(ODD)
def test_no_control_and_no_open_turn_is_left(text: str) -> None:
    for line in clean_body(text).split("\n"):
        assert not any(unicodedata.category(char) == "Cc" and char != "\t" for char in line)
        assert not {"\u202d", "\u202e"} & set(line)
        opened = sum(line.count(char) for char in "\u2066\u2067\u2068")
        assert opened == line.count("\u2069")


@given(ODD)
def test_what_was_cleaned_is_not_raw(text: str) -> None:
    assert not is_raw(clean_body(text))
    assert not is_raw(clean_line(text))


@pytest.mark.parametrize("char", "\0\r\x1b\x85\xad\u202e\ufeff\U000e0001\U0010ffff")
def test_what_stays_nowhere_is_raw_everywhere(char: str) -> None:
    for text in (char, f"a{char}", f"{char}*", f"❤{char}\ufe0f"):
        assert is_raw(text)


def test_no_emoji_is_raw() -> None:
    assert not any(map(is_raw, load_emoji().values()))


@pytest.mark.parametrize(
    "text",
    [
        "\u200d" * 4000,
        "\u0301" * 4000,
        "\u2067" * 4000,
        "\u2067\u202a\u2069" * 1300,
        "❤\ufe0f" * 2000,
        "\n" * 4000,
        "⠓\u2800" * 2000,
    ],
)
def test_no_text_is_expensive(text: str) -> None:
    """The bound is generous; what grew with the square of the length took longer."""
    assert cpu_s(lambda: (clean_body(text), clean_line(text))) < 0.5


def test_an_emoji_has_one_bare_form() -> None:
    assert bare_emoji("❤️") == bare_emoji("❤\ufe0e") == bare_emoji("❤") == "❤"
    assert bare_emoji("👁️\u200d🗨️") == "👁\u200d🗨"
