"""Events as lines for people. Text from others is inert: no control character of it reaches a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from unicodedata import category

from gochat.client.errors import ClientError, Lost, Refused
from gochat.client.events import Event, Listed, Offline, Online
from gochat.client.positions import Reset
from gochat.client.unsent import Draft
from gochat.client.wire import Fact, Unknown
from gochat.domain import durations, facts, ids
from gochat.domain.display_text import clean_body
from gochat.domain.plurals import counted
from gochat.protocol import replies
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    ContactEntry,
    ContactState,
    Device,
    Last,
    NotificationEntry,
    PresenceEntry,
    ReportEntry,
    RequestEntry,
    RoomEntry,
    RoomOverview,
    SessionEntry,
    Suspension,
)

#: Without these two emoji fall apart and Persian is misspelt; neither moves a cursor or turns text around.
_JOINERS: Final = frozenset("\u200c\u200d")
#: Further lines of a body are marked, so that none can pass for a line of another message.
_NEXT_LINE: Final = "\n      | "
#: By state: one user's relation to another.
_STATES: Final = {
    "none": "{} is no contact",
    "request": "{} waits for your answer",
    "contact": "{} is a contact now: you can write to each other",
    "blocked": "{} is blocked: neither of you can write to the other",
    "declined": "{} is declined, and can't ask again for a while",
}
#: By rule: why something is refused, for people. A refusal without a line here is shown in the server's words.
_REFUSALS: Final = {
    "contact.blocked": "one of you has blocked the other",
    "request.waits": "your messages wait for an answer; until it comes you can't send more",
    "request.declined": "your request was declined",
    "request.none": "they have not accepted you: only a new message can ask them",
    "request.budget": "you have asked as many strangers as you may in a day",
    "strangers.deny": "here only contacts can write to each other; they would have to /add you first",
    "words.listed": "it contains a word that is not allowed here",
    "links.foreign": "links to other sites are not allowed here",
    "links.contacts": "only contacts may send each other links to other sites",
    "group.muted": "you are muted in this group",
    "group.banned": "that user is banned from this group; a moderator can /unban them",
    "group.add_budget": "you have added as many users to groups as you may in a day who do not have you as a contact",
    "group.sanctions": "the group has as many mutes and bans as it may",
    "group.left": "one of them has left the group: only somebody whom they have as a contact may add them again",
    "group.adds": "you can't add one of them: they have blocked you, or let only their contacts add them",
    "group.post": "not everybody may write in this group",
}
#: Told where the server's `welcome` says so.
INCOMPLETE: Final = "this node is cut off from the others, or behind them: something may be missing here"


def inert(text: str) -> str:
    """`text` on one line, with everything that is not printable as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode() for char in text
    )


def shown(text: str) -> str:
    """`text`, perhaps of several lines, for a screen of columns: `inert`, and without characters that turn text around,
    take no place, or pile up."""
    kept = "".join(char for char in clean_body(text) if char in _JOINERS or category(char) != "Cf")
    return "\n".join(inert(line.replace("\t", "    ")) for line in kept.split("\n"))


def body(text: str) -> str:
    """A message's text; it may have several lines."""
    return _NEXT_LINE.join(inert(line.replace("\t", "    ")) for line in text.split("\n"))


def in_names(text: str, mentions: Sequence[str] | None, named: Callable[[str], str]) -> str:
    """`text` with the names of the users whom it mentions, as the message tells them. `named`: see fact_text."""
    if not mentions:
        return text
    one = "|".join(re.escape(user) for user in sorted(mentions, key=len, reverse=True))
    # As `domain.mentions` finds them: a name is taken to its end.
    pattern = rf"(?<![A-Za-z0-9_.+/@-])@({one})(?![A-Za-z0-9]|[_.-]++[A-Za-z0-9])"
    return re.sub(pattern, lambda found: _mention(found, named), text, flags=re.IGNORECASE)


def _mention(found: re.Match[str], named: Callable[[str], str]) -> str:
    user = found[1].lower()
    name = named(user)
    return found[0] if name == user else f"@{name}"


def clock(ts_ms: int) -> str:
    """Local time; with the date if it is not today."""
    try:
        at = datetime.fromtimestamp(ts_ms / 1000, tz=UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return "--:--"  # A server may tell a time that no calendar has.
    today = datetime.now(tz=UTC).astimezone().date()
    return f"{at:%H:%M}" if at.date() == today else f"{at:%Y-%m-%d %H:%M}"


def address(room: str, me: str) -> str:
    """A room as its user writes it: `user:bob` for a private one."""
    if ids.is_dm(room) and ids.is_room(room):
        return f"user:{ids.peer(room, me)}"
    return inert(room)


def notice(event: Event, me: str) -> str | None:
    """An event that is no fact as a line, or None where there is nothing to show."""
    match event:
        case Offline():
            return f"* connection lost: {inert(event.reason)}; next attempt in {event.retry_s:.1f} s"
        case Online():
            lacking = [f"* {INCOMPLETE}"] if event.welcome.incomplete else []
            return "\n".join(("* connected again", *lacking, *unreadable_lines(event.welcome.unreadable, me)))
        case Listed() if event.unreadable:
            return "\n".join(unreadable_lines(event.unreadable, me))
        case Reset():
            return f"* {address(event.room, me)}: the server went back to an earlier state; see /history"
        case replies.Contact():
            return state_notice(event.user, event.state)
        case replies.Presence():
            return "\n".join(presence_line(entry) for entry in event.users)
        case replies.Error():
            return f"* {inert(event.message)} ({inert(event.code)})"
    return None


def unreadable_lines(rooms: Sequence[str], me: str) -> list[str]:
    """A line about rooms that the server can't read."""
    if not rooms:
        return []
    told = ", ".join(address(room, me) for room in rooms)
    return [f"* the server can't read {told}: its database is damaged; its operator has to restore it"]


def reset_line(event: Reset, me: str) -> str:
    """A line about the facts that are left out after the server went back to an earlier state."""
    room = address(event.room, me)
    again = f": `gochat tail {room} --from 1` prints the room as it is now" if event.head else ""
    return f"* {room}: the server went back to an earlier state; it goes on after #{event.head} here{again}"


def fact_line(fact: Fact, me: str, named: Callable[[str], str] = inert) -> str:
    """One fact: time, room, seq, actor and act."""
    return f"{clock(fact.ts)} {address(fact.room, me)} #{fact.seq} {fact_text(fact, named)}"


def unsent_line(draft: Draft) -> str:
    """One message that the server has not recorded, and why not."""
    to = f"{inert(draft.to)}, as #{draft.edits}" if draft.edits is not None else inert(draft.to)
    why = "waits" if draft.refused is None else inert(refusal(draft.refused))
    return f"  {draft.number} to {to}: {body(draft.body)} [{why}]"


def unfinished_line(to: str, typed: str) -> str:
    """One text that was typed and neither sent nor carried out; `to` is its address, empty where there is none."""
    return f"  to {inert(to)}: {body(typed)}" if to else f"  {body(typed)}"


def presence_line(entry: PresenceEntry) -> str:
    if entry.online:
        return f"* {inert(entry.user)} is online"
    seen = f", last seen {clock(entry.last_seen)}" if entry.last_seen else ""
    return f"* {inert(entry.user)} is offline{seen}"


def request_line(entry: RequestEntry | replies.Request, me: str) -> str:
    """A user who asks to write, and their words: the latest message, if there are several."""
    last = entry.last
    where = f"{clock(last.ts)} {address(entry.room, me)} #{last.seq}"
    return f'{where} {_named(entry.user, entry.name)} wants to write to you: "{body(last.body)}"'


def state_line(entry: ContactState) -> str:
    return f"  user:{_named(entry.user, entry.name)}, {inert(entry.state)}"


def state_notice(user: str, state: str) -> str:
    """One user's present relation to another."""
    return f"* {_STATES.get(state, '{} is: ' + inert(state)).format(inert(user))}"


def refusal(error: ClientError) -> str:
    """Why something was refused, in plain words and with the way out."""
    if not isinstance(error, Refused) or error.rule not in _REFUSALS:
        return str(error)
    again = f"; again in {durations.shown(error.wait_s)}" if error.retry_after_ms else ""
    return f"{_REFUSALS[error.rule]}{again} ({error.code})"


#: Told of a request that the connection did not last for: one that had not left, and one that had.
NOT_SENT: Final = "not done: there is no connection; try again when it is back"
ANSWER_LOST: Final = "it may have been done: the connection broke before the answer came; look before you try again"


def failure(error: ClientError) -> str:
    """The end of a request that failed, and the reason: it says "not done" only where that is known."""
    if isinstance(error, Lost):
        return ANSWER_LOST
    is_open = isinstance(error, Refused) and error.unknown
    return f"{'it may have been done' if is_open else 'not done'}: {inert(refusal(error))}"


def report_line(entry: ReportEntry, me: str) -> str:
    """One open report: the message, and the user who minds it."""
    said = f'"{body(entry.body)}"' if entry.body is not None else "(deleted)"
    minds = inert(entry.by) if entry.by is not None else f"the rule {inert(entry.rule or '?')}"
    reason = f": {inert(entry.reason)}" if entry.reason else ""
    where = f"{address(entry.room, me)} #{entry.seq}"
    return f"{entry.report} {clock(entry.ts)} {where} {inert(entry.sender)}: {said}, by {minds}{reason}"


def audit_line(entry: AuditEntry) -> str:
    parts = (entry.actor, entry.action, entry.subject, entry.room, entry.detail)
    return f"{entry.id} {clock(entry.ts)} " + " ".join(inert(part) for part in parts if part is not None)


def account_line(entry: Account) -> str:
    """One user as admins see them."""
    here = f", {counted(entry.sessions, 'session')}" if entry.sessions else ", offline"
    seen = f", last seen {clock(entry.last_seen)}" if entry.last_seen and not entry.sessions else ""
    until = f" until {clock(entry.until)}" if entry.until is not None else ""
    return f"user:{_named(entry.user, entry.name)}{here}{seen}" + (f", suspended{until}" if entry.suspended else "")


def overview_line(entry: RoomOverview) -> str:
    """One room as admins see it in a list."""
    titled = f" ({inert(entry.title)})" if entry.title else ""
    said = f", the latest {clock(entry.last_message)}" if entry.last_message is not None else ""
    return f"{inert(entry.room)}{titled}, {counted(entry.messages, 'message')}{said}"


def device_line(device: Device) -> str:
    """One of one's own live sessions."""
    named = f" {inert(device.device)}" if device.device else ""
    here = ", this one" if device.current else ""
    return f"{inert(device.transport)}{named} from {inert(device.address)}, since {clock(device.since)}{here}"


def missing_notice(nodes: Sequence[str]) -> str:
    """Nodes of a cluster that did not tell which of one's devices are connected there."""
    return f"* without devices on {', '.join(map(inert, nodes))}: no answer from there now"


def session_line(entry: SessionEntry) -> str:
    device = f", device {inert(entry.device)}" if entry.device is not None else ""
    where = f"{inert(entry.transport)} from {inert(entry.address)}"
    return f"user:{inert(entry.user)}, since {clock(entry.since)}, {where}{device}"


def suspension_line(entry: Suspension) -> str:
    until = f" until {clock(entry.until)}" if entry.until is not None else ""
    reason = f": {inert(entry.reason)}" if entry.reason else ""
    return f"user:{inert(entry.user)}, since {clock(entry.ts)}{until}, by {inert(entry.by)}{reason}"


def notification_line(entry: NotificationEntry) -> str:
    when = "given up" if entry.next is None else f"next {clock(entry.next)}"
    reason = f": {inert(entry.reason)}" if entry.reason else ""
    return (
        f"{inert(entry.notification)} {inert(entry.channel)} user:{inert(entry.user)} {inert(entry.room)}, since"
        f" {clock(entry.ts)}, {counted(entry.tries, 'try', 'tries')}, {when}{reason}"
    )


def contact_line(entry: ContactEntry, *, presence: bool) -> str:
    """With `presence` where `entry.online` is fresh: only of users who are watched it is told that it changes."""
    state = (", online" if entry.online else ", offline") if presence else ""
    return f"  user:{_named(entry.user, entry.name)}{state}{_unread(entry)}{_last(entry.last)}"


def room_line(entry: RoomEntry) -> str:
    titled = f" ({inert(entry.title)})" if entry.title else ""
    return f"  {inert(entry.room)}{titled}, {entry.role}{_unread(entry)}{_last(entry.last)}"


def _named(user: str, name: str) -> str:
    return inert(user) if name == user else f"{inert(user)} ({inert(name)})"


def _unread(entry: ContactEntry | RoomEntry) -> str:
    mentions = f", {counted(entry.mentions, 'mention')}" if entry.mentions else ""
    return f", {entry.unread} unread{mentions}" if entry.unread else ""


def _last(last: Last | None) -> str:
    if last is None:
        return ""
    said = "(deleted)" if last.deleted is not None else inert(last.body)
    return f": {clock(last.ts)} {inert(last.sender)}: {said}"


def fact_text(fact: Fact, named: Callable[[str], str] = inert) -> str:
    """One fact in words: the actor and the act. `named` gives the name that is shown of a user."""
    who = named(fact.sender)
    match fact:
        case facts.Message():
            return _message(fact, who, named)
        case facts.Edit():
            to = "" if fact.body is None else f": {in_names(body(fact.body), fact.mentions, named)}"
            return f"{who} edited #{fact.target}{to}"
        case facts.Delete():
            return f"{who} deleted #{fact.target}"
        case facts.Reaction():
            emoji = inert(fact.emoji)
            return f"{who} reacted {emoji} to #{fact.target}" if fact.on else f"{who} took {emoji} from #{fact.target}"
        case facts.Member():
            return _member(fact, who, named)
        case facts.Group():
            parts = (("title", fact.title), ("history", fact.history), ("post", fact.post))
            return f"{who} set " + ", ".join(f'{name} "{inert(value)}"' for name, value in parts if value is not None)
        case facts.Closed():
            return f"{who} deleted the group"
        case facts.Hidden():
            return "something was done to a message from before you joined"
        case Unknown():
            return f"{who}: {inert(fact.type)} (this client is too old to show it)"


def _message(fact: facts.Message, who: str, named: Callable[[str], str]) -> str:
    if fact.body is None:
        return f"{who}: (deleted)"
    to = f" (to #{fact.reply_to})" if fact.reply_to else ""
    edited = " (edited)" if fact.edited else ""
    reactions = "".join(f" [{inert(emoji)} {count}]" for emoji, count in (fact.reactions or {}).items())
    return f"{who}{to}: {in_names(body(fact.body), fact.mentions, named)}{edited}{reactions}"


def _member(fact: facts.Member, who: str, named: Callable[[str], str]) -> str:
    users = ", ".join(map(named, fact.users))
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
