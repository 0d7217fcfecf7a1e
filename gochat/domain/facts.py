"""Facts: all that happened in a room. A fact is recorded, numbered by its room, and told to every member once.

The same structs are the wire's events (protocol.md, "fact"): a fact is told as it is recorded, so that a
batch is encoded once and no translation can drift. Fields with defaults are left out when they are not set.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["owner", "moderator", "member"]
HistoryScope: TypeAlias = Literal["all", "since_join"]
PostRight: TypeAlias = Literal["members", "moderators", "owner"]
Change: TypeAlias = Literal["added", "removed", "left", "role"]


class Fact(msgspec.Struct, tag_field="type", omit_defaults=True, kw_only=True, gc=False, rename={"sender": "from"}):
    """The fields that every fact has. `ts` never falls as `seq` grows."""

    room: str
    seq: int
    ts: int
    sender: str


class Message(Fact, tag="message", kw_only=True):
    body: str | None = None
    """None only in a message that was deleted."""
    key: str | None = None
    reply_to: int | None = None
    edited: int | None = None
    """When it was last edited; set only where a message is shown as it is now (replay, history)."""
    deleted: int | None = None
    reactions: dict[str, int] | None = None
    mentions: list[str] | None = None
    """The users whom the body mentions, by `@` and their ids: members of the room then, 20 at most, the sender never
    among them. Absent where there are none, and once the message is deleted."""


class OnMessage(Fact, kw_only=True):
    """A fact about a message of the room. Readers who may not see that message are told of no more than its place."""

    target: int
    """The message's seq."""


class Edit(OnMessage, tag="edit", kw_only=True):
    body: str | None = None
    """The new body when told live, the present one when replayed, absent in history and once the target is deleted."""
    mentions: list[str] | None = None
    """The users whom that body mentions, in the place of those of the body before it. There wherever `body` is, if
    there are any."""


class Delete(OnMessage, tag="delete", kw_only=True):
    pass


class Reaction(OnMessage, tag="reaction", kw_only=True):
    emoji: str
    on: bool


class Member(Fact, tag="member", gc=True, kw_only=True):
    users: list[str]
    change: Change
    role: Role | None = None
    title: str | None = None
    """Only in seq 1, which creates the group."""


class Group(Fact, tag="group", kw_only=True):
    title: str | None = None
    history: HistoryScope | None = None
    post: PostRight | None = None


class Closed(Fact, tag="closed", kw_only=True):
    """The group's last fact."""


class Hidden(Fact, tag="hidden", kw_only=True):
    """Stands in for a fact about a message that the reader may not see. It is never recorded, and tells no more than
    that the seq is taken: `from` is absent."""

    sender: str = ""


#: All that is no message.
AnyOther: TypeAlias = Edit | Delete | Reaction | Member | Group | Closed | Hidden
AnyFact: TypeAlias = Message | AnyOther
#: All facts that are recorded: `Hidden` never is.
RecordedFact: TypeAlias = Message | Edit | Delete | Reaction | Member | Group | Closed
#: Facts that change what decisions about others read: with one of these before it, a batch that another node decided
#: without it does not hold. Those about messages go past each other freely.
GUARDED: Final = (Member, Group, Closed)
