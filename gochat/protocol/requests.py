"""Every request a client may send, as one tagged union. Unknown fields are ignored, so that clients may be newer."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gochat.domain.facts import HistoryScope, PostRight, Role

Id: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(min_length=1, max_length=64)]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=200)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
#: An address (`user:bob`) or a room id; the longest room id is a DM of two 64-character names.
Room: TypeAlias = Annotated[str, Meta(min_length=1, max_length=140)]
Title: TypeAlias = Annotated[str, Meta(max_length=200)]
Cursor: TypeAlias = Annotated[str, Meta(max_length=200)]


class Request(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """A request with an `id` gets exactly one reply, which echoes it."""

    id: Id | None = None


class Position(msgspec.Struct, omit_defaults=True):
    """The last seq of a room that a client holds, and the epoch it belongs to."""

    seq: Seq
    epoch: Annotated[str, Meta(max_length=32)] | None = None


class Hello(Request, tag="hello", kw_only=True):
    token: str | None = None
    user: str | None = None
    device: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    client: Annotated[str, Meta(max_length=200)] | None = None
    resume: dict[Room, Position] = {}


class Refresh(Request, tag="refresh", kw_only=True):
    token: str


class Resume(Request, tag="resume", kw_only=True):
    room: Room
    seq: Seq
    epoch: Annotated[str, Meta(max_length=32)] | None = None


class Ping(Request, tag="ping", kw_only=True):
    pass


class Pong(Request, tag="pong", kw_only=True):
    """The answer to the server's `ping` event; it gets no reply."""


class Send(Request, tag="send", kw_only=True):
    to: Room
    body: str
    key: Key | None = None
    reply_to: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class Edit(Request, tag="edit", kw_only=True):
    room: Room
    seq: Seq
    body: str


class Delete(Request, tag="delete", kw_only=True):
    room: Room
    seq: Seq


class React(Request, tag="react", kw_only=True):
    room: Room
    seq: Seq
    emoji: Annotated[str, Meta(min_length=1, max_length=32)]
    on: bool


class Read(Request, tag="read", kw_only=True):
    room: Room
    seq: Seq


class Typing(Request, tag="typing", kw_only=True):
    room: Room


class History(Request, tag="history", kw_only=True):
    room: Room
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50


class Search(Request, tag="search", kw_only=True):
    q: Annotated[str, Meta(min_length=1, max_length=200)]
    scope: Literal["users", "messages"] = msgspec.field(name="in")
    room: Room | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class Groups(Request, tag="groups", kw_only=True):
    owner: Name | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class Members(Request, tag="members", kw_only=True):
    room: Room
    limit: Limit = 50
    cursor: Cursor | None = None


class Watch(Request, tag="watch", kw_only=True):
    users: Annotated[list[Name], Meta(max_length=15)]


class GroupAction(Request, tag="group", kw_only=True):
    """One action on a group. Which of the optional fields an action takes is checked in `conversation`."""

    name: Name
    action: Literal["create", "set", "add", "remove", "role", "leave", "delete"]
    title: Title | None = None
    users: list[Name] | None = None
    history: HistoryScope | None = None
    post: PostRight | None = None
    user: Name | None = None
    role: Role | None = None
    successor: Name | None = None


AnyRequest: TypeAlias = (
    Hello
    | Refresh
    | Resume
    | Ping
    | Pong
    | Send
    | Edit
    | Delete
    | React
    | Read
    | Typing
    | History
    | Search
    | Groups
    | Members
    | Watch
    | GroupAction
)
