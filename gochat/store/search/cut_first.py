"""How texts were cut by the first folding: case and width alone. Only for what an index made by it still holds, until
that is made anew (reindex.py); nothing here may change.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from gochat.store.search.tokenizer import Cutter, Run

#: Scripts without spaces; the gaps are their signs.
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
_RUNS = re.compile(f"([{_DENSE}]+)|({_LETTER}(?:{_LETTER}|[{_MARKS}])*)")
_ASCII_WORDS = re.compile("[a-z0-9]+").findall


def _runs(text: str) -> Iterator[Run]:
    for match in _RUNS.finditer(unicodedata.normalize("NFKC", text).casefold()):
        yield Run(match[0], match[1] is not None)


def _ascii_words(text: str) -> list[str]:
    found: list[str] = _ASCII_WORDS(text.lower())
    return found


def plain(word: str) -> str:
    """The word as that index has it: its tokenizer took letters' marks off."""
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


CUTTER: Final = Cutter(_runs, _ascii_words)
