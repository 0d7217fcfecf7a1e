"""The catalogue: one row for each request type, with everything that depends on the type.

A new request gets its struct in `requests` and its row here. Sessions, the users' actors, REST, the generated reference
and the AsyncAPI document all read the row; `tests/protocol/test_catalogue.py` names whatever is still missing.

Requests that change a room become commands, and the users' actors look their costs up in `COMMANDS`. A command without
a row is answered `internal` there and not carried out for nothing. All other requests are answered from data, by the
table of queries in `session/queries.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

from gochat.domain import commands
from gochat.errors import Denied
from gochat.protocol import conversation as form
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.conversation import Make, Principal
from gochat.protocol.requests import AnyRequest

READ, WRITE, GROUPS, ADMIN = "chat:read", "chat:write", "groups:write", "admin"
#: For a program that reads `/metrics`, and nothing else.
METRICS = "metrics"

Cost: TypeAlias = Literal["message", "action", "ephemeral", "read", "search", "sign_in"]

#: Each cost, as the reference tells it. Nothing is free: even a `ping` counts as a read.
COSTS: Final[dict[Cost, str]] = {
    "message": "a message (`limits.messages_per_s`)",
    "action": "an action (ten times as often as messages)",
    "ephemeral": "a read (`limits.reads_per_s`): it is passed on, and not recorded",
    "read": "a read (`limits.reads_per_s`)",
    "search": "a read (`limits.reads_per_s`), and waits for the session's other searches alone",
    "sign_in": "ten reads (`limits.reads_per_s`)",
}

Confirmation: TypeAlias = Literal["ack", "ok", "ok_fact", "ok_state"]
"""The reply to a command that is carried out: the ack of its fact; or `ok`, which may name the fact of a group, or what
the user now holds of another user."""


class Texts(NamedTuple):
    """The parts of a command that others will read, so that the rules for words and links are asked about them."""

    text: str | None = None
    """The name of the field that holds the text, if there is one. A text may be masked."""
    name: bool = False
    """Whether the command names a new room. A name can't be masked, only refused."""
    charged: bool = False
    """Whether a command with that text counts as a message, though the row's cost is less: all who are in the room read
    it, so it would be a way around the limit of messages."""


NO_TEXT: Final = Texts()
BODY, NEW_TITLE, EMOJI = Texts("body"), Texts("title", charged=True), Texts("emoji")
#: The title of a new group is not charged: the first message to it follows at once.
NAME_AND_TITLE: Final = Texts("title", name=True)


class RequestType(NamedTuple):
    """A row of the catalogue."""

    request: type[AnyRequest]
    scope: str | None
    """The scope that the request needs. None: only a session that has signed in."""
    cost: Cost
    """The budget of its user that it is taken from."""
    replies: tuple[type[replies.Reply], ...]
    """The replies that it may get unless it is refused; empty where no reply ever comes."""
    always_replies: bool = False
    """Whether the reply comes even where the request has no `id`. A refusal always comes."""
    confirmation: Confirmation = "ok"
    to_command: Make | None = None
    """Checks the request's form and makes its command. None: the request is answered from data."""
    commands: Mapping[type[commands.AnyCommand], Texts] = {}
    """The types of command that `to_command` makes, and which of their texts the rules read."""


class CommandType(NamedTuple):
    """A command's cost and texts, as the users' actors look them up by its type."""

    cost: Cost
    text: str | None
    name: bool
    charged: bool


#: The commands of `group`, one for each of its actions.
_GROUP_COMMANDS: Final[dict[type[commands.AnyCommand], Texts]] = {
    commands.Create: NAME_AND_TITLE,
    commands.Configure: NEW_TITLE,
    commands.Add: NO_TEXT,
    commands.Remove: NO_TEXT,
    commands.SetRole: NO_TEXT,
    commands.Leave: NO_TEXT,
    commands.Close: NO_TEXT,
    commands.Mute: NO_TEXT,
    commands.Unmute: NO_TEXT,
    commands.Ban: NO_TEXT,
    commands.Unban: NO_TEXT,
}

_ROWS: Final = (
    #           request            scope   cost         replies                    always confirmation made by
    RequestType(req.Hello,         None,   "sign_in",   (replies.Welcome,),        True),
    RequestType(req.Refresh,       None,   "read",      (replies.Ok,)),
    RequestType(req.Resume,        READ,   "read",      (replies.Ok,)),
    RequestType(req.Ping,          None,   "read",      (replies.Pong,),           True),
    RequestType(req.Pong,          None,   "read",      ()),
    RequestType(req.Send,          WRITE,  "message",   (replies.Ack,),            False, "ack",       form.send,
                {commands.Send: BODY}),
    RequestType(req.Edit,          WRITE,  "message",   (replies.Ack,),            False, "ack",       form.edit,
                {commands.Edit: BODY}),
    RequestType(req.Delete,        WRITE,  "action",    (replies.Ack,),            False, "ack",       form.delete,
                {commands.Delete: NO_TEXT}),
    RequestType(req.React,         WRITE,  "action",    (replies.Ack,),            False, "ack",       form.react,
                {commands.React: EMOJI}),
    RequestType(req.Read,          READ,   "ephemeral", (replies.Ok,),             False, "ok",        form.read,
                {commands.Read: NO_TEXT}),
    RequestType(req.Got,           READ,   "ephemeral", (replies.Ok,),             False, "ok",        form.got,
                {commands.Got: NO_TEXT}),
    RequestType(req.Typing,        WRITE,  "ephemeral", (replies.Ok,),             False, "ok",        form.typing,
                {commands.Typing: NO_TEXT}),
    RequestType(req.History,       READ,   "read",      (replies.Page,),           True),
    RequestType(req.Search,        READ,   "search",    (replies.UserResults, replies.MessageResults), True),
    RequestType(req.Groups,        READ,   "read",      (replies.Groups,),         True),
    RequestType(req.Members,       READ,   "read",      (replies.Members,),        True),
    RequestType(req.Names,         READ,   "read",      (replies.Names,),          True),
    RequestType(req.Watch,         READ,   "read",      (replies.Presence,)),
    RequestType(req.Contacts,      READ,   "read",      (replies.Contacts,),       True),
    RequestType(req.Requests,      READ,   "read",      (replies.Requests,),       True),
    RequestType(req.ContactAction, WRITE,  "action",    (replies.Ok,),             False, "ok_state",  form.contact,
                {commands.Contact: NO_TEXT}),
    RequestType(req.GroupAction,   GROUPS, "action",    (replies.Ok,),             False, "ok_fact",   form.group,
                _GROUP_COMMANDS),
    RequestType(req.Report,        WRITE,  "action",    (replies.Ok,),             False, "ok",        form.report,
                {commands.Report: NO_TEXT}),
    RequestType(req.Reports,       READ,   "read",      (replies.Reports,),        True),
    RequestType(req.CloseReport,   GROUPS, "read",      (replies.Ok,)),
    RequestType(req.AdminAction,   ADMIN,  "read",      (replies.Ok,)),
    RequestType(req.Audit,         ADMIN,  "read",      (replies.Audit,),          True),
    RequestType(req.Users,         ADMIN,  "read",      (replies.Users,),          True),
    RequestType(req.Rooms,         ADMIN,  "read",      (replies.Rooms,),          True),
    RequestType(req.Sessions,      ADMIN,  "read",      (replies.Sessions,),       True),
    RequestType(req.Suspensions,   ADMIN,  "read",      (replies.Suspensions,),    True),
    RequestType(req.Overview,      ADMIN,  "read",      (replies.Overview,),       True),
    RequestType(req.Mailboxes,     ADMIN,  "read",      (replies.Mailboxes,),      True),
    RequestType(req.Sanctions,     READ,   "read",      (replies.Sanctions,),      True),
    RequestType(req.Devices,       READ,   "read",      (replies.Devices,),        True),
    RequestType(req.SignOut,       WRITE,  "read",      (replies.Ok,)),
    RequestType(req.Notify,        READ,   "read",      (replies.Notify,)),
    RequestType(req.Push,          READ,   "read",      (replies.Push,)),
    RequestType(req.Notifications, ADMIN,  "read",      (replies.Notifications,),  True),
)  # fmt: skip

CATALOGUE: Final[dict[type[AnyRequest], RequestType]] = {row.request: row for row in _ROWS}

#: By type of command. `Withdraw` is not among them: no request asks for it, and so no user's actor gets it.
COMMANDS: Final[dict[type[commands.AnyCommand], CommandType]] = {
    kind: CommandType(row.cost, *texts) for row in _ROWS for kind, texts in row.commands.items()
}


def allows(scopes: frozenset[str], kind: type[AnyRequest]) -> bool:
    """Whether a token with these scopes may make requests of this type."""
    scope = CATALOGUE[kind].scope
    return scope is None or scope in scopes or ADMIN in scopes


@lru_cache(100)
def granted(scopes: frozenset[str]) -> Mapping[type[AnyRequest], RequestType]:
    """The rows of the requests that a token with these scopes may make. It is shared: callers only look things up."""
    return {kind: row for kind, row in CATALOGUE.items() if allows(scopes, kind)}


def to_command(request: AnyRequest, who: Principal, limits: replies.Limits) -> commands.AnyCommand | Denied:
    """The command that a request means, or why its form is refused. Raises LookupError for a request that is answered
    from data."""
    make = CATALOGUE[type(request)].to_command
    if make is None:
        raise LookupError(f"{type(request).__name__} is no command")
    return make(request, who, limits)
