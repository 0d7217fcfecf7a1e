"""Rules that tests about something else live under: everybody may write to everybody, and say anything."""

from __future__ import annotations

from gochat.domain.moderation import Rules
from gochat.domain.relationship import ContactPolicy
from gochat.domain.turn import RoomRules

OPEN = RoomRules(contacts=ContactPolicy(strangers="allow"))


class NoRules:
    """No word is listed, and every link allowed."""

    current = Rules()
