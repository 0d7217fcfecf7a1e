# ruff: noqa: RUF001 -- letters that look alike are what is tested, and a script's stand together
"""The signs that count in a word, script by script, and those that do not."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain.folding import ASCII_SIGNS, words

#: An ornament to whoever types, though a letter of its own in capitals.
IOTA_BELOW = "\u0345"


def fold(text: str) -> str:
    return " ".join(words(text))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        # Latin: accents, letters with strokes, ligatures; and the two pairs of i that Turkish has.
        ("Łódź, Ærøskøbing", "lodz aeroskobing"),
        ("Žluťoučký kůň", "zlutoucky kun"),
        ("São Tomé", "sao tome"),
        ("İstanbul, ISPARTA, ısırgan", "istanbul isparta isirgan"),
        ("Straße STRASSE ﬁne ẞ", "strasse strasse fine ss"),
        ("Đặng Thị Ngọc Ưu", "dang thi ngoc uu"),
        ("Þórður Guðmundsson", "thordur gudmundsson"),
        ("Ħal Għaxaq", "hal ghaxaq"),
        ("Hawaiʻi", "hawaii"),
        ("cœur", "coeur"),
        ("e\u0301clair \u00e9clair", "eclair eclair"),
        ("Ŋaŋa", "nana"),
        ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
        ("𝓗𝓮𝓵𝓵𝓸 Ⓗⓘ", "hello hi"),
        # Greek and Cyrillic.
        ("Καλημέρα ΑΘΗΝΑ Ὀδυσσεύς", "καλημερα αθηνα οδυσσευσ"),
        ("ᾳ ΐ", "α ι"),
        ("ёлка Ёж зелёная", "елка еж зеленая"),
        ("Київ, їжак, ґанок", "киив ижак ганок".replace("ии", "иі").replace("иж", "іж")),
        ("Қазақстан", "казакстан"),
        # Hebrew and Arabic: without their points, seats of hamza and lengthening; Persian as Arabic.
        ("שָׁלוֹם", "שלום"),
        ("מְדִינַת יִשְׂרָאֵל", "מדינת ישראל"),
        ("مُحَمَّد أحمد إلى", "محمد احمد الي"),
        ("مــرحبا", "مرحبا"),
        ("مدرسة", "مدرسه"),
        ("کتاب می‌خواهم", "كتاب ميخواهم"),
        ("ﷲ", "الله"),
        ("ܫܠܳܡܳܐ", "ܫܠܡܐ"),
        # Scripts of India keep their vowel signs and viramas; the dot of borrowed sounds is left out by most who type.
        ("हिन्दी", "हिन्दी"),
        ("फ़िल्म", "फिल्म"),
        ("தமிழ்", "தமிழ்"),
        ("বাংলা", "বাংলা"),
        ("తెలుగు", "తెలుగు"),
        ("ಕನ್ನಡ", "ಕನ್ನಡ"),
        ("മലയാളം", "മലയാളം"),
        ("සිංහල", "සිංහල"),
        # So do Thai, Lao, Khmer, Myanmar, Tibetan, Thaana, Ethiopic.
        ("น้ำ", "น้ํา"),
        ("ພາສາລາວ", "ພາສາລາວ"),
        ("ខ្មែរ", "ខ្មែរ"),
        ("မြန်မာ", "မြန်မာ"),
        ("བོད་སྐད", "བོད སྐད"),
        ("ދިވެހި", "ދިވެހި"),
        ("ሰላም", "ሰላም"),
        # Kana are one, in every width; a voiced one is another. Korean is put together however it came.
        ("カタカナ ｶﾀｶﾅ かたかな", "かたかな かたかな かたかな"),
        ("ガ か\u3099 か", "が が か"),
        ("ラーメン", "らーめん"),
        ("한국어", "한국어"),
        ("\u1112\u1161\u11ab", "한"),
        ("ㅋㅋ", "\u110f\u110f"),
        ("漢字", "漢字"),
        # Georgian and Armenian capitals, Cherokee's small letters.
        ("ᲗᲑᲘᲚᲘᲡᲘ", "თბილისი"),
        ("ԵՐԵՎԱՆ երևան", "երեվան երեւան"),
        ("ꭰ", "Ꭰ"),
        # Digits are digits, and a half is made of two.
        ("٤٢ ۴۲ ४२ ４２ ②", "42 42 42 42 2"),
        ("½ m²", "1 2 m2"),
        # Characters that nobody sees are not there.
        ("extra\u00adordinary zero\u200bwidth \u202ereversed\u202c", "extraordinary zerowidth reversed"),
        ("\ufeffa\u2060b\u115f", "ab"),
        ("\u2800", ""),
        ("\u3164", ""),
        # Signs are words by themselves; how they are drawn does not count.
        ("C++ a<b €50 ™", "c + + a < b € 50 tm"),
        ("👍🏽👍", "👍 👍"),
        ("👩\u200d💻", "👩 💻"),
        ("❤\ufe0f", "❤"),
        ("🇩🇪", "🇩🇪"),
        ("1\ufe0f\u20e3", "1"),
        ("\U0001faea", "\U0001faea"),
        # Punctuation separates.
        ("don't stop...", "don t stop"),
        ("a_b-c.d", "a b c d"),
        ("「はい」。", "はい"),
        ("¿qué?", "que"),
        ("!?", ""),
        ("", ""),
    ],
)
def test_folded(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert IOTA_BELOW in unicodedata.normalize("NFD", text) or fold(text.upper()) == folded


@given(st.text(max_size=40))
def test_folding_twice_changes_nothing(text: str) -> None:
    once = words(text)
    assert words(" ".join(once)) == once
    assert all(word and " " not in word for word in once)


def test_no_character_is_folded_twice_and_no_case_counts() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        once = fold(f"a{char}")
        assert fold(once) == once, hex(code)
        assert fold(f"a{char.casefold()}") == once or IOTA_BELOW in unicodedata.normalize("NFKD", char), hex(code)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_no_special_case(text: str) -> None:
    """The quick way for ASCII gives the same words as the table."""
    assert words(text) == words(f"{text} é")[:-1]
    assert all(sign in ASCII_SIGNS or sign.isalnum() for sign in "".join(words(text)))
