"""Cuts text into the words that are searched for.

Scripts that put spaces between words are cut where folding cuts (domain/folding.py). In scripts that do not (Han, kana,
Thai ...), and in Korean, which joins what others put a space between, any part of a word is found: they are cut into
overlapping pairs and single characters.

A `Cutter` is one folding's way to do it. While an index is made anew there are two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from gochat.domain import folding

#: Scripts without spaces: Thai to Khmer, kana, bopomofo, Han with its extensions, Yi; Korean, its letters included; and
#: the letters that make flags, two for each flag. Folding leaves no signs among them.
DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u312f\u3130-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua48f\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001f1e6-\U0001f1ff\U00020000-\U0003ffff"
)
_DENSE_LETTER = re.compile(f"[{DENSE}]").match
_RUNS = re.compile(f"([{DENSE}]+)|[^{DENSE}]+").finditer

#: Words of names are kept this long.
LONGEST = 64
#: So many words of a query are looked for in an index, the longest. Texts that the index finds are read for the others.
MOST_WORDS = 8


class Run(NamedTuple):
    """A word, or letters that stand together of a script without spaces."""

    text: str
    dense: bool

    def implies(self, other: Run) -> bool:
        """Whether a text that has this one has the other too."""
        if self.dense != other.dense:
            return False
        return other.text in self.text if self.dense else self.text.startswith(other.text)


def is_dense(letter: str) -> bool:
    """Whether the letter is of a script without spaces."""
    return _DENSE_LETTER(letter) is not None


def runs(text: str) -> Iterator[Run]:
    """The runs that the present folding makes of a text, in order."""
    for word in folding.words(text):
        if word.isascii():
            yield Run(word, False)
        else:
            yield from (Run(match[0], match[1] is not None) for match in _RUNS(word))


class Cutter:
    """Cuts texts and queries in the same way."""

    def __init__(self, tokenizer: Callable[[str], Iterator[Run]], ascii_words: Callable[[str], list[str]]) -> None:
        """`ascii_words` does for ASCII what `tokenizer` does, quickly."""
        self._tokenize = tokenizer
        self._ascii_words = ascii_words

    def index_words(self, text: str) -> list[str]:
        """The words that stand in the index for a text."""
        if text.isascii():
            return self._ascii_words(text)
        words: list[str] = []
        for run, dense in self._tokenize(text):
            if dense:
                # Pairs side by side, so that a longer word is a phrase of them; then every character by itself.
                words += [run[i : i + 2] for i in range(len(run) - 1)] or [run]
                words += run if len(run) > 1 else ()
            else:
                words.append(run)
        return words

    def asked(self, query: str) -> list[Run]:
        """The words that a text must have, the longest first: a word that is said twice counts once, and a word that
        follows from others not at all."""
        found = sorted(dict.fromkeys(self._tokenize(query)), key=lambda run: -len(run.text))
        needed: list[Run] = []
        for run in found:
            if not any(other.implies(run) for other in needed):
                needed.append(run)
        return needed

    def has(self, text: str, asked: list[Run]) -> bool:
        """Whether the text has all of these."""
        own = set(self._tokenize(text))
        return all(any(run.implies(one) for run in own) for one in asked)

    def text_words(self, text: str) -> list[str]:
        """The words of a text, in order. Runs of scripts without spaces stay whole."""
        return [run.text for run in self._tokenize(text)]

    def name_words(self, user: str, name: str | None) -> set[str]:
        """The words under which a user is found: the id, and each word of the shown name, which without one is the id.
        Where a script has no spaces a word may begin anywhere."""
        words = {user}
        for run, dense in self._tokenize(name or user):
            words.update(run[i : i + LONGEST] for i in range(len(run) if dense else 1))
        return words


CUTTER: Final = Cutter(runs, folding.words)


def index_text(words: list[str], mark: str = "") -> str:
    """Words as the text that FTS5 is given. Each begins with `mark`, which is of letters and digits."""
    return mark + f" {mark}".join(words) if words else ""


def match_text(asked: list[Run], mark: str) -> str:
    """The FTS5 expression that finds all of these. Nothing of it is FTS5 syntax."""
    terms: list[str] = []
    for run, dense in asked:
        if dense and len(run) > 1:
            pairs = " ".join(mark + run[i : i + 2] for i in range(len(run) - 1))
            terms.append(f'"{pairs}"')
        elif dense:
            terms.append(f'"{mark}{run}"')
        else:
            terms.append(f'"{mark}{run}" *')
    return " AND ".join(terms)


def asked_words(asked: list[Run]) -> dict[str, bool]:
    """The words of the index that a text with all of these has, and whether each is only the beginning of one. A text
    that has them may still have them in another order, where a script has no spaces."""
    words: dict[str, bool] = {}
    for run, dense in asked:
        if not dense:
            words[run] = True
        else:
            words.update((run[i : i + 2], False) for i in range(max(1, len(run) - 1)))
    return words


def typed_id(text: str) -> str:
    """The typed text, read as the beginning of a user id: ids have dots and hyphens."""
    return unicodedata.normalize("NFKC", text).casefold().strip()
