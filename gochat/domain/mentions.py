"""Mentions: `@ann` in a text names a user of the room. Pure.

The room's turn decides the mentions of a text from its roster, and they are recorded with the fact. A text that is
edited has those of its new body; a text that is deleted has none.
"""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import islice
from typing import Final

#: Users that one message can mention; further ones are text like any other.
MOST_MENTIONS: Final = 20
#: Names of a text that are looked up, so that a text full of `@` costs no more than one with so many.
_LOOKED_UP: Final = 200
# A name is taken to its end: `@bobby` is nobody's `@bob`. The text that an address of mail or of the web has before
# its `@` keeps it from being one: `ann@example.org`, `https://example.org/@ann`. The signs that end a sentence may
# stand behind the longest of names too.
_NAMED: Final = re.compile(
    r"(?<![A-Za-z0-9_.+/@-])@([A-Za-z0-9][A-Za-z0-9_.-]{0,63}+)(?![A-Za-z0-9]|[_.-]++[A-Za-z0-9])"
)


def mentioned(body: str, sender: str, users: Container[str]) -> list[str] | None:
    """The users whom the text mentions, in its order, each once, but for the sender; None where there are none."""
    if "@" not in body:
        return None
    found: dict[str, None] = {}
    for match in islice(_NAMED.finditer(body), _LOOKED_UP):
        user = _user(match[1].lower(), users)
        if user is not None and user != sender:
            found[user] = None
            if len(found) == MOST_MENTIONS:
                break
    return list(found) or None


def _user(name: str, users: Container[str]) -> str | None:
    """The user of that name. A sentence may end behind a name, and an id may end with the same signs: the longest name
    that is a user's counts."""
    while name not in users:
        if name[-1] not in "._-":
            return None
        name = name[:-1]
    return name
