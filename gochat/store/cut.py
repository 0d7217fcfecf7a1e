"""Cuts text into the words that are searched for.

Scripts that put spaces between words are cut at what is no letter or digit. Scripts that do not (Han, kana, Thai ...)
are cut into overlapping pairs and single characters, so that a word of two characters is found wherever it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

#: Scripts without spaces: Thai to Khmer, kana, bopomofo, Han with its extensions, Yi. The gaps are their signs, such as
#: \u0e3f (baht) and \u30fb (a dot between names): SQLite's tokenizer takes those for spaces.
_DENSE = (
    "\u0e00-\u0e3e\u0e40-\u0e4e\u0e50-\u0e59\u0e5c-\u0eff\u1000-\u1049\u1050-\u109d"
    "\u1780-\u17d3\u17d7\u17dc-\u17ff\u3040-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua48f\uf900-\ufaff\U00020000-\U0003ffff"
)
#: Marks that belong to the letter before them, and the scripts of India, which are full of them: no end of a word.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a"
    "\u07a6-\u07b0\u0900-\u0963\u0966-\u0dff"
)
_LETTER = f"[^\\W_{_DENSE}]"
_DENSE_LETTER = re.compile(f"[{_DENSE}]").match
_RUNS = re.compile(f"([{_DENSE}]+)|({_LETTER}(?:{_LETTER}|[{_MARKS}])*)")

#: Words of names are kept this long.
LONGEST = 64

_ASCII_WORDS = re.compile("[a-z0-9]+").findall


def folded(text: str) -> str:
    """The same for all widths and cases."""
    return unicodedata.normalize("NFKC", text).casefold()


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """The runs of one script's characters, and whether it is one without spaces."""
    for match in _RUNS.finditer(folded(text)):
        yield match[0], match[1] is not None


def is_dense(letter: str) -> bool:
    """Whether the letter is of a script without spaces."""
    return _DENSE_LETTER(letter) is not None


def index_text(text: str, mark: str = "") -> str:
    """What stands in the index for a body. Each word begins with `mark`, which is of letters and digits."""
    words: list[str] = []
    if text.isascii():
        # Most of what is indexed, and a tenth of the time: nothing to fold, no script without spaces.
        words = _ASCII_WORDS(text.lower())
    else:
        for run, dense in _runs(text):
            if dense:
                # Pairs side by side, so that a longer word is a phrase of them; then every character by itself.
                words += [run[i : i + 2] for i in range(len(run) - 1)] or [run]
                words += run if len(run) > 1 else ()
            else:
                words.append(run)
    return mark + f" {mark}".join(words) if words else ""


def match_text(query: str, mark: str) -> str | None:
    """The FTS5 expression that finds every word of `query`; None if there is none. Nothing of it is FTS5 syntax."""
    terms: list[str] = []
    for run, dense in _runs(query):
        if dense and len(run) > 1:
            pairs = " ".join(mark + run[i : i + 2] for i in range(len(run) - 1))
            terms.append(f'"{pairs}"')
        elif dense:
            terms.append(f'"{mark}{run}"')
        else:
            terms.append(f'"{mark}{run}" *')
    return " AND ".join(terms) or None


def query_words(query: str) -> Iterator[tuple[str, bool]]:
    """The words of the index that a text with every word of `query` has: each, and whether it is only the beginning of
    one. A text that has them may still have them in another order, where a script has no spaces."""
    for run, dense in _runs(query):
        if not dense:
            yield run, True
        else:
            yield from ((run[i : i + 2], False) for i in range(max(1, len(run) - 1)))


def text_words(text: str) -> list[str]:
    """The words of a text, in order. Runs of scripts without spaces stay whole."""
    return [run for run, _ in _runs(text)]


def name_words(user: str, name: str | None) -> set[str]:
    """The words under which a user is found: the id, and each word of the shown name, which without one is the id.
    Where a script has no spaces a word may begin anywhere."""
    words = {user}
    for run, dense in _runs(name or user):
        words.update(run[i : i + LONGEST] for i in range(len(run) if dense else 1))
    return words
