"""The ways to read a text: each a string of letters, and where in the text each letter came from.

A reading has a space around every word and one space between two. Small letters are letters, capitals are digits and
signs that may stand for one (see lookalikes.LEET). A letter that is repeated more often than three times is there three
times, which bounds what a search can cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from gochat.domain.confusables import FOLD_LEET, with_drawn_capitals

#: A letter, a capital, " " for what separates or "\n" for white space; and its index in the text.
Unit: TypeAlias = tuple[str, int]

_MOST_REPEATS = 3
#: Fewer single letters in a row are not spelling.
_LEAST_SPELLED = 3
#: Words of one letter that may stand before or behind a word that is spelled out.
_SHORT_WORDS = "aiu"
_SINGLES = re.compile(r"(?<= )[^ ](?: +[^ ]){2,}(?= )")
#: A sign that ends a sentence is no letter, whatever it stands for elsewhere.
SENTENCE_ENDS = "!?.,…！？"  # noqa: RUF001
_END = re.compile(rf"(?<![{SENTENCE_ENDS}])[{SENTENCE_ENDS}]++(?!\S)")
_CHUNK = re.compile(r"[^\n]+")
_INNER = re.compile(r"[^ \n] +[^ \n]")


class Reading(NamedTuple):
    letters: str
    at: Sequence[int]
    """For each of `letters` its index in the text; -1 for spaces."""
    joined: bool = False
    """Whether separators between letters were left out."""


def units(text: str) -> list[Unit]:
    """The text, character by character; what is invisible is left out."""
    found: list[Unit] = []
    ends = {index for match in _END.finditer(text) for index in range(*match.span())}
    for index, char in enumerate(text):
        read = FOLD_LEET[ord(char)] if index not in ends else " "
        if read == " ":
            found.append(("\n" if char.isspace() else " ", index))
        else:
            found.extend((letter, index) for letter in read)
    return found


def readings(text: str) -> Iterator[Reading]:
    """All of them; those that would say the same as the first are left out."""
    yield from _readings(text)
    drawn = with_drawn_capitals(text)
    if drawn is not None:
        yield from _readings(drawn)


def _readings(text: str) -> Iterator[Reading]:
    found = units(text)
    plain = _reading((" " if "A" <= letter <= "Z" else letter, index) for letter, index in found)
    yield plain
    yield from _spelled(plain)
    if any("A" <= letter <= "Z" for letter, _ in found):
        leet = _reading(found)
        yield leet
        yield from _spelled(leet)
    together = _joined(found)
    if together is not None:
        yield together


def _joined(found: Sequence[Unit]) -> Reading | None:
    """The chunks between white space that have separators inside, without these."""
    symbols = "".join(symbol for symbol, _ in found)
    kept: list[Unit] = []
    for match in _CHUNK.finditer(symbols):
        if _INNER.search(match.group()):
            kept += (unit for unit in found[match.start() : match.end()] if unit[0] != " ")
            kept.append(("\n", -1))
    return _reading(kept)._replace(joined=True) if kept else None


def _spelled(reading: Reading) -> Iterator[Reading]:
    """Single letters in a row, as one word; also without a short word before or behind it."""
    for match in _SINGLES.finditer(reading.letters):
        row = [(reading.letters[place], reading.at[place]) for place in range(*match.span(), 2)]
        for first, last in _trims("".join(letter for letter, _ in row)):
            yield _reading(row[first:last])


def spelled_rows(letters: str) -> Iterator[str]:
    """The words that single letters in a row of a reading spell."""
    for match in _SINGLES.finditer(f" {letters} "):
        row = match.group().replace(" ", "")
        yield from (row[first:last] for first, last in _trims(row))


def _trims(row: str) -> Iterator[tuple[int, int]]:
    if not row.islower() and sum(not "A" <= letter <= "Z" for letter in row) < _LEAST_SPELLED:
        return
    for first in (0, 1) if row[0] in _SHORT_WORDS else (0,):
        for last in (0, 1) if row[-1] in _SHORT_WORDS else (0,):
            yield first, len(row) - last


def _reading(found: Iterable[Unit]) -> Reading:
    letters, at = [" "], [-1]
    for symbol, index in found:
        if symbol in " \n":
            if letters[-1] != " ":
                letters.append(" ")
                at.append(-1)
        elif letters[-_MOST_REPEATS:] == [symbol] * _MOST_REPEATS:
            at[-1] = index
        else:
            letters.append(symbol)
            at.append(index)
    if letters[-1] != " ":
        letters.append(" ")
        at.append(-1)
    return Reading("".join(letters), at)
