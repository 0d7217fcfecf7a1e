"""Regular expressions for many words at once: a trie, so that what words have in common is gone through once.

Each letter may be repeated. A *run* is one letter as often as the word has it in a row; each run becomes one branch of
the trie. Where the next run can't begin with the same letter, repeats are taken possessively, which spares the engine
the way back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

_RUN = re.compile(r"(.)\1*", re.DOTALL)
NOTHING = "(?!)"
#: English letters, the frequent ones first: a branch that is tried early is found early.
_FREQUENT = "etaoinshrdlcumwfgypbvkjxqz"

RunPattern: TypeAlias = Callable[[str, bool], str]
#: The branches that a pattern may go on with; an end has nothing behind it.
_Node: TypeAlias = "dict[str, _Node]"


def runs(letters: str) -> list[str]:
    return [match.group() for match in _RUN.finditer(letters)]


def runs_as_one(letters: str) -> str:
    return _RUN.sub(r"\1", letters)


def letters(run: str, repeated: bool = True) -> str:
    return re.escape(run) + (f"{re.escape(run[0])}*+" if repeated else "")


def letters_or_leet(run: str, repeated: bool = True) -> str:
    """Small letters are letters; the capital is a digit or sign that may stand for it, `I` for i and for l."""
    letter = run[0]
    if not "a" <= letter <= "z":
        return letters(run, repeated)
    either = {"i": "[iI]", "l": "[lLI]"}.get(letter, f"[{letter}{letter.upper()}]")
    return either * len(run) + (f"{either}{'*' if letter in 'il' else '*+'}" if repeated else "")


def trie(words: Iterable[tuple[str, bool]], run_pattern: RunPattern, boundary: str, *, inside: bool = False) -> str:
    """One pattern for all words, each with whether letters may follow it; the longest is tried first.

    Inside words the first letter is not repeated: a long run of it would be gone through from each of its letters.
    """
    root: _Node = {}
    for word, ends_open in words:
        node = root
        for number, run in enumerate(runs(word)):
            node = node.setdefault(run_pattern(run, bool(number) or not inside), {})
        node["" if ends_open else boundary] = {}
    return _pattern(root) if root else NOTHING


def _pattern(node: _Node) -> str:
    """Frequent letters come first, of one letter the branch with more of it, and the end of an entry last."""
    in_order = sorted(node, key=lambda branch: (not node[branch], _rank(branch), -len(branch), branch))
    branches = [branch + (_pattern(node[branch]) if node[branch] else "") for branch in in_order]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _rank(branch: str) -> int:
    letter = branch[:2].strip("[\\")[:1]
    return _FREQUENT.find(letter) if letter in _FREQUENT else len(_FREQUENT)
