"""What a user asks of a room. Imperative, and already checked for form: what is left is whether it may happen."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from gochat.domain.facts import HistoryScope, PostRight, Role


class Command(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    room: str
    user: str
    """Who asks."""
    admin: bool = False
    """Asked under the `admin` scope: rights inside the room are not asked for."""


class Send(Command, frozen=True, kw_only=True):
    body: str
    key: str | None = None
    reply_to: int | None = None


class Edit(Command, frozen=True, kw_only=True):
    seq: int
    body: str


class Delete(Command, frozen=True, kw_only=True):
    seq: int


class React(Command, frozen=True, kw_only=True):
    seq: int
    emoji: str
    on: bool


class Read(Command, frozen=True, kw_only=True):
    seq: int


class Typing(Command, frozen=True, kw_only=True):
    pass


class Create(Command, gc=True, frozen=True, kw_only=True):
    title: str | None = None
    users: tuple[str, ...] = ()
    history: HistoryScope = "all"
    post: PostRight = "members"


class Configure(Command, frozen=True, kw_only=True):
    title: str | None = None
    history: HistoryScope | None = None
    post: PostRight | None = None


class Add(Command, gc=True, frozen=True, kw_only=True):
    users: tuple[str, ...]


class Remove(Command, gc=True, frozen=True, kw_only=True):
    users: tuple[str, ...]


class SetRole(Command, frozen=True, kw_only=True):
    member: str
    role: Role


class Leave(Command, frozen=True, kw_only=True):
    successor: str | None = None


class Close(Command, frozen=True, kw_only=True):
    """Delete the group."""


OnMessage: TypeAlias = Edit | Delete | React
OnGroup: TypeAlias = Create | Configure | Add | Remove | SetRole | Leave | Close
AnyCommand: TypeAlias = Send | OnMessage | Read | Typing | OnGroup
