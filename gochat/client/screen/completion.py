"""Words that Tab completes: commands, users, groups, emoji. Pure, but for a file of emoji names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gochat.client.screen.composer import Composer

#: Candidates that are kept for one word: more than anybody goes through.
MAX_CANDIDATES: Final = 50
#: Commands whose first word is a user.
_TO_USER: Final = frozenset(
    ("msg", "m", "query", "q", "whois", "who", "accept", "decline", "add", "remove")
) | frozenset(("block", "unblock", "kick", "ban", "unban", "mute", "unmute", "invite"))
#: Commands whose first word is an address of a room.
_TO_ROOM: Final = frozenset(("to", "join", "j", "win", "window"))


class Words(NamedTuple):
    """The words that can be completed. Those that are likelier to be meant come first."""

    commands: Iterable[str]
    users: Iterable[str]
    groups: Iterable[str]
    here: Iterable[str]
    """Users of the current room, the latest writer first."""
    named: Callable[[str], Iterable[str]] = lambda word: ()
    """Users whose names have a word that begins so."""


class Completion:
    """One word that is being completed: each Tab puts the next candidate in its place."""

    def __init__(self, composer: Composer, words: Words) -> None:
        text = composer.text[: composer.cursor]
        start = max(text.rfind(" "), text.rfind("\n")) + 1
        self._composer = composer
        self._start = start
        self._word = text[start:]
        self._behind_cursor = composer.text[composer.cursor :]
        self.candidates = _candidates(self._word, text[:start], words)
        self.index = -1

    def step(self, by: int) -> bool:
        """Show the next candidate, or the one before. False if there is none."""
        if not self.candidates:
            return False
        self.index = (self.index + by) % len(self.candidates)
        head = self._composer.text[: self._start] + self.candidates[self.index]
        self._composer.set(head + self._behind_cursor, len(head))
        return True


def _candidates(word: str, before: str, words: Words) -> list[str]:
    found: Iterable[str]
    command = before.split(" ", 1)[0]
    if not before and word.startswith("/"):
        found = [f"/{name} " for name in sorted(words.commands) if name.startswith(word[1:].lower())]
    elif word.startswith(":") and len(word) > 1:
        found = emoji_named(word[1:].rstrip(":"))
    elif word.startswith("user:"):
        found = [f"user:{user} " for user in words.users if user.startswith(word[5:])]
    elif word.startswith("group:"):
        found = [f"group:{group} " for group in words.groups if group.startswith(word[6:])]
    elif command.startswith("/") and command[1:] in _TO_ROOM and " " not in before.rstrip(" "):
        rooms = [f"group:{group}" for group in words.groups] + [f"user:{user}" for user in words.users]
        found = [f"{room} " for room in rooms if room.startswith(word) or room.partition(":")[2].startswith(word)]
    elif command.startswith("/") and command[1:] in _TO_USER:
        found = [f"{user} " for user in _users(word, words.users, words)]
    elif word.startswith("@"):
        found = [f"@{user} " for user in _users(word[1:], (*words.here, *words.users), words)]
    elif word:
        end = " " if before else ": "
        found = [f"{user}{end}" for user in _users(word, (*words.here, *words.users), words)]
    else:
        found = ()
    return list(dict.fromkeys(found))[:MAX_CANDIDATES]


def _users(word: str, users: Iterable[str], words: Words) -> list[str]:
    """Users by the beginning of their ids, then by that of a word of their names."""
    return [*(user for user in users if user.startswith(word.lower())), *(words.named(word) if word else ())]


# ------------------------------------------------------------------------------------------ emoji

_PACKAGE, _FILE = "emoji", Path("unicode_codes", "emoji.json")
#: Fully qualified: single tones of skin and the like have another status.
_QUALIFIED: Final = 2


class _Known(msgspec.Struct):
    en: str
    status: int
    alias: list[str] = []


@cache
def _names() -> list[tuple[str, str]]:
    """Each name with its emoji, without the colons; none where the package is not installed."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return []
    try:
        known = msgspec.json.decode((Path(spec.origin).parent / _FILE).read_bytes(), type=dict[str, _Known])
    except (OSError, msgspec.DecodeError):
        return []  # One chats on, and types emoji without their names.
    found = [(emoji, each) for emoji, each in known.items() if each.status == _QUALIFIED]
    return [(name.strip(":"), emoji) for emoji, each in found for name in (each.en, *each.alias)]


def emoji_named(part: str) -> list[str]:
    """Emoji by their names: those that begin with `part`, the shortest name first; then those that hold it."""
    part = part.lower()
    begins = sorted((len(name), name, emoji) for name, emoji in _names() if name.startswith(part))
    holds = sorted((len(name), name, emoji) for name, emoji in _names() if part in name and not name.startswith(part))
    return list(dict.fromkeys(emoji for _, _, emoji in (*begins, *holds)))[:MAX_CANDIDATES]
