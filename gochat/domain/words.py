"""Listed words, found in whatever disguise: pure, deterministic, and cheap where there is nothing to find.

A list has one entry a line:

    word        the word alone: not `sword`, not `wordy`
    word*       also at the beginning of a word; *word at its end; *word* anywhere in it
    two words   with anything but letters between them
    !word       never a hit, exactly as written (NFKC, case folded): `!Bonner` beside `boner`
    # ...       a comment; blank lines are skipped

A text is read by words; with what stands inside a chunk between two spaces left out (`f.u.c.k`, `fu*ck`); and with
single letters that stand alone put together (`f u c k`). Each letter may be repeated. Digits and signs may stand for
letters while digits are not the majority: a Galaxy A55 is a telephone. `.`, `,`, `-`, `'`, `/` and the like may be
honest punctuation: a chunk joined over them counts only if one of its pieces is a single letter, so that `pen.is` is a
sentence without its space. A word cut by spaces into longer pieces is not found: `let's hit the road`. A word wholly
of another script that looks Latin is read as Latin only if no letter of the text is plainly of that script.

A boundary is where letters end; accents and what is invisible belong to the letter before. Scripts that write no
spaces have no boundary: an entry in Han, kana, Thai, Lao, Khmer, Burmese or Tibetan is found anywhere. A hit in the
midst of a word is the whole word, except in those scripts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from gochat.domain.confusables import FOLD, LEET, is_drawn_as_latin, script
from gochat.domain.patterns import letters_or_leet, runs, runs_as_one
from gochat.domain.prefilter import HONEST, Prefilter, Skeleton
from gochat.domain.readings import Reading, readings, units

_SPACELESS = frozenset(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"))
#: Shorter ones would be found in every other text.
_LEAST_INSIDE = 3


class Hit(NamedTuple):
    """Characters `start` to `end` of the text (code points, end exclusive) are the listed `entry`."""

    entry: str
    start: int
    end: int


class _Entry(NamedTuple):
    text: str
    """As listed, NFKC, case folded, without the stars."""
    skeleton: str
    opens: bool
    """Letters may precede it."""
    ends_open: bool
    """Letters may follow it."""
    spaceless: bool
    scripts: frozenset[str]


class Words:
    """A list; never changed afterwards.

    It is compiled by `compile`, or before the first text is read: 1,000 entries take about 0.3 s.
    """

    __slots__ = ("_by_key", "_exceptions", "_has_digits", "_skeletons", "compiled")

    def __init__(self, lines: Iterable[str] = ()) -> None:
        """Raises ValueError, which names the line's number, for an entry that can't be looked for."""
        entries, self._exceptions = _parsed(lines)
        self._by_key: dict[str, list[_Entry]] = {}
        for entry in entries:
            self._by_key.setdefault(_key(entry.skeleton), []).append(entry)
        self._has_digits = any(LEET[ord(char)] for entry in entries for char in entry.text)
        self._skeletons = [Skeleton(entry.skeleton, entry.opens, entry.ends_open, entry.spaceless) for entry in entries]
        self.compiled: Prefilter | None = None
        """The result of `compile`, once it was called."""

    def compile(self) -> Prefilter:
        """Do now what the first text would wait for. Any thread may; the result is kept."""
        prefilter = Prefilter(self._skeletons, self._exceptions, has_digits=self._has_digits)
        self.compiled = self.compiled or prefilter
        return self.compiled

    def find(self, text: str) -> list[Hit]:
        """Every listed word, in order, none inside another. Any string will do, lone surrogates too."""
        if not self._skeletons:
            return []
        prefilter = self.compiled or self.compile()
        if not prefilter.suspects(text):
            return []
        found = {hit for reading in readings(text) for hit in self._hits(text, reading)}
        outer: list[Hit] = []
        for hit in sorted(found, key=lambda hit: (hit.start, -hit.end, hit.entry)):
            if not outer or hit.end > outer[-1].end:
                outer.append(hit)
        return outer

    def _hits(self, text: str, reading: Reading) -> Iterator[Hit]:
        prefilter = self.compiled or self.compile()
        for pattern in (prefilter.words, prefilter.inside):
            first = last = done = 0  # The word at hand is judged once, however often an entry is found in it.
            honest = False
            for match in pattern.finditer(reading.letters):
                start, end = match.span(1)
                if end > last:
                    first, last = reading.letters.rindex(" ", 0, start) + 1, reading.letters.index(" ", end)
                    honest = self._is_honest(text[reading.at[first] : reading.at[last - 1] + 1], reading)
                if start < done:
                    continue
                for entry in self._by_key.get(_key(match[1]), ()):
                    if (entry.spaceless or not honest) and _is_entry(text, reading, entry, start, end):
                        begin = first if entry.opens and not entry.spaceless else start
                        done = last if entry.ends_open and not entry.spaceless else end
                        yield Hit(entry.text, reading.at[begin], _with_marks(text, reading.at[done - 1] + 1))
                        break

    def _is_honest(self, word: str, reading: Reading) -> bool:
        if self._exceptions and _plain(word).strip() in self._exceptions:
            return True
        return reading.joined and not _is_disguised(word)


def mask(text: str, durations: Iterable[tuple[int, int]]) -> str:
    """The text with `*` for each character of the spans; white space stays, and so does the length in code points."""
    chars = list(text)
    for start, end in durations:
        chars[start:end] = [char if char.isspace() else "*" for char in chars[start:end]]
    return "".join(chars)


def _is_entry(text: str, reading: Reading, entry: _Entry, start: int, end: int) -> bool:
    """Whether what matches is meant to be read as the entry."""
    pattern = "".join(letters_or_leet(run) for run in runs(entry.skeleton))
    if re.fullmatch(pattern, reading.letters[start:end]) is None:
        return False
    if reading.joined and entry.spaceless and _signs(text[reading.at[start] : reading.at[end - 1] + 1]) <= HONEST:
        return False
    chars = [text[index] for index in dict.fromkeys(reading.at[start:end]) if index >= 0]
    if all(char.isdigit() for char in chars) and reading.letters[start - 1] + reading.letters[end] != "  ":
        return False
    return _plain("".join(chars)) == entry.text or (_reads_as_word(chars) and _is_of_script(chars, entry, text))


def _with_marks(text: str, end: int) -> int:
    """The end moved behind the accents and invisible characters that belong to the last letter."""
    while end < len(text) and not FOLD[ord(text[end])]:
        end += 1
    return end


def _is_sign(char: str) -> bool:
    return FOLD[ord(char)] == " " and not LEET[ord(char)]


def _signs(text: str) -> set[str]:
    return {char for char in text if _is_sign(char)}


def _is_disguised(chunk: str) -> bool:
    """Whether the signs between its letters are there to hide something."""
    signs = _signs(chunk)
    if not signs or not signs <= HONEST:
        return bool(signs)
    visible = "".join(" " if _is_sign(char) else char for char in chunk if FOLD[ord(char)])
    return any(len(piece) == 1 for piece in visible.split())


def _reads_as_word(chars: Sequence[str]) -> bool:
    """Numbers are not words: digits must not be the majority."""
    return 2 * sum(char.isdigit() for char in chars) <= len(chars)


def _is_of_script(chars: Sequence[str], entry: _Entry, text: str) -> bool:
    """Whether these letters were written to be read in the entry's script."""
    letters = [char for char in chars if FOLD[ord(char)].strip()]
    scripts = {script(char) for char in letters}
    if not scripts or not entry.scripts or scripts & entry.scripts:
        return True
    if entry.scripts != {"LATIN"} or not all(map(is_drawn_as_latin, letters)):
        return False
    return not scripts & _plain_scripts(text)


@lru_cache(maxsize=1)
def _plain_scripts(text: str) -> frozenset[str]:
    """The scripts of letters that nobody takes for Latin ones."""
    return frozenset(script(char) for char in set(text) if FOLD[ord(char)].strip() and not is_drawn_as_latin(char))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _parsed(lines: Iterable[str]) -> tuple[list[_Entry], frozenset[str]]:
    entries, exceptions = {}, set()
    for number, line in enumerate(lines, 1):
        written = _plain(line).strip()
        if not written or written.startswith("#"):
            continue
        if written.startswith("!"):
            exceptions.add(written[1:].strip())
            continue
        entry = _entry(written, number)
        entries[entry.text, entry.opens, entry.ends_open] = entry
    return list(entries.values()), frozenset(exceptions)


def _entry(written: str, number: int) -> _Entry:
    text = written.strip("*").strip()
    skeleton = " ".join("".join(symbol if symbol != "\n" else " " for symbol, _ in units(text)).lower().split())
    opens, ends_open = written.startswith("*"), written.endswith("*")
    scripts = frozenset(script(char) for char in text if FOLD[ord(char)].strip())
    spaceless = bool(scripts & _SPACELESS)
    least = 1 if spaceless else _LEAST_INSIDE if opens or ends_open else 2
    if len(skeleton) < least:
        raise ValueError(f"line {number}: an entry needs {least} letters" + (" to be found in words" if opens else ""))
    return _Entry(text, skeleton, opens or spaceless, ends_open or spaceless, spaceless, scripts)


def _key(letters: str) -> str:
    """A key that two strings share if one may be read as the other: runs as one, i and l (both may be `1`) alike."""
    return runs_as_one(letters.lower().replace("l", "i"))
