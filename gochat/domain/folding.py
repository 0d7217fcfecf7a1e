"""One folding for all that is searched, and for the words it is searched by, as people in a hurry type them.

A folded text is words with a space between two of them. Case, width and compatibility forms do not count
(NFKC, case folding), nor do accents, the points of Hebrew, Arabic and Syriac, invisible characters, the kind of
kana, and the script of digits. Vowel signs and all else of a script that is no ornament stay. A sign, emoji included,
is a word by itself.

Folding twice changes nothing. `VERSION` is raised when any text folds otherwise: texts that were folded before are then
folded anew (store/search/reindex.py).
"""

# ruff: noqa: RUF001 -- letters that look alike are what this is about

from __future__ import annotations

import re
import unicodedata
from typing import Final

from gochat.errors import Denied

VERSION: Final = 2
#: The answer to whoever searches for something without a word.
NO_WORDS: Final = Denied(
    "bad_request", "q: letters, digits, emoji and signs such as + or € can be searched for; punctuation can't"
)

#: Letters that Unicode does not take apart. Latin: as CLDR's transform Latin-ASCII has them, of alphabets in use; ŋ as
#: people write it. Arabic: hamza seats, alef maksura, ta marbuta and the Persian forms, as Arabic search engines do.
#: Marks that are letters to Unicode and ornaments to people (tatweel, the okina) are left out.
_LETTERS: Final = {
    "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ĸ": "k",
    "ŋ": "n", "ƒ": "f", "ɓ": "b", "ƀ": "b", "ɗ": "d", "ɖ": "d", "ǝ": "e", "ə": "e", "ɛ": "e", "ɠ": "g", "ǥ": "g",
    "ɨ": "i", "ƙ": "k", "ɲ": "n", "ɔ": "o", "ɵ": "o", "ƥ": "p", "ɍ": "r", "ƭ": "t", "ʉ": "u", "ʋ": "v", "ⱳ": "w",
    "ƴ": "y", "ɏ": "y", "ƶ": "z", "ꞌ": "", "ʻ": "", "ʼ": "", "ʽ": "", "ʾ": "", "ʿ": "", "ˈ": "", "ʹ": "", "ʺ": "",
    "ґ": "г", "ғ": "г", "қ": "к", "ң": "н", "ҳ": "х", "ҷ": "ч", "ҹ": "ч", "ұ": "у", "ү": "у", "ө": "о",
    "ى": "ي", "ی": "ي", "ې": "ي", "ے": "ي", "ک": "ك", "ڪ": "ك", "ٱ": "ا", "ة": "ه", "ہ": "ه", "ھ": "ه", "ە": "ه",
    "ۀ": "ه", "ۃ": "ه", "ـ": "",
}  # fmt: skip
#: Characters with no width, or nothing to see, that are no format characters: fillers of Korean, variation selectors
#: of Mongolian, the grapheme joiner. Emoji come in five tones of skin: one is as good as another.
_UNSEEN: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
)
#: No words, though no punctuation either: the blank of braille is drawn as nothing; ½ is taken apart with a slash.
_SPACES: Final = frozenset("_\u2800\u2044")

_NUKTA: Final = "\u093c"
#: Katakana from small a to small ke, and the marks of iteration: as hiragana.
_KATAKANA: Final = frozenset(map(chr, (*range(0x30A1, 0x30F7), 0x30FD, 0x30FE)))
_TO_HIRAGANA: Final = 0x60

#: ASCII needs no table: letters and digits in a row are words; these are its signs, by Unicode's categories (S*).
ASCII_SIGNS: Final = "$+<=>^`|~"
#: Signs and marks in a row, more than any text needs.
_MANY_MARKS: Final = re.compile(r"[^\w\s!-~]{33,}").sub
_ASCII_WORDS: Final = re.compile(f"[a-z0-9]+|[{re.escape(ASCII_SIGNS)}]").findall


def words(text: str) -> list[str]:
    """The words of `text`, in order. In scripts without spaces a whole run is one."""
    if text.isascii():
        # Most of what is written, in a tenth of the time.
        found: list[str] = _ASCII_WORDS(text.lower())
        return found
    # Compatibility letters first, so that the table meets none; taken apart, so that accents stand by themselves.
    folded = unicodedata.normalize("NFKD", _MANY_MARKS(_in_order, text)).translate(_TABLE)
    if not folded.isascii():
        folded = unicodedata.normalize("NFC", folded)
    return folded.split()


def _in_order(run: re.Match[str]) -> str:
    """The marks as they are decomposed, in canonical order. `normalize` puts them there too, but takes the square of
    their number for it, and a query may have as many as fit into a frame."""
    ordered: list[str] = []
    marks: list[str] = []
    for char in "".join([unicodedata.normalize("NFKD", char) for char in run[0]]):
        if unicodedata.combining(char):
            marks.append(char)
        else:
            ordered += [*sorted(marks, key=unicodedata.combining), char]
            marks.clear()
    return "".join(ordered + sorted(marks, key=unicodedata.combining))


class _Table(dict[int, str]):
    """The folded form of each character of decomposed text; filled as characters come up."""

    def __missing__(self, code: int) -> str:
        found = self[code] = _folded(chr(code))
        return found


_TABLE: Final = _Table()


def _folded(char: str) -> str:
    category = unicodedata.category(char)
    if category in ("Cf", "Cs") or char in _UNSEEN or _is_accent(char, category):
        return ""
    if category[0] in "ZP" or category == "Cc" or char in _SPACES:
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if char in _KATAKANA:
        return chr(ord(char) - _TO_HIRAGANA)
    if category[0] == "S" or category == "Cn":
        # A code that is not assigned yet is most likely an emoji of next year. Flags are pairs of letters, and stay
        # together.
        return char if "\U0001f1e6" <= char <= "\U0001f1ff" else f" {char} "
    small = char.casefold()
    if small != char:
        return "".join(_folded(part) for part in unicodedata.normalize("NFKD", small))
    return _LETTERS.get(char, char)


def _is_accent(char: str, category: str) -> bool:
    """Whether the mark is an ornament. Its combining class tells: 1 goes through a letter, 10 to 36 are the points of
    Hebrew, Arabic and Syriac, from 200 on marks stand above or below. Vowel signs, viramas and the tones of Thai have
    others; kana's voicing has 8 and makes another syllable. Enclosing marks and variation selectors have none."""
    if category not in ("Mn", "Me"):
        return False
    combining = unicodedata.combining(char)
    if combining == 0:
        return category == "Me" or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return combining == 1 or 10 <= combining <= 36 or combining >= 200 or char == _NUKTA
