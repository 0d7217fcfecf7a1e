"""Names: users, groups, rooms, addresses, messages. One canonical form each; parsing is the check."""

from __future__ import annotations

import re
from functools import lru_cache

#: A user id and a group name have the same form. Lower-case ASCII only: no two names look alike.
NAME_PATTERN = r"[a-z0-9][a-z0-9_.-]{0,63}"
_is_name = re.compile(NAME_PATTERN).fullmatch
_room = re.compile(f"group:({NAME_PATTERN})|dm:({NAME_PATTERN}):({NAME_PATTERN})").fullmatch

#: Answers about names that are kept: who writes to whom now will do so again in a moment. Some 10 MB when full.
KEPT = 50_000

#: Largest seq that fits beside a room's number in one 64-bit row id (see store/schema.py).
MAX_SEQ = 2**34 - 1


def is_name(text: str) -> bool:
    """Whether `text` is a well-formed user id or group name."""
    return _is_name(text) is not None


def dm(one: str, other: str) -> str:
    """The room of two users; of one user with themself it is the room for notes to self."""
    return f"dm:{one}:{other}" if one <= other else f"dm:{other}:{one}"


def group(name: str) -> str:
    return f"group:{name}"


def is_dm(room: str) -> bool:
    return room.startswith("dm:")


@lru_cache(KEPT)
def dm_users(room: str) -> tuple[str, str]:
    """The two users of a DM's room id, in byte order. The id must be valid."""
    _, one, other = room.split(":")
    return one, other


def peer(room: str, user: str) -> str:
    """The other user of a DM; in one's own room oneself."""
    one, other = dm_users(room)
    return other if user == one else one


def is_room(room: str) -> bool:
    """Whether `room` is a canonical room id. A DM with its users in the wrong order is not."""
    match = _room(room)
    return match is not None and (match[1] is not None or match[2] <= match[3])


@lru_cache(KEPT)
def resolve(to: str, sender: str) -> str | None:
    """The room that an address (`user:bob`, `group:tea`) or a room id means to `sender`; None if neither."""
    if to.startswith("user:"):
        user = to[5:]
        return dm(sender, user) if is_name(user) else None
    return to if is_room(to) else None


def message_id(room: str, seq: int) -> str:
    return f"{room}:{seq}"


def parse_message_id(text: str) -> tuple[str, int] | None:
    """The room and seq of a message id, or None."""
    room, _, seq = text.rpartition(":")
    if not is_room(room) or not seq.isdecimal() or not seq.isascii() or len(seq) > 11:
        return None
    number = int(seq)
    return (room, number) if 1 <= number <= MAX_SEQ and seq[0] != "0" else None
