"""The form of requests: each function checks one type of request and makes the command that it asks for.

Names, bodies and combinations of fields are checked here, once, for sockets and for REST. Whether a command may happen
is decided by its room. The catalogue says which function belongs to which request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from gochat.domain import commands, ids
from gochat.domain.display_text import bare_emoji, clean_body, clean_line
from gochat.domain.draft import NO_ROOM
from gochat.errors import Denied
from gochat.protocol import requests as req
from gochat.protocol.replies import Limits

#: The longest emoji, a kiss of two people of different tones of skin, has 35.
MAX_EMOJI_BYTES = 64


class Principal(NamedTuple):
    """The user that a request comes from, as far as its form matters."""

    user: str
    admin: bool


Make: TypeAlias = Callable[[Any, Principal, Limits], commands.AnyCommand | Denied]
"""Makes the command that a request means, or says why its form is refused."""


def bad(problem: str) -> Denied:
    return Denied("bad_request", problem)


def check_text(text: str, most: int, what: str) -> str | Denied:
    """`text` as it is stored: trimmed and cleaned, 1..`most` code points, no NUL. Lone surrogates never get through a
    decoder."""
    text = text.strip()
    if not text:
        return bad(f"the {what} is empty")
    if len(text) > most:
        return Denied("too_large", f"the {what} has {len(text)} characters, at most {most} are allowed")
    if "\0" in text:
        return bad(f"the {what} contains NUL")
    return clean_body(text) or bad(f"the {what} has nothing to show")


def check_room(room: str, who: Principal) -> Denied | None:
    """Refuses what is no canonical room id, and DMs of others (to an admin they are there)."""
    if not ids.is_room(room):
        return bad("room: not a room id such as group:tea or dm:ann:bob (users in byte order)")
    if ids.is_dm(room) and who.user not in ids.dm_users(room) and not who.admin:
        return NO_ROOM
    return None


def send(request: req.Send, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    to, user = request.to, who.user
    room = ids.resolve(to, user)
    if room is None:
        return bad("to: not an address such as user:bob or group:tea, nor a room id")
    if to.startswith("dm:") and user not in ids.dm_users(room):
        return NO_ROOM  # Also for an admin: a DM is written by its two users alone.
    body = request.body
    # The common case, without a call: ASCII of one line, nothing to trim, not empty, not too long.
    if (
        not body
        or len(body) > limits.body_chars
        or not (body.isascii() and body.isprintable())
        or body[0] == " "
        or body[-1] == " "
    ):
        checked = check_text(body, limits.body_chars, "body")
        if isinstance(checked, Denied):
            return checked
        body = checked
    key = request.key
    if key is not None and "\0" in key:
        return bad("key: contains NUL")
    return commands.Send(room=room, user=user, admin=who.admin, body=body, key=key, reply_to=request.reply_to)


def edit(request: req.Edit, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    body = check_text(request.body, limits.body_chars, "body")
    if isinstance(body, Denied):
        return body
    return check_room(request.room, who) or commands.Edit(
        room=request.room, user=who.user, admin=who.admin, seq=request.seq, body=body
    )


def delete(request: req.Delete, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    return check_room(request.room, who) or commands.Delete(
        room=request.room, user=who.user, admin=who.admin, seq=request.seq
    )


def react(request: req.React, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    emoji = request.emoji.strip()
    if not emoji or len(emoji.encode()) > MAX_EMOJI_BYTES or "\0" in emoji:
        return bad(f"emoji: 1 to {MAX_EMOJI_BYTES} bytes of UTF-8")
    bare = bare_emoji(emoji)
    forms = (bare,) if bare and bare != emoji else ()
    return check_room(request.room, who) or commands.React(
        room=request.room, user=who.user, admin=who.admin, seq=request.seq, emoji=emoji, on=request.on, forms=forms
    )


def read(request: req.Read, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    return check_room(request.room, who) or commands.Read(
        room=request.room, user=who.user, admin=who.admin, seq=request.seq
    )


def got(request: req.Got, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    return check_room(request.room, who) or commands.Got(
        room=request.room, user=who.user, admin=who.admin, seq=request.seq
    )


def typing(request: req.Typing, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    return check_room(request.room, who) or commands.Typing(room=request.room, user=who.user, admin=who.admin)


#: The optional fields that each action of `group` takes, and those of them that it needs.
ACTIONS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "create": (frozenset({"title", "users", "history", "post"}), frozenset()),
    "set": (frozenset({"title", "history", "post"}), frozenset()),
    "add": (frozenset({"users"}), frozenset({"users"})),
    "remove": (frozenset({"users"}), frozenset({"users"})),
    "role": (frozenset({"user", "role"}), frozenset({"user", "role"})),
    "leave": (frozenset({"successor"}), frozenset()),
    "delete": (frozenset(), frozenset()),
    "mute": (frozenset({"user", "seconds"}), frozenset({"user"})),
    "unmute": (frozenset({"user"}), frozenset({"user"})),
    "ban": (frozenset({"user", "seconds"}), frozenset({"user"})),
    "unban": (frozenset({"user"}), frozenset({"user"})),
}
GIVEN = ("title", "users", "history", "post", "user", "role", "successor", "seconds")


def group(request: req.GroupAction, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    if not ids.is_name(request.name):
        return bad(f"name: a group's name has the form {ids.NAME_PATTERN}")
    takes, needs = ACTIONS[request.action]
    given = {field for field in GIVEN if getattr(request, field) is not None}
    if given - takes:
        return bad(f"{request.action} takes no {', '.join(sorted(given - takes))}")
    if needs - given:
        return bad(f"{request.action} needs {', '.join(sorted(needs - given))}")
    for user in (*(request.users or ()), *filter(None, (request.user, request.successor))):
        if not ids.is_name(user):
            return bad(f"not a user id: the form is {ids.NAME_PATTERN}")
    if request.users is not None and len(request.users) > limits.add_users:
        return bad(f"users: at most {limits.add_users} in one request")
    title = request.title
    if title is not None:
        if "\0" in title:
            return bad("title: contains NUL")
        title = clean_line(title)
    return _group_command(request, who, title)


def _group_command(request: req.GroupAction, who: Principal, title: str | None) -> commands.AnyCommand | Denied:
    base: dict[str, Any] = {"room": ids.group(request.name), "user": who.user, "admin": who.admin}
    users = tuple(request.users or ())
    match request.action:
        case "create":
            return commands.Create(
                **base, title=title, users=users, history=request.history or "all", post=request.post or "members"
            )
        case "set":
            if title is None and request.history is None and request.post is None:
                return bad("set needs one of title, history, post")
            return commands.Configure(**base, title=title, history=request.history, post=request.post)
        case "add" | "remove":
            if not users:
                return bad("users: at least one")
            return (
                commands.Add(**base, users=users) if request.action == "add" else commands.Remove(**base, users=users)
            )
        case "role":
            assert request.user is not None and request.role is not None  # checked by ACTIONS
            return commands.SetRole(**base, member=request.user, role=request.role)
        case "leave":
            return commands.Leave(**base, successor=request.successor)
        case "delete":
            return commands.Close(**base)
    assert request.user is not None
    match request.action:
        case "mute":
            return commands.Mute(**base, member=request.user, seconds=request.seconds)
        case "unmute":
            return commands.Unmute(**base, member=request.user)
        case "ban":
            return commands.Ban(**base, member=request.user, seconds=request.seconds)
        case "unban":
            return commands.Unban(**base, member=request.user)


def contact(request: req.ContactAction, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    if not ids.is_name(request.user):
        return bad(f"user: not a user id: the form is {ids.NAME_PATTERN}")
    return commands.Contact(room=ids.dm(who.user, request.user), user=who.user, admin=who.admin, action=request.action)


def report(request: req.Report, who: Principal, limits: Limits) -> commands.AnyCommand | Denied:
    reason = request.reason
    if reason is not None:
        if "\0" in reason:
            return bad("reason: contains NUL")
        reason = clean_body(reason)
    return check_room(request.room, who) or commands.Report(
        room=request.room, user=who.user, admin=who.admin, seq=request.seq, reason=reason or None
    )
