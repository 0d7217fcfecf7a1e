"""A user's commands to a room. Imperative, and already checked for form: only whether they may happen is left."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from gochat.domain.facts import HistoryScope, PostRight, Role
from gochat.domain.relationship import Action


class Command(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    room: str
    user: str
    """The user who asks."""
    admin: bool = False
    """Asked under the `admin` scope: rights inside the room are not asked for."""


class Send(Command, frozen=True, kw_only=True):
    body: str
    key: str | None = None
    reply_to: int | None = None


class OnMessage(Command, frozen=True, kw_only=True):
    """A command about a message of the room, which is looked up before the command is decided."""

    seq: int
    """The message's."""


class Edit(OnMessage, frozen=True, kw_only=True):
    body: str
    expects: str | None = None
    """A condition: the body that the message must have now."""


class Delete(OnMessage, frozen=True, kw_only=True):
    expects: str | None = None
    """The same."""


class React(OnMessage, gc=True, frozen=True, kw_only=True):
    emoji: str
    on: bool
    forms: tuple[str, ...] = ()
    """Other ways to write the emoji, which a reaction may have been recorded with."""


class Read(Command, frozen=True, kw_only=True):
    seq: int


class Got(Command, frozen=True, kw_only=True):
    """A device of the user's has the room's facts up to `seq`."""

    seq: int


class Typing(Command, frozen=True, kw_only=True):
    pass


class Create(Command, gc=True, frozen=True, kw_only=True):
    title: str | None = None
    users: tuple[str, ...] = ()
    history: HistoryScope = "all"
    post: PostRight = "members"


class Configure(Command, gc=True, frozen=True, kw_only=True):
    title: str | None = None
    history: HistoryScope | None = None
    post: PostRight | None = None
    expects: tuple[str, HistoryScope, PostRight] | None = None
    """A condition: the settings that the group must have now."""


class Add(Command, gc=True, frozen=True, kw_only=True):
    users: tuple[str, ...]


class Remove(Command, gc=True, frozen=True, kw_only=True):
    users: tuple[str, ...]


class SetRole(Command, frozen=True, kw_only=True):
    member: str
    role: Role
    expects: Role | None = None
    """A condition: the role that the member must have now."""


class Leave(Command, frozen=True, kw_only=True):
    successor: str | None = None


class Close(Command, gc=True, frozen=True, kw_only=True):
    """Delete the group."""

    expects: tuple[str, HistoryScope, PostRight] | None = None
    """A condition: the settings that the group must have now."""


class Mute(Command, frozen=True, kw_only=True):
    """A member may read, not write. `seconds` None: until `Unmute`."""

    member: str
    seconds: int | None = None


class Unmute(Command, frozen=True, kw_only=True):
    member: str


class Ban(Command, frozen=True, kw_only=True):
    """Out of the group, and not to be added again. `seconds` None: until `Unban`."""

    member: str
    seconds: int | None = None


class Unban(Command, frozen=True, kw_only=True):
    member: str


class Contact(Command, frozen=True, kw_only=True):
    """Change how the user stands to the other user of a private room."""

    action: Action


class Withdraw(Command, frozen=True, kw_only=True):
    """Of a request whose messages are all gone: it asks no more. Asked by nobody: texts ended with their age."""


class Report(OnMessage, frozen=True, kw_only=True):
    """Tell the moderators of a message."""

    reason: str | None = None


OnGroup: TypeAlias = Create | Configure | Add | Remove | SetRole | Leave | Close | Mute | Unmute | Ban | Unban
AnyCommand: TypeAlias = Send | Edit | Delete | React | Report | Read | Got | Typing | Contact | Withdraw | OnGroup
#: Commands that make no fact: they are passed on, and may be lost.
AnyEphemeral: TypeAlias = Read | Got | Typing
EPHEMERAL: Final = (Read, Got, Typing)
