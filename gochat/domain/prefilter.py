"""The quick test for listed words: lets nearly all texts pass for a fraction of what close reading costs.

It may take a harmless text for a suspect, never the other way round. A text becomes one byte a letter, so that most of
the work is done by `bytes.translate` and one search: small letters; one code for each letter above ASCII that is in an
entry, and one for all others; what may stand for a letter as itself; `.` for ends of sentences, `_` for other signs of
honest text, `~` for signs that are not, a space for white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gochat.domain.confusables import DRAWN_CAPITALS, FOLD, FOLD_LEET, JOINED, LEET, with_drawn_capitals
from gochat.domain.patterns import letters, letters_or_leet, trie
from gochat.domain.readings import SENTENCE_ENDS, spelled_rows

#: Signs that end or join words in honest text.
HONEST = frozenset(".,-'/:;&?()[]\"…‘’“”‐‑–—·。、・，！？：；「」『』《》（）")  # noqa: RUF001 -- these are what it is about
#: Digits before and behind a word are no part of it (`shit123`); their number is bounded, and so is the search.
_MOST_LEADING = 16
_LEET_END = f"(?=[A-Z]{{0,{_MOST_LEADING}}} )"
_END = "(?= )"

#: Codes of letters above ASCII that are in an entry. With more letters than codes some share one: for those the
#: quick test is asked again, exactly.
_FIRST, _CODES, _OTHER = 0x80, 0x7F, "\xff"
#: Stands in no coded text but for capitals that are drawn as other letters than they are folded to.
_DRAWN = "\x7f"
_LETTERS = bytes([*range(ord("a"), ord("z") + 1), *range(_FIRST, 256)])
_LETTERS_AND_SPACE = _LETTERS + b" "
#: From a coded text to its plain reading.
_TO_PLAIN = bytes(code if code in _LETTERS else ord(" ") for code in range(256))


#: Characters that may stand for a letter, in ASCII; above it `0` stands for all.
_LEET_SIGNS = b"0123456789@$|!+"
_SIGNS = b"._~"
#: As numbers, for `in`: a number is looked for five times as fast.
_FULL_STOP, _HONEST_SIGN, _OTHER_SIGN, _BANG = b"._~!"


def _code(code: int) -> str:
    read = FOLD_LEET[code]
    if LEET[code]:
        return chr(code) if code < _FIRST else "0"
    if read != " ":
        return read
    char = chr(code)
    if char.isspace():
        return " "
    return "." if char in SENTENCE_ENDS else "_" if char in HONEST else "~"


#: The same tables for ASCII, for `bytes.translate`.
_LEFT_OUT = bytes(code for code in range(128) if not FOLD[code])
_ASCII_CODED = bytes(ord(_code(code) or " ") if code < 128 else 0 for code in range(256))
#: From a coded ASCII text to its reading with capitals.
_TO_LEET = bytes(ord(FOLD_LEET[code] or " ") if code < 128 else 0 for code in range(256))
_DIGITS = b"0123456789"
_NO_SIGNS = bytes(code if code not in _SIGNS else ord(" ") for code in range(256))
#: From there on to a reading where what may stand for a letter is one, and `l` is `i`, since `1` may be either.
_TO_KEY = bytes(ord(chr(code).lower().replace("l", "i")) if code < _FIRST else code for code in _TO_LEET)
#: Numbers, and signs that only count as letters beside one.
_NUMBERS = b"0123456789!+" + _SIGNS

#: From a coded ASCII text to where digits and where letters stand.
_TO_KINDS = bytes(
    ord("0") if chr(code) in "0123456789" else ord("a") if code in _LETTERS else ord(" ") for code in range(256)
)
_SINGLES = re.compile(rb" [^ ] +[^ ] +[^ ] ").search
#: A character that is no letter, before a letter; or one that may stand for a letter, behind one: else the plain
#: reading is the only one.
_ODD_ASCII = re.compile(r"[!-@\[-`{-~](?:(?=[\w@$|])|(?<=\S[0-9@$|+]))").search
#: A sign that is not honest, or a single letter among signs: else a joined chunk is never a hit.
_HIDING = re.compile(rf"[^\w\s{re.escape(''.join(sorted(HONEST)))}]|[_\u115f\u1160\u3164\uffa0]|\b\w\b").search
_DISHONEST = re.compile(rf"[^\w\s{re.escape(''.join(sorted(HONEST)))}]|_").search
#: The same in coded ASCII chunks.
_HIDING_ASCII = re.compile(rb"[~@$|!+]|[ ._][a-z0-9](?=[ ._])").search
#: `!` where it ends a sentence is no letter.
_BANGS = re.compile(rb"(?<![!.])(\.*+)![!.]*+(?= )").sub
#: Characters that may be i or l, more of them in a row than a reading has: where an entry has both letters, patterns
#: would try each place to part the run. One more than a reading has is kept, so that the run counts as a long one.
_MANY_EITHER = re.compile("(?<=IIII)I+").sub
_MANY_EITHER_CODED = re.compile(rb"(?<=[1|!]{4})[1|!]+").sub
_LONG_RUN = re.compile(r"(.)\1{3}", re.DOTALL).search
_ENDS = "".join(sorted(HONEST))
_NONE = range(0)


class Skeleton(NamedTuple):
    """An entry as it is looked for."""

    letters: str
    opens: bool
    ends_open: bool
    spaceless: bool


class _Codes(dict[int, str]):
    """A table for `str.translate`."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._listed = {char: chr(_FIRST + number % _CODES) for number, char in enumerate(sorted(set(listed)))}

    def __missing__(self, code: int) -> str:
        read = _code(code)
        if not read.isascii():
            read = "".join(char if char.isascii() else self._listed.get(char, _OTHER) for char in read)
        read = read if len(read) == 1 else read.replace(" ", "~")
        self[code] = read
        return read

    @property
    def are_shared(self) -> bool:
        return len(self._listed) > _CODES

    def of(self, skeleton: str) -> str:
        return "".join(self._listed.get(char, char) for char in skeleton)


class _Marked(dict[int, str]):
    """The same table with a mark for capitals that have another reading: to search each text for them takes longer."""

    def __init__(self, codes: _Codes) -> None:
        self._codes = codes

    def __missing__(self, code: int) -> str:
        self[code] = read = _DRAWN if code in DRAWN_CAPITALS else self._codes[code]
        return read


class Prefilter:
    """For one list of entries; never changed afterwards."""

    __slots__ = (
        "_codes",
        "_empty",
        "_exceptions",
        "_has_digits",
        "_least",
        "_marked",
        "_near_inside",
        "_near_words",
        "_phrases",
        "_plain_inside",
        "_plain_words",
        "_spaceless",
        "inside",
        "words",
    )

    def __init__(self, skeletons: Sequence[Skeleton], exceptions: frozenset[str], *, has_digits: bool) -> None:
        alone = [entry for entry in skeletons if not entry.spaceless]
        inside = [entry for entry in skeletons if entry.opens]
        phrases = [entry for entry in alone if " " in entry.letters]
        self._empty = not skeletons
        in_ascii = [word for entry in skeletons if entry.letters.isascii() for word in entry.letters.split()]
        self._least = min(map(len, in_ascii), default=1 << 20)
        self._has_digits = has_digits
        self._exceptions = exceptions
        self._spaceless = {
            char for entry in skeletons if entry.spaceless for char in entry.letters if not char.isascii()
        }
        self._codes = _Codes(char for entry in skeletons for char in entry.letters if not char.isascii())
        self._marked = _Marked(self._codes)
        plain_words = trie(self._coded(alone), letters, _END)
        plain_inside = trie(self._coded(inside), letters, _END, inside=True)
        self._plain_words = re.compile(f" (?:{plain_words})".encode("latin-1"))
        self._plain_inside = re.compile(plain_inside.encode("latin-1"))
        near = [(_key(entry.letters), True) for entry in alone if entry.letters.isascii()]
        near_inside = [(_key(entry.letters), True) for entry in inside if entry.letters.isascii()]
        self._near_words = re.compile(f" (?:{trie(near, letters, _END)})".encode())
        self._near_inside = re.compile(trie(near_inside, letters, _END, inside=True).encode())
        #: Of readings with capitals, as `readings` makes them. The match is group 1.
        self.words = _leet_words(alone)
        self.inside = re.compile(f"({trie(_looked_for(inside), letters_or_leet, _LEET_END, inside=True)})")
        self._phrases = _leet_words(phrases) if phrases else None

    def _coded(self, entries: Iterable[Skeleton]) -> Iterator[tuple[str, bool]]:
        return ((self._codes.of(word), ends_open) for word, ends_open in _looked_for(entries))

    def suspects(self, text: str, coded: bytes | None = None) -> bool:
        """False only where there is no hit. `coded` is the text in codes, where it is known."""
        if self._empty:
            return False
        if text.isascii():
            coded = b" " + text.encode().translate(_ASCII_CODED, _LEFT_OUT) + b" "
        elif coded is None:
            marked = text.translate(self._marked)
            if _DRAWN in marked:
                return self._suspects_drawn(text)
            coded = f" {marked} ".encode("latin-1")
        plain = coded.translate(_TO_PLAIN)
        if (self._plain_words.search(plain) or self._plain_inside.search(plain)) and self._is_found(text, plain):
            return True
        if _SINGLES(plain) and self._is_spelled(text, plain):
            return True
        signs = coded.translate(None, _LETTERS_AND_SPACE)
        if not signs:
            return False
        if not self._has_digits and self._phrases is None and not signs.translate(None, _DIGITS):
            # Years, prices, times: a number that stands alone is no word, and there is nothing else to read.
            kinds = coded.translate(_TO_KINDS)
            if b"a0" not in kinds and b"0a" not in kinds:
                return False
        if not text.isascii():
            return self._is_odd(text, bool(signs.translate(None, _SIGNS)))
        return (self._has_digits or _ODD_ASCII(text) is not None) and self._is_odd_ascii(text, coded, signs)

    def _suspects_drawn(self, text: str) -> bool:
        """The same of a text with capitals that are drawn as Latin ones, read as either."""
        readings = (text, with_drawn_capitals(text))
        return any(
            self.suspects(each, f" {each.translate(self._codes)} ".encode("latin-1"))
            for each in readings
            if each is not None
        )

    def _is_found(self, text: str, plain: bytes) -> bool:
        """Whether what was found in the plain reading is no exception, and no other letter of the same code."""
        if not text.isascii():
            return not self._codes.are_shared or self._has_match(text.translate(FOLD))
        if not self._exceptions or len(plain) != len(text) + 2:
            return True
        for pattern in (self._plain_words, self._plain_inside):
            for match in pattern.finditer(plain):
                start = match.start() + (pattern is self._plain_words)
                first, last = plain.rindex(b" ", 0, start + 1), plain.index(b" ", match.end())
                if text[first : last - 1].lower() not in self._exceptions:
                    return True
        return False

    def _is_spelled(self, text: str, plain: bytes) -> bool:
        """Whether single letters in a row spell an entry."""
        rows = " ".join(spelled_rows(plain.decode("latin-1"))).encode("latin-1")
        if self._plain_words.search(b" " + rows + b" ") or self._plain_inside.search(rows + b" "):
            return True
        leet = text.translate(FOLD_LEET)
        return leet != leet.lower() and self._has_match(" ".join(spelled_rows(leet)))

    def _is_odd(self, text: str, has_leet: bool) -> bool:
        """Whether chunks that are not all letters may have a hit in another reading than the plain one."""
        odd = [chunk.rstrip(SENTENCE_ENDS).strip(_ENDS) for chunk in text.split() if not chunk.isalpha()]
        chunks = " ".join([chunk for chunk in odd if not chunk.isalpha()])
        if has_leet and (self._has_match(chunks.translate(FOLD_LEET)) or self._is_phrase(text)):
            return True
        if _HIDING(chunks) is None:
            return False
        joined = f" {_MANY_EITHER('', chunks.translate(JOINED))} "
        if self.words.search(joined) is not None:
            return True
        # Honest signs hide nothing in scripts without spaces.
        found = {match[1] for match in self.inside.finditer(joined)}
        return any(not self._spaceless.issuperset(word) for word in found) or bool(found and _DISHONEST(chunks))

    def _is_odd_ascii(self, text: str, coded: bytes, signs: bytes) -> bool:
        """The same, for a coded text; `signs` are those in it."""
        only_honest = not signs.translate(None, b"._")
        if only_honest and not self._is_plain(coded.translate(None, b"._")):
            return False
        if _BANG in signs:
            coded = _BANGS(rb"\1", coded)
        least = self._least
        odd = [
            stripped
            for chunk in coded.split()
            if not chunk.isalpha() and len(chunk) >= least and not (stripped := chunk.strip(_SIGNS)).isalpha()
        ]
        if not odd:
            return False
        together = b" " + b" ".join(odd) + b" "
        if not only_honest and (self._is_leet(together.translate(_NO_SIGNS)) or self._is_phrase(text)):
            return True
        if _HIDING_ASCII(together) is None:
            return False
        joined = [chunk for chunk in odd if _HONEST_SIGN in chunk or _FULL_STOP in chunk or _OTHER_SIGN in chunk]
        if not joined or not self._is_joined(joined):
            return False
        # Words of a phrase may each be honest.
        return self._phrases is not None or self._is_joined([c for c in joined if _HIDING_ASCII(b" " + c + b" ")])

    def _is_leet(self, coded: bytes) -> bool:
        """Whether a word may be an entry with digits and signs for letters."""
        pieces = [piece for piece in coded.split() if len(piece) >= self._least and not piece.isalpha()]
        if not self._has_digits:
            pieces = [piece for piece in pieces if piece.strip(_NUMBERS)]
        if not pieces or not self._is_near(pieces):
            return False
        coded = _MANY_EITHER_CODED(b"", b" " + b" ".join(pieces) + b" ")
        leet = coded.translate(_TO_LEET).decode()
        for pattern in (self.words, self.inside):
            for match in pattern.finditer(leet):
                start, end = match.span(1)
                digits = end - start - len(coded[start:end].translate(None, _DIGITS))
                # Runs are shortened before digits are counted.
                if 2 * digits <= end - start or self._has_digits or _LONG_RUN(match[1]):
                    return True
        return False

    def _is_near(self, pieces: Sequence[bytes]) -> bool:
        """A quicker test for the same, which takes `l` for `i` and the beginning of an entry for all of it."""
        coded = b" " + b" ".join(pieces) + b" "
        key = coded.translate(_TO_KEY)
        if self._near_words.search(key) or self._near_inside.search(key):
            return True
        # The characters before a word may be no part of it.
        shorter = [piece[start:] for piece in pieces if len(piece) > self._least for start in self._later_starts(piece)]
        return bool(shorter and self._near_words.search(b" " + b" ".join(shorter).translate(_TO_KEY)))

    def _later_starts(self, piece: bytes) -> range:
        leading = len(piece) - len(piece.lstrip(_LEET_SIGNS))
        return range(1, 1 + min(_MOST_LEADING, leading, len(piece) - self._least)) if leading else _NONE

    def _is_phrase(self, text: str) -> bool:
        if self._phrases is None:
            return False
        return self._phrases.search(f" {_MANY_EITHER('', text.translate(FOLD_LEET))} ") is not None

    def _is_joined(self, chunks: Sequence[bytes]) -> bool:
        coded = b" " + b" ".join(chunks).translate(None, _SIGNS) + b" "
        if coded.translate(_TO_LEET).islower():
            return self._is_plain(coded)
        pieces = [piece for piece in coded.split() if len(piece) >= self._least]
        return self._is_near(pieces) and self._has_match(coded.translate(_TO_LEET).decode())

    def _is_plain(self, letters: bytes) -> bool:
        return self._plain_words.search(letters) is not None or self._plain_inside.search(letters) is not None

    def _has_match(self, letters: str) -> bool:
        letters = f" {_MANY_EITHER('', letters)} "
        return self.words.search(letters) is not None or self.inside.search(letters) is not None


def _key(skeleton: str) -> str:
    return skeleton.replace("l", "i")


def _looked_for(entries: Iterable[Skeleton]) -> Iterator[tuple[str, bool]]:
    return ((entry.letters, entry.ends_open) for entry in entries)


def _leet_words(entries: Iterable[Skeleton]) -> re.Pattern[str]:
    return re.compile(f" [A-Z]{{0,{_MOST_LEADING}}}?({trie(_looked_for(entries), letters_or_leet, _LEET_END)})")
