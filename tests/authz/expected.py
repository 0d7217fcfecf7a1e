"""The rights of users: the specification that a running node is held against, cell by cell.

Written from the protocol and not from the server: nothing of gochat is imported. docs/reference/permissions.md is
made from it. An operation, relation or set of scopes that no table names has no answer: `answer` raises Unnamed.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Answer(NamedTuple):
    """The server's answer: `code` None where the operation is carried out."""

    code: str | None
    rule: str | None = None


class Unnamed(LookupError):
    """The specification does not say."""


#: The words of the tables below.
ANSWERS: Final[dict[str, Answer]] = {
    "ok": Answer(None),
    "bad": Answer("bad_request"),
    "token": Answer("unauthorized"),
    "role": Answer("forbidden"),
    "muted": Answer("forbidden", "group.muted"),
    "none": Answer("not_found"),
    "out": Answer("not_member"),
    "blocked": Answer("blocked", "contact.blocked"),
    "waits": Answer("declined", "request.waits"),
    "refused": Answer("declined", "request.declined"),
    "ask": Answer("declined", "request.none"),
    "taken": Answer("conflict"),
}

NO_SCOPE: Final = Answer("forbidden")

#: The status by which REST tells a code.
STATUS: Final[dict[str, int]] = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "not_member": 403,
    "blocked": 403,
    "declined": 403,
    "conflict": 409,
}

SCOPE_SETS: Final[dict[str, frozenset[str]]] = {
    "none": frozenset(),
    "chat:read": frozenset({"chat:read"}),
    "chat:write": frozenset({"chat:write"}),
    "groups:write": frozenset({"groups:write"}),
    "all three": frozenset({"chat:read", "chat:write", "groups:write"}),
    "metrics": frozenset({"metrics"}),
    "admin": frozenset({"admin"}),
}

#: The relation of the asker to the group, or to the other user of the private room.
RELATIONS: Final[dict[str, dict[str, str]]] = {
    "group": {
        "owner": "one of the owners",
        "moderator": "a moderator",
        "member": "a member",
        "muted": "a member who is muted",
        "removed": "was a member, and was removed or has left",
        "banned": "was a member, and is banned",
        "stranger": "was never a member",
    },
    "private": {
        "contact": "each is the other's contact",
        "stranger": "nothing is between the two, any more",
        "asked": "has asked to write, and waits; another message may wait too",
        "asked-out": "has asked to write, and as many messages wait as may",
        "receiver": "was asked, and has not answered",
        "blocked": "is blocked by the other",
        "blocker": "has blocked the other",
        "declined": "has asked, and was declined",
        "decliner": "was asked, and has declined",
        "own": "the room is one's own, for notes to self",
        "others": "the room is of two others",
    },
}

#: The scope that each operation needs; None: only to be signed in. `admin` does in the place of any.
SCOPES: Final[dict[str | None, tuple[str, ...]]] = {
    None: ("ping", "pong", "hello again", "refresh", "refresh with another's token", "who am I"),
    "chat:read": (
        "resume", "read", "got", "history", "one message", "search in it", "members", "list members", "one member",
        "one group", "groups", "contacts", "blocks", "requests", "search users", "search everywhere", "names", "watch",
        "reports", "sanctions", "all reports", "export", "silence a room", "set quiet hours",
        "what one wants of notifications", "push key", "subscribe a device", "one's own devices",
    ),
    "chat:write": (
        "send", "send a recorded key", "edit one's own", "edit another's", "delete one's own", "delete another's",
        "react", "typing", "report", "add a contact", "remove a contact", "block", "unblock", "accept a request",
        "decline a request", "sign out a device of nobody",
    ),
    "groups:write": (
        "create", "create what exists", "set the title", "set history and post", "add users", "remove a member",
        "remove a moderator", "remove an owner", "make a member moderator", "make an owner member", "leave",
        "delete the group", "mute a member", "mute a moderator", "mute an owner", "unmute", "ban a member",
        "ban a moderator", "ban an owner", "unban", "close a report",
    ),
    "metrics": ("read metrics",),
    "admin": (
        "suspend", "unsuspend", "revoke a user's tokens", "revoke a token", "audit", "all users", "all groups",
        "all private rooms", "all sessions", "slow sessions", "all suspensions", "overview", "mailboxes",
        "mailboxes of private rooms", "all notifications", "retry notifications",
    ),
}  # fmt: skip

#: Operations that have to do with no room and no other user: the same for everybody who has the scope.
ANYWHERE: Final[dict[str, str]] = {
    "ping": "ok",
    "pong": "ok",
    "hello again": "taken",
    "refresh": "ok",
    "refresh with another's token": "token",
    "who am I": "ok",
    "groups": "ok",
    "contacts": "ok",
    "blocks": "ok",
    "requests": "ok",
    "search users": "ok",
    "search everywhere": "ok",
    "names": "ok",
    "watch": "ok",
    "one's own devices": "ok",
    "sign out a device of nobody": "none",
    "create": "ok",
    "read metrics": "ok",
    "suspend": "ok",
    "unsuspend": "ok",
    "revoke a user's tokens": "ok",
    "revoke a token": "ok",
    "audit": "ok",
    "all users": "ok",
    "all groups": "ok",
    "all private rooms": "ok",
    "all sessions": "ok",
    "slow sessions": "ok",
    "all suspensions": "ok",
    "overview": "ok",
    "mailboxes": "ok",
    "mailboxes of private rooms": "ok",
    "set quiet hours": "ok",
    "what one wants of notifications": "ok",
    "push key": "ok",
    "subscribe a device": "taken",  # The node does not push.
    "all notifications": "ok",
    "retry notifications": "ok",
}

#: Operations that name a group. In the place of a name the id of a private room is not well formed.
OF_GROUPS: Final = (
    "list members", "one member", "one group", "export", "create what exists", "set the title", "set history and post",
    "add users", "remove a member", "remove a moderator", "remove an owner", "make a member moderator",
    "make an owner member", "leave", "delete the group", "mute a member", "mute a moderator", "mute an owner", "unmute",
    "ban a member", "ban a moderator", "ban an owner", "unban", "sanctions",
)  # fmt: skip

# In the tables a line is one or more operations, a colon, and an answer for each column.

#: A token without the scope `admin`, in a group.
GROUP: Final = """
                                            owner    moderator member  muted    removed  banned   stranger
send, react, edit one's own:                ok       ok        ok      muted    out      out      none
send a recorded key:                        ok       ok        ok      ok       ok       ok       none
edit another's:                             role     role      role    role     out      out      none
delete one's own:                           ok       ok        ok      ok       out      out      none
delete another's:                           ok       ok        role    role     out      out      none
history, one message, resume:               ok       ok        ok      ok       ok       ok       none
search in it, members, list members:        ok       ok        ok      ok       out      out      none
one member, one group:                      ok       ok        ok      ok       out      out      none
read, got, typing, report:                  ok       ok        ok      ok       out      out      none
reports, sanctions:                         ok       ok        role    role     out      out      none
close a report:                             ok       ok        none    none     none     none     none
all reports:                                role     role      role    role     role     role     role
export:                                     ok       role      role    role     out      out      none
create what exists:                         taken    taken     taken   taken    taken    taken    taken
set the title, add users, remove a member:  ok       ok        role    role     out      out      none
mute a member, unmute, ban a member, unban: ok       ok        role    role     out      out      none
remove a moderator, remove an owner:        ok       role      role    role     out      out      none
mute a moderator, mute an owner:            ok       role      role    role     out      out      none
ban a moderator, ban an owner:              ok       role      role    role     out      out      none
make a member moderator:                    ok       role      role    role     out      out      none
make an owner member, set history and post: ok       role      role    role     out      out      none
delete the group:                           ok       role      role    role     out      out      none
leave:                                      ok       ok        ok      ok       out      out      none
add a contact, remove a contact:            ok       ok        ok      ok       ok       ok       ok
block, unblock:                             ok       ok        ok      ok       ok       ok       ok
accept a request, decline a request:        none     none      none    none     none     none     none
silence a room:                             ok       ok        ok      ok       out      out      none
"""

#: With the scope `admin`, in a group: all of it, of anyone. A user hears, finds and leaves only rooms of their own.
GROUP_ADMIN: Final = """
                                            owner    moderator member  muted    removed  banned   stranger
send, react, edit one's own:                ok       ok        ok      ok       ok       ok       ok
send a recorded key, edit another's:        ok       ok        ok      ok       ok       ok       ok
delete one's own, delete another's:         ok       ok        ok      ok       ok       ok       ok
history, one message:                       ok       ok        ok      ok       ok       ok       ok
resume:                                     ok       ok        ok      ok       ok       ok       none
search in it:                               ok       ok        ok      ok       out      out      none
members, list members:                      ok       ok        ok      ok       ok       ok       ok
one member, one group:                      ok       ok        ok      ok       ok       ok       ok
read, got, typing, report:                  ok       ok        ok      ok       ok       ok       ok
reports, close a report, all reports:       ok       ok        ok      ok       ok       ok       ok
sanctions:                                  ok       ok        ok      ok       ok       ok       ok
export:                                     ok       ok        ok      ok       ok       ok       ok
create what exists:                         taken    taken     taken   taken    taken    taken    taken
set the title, add users, remove a member:  ok       ok        ok      ok       ok       ok       ok
mute a member, unmute, ban a member, unban: ok       ok        ok      ok       ok       ok       ok
remove a moderator, remove an owner:        ok       ok        ok      ok       ok       ok       ok
mute a moderator, mute an owner:            ok       ok        ok      ok       ok       ok       ok
ban a moderator, ban an owner:              ok       ok        ok      ok       ok       ok       ok
make a member moderator:                    ok       ok        ok      ok       ok       ok       ok
make an owner member, set history and post: ok       ok        ok      ok       ok       ok       ok
delete the group:                           ok       ok        ok      ok       ok       ok       ok
leave:                                      ok       ok        ok      ok       out      out      none
add a contact, remove a contact:            ok       ok        ok      ok       ok       ok       ok
block, unblock:                             ok       ok        ok      ok       ok       ok       ok
accept a request, decline a request:        none     none      none    none     none     none     none
silence a room:                             ok       ok        ok      ok       out      out      none
"""

#: A token without the scope `admin`, in a private room.
PRIVATE: Final = """
                                  contact stranger asked asked-out receiver blocked blocker declined decliner own others
send:                             ok      ok       ok    waits     ok       blocked blocked refused  ok       ok   none
react, edit one's own:            ok      ask      ok    waits     ok       blocked blocked refused  ok       ok   none
send a recorded key:              ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
edit another's, delete another's: role    role     role  role      role     role    role    role     role     none none
delete one's own:                 ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
history, one message:             ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
resume:                           ok      ok       ok    ok        none     ok      ok      ok       none     ok   none
search in it, members:            ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
read, got, typing:                ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
report:                           ok      ok       ok    ok        ok       ok      ok      ok       ok       none none
reports:                          role    role     role  role      role     role    role    role     role     role none
close a report:                   none    none     none  none      none     none    none    none     none     none none
all reports:                      role    role     role  role      role     role    role    role     role     role role
add a contact:                    ok      ok       ok    ok        ok       ok      taken   ok       ok       bad  ok
remove a contact, block, unblock: ok      ok       ok    ok        ok       ok      ok      ok       ok       bad  ok
accept a request:                 ok      none     none  none      ok       none    taken   none     none     bad  none
decline a request:                none    none     none  none      ok       none    none    none     ok       bad  none
silence a room:                   ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
"""

#: With the scope `admin`, in a private room: everything is read; it is written to by its two users alone, under the
#: rules that hold for all.
PRIVATE_ADMIN: Final = """
                                  contact stranger asked asked-out receiver blocked blocker declined decliner own others
send:                             ok      ok       ok    waits     ok       blocked blocked refused  ok       ok   none
react, edit one's own:            ok      ask      ok    waits     ok       blocked blocked refused  ok       ok   role
send a recorded key:              ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
edit another's:                   ok      ask      ok    waits     ok       blocked blocked refused  ok       none role
delete one's own:                 ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   ok
delete another's:                 ok      ok       ok    ok        ok       ok      ok      ok       ok       none ok
history, one message:             ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   ok
resume:                           ok      ok       ok    ok        none     ok      ok      ok       none     ok   none
search in it:                     ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
members, read, got, typing:       ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   ok
report:                           ok      ok       ok    ok        ok       ok      ok      ok       ok       none ok
reports, close a report:          ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   ok
all reports:                      ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   ok
add a contact:                    ok      ok       ok    ok        ok       ok      taken   ok       ok       bad  ok
remove a contact, block, unblock: ok      ok       ok    ok        ok       ok      ok      ok       ok       bad  ok
accept a request:                 ok      none     none  none      ok       none    taken   none     none     bad  none
decline a request:                none    none     none  none      ok       none    none    none     ok       bad  none
silence a room:                   ok      ok       ok    ok        ok       ok      ok      ok       ok       ok   none
"""

#: With `history.after_leaving = false`: what is closed to whom.
CLOSED_TO_FORMER: Final = ("history", "one message", "resume")
FORMER: Final = ("removed", "banned")


def parsed(text: str) -> dict[str, dict[str, str]]:
    """A table by operation and relation. Raises ValueError where a line has too few or too many answers, or an
    operation stands in it twice."""
    head, *lines = text.strip().splitlines()
    columns = head.split()
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        names, _, answers = line.partition(":")
        row = dict(zip(columns, answers.split(), strict=True))
        for name in names.split(", "):
            if name in found or not row.keys():
                raise ValueError(f"{name} stands in a table twice")
            found[name] = row
    return found


TABLES: Final = {
    ("group", False): parsed(GROUP),
    ("group", True): parsed(GROUP_ADMIN),
    ("private", False): parsed(PRIVATE),
    ("private", True): parsed(PRIVATE_ADMIN),
}
SCOPE_OF: Final = {operation: scope for scope, operations in SCOPES.items() for operation in operations}


def answer(operation: str, place: str, relation: str, scopes: str, *, after_leaving: bool = True) -> Answer:
    """The answer to a user who asks for `operation` with a set of scopes, and is `relation` in a `place`.

    The token comes first, then the scope, then the room's own rules. Raises Unnamed.
    """
    try:
        scope, held, _ = SCOPE_OF[operation], SCOPE_SETS[scopes], RELATIONS[place][relation]
        admin = "admin" in held
        if scope is not None and scope not in held and not admin:
            return NO_SCOPE
        if operation in ANYWHERE:
            return ANSWERS[ANYWHERE[operation]]
        if place == "private" and operation in OF_GROUPS:
            return ANSWERS["bad"]
        if not after_leaving and not admin and relation in FORMER and operation in CLOSED_TO_FORMER:
            return ANSWERS["out"]
        return ANSWERS[TABLES[place, admin][operation][relation]]
    except KeyError as error:
        raise Unnamed(f"{operation} by {scopes}, {relation} in a {place} room: no word of {error}") from None
