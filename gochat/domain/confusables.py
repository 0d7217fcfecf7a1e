"""How a character is read: the letter that a person sees, whatever code point drew it.

`FOLD` reads a character as small letters (NFKC, case folding, accents off, letters of other scripts that look Latin
as the Latin ones), as nothing (zero-width and combining characters) or as a space (everything else). `LEET` is the
second reading of digits and signs. All are pure tables by code point, filled as characters come up: at most one
entry for each code point of Unicode. Reading twice changes nothing.
"""

# ruff: noqa: RUF001 -- ambiguous characters are what this is about

from __future__ import annotations

import re
import unicodedata
from functools import cache

#: Letters that are drawn as a Latin one in most fonts. Within one script each reads as another letter, so that
#: reading never merges two words of that script. Checked against Unicode's confusables.txt (UTS 39).
_STRONG = {
    "a": "аɑαᴀᎪꓮ",
    "b": "ᏴƅꓐꞵᏏ",
    "c": "сᴄϲᏟꓚⲥ",
    "d": "ԁᴅᎠꓒᏧ",
    "e": "еҽᴇꬲᎬꓰ",
    "f": "ꓝϝꜰꞙꬵẝ",
    "g": "ɡցԍᏀꓖᶃ",
    "h": "һհᎻꓧᏂ",
    "i": "іıɩιɪᎥꓲ",
    "j": "јϳʝᴊᎫꓙ",
    "k": "κᴋᏦꓗⲕ",
    "l": "ӏⳑᏞꓡǀ",
    "m": "ᎷꓟϺϻ",
    "n": "ոꓠ",
    "o": "оοօᴏᴑჿꓳⲟ",
    "p": "рρᏢꓑⲣ",
    "q": "ԛգꞯ",
    "r": "ʀꭇꭈᏒꓣ",
    "s": "ѕꜱƽᏚꓢ",
    "t": "ᎢꓔτⲦⲧ",
    "u": "ʋᴜսυꭎꭒꓴ",
    "v": "ѵᴠνᏙꓦ",
    "w": "ԝᴡաɯᎳꓪ",
    "x": "хχꭓꓫⲭ",
    "y": "уүʏγყᎩꓬ",
    "z": "ᴢᏃꓜ",
}
#: Letters that pass for a Latin one only in Latin company, or as a capital.
_WEAK = {
    "a": "ʌᗩ",
    "b": "вβɓʙᗷ",
    "c": "ƈᑕ",
    "d": "đɖɗᗪ",
    "e": "єεəɛᗴ",
    "f": "ƒᖴ",
    "g": "ɠɢ",
    "h": "нηħʜᕼ",
    "i": "ɨ",
    "j": "ᒍ",
    "k": "кƙʞ",
    "l": "łɫʟᒪ",
    "m": "мμᴍᗰ",
    "n": "пŋɲɴᑎ",
    "o": "øөɵɔ",
    "p": "ƥᴘᑭ",
    "q": "ᑫ",
    "r": "гɾɍᖇ",
    "s": "ʂᔕ",
    "t": "тŧƭᴛ",
    "u": "иʉʊᑌ",
    "v": "ᐯ",
    "w": "шωᗯ",
    "x": "᙭",
    "z": "ƶʐζᘔ",
}
_LATIN = {ord(char): latin for table in (_WEAK, _STRONG) for latin, chars in table.items() for char in chars}
_STRONG_CHARS = frozenset("".join(_STRONG.values()))
#: Eta, nu and upsilon: their capitals are drawn as other Latin letters than the small ones, as which they fold.
_GREEK_CAPITALS = {"Η": "H", "Ν": "N", "Υ": "Y"}

#: `1`, `!` and `|` stand for i and for l: `I` here means either. A sign without a reading is `Q`, and so never matches.
_LEET = dict(zip("0123456789@$€£|!+¡", "OIZEASGTBGASELIITI", strict=True))

#: Ends a sentence in scripts that put no space behind it.
_FULLWIDTH_BANG = 0xFF01

#: Accents and enclosing marks: those that pile up on any script. Marks that spell (Thai, Indic, kana) are kept.
_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
#: Drawn as nothing though their category is a letter, a mark or a symbol.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
#: Letters in boxes and circles, and the letters that flags are made of, that NFKC leaves alone.
_BOXED = (0x1F150, 0x1F170, 0x1F1E6)


def is_invisible(char: str) -> bool:
    """Whether nothing is drawn for it: zero-width, control and format characters, variation selectors, fillers."""
    category = unicodedata.category(char)
    if category == "Cc":
        return not char.isspace()
    return category in ("Cf", "Cn", "Co", "Cs") or char in _BLANK or _is_selector(ord(char))


def _is_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0x180B <= code <= 0x180F or 0xE0100 <= code <= 0xE01EF


def own_letters(char: str) -> str:
    """NFKC, case folding, accents off; still in its own script. The empty string if nothing is drawn."""
    if is_invisible(char):
        return ""
    for first in _BOXED:
        if first <= ord(char) < first + 26:
            return chr(ord("a") + ord(char) - first)
    before, after = "", char
    while before != after:
        before = after
        bare = _MARKS.sub("", unicodedata.normalize("NFD", unicodedata.normalize("NFKC", before).casefold()))
        after = unicodedata.normalize("NFC", bare)
    return after


def _is_letter(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "L" or category in ("Mn", "Mc")


class _Fold(dict[int, str]):
    """A table for `str.translate`. Digits and signs with a second reading are separators in it."""

    def __missing__(self, code: int) -> str:
        own = own_letters(chr(code))
        latin = own.translate(_LATIN)
        self[code] = read = "".join(char if _is_letter(char) else " " for char in latin)
        return read


class _Leet(dict[int, str]):
    """A capital letter for each digit or sign that may stand for one; empty for all else."""

    def __missing__(self, code: int) -> str:
        own = own_letters(chr(code)) if code != _FULLWIDTH_BANG else ""
        self[code] = read = _LEET.get(own, "Q" if own.isdecimal() else "") if len(own) == 1 else ""
        return read


class _FoldLeet(dict[int, str]):
    """`FOLD` with the second readings in it."""

    def __missing__(self, code: int) -> str:
        self[code] = read = LEET[code] or FOLD[code]
        return read


class _Joined(dict[int, str | None]):
    """`FOLD_LEET` with nothing but white space as separator."""

    def __missing__(self, code: int) -> str | None:
        read = " " if chr(code).isspace() else FOLD_LEET[code].replace(" ", "")
        self[code] = read or None  # None, not "": only that is fast in ASCII text
        return self[code]


FOLD: dict[int, str] = _Fold()
LEET: dict[int, str] = _Leet()
FOLD_LEET: dict[int, str] = _FoldLeet()
JOINED: dict[int, str | None] = _Joined()
for _code in range(128):
    FOLD[_code], JOINED[_code]


def _drawn_capital(char: str) -> str:
    """The Latin capital that a Greek one is drawn as, accented or of a formula too; empty for all else."""
    bare = _MARKS.sub("", unicodedata.normalize("NFD", unicodedata.normalize("NFKC", char)))
    return _GREEK_CAPITALS.get(bare, "")


DRAWN_CAPITALS = {
    code: latin
    for block in (range(0x370, 0x400), range(0x1F00, 0x2000), range(0x1D6A8, 0x1D7CC))
    for code in block
    if (latin := _drawn_capital(chr(code)))
}
_has_drawn_capital = re.compile(f"[{''.join(map(chr, DRAWN_CAPITALS))}]").search
#: Letters that are plainly Greek, and what is neither Greek nor a sign of ASCII or a mark of a sentence.
_has_plain_greek = re.compile("[ΓΔΘΛΞΠΣΦΨΩγδζθλμξπςφψω]").search
_has_others = re.compile("[^\x00-@\\[-`{-\xbf\u0370-\u03ff\u1f00-\u1fff\u2000-\u206f]").search


def with_drawn_capitals(text: str) -> str | None:
    """The text with the Latin letters that some Greek capitals are drawn as, in their places; None if it has none, or
    is plainly Greek and nothing else.

    It is another reading beside the plain one, which folds capitals: Greek words are listed in small letters.
    """
    if text.isascii() or _has_drawn_capital(text) is None:
        return None
    if _has_plain_greek(text) is not None and _has_others(text) is None:
        return None
    return text.translate(DRAWN_CAPITALS)


@cache
def script(char: str) -> str:
    """The script of a letter as its Unicode name has it, such as LATIN or CYRILLIC; boxes and circles taken off."""
    own = own_letters(char)
    return unicodedata.name(own[0], "").partition(" ")[0] if own else ""


def is_drawn_as_latin(char: str) -> bool:
    """Whether the letter of another script can't be told from a Latin one by eye."""
    return own_letters(char) in _STRONG_CHARS
