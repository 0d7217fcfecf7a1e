"""Settings to begin with, by how well the users know each other. A preset names only values that differ from the
defaults."""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Preset(NamedTuple):
    help: str
    values: dict[str, Any]
    """By path."""


PRESETS: Final[dict[str, Preset]] = {
    "team": Preset(
        "colleagues, or a family: everybody may write to everybody, link to anything, and type fast",
        {
            "policy.strangers": "allow",
            "policy.links": "allow",
            "policy.word_action": "off",
            "limits.messages_per_s": 5.0,
            "limits.message_burst": 20,
        },
    ),
    "community": Preset("people who do not all know each other: strangers ask first (the defaults)", {}),
    "open": Preset(
        "a public place: anybody may write to anybody, moderators see what the word list finds, links stay within",
        {
            "policy.strangers": "allow",
            "policy.group_adds": "contacts",
            "policy.word_action": "flag",
            "limits.message_burst": 3,
        },
    ),
}
