"""Listed words are found in their disguises, and nowhere else."""

# ruff: noqa: RUF001 -- ambiguous characters are what this is about

from __future__ import annotations

import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain.confusables import FOLD, LEET, script
from gochat.domain.readings import _reading, readings, units
from gochat.domain.words import Hit, Words, mask
from tests.cost import cpu_s

CLEAN = Path(__file__).with_name("clean.txt").read_text(encoding="utf-8").splitlines()
OWN_LIST = Path(__file__).parents[2] / "gochat/data/words.txt"
SEEDS = ("grobnik", "blistor", "plonk", "zass", "florbel*", "*snarx*", "two moons", "傻瓜", "мрак", "!plonker", "b4nz")
WORDS = Words(SEEDS)


def found(text: str, words: Words = WORDS) -> list[str]:
    return [text[hit.start : hit.end] for hit in words.find(text)]


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("grobnik", ["grobnik"]),
        ("a GROBNIK!", ["GROBNIK"]),
        ("grobnikk ggrroobbnniikk grrrrrobnik", ["grobnikk", "ggrroobbnniikk", "grrrrrobnik"]),
        ("gr0bn1k 9robnik bl!st0r", ["gr0bn1k", "9robnik", "bl!st0r"]),
        ("za$$ z@ss z4ss zas5", ["za$$", "z@ss", "z4ss", "zas5"]),
        ("b|istor bl1stor b1istor", ["b|istor", "bl1stor", "b1istor"]),
        ("grobnik123 12grobnik", ["grobnik", "grobnik"]),
        ("g r o b n i k", ["g r o b n i k"]),
        ("i g r o b n i k u", ["g r o b n i k"]),
        ("G.R.O.B.N.I.K.", ["G.R.O.B.N.I.K"]),
        ("so...g-r-o-b-n-i-k", ["g-r-o-b-n-i-k"]),
        ("gr*obnik g_robnik grob~nik", ["gr*obnik", "g_robnik", "grob~nik"]),
        ("g.robnik grobni-k", ["g.robnik", "grobni-k"]),
        ("ｇｒｏｂｎｉｋ", ["ｇｒｏｂｎｉｋ"]),
        ("𝓰𝓻𝓸𝓫𝓷𝓲𝓴 🅶🆁🅾🅱🅽🅸🅺", ["𝓰𝓻𝓸𝓫𝓷𝓲𝓴", "🅶🆁🅾🅱🅽🅸🅺"]),
        ("grоbnik grοbnik", ["grоbnik", "grοbnik"]),
        ("gr\u200bob\u00adnik g\u2060robnik", ["gr\u200bob\u00adnik", "g\u2060robnik"]),
        ("g\u0336r\u0336o\u0336b\u0336n\u0336i\u0336k\u0336 ok", ["g\u0336r\u0336o\u0336b\u0336n\u0336i\u0336k\u0336"]),
        ("grôbñik", ["grôbñik"]),
        ("florbel florbeling unflorbel", ["florbel", "florbeling"]),
        ("unsnarxed", ["unsnarxed"]),
        ("two   moons, two-moons", ["two   moons", "two-moons"]),
        ("你是傻瓜吗", ["傻瓜"]),
        ("傻*瓜", ["傻*瓜"]),
        ("мрак mрак", ["мрак", "mрак"]),
        ("b4nz", ["b4nz"]),
    ],
)
def test_disguises(text: str, hits: list[str]) -> None:
    assert found(text) == hits


@pytest.mark.parametrize(
    "text",
    [
        "grobnikov pregrobnik",
        "plonker PLONKER ｐｌｏｎｋｅｒ",
        "gro bnik",
        "grob.nik grob-nik grob'nik",
        "2455",
        "z455",
        "傻。瓜",
        "mpak",
        "two moonshines",
        "twomoons",
    ],
)
def test_no_disguises(text: str) -> None:
    assert found(text) == []


def test_another_script_is_read_as_latin_only_where_nothing_is_plainly_of_it() -> None:
    words = Words(["coxa"])
    assert found("соха", words) == ["соха"]
    assert found("у нас соха и плуг", words) == []


@pytest.mark.parametrize(
    "text",
    [
        *("ɢʀᴏʙɴɪᴋ", "GROBΝIK", "GRΟBΝΙK", "GROB𝚴IK", "GROBΝ\u0301IK", "G R O B Ν I K", "G.R.O.B.Ν.I.K", "GR0BΝIK"),
        *("GᖇOᗷᑎIK", "ᗷᒪIᔕTOR", "ᴘʟᴏɴᴋ", "ʙʟɪꜱᴛᴏʀ", "ᴢᴀꜱꜱ"),
    ],
)
def test_letters_that_are_drawn_as_others_are_read_as_those(text: str) -> None:
    assert found(text) == [text]


def test_every_small_capital_is_read_as_its_letter() -> None:
    for code in (*range(0x250, 0x2B0), *range(0x1D00, 0x1D26), *range(0xA720, 0xA800)):
        letter = unicodedata.name(chr(code), "").removeprefix("LATIN LETTER SMALL CAPITAL ")
        if len(letter) == 1:
            assert FOLD[code] == letter.lower(), chr(code)


def test_greek_words_are_read_in_small_letters_and_in_capitals() -> None:
    words = Words(["πουτάνα", "νυν", "ηχώ"])
    assert found("ΠΟΥΤΑΝΑ Πουτάνα, ΝΥΝ νυν Ηχώ ΗΧΩ", words) == ["ΠΟΥΤΑΝΑ", "Πουτάνα", "ΝΥΝ", "νυν", "Ηχώ", "ΗΧΩ"]


@pytest.mark.parametrize(
    "text",
    [
        "ΝΑΙ ΝΑ ΤΟΝ ΤΗΝ ΑΝ ΟΤΑΝ ΚΑΝΕΝΑΝ ΜΟΝΟ ΝΕΟ ΥΙΟ ΤΟΤΕ ΚΟΙΝΟ ΝΟΥ ΕΝΑΝ ΑΝΤΙ ΗΤΑΝ ΑΥΤΗ ΚΟΝΤΑ ΝΥΧΤΑ ΧΑΝΕΙ",
        "Ναι, Ηταν νύχτα. Υγεία να έχουμε! Ο ΝΕΟΣ ΥΠΟΥΡΓΟΣ ΑΝΑΚΟΙΝΩΣΕ ΤΑ ΜΕΤΡΑ ΓΙΑ ΤΗΝ ΟΙΚΟΝΟΜΙΑ",
        "Η ΑΘΗΝΑ ΤΗ ΝΥΧΤΑ, ΤΗΝ ΗΜΕΡΑ ΚΑΙ ΤΟ ΒΡΑΔΥ. ΚΥΝΗΓΙ, ΝΗΣΙ, ΥΠΝΟΣ, ΗΧΟΣ",
        "ᐃᓄᒃᑎᑐᑦ ᓄᓇᕗᑦ ᐅᓪᓛᒃᑯᑦ ᖁᔭᓐᓇᒦᒃ",
    ],
)
def test_honest_words_of_scripts_that_look_latin_pass(text: str) -> None:
    assert OWN.find(text) == []
    for word in text.split():
        assert OWN.find(word) == []


def test_a_hit_names_its_entry_and_its_place() -> None:
    assert WORDS.find("un-sn@rx") == [Hit("snarx", 3, 8)]
    assert WORDS.find("a b c two moons")[0] == Hit("two moons", 6, 15)
    assert WORDS.find("ah florbelish") == [Hit("florbel", 3, 13)]


def test_an_exception_is_compared_as_written() -> None:
    words = Words(["boner", "ano", "!Bonner", "!año"])
    assert found("Bonner boner año ano bónner", words) == ["boner", "ano", "bónner"]


@pytest.mark.parametrize("line", ["*", "**", "a", "*ab*", "  - ", "!x\na"])
def test_an_entry_with_too_few_letters_is_refused_with_its_line(line: str) -> None:
    lines = ["# a comment", "", *line.split("\n")]
    with pytest.raises(ValueError, match=f"line {len(lines)}: "):
        Words(lines)


def test_an_empty_list_finds_nothing() -> None:
    assert Words().find("f u c k grobnik") == []


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_passes(text: str) -> None:
    assert WORDS.find(text) == []
    assert OWN.find(text) == []


OWN = Words(OWN_LIST.read_text(encoding="utf-8").splitlines())


def test_the_clean_texts_are_many_and_in_many_scripts() -> None:
    assert len(set(CLEAN)) >= 200
    assert len({script(char) for text in CLEAN for char in text if FOLD[ord(char)].strip()}) >= 15


LOOKALIKES = {"a": "аα@4", "o": "оο0", "i": "іι1!", "e": "еε3", "s": "ѕ$5", "c": "с", "p": "рρ", "t": "т7", "k": "к"}
PLANTS = ("grobnik", "blistor", "plonk")


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """A listed word in some disguise, none of which hides it."""
    letters = list(draw(st.sampled_from(PLANTS)))
    way = draw(st.sampled_from(("letters", "spaced", "dotted", "hidden")))
    if way == "spaced":
        return " ".join(letters)
    if way == "dotted":
        return draw(st.sampled_from((".", "-", "*", "_", "~", "/"))).join(letters)
    if way == "hidden":
        return draw(st.sampled_from(("\u200b", "\u00ad", "\u0301", "\ufe0f", "\U000e0061"))).join(letters)
    changed = draw(st.sets(st.integers(1, len(letters) - 2), max_size=2))
    for place in changed:
        letters[place] = draw(st.sampled_from((letters[place].upper(), *LOOKALIKES.get(letters[place], ""))))
    if draw(st.booleans()):
        letters[0] *= draw(st.integers(2, 9))
    return "".join(letters)


@given(disguised(), st.sampled_from(CLEAN[:120]), st.sampled_from(CLEAN[:120]))
def test_a_planted_word_is_found_and_only_it_is_masked(word: str, before: str, after: str) -> None:
    text = f"{before} so, {word}, and {after}"
    hits = WORDS.find(text)
    start = len(before) + 5
    assert [(hit.start, hit.end) for hit in hits] == [(start, start + len(word))]
    masked = mask(text, [(hit.start, hit.end) for hit in hits])
    assert masked[:start] == text[:start]
    assert masked[start + len(word) :] == text[start + len(word) :]
    assert set(masked[start : start + len(word)]) <= {"*", " "}


NASTY = st.text(st.one_of(st.sampled_from("grobniksax .*-1!@$5\u200b\u0301о傻瓜\n"), st.characters()), max_size=80)


@given(NASTY)
def test_any_text_will_do_and_a_mask_keeps_its_length(text: str) -> None:
    hits = WORDS.find(text)
    masked = mask(text, [(hit.start, hit.end) for hit in hits])
    assert len(masked) == len(text)
    assert WORDS.find(text) == hits
    for hit in hits:
        assert 0 <= hit.start < hit.end <= len(text)


def normalise(text: str) -> str:
    """The text as the rule for words reads it."""
    return _reading((symbol.lower(), index) for symbol, index in units(text)).letters.strip(" ")


@given(NASTY)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(st.sampled_from("zas5@$ .,-!1xi\u200b"), max_size=24))
def test_the_quick_test_misses_nothing(text: str) -> None:
    words = Words(["zass", "*saxi*", "xis"])
    thorough = any(True for reading in readings(text) for _ in words._hits(text, reading))
    assert bool(words.find(text)) == thorough


def test_an_entry_of_digits_is_a_number_as_written() -> None:
    assert found("1488, 14881 1488. i488", Words(["1488"])) == ["1488", "1488"]


def test_the_tables_are_closed() -> None:
    """Whatever a letter is read as is read as itself."""
    for code in range(0x30000):
        for letter in FOLD[code]:
            assert FOLD[ord(letter)] == letter, hex(code)
        assert re.fullmatch("[A-Z]?", LEET[code])


@pytest.mark.parametrize(
    "text",
    ["snarx" * 800, "snarx." * 660, "z@$$" * 1000, "1" * 4000, "s n a r x " * 400, "傻" * 4000, "a\u0301" * 2000],
)
def test_no_text_is_expensive(text: str) -> None:
    """The bound is generous; what grew with the square of the length took seconds."""
    assert cpu_s(lambda: WORDS.find(text)) < 0.5


def test_compiling_a_long_list_is_quick() -> None:
    rng = random.Random(1)
    lines = {
        "".join(rng.choices("bcdfghklmnprstvz", k=2)) + "".join(rng.choices("aeiourstln", k=5)) for _ in range(1000)
    }
    assert found(min(lines), Words(sorted(lines))) == [min(lines)]
    assert cpu_s(lambda: Words(sorted(lines)), times=1) < 5
