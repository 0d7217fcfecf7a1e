"""`--rules`: the server's settings for words and links, and bodies that exercise them.

With `full` two servers take turns: one that checks every word and link, and one that checks nothing; both get the same
bodies, all of which are allowed, so the ratio is what the rules cost those who break none.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_SITE = "chat.example"
_SENTENCES = 1009  # A prime: with any number of rooms every sentence comes to every room.
_OTHERS = (
    "Вчера мы ходили в кино и смотрели новый фильм про космос",
    "今天天气很好我们一起去公园散步吧然后去吃午饭",
    "كيف حالك اليوم الطقس جميل ونحن ذاهبون إلى الحديقة",
    "कल हम सब मिलकर बाज़ार जाएँगे और फल खरीदेंगे",
)
_PLAIN = re.findall(
    r"\w+",
    """we meet at the station around noon and the others come by train the quick brown fox jumps over a lazy dog
    rain begins to fall before supper please bring some bread from town when it is done tell me how that went""",
)

OFF: Mapping[str, str] = {"GOCHAT_POLICY__WORD_ACTION": "off", "GOCHAT_POLICY__LINKS": "allow"}


@cache
def words() -> tuple[str, ...]:
    """The list: 1,000 words; those that end in `*` stand for all that begin so."""
    from bench.rules import word_list  # It loads the server's own rules, which nothing else here needs.

    return tuple(word_list())


def full(folder: Path) -> dict[str, str]:
    """Settings for a server that checks everything; the list is written into `folder`."""
    path = folder / "words.txt"
    path.write_text("\n".join(words()) + "\n")
    return {
        "GOCHAT_POLICY__WORDS_FILE": str(path),
        "GOCHAT_POLICY__WORD_ACTION": "refuse",
        "GOCHAT_POLICY__LINKS": "deny",
        "GOCHAT_POLICY__OWN_DOMAINS": _SITE,
    }


def sentences(size: int) -> list[str]:
    """Of about `size` characters, the same each time. One in ten has a link, a listed word's neighbour, or another
    script."""
    rng = random.Random(11)
    exact = [word for word in words() if "*" not in word]
    taken = set(exact)
    begins = tuple(word.rstrip("*") for word in words() if "*" in word)
    found = []
    for number in range(_SENTENCES):
        said: list[str] = []
        while len(" ".join(said)) < size:
            said.append(rng.choice(_PLAIN))
        if number % 10 == 0:
            special = (_link, _neighbour, _other)[number // 10 % 3](rng, exact)
            said.insert(rng.randrange(2), special)
        text = " ".join(said)[:size].rstrip()
        assert not any(word in taken or word.startswith(begins) for word in text.split())
        found.append(text)
    return found


def _link(rng: random.Random, exact: list[str]) -> str:
    return f"https://{rng.choice(('www', 'docs', 'wiki'))}.{_SITE}/{rng.choice(_PLAIN)}?n={rng.randrange(100)}"


def _neighbour(rng: random.Random, exact: list[str]) -> str:
    """A word that holds a listed one, and is not listed."""
    return f"un{rng.choice(exact)}ment"


def _other(rng: random.Random, exact: list[str]) -> str:
    return rng.choice(_OTHERS)


class Sentences:
    """Bodies for the load (see bench.load.frames.Bodies): each begins with its message's number."""

    __slots__ = ("_escaped", "_texts")

    def __init__(self, size: int) -> None:
        if size < 16:
            raise ValueError("a body needs at least 16 characters: 8 are its number")
        self._texts = sentences(size - 9)
        self._escaped = [json.dumps(text, ensure_ascii=False)[1:-1] for text in self._texts]

    def __getitem__(self, number: int) -> str:
        return f"{number:08d} {self._texts[number % _SENTENCES]}"

    def json(self, number: int) -> str:
        """As it stands between the quotes of a JSON string."""
        return f"{number:08d} {self._escaped[number % _SENTENCES]}"
