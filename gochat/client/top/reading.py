"""One look at a node: its overview, and the list of the view that is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from gochat.client.chat import Chat
from gochat.protocol import replies
from gochat.protocol.entries import MailboxEntry, SessionEntry

Entry = TypeVar("Entry")

#: Entries of a list that are read for the screen; `gochat admin` prints whole lists.
SHOWN: Final = 200
#: Entries of the short lists in the overview.
BRIEF: Final = 5


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one look. `entries` are those of the view that was asked for."""

    overview: replies.Overview
    slow: Sequence[SessionEntry]
    mailboxes: Sequence[MailboxEntry]
    entries: Sequence[Any] = ()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The list that is wanted beside the overview."""

    view: str
    prefix: str = ""
    """Of ids of users, or of words in the titles and ids of groups."""
    slow: bool = False
    """Of sessions only the slow ones."""


async def look(chat: Chat, wanted: Wanted) -> Look:
    """Ask the server, once for each list. Raises what the requests raise."""
    overview = await chat.overview()
    slow = await _first(chat.sessions(slow=True), BRIEF)
    mailboxes = await _first(chat.mailboxes(), SHOWN if wanted.view == "mailboxes" else BRIEF)
    return Look(overview=overview, slow=slow, mailboxes=mailboxes, entries=await _entries(chat, wanted))


async def _entries(chat: Chat, wanted: Wanted) -> Sequence[Any]:
    prefix = wanted.prefix.strip() or None
    match wanted.view:
        case "reports":
            return await _first(chat.reports(), SHOWN)
        case "users":
            return await _first(chat.accounts(prefix=prefix), SHOWN)
        case "rooms":
            return await _first(chat.rooms(q=prefix), SHOWN)
        case "sessions":
            return await _first(chat.sessions(slow=wanted.slow), SHOWN)
        case "suspended":
            return await _first(chat.suspensions(), SHOWN)
        case "audit":
            return await _first(chat.audit(), SHOWN)
    return ()


async def _first(entries: AsyncIterator[Entry], count: int) -> list[Entry]:
    found: list[Entry] = []
    async for entry in entries:
        found.append(entry)
        if len(found) == count:
            break
    return found
