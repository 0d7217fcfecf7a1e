"""Events as lines for people. Whatever came from others is inert: no control character of it reaches a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from gochat.client.events import Event, Offline, Online
from gochat.client.positions import Reset
from gochat.client.wire import Fact, Unknown
from gochat.domain import facts, ids
from gochat.protocol import replies

#: Without these two emoji fall apart and Persian is misspelt; neither moves a cursor or turns text around.
_JOINERS: Final = frozenset("\u200c\u200d")
#: Further lines of a body are marked, so that none can pass for a line of another message.
_NEXT_LINE: Final = "\n      | "


def inert(text: str) -> str:
    """`text` on one line, with everything that is not printable as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode() for char in text
    )


def body(text: str) -> str:
    """A message's text; it may have several lines."""
    return _NEXT_LINE.join(inert(line.replace("\t", "    ")) for line in text.split("\n"))


def clock(ts_ms: int) -> str:
    """Local time; with the date if it is not today."""
    try:
        at = datetime.fromtimestamp(ts_ms / 1000, tz=UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return "--:--"
    today = datetime.now(tz=UTC).astimezone().date()
    return f"{at:%H:%M}" if at.date() == today else f"{at:%Y-%m-%d %H:%M}"


def address(room: str, me: str) -> str:
    """A room as its user writes it: `user:bob` for a private one."""
    if ids.is_dm(room) and ids.is_room(room):
        return f"user:{ids.peer(room, me)}"
    return inert(room)


def notice(event: Event, me: str) -> str | None:
    """What an event that is no fact says, or None where there is nothing to show."""
    match event:
        case Offline():
            return f"* connection lost: {inert(event.reason)}; next attempt in {event.retry_s:.1f} s"
        case Online():
            return "* connected again"
        case Reset():
            return f"* {address(event.room, me)}: the server went back to an earlier state; see /history"
        case replies.Presence():
            return "\n".join(presence_line(entry) for entry in event.users)
        case replies.Error():
            return f"* {inert(event.message)} ({inert(event.code)})"
    return None


def fact_line(fact: Fact, me: str) -> str:
    """One fact: time, room, seq, and who did what."""
    return f"{clock(fact.ts)} {address(fact.room, me)} #{fact.seq} {_what(fact)}"


def presence_line(entry: replies.PresenceEntry) -> str:
    if entry.online:
        return f"* {inert(entry.user)} is online"
    seen = f", last seen {clock(entry.last_seen)}" if entry.last_seen else ""
    return f"* {inert(entry.user)} is offline{seen}"


def contact_line(entry: replies.ContactEntry) -> str:
    named = "" if entry.name == entry.user else f" ({inert(entry.name)})"
    state = "online" if entry.online else "offline"
    return f"  user:{inert(entry.user)}{named}, {state}{_unread(entry.unread)}{_last(entry.last)}"


def room_line(entry: replies.RoomEntry) -> str:
    titled = f" ({inert(entry.title)})" if entry.title else ""
    return f"  {inert(entry.room)}{titled}, {entry.role}{_unread(entry.unread)}{_last(entry.last)}"


def _unread(count: int) -> str:
    return f", {count} unread" if count else ""


def _last(last: replies.Last | None) -> str:
    return f": {clock(last.ts)} {inert(last.sender)}: {inert(last.body)}" if last else ""


def _what(fact: Fact) -> str:
    who = inert(fact.sender)
    match fact:
        case facts.Message():
            return _message(fact, who)
        case facts.Edit():
            return f"{who} edited #{fact.target}" + (f": {body(fact.body)}" if fact.body is not None else "")
        case facts.Delete():
            return f"{who} deleted #{fact.target}"
        case facts.Reaction():
            emoji = inert(fact.emoji)
            return f"{who} reacted {emoji} to #{fact.target}" if fact.on else f"{who} took {emoji} from #{fact.target}"
        case facts.Member():
            return _member(fact, who)
        case facts.Group():
            parts = (("title", fact.title), ("history", fact.history), ("post", fact.post))
            return f"{who} set " + ", ".join(f'{name} "{inert(value)}"' for name, value in parts if value is not None)
        case facts.Closed():
            return f"{who} deleted the group"
        case Unknown():
            return f"{who}: {inert(fact.type)} (this client is too old to show it)"


def _message(fact: facts.Message, who: str) -> str:
    if fact.body is None:
        return f"{who}: (deleted)"
    to = f" (to #{fact.reply_to})" if fact.reply_to else ""
    edited = " (edited)" if fact.edited else ""
    reactions = "".join(f" [{inert(emoji)} {count}]" for emoji, count in (fact.reactions or {}).items())
    return f"{who}{to}: {body(fact.body)}{edited}{reactions}"


def _member(fact: facts.Member, who: str) -> str:
    users = ", ".join(map(inert, fact.users))
    if fact.seq == 1:
        return f'{who} created the group "{inert(fact.title)}"' if fact.title else f"{who} created the group"
    match fact.change:
        case "added":
            return f"{who} added {users}"
        case "removed":
            return f"{who} removed {users}"
        case "left":
            return f"{users} left"
        case "role":
            return f"{who} made {users} {fact.role}"
