"""The entries of lists and pages, which replies are made of, as the archive, the node and its notifier tell them."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from gochat.domain.facts import Role

#: The state that one user holds of another. `request`: the other asks to write. See domain/relationship.py.
RelationState: TypeAlias = Literal["none", "request", "contact", "blocked", "declined"]
#: The members who may write in a group, as lists tell it; left out where all may.
PostLimit: TypeAlias = Literal["moderators", "owner"]


# ---------------------------------------------------------------------------------------------- rooms and people


class Last(msgspec.Struct, omit_defaults=True, rename={"sender": "from"}, gc=False):
    """The latest message of a room, for a list; its body cut at 200 characters."""

    seq: int
    ts: int
    sender: str
    body: str
    """Empty where it is deleted."""
    deleted: int | None = None
    """When it was deleted."""


class Latest(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """The end of a room's entry. Its fields take their names, so that in entries that are made of it they come last, on
    the wire too: a struct has those that may stand without a name before those that may not."""

    mentions: int = 0
    """How many of the unread messages mention one, counted up to 100; users whom one has blocked do not count."""
    reads: dict[str, int] = {}
    """Up to where each other user has read, as far as they tell one: see the event `read`."""
    got: dict[str, int] = {}
    """Up to where facts have come to the others' devices, where that is further: see the event `got`."""
    last: Last | None = None


class ContactEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    name: str
    online: bool
    last_seen: int | None = None
    room: str
    epoch: str
    head: int
    read: int
    unread: int
    mentions: int = 0
    """How many of the unread messages mention one, counted up to 100; users whom one has blocked do not count."""
    reads: dict[str, int] = {}
    """Up to where each other user has read, as far as they tell one: see the event `read`."""
    got: dict[str, int] = {}
    """Up to where facts have come to the others' devices, where that is further: see the event `got`."""
    last: Last | None = None


class RoomEntry(Latest, omit_defaults=True, gc=False):
    room: str
    title: str
    role: Role
    epoch: str
    head: int
    read: int
    unread: int
    post: PostLimit | None = None
    """The members who may write, where not all may: moderators and owners, or owners."""
    joined: dict[str, int] = {}
    """Where other members came into the group, if later than it began: what was said before is no part of their
    positions in `reads` and `got`."""


class GroupEntry(Latest, omit_defaults=True, gc=False):
    """A group as in `welcome.rooms`, and how many members it has. Older servers end with `members`."""

    room: str
    title: str
    role: Role
    members: int
    epoch: str | None = None
    head: int | None = None
    read: int | None = None
    unread: int | None = None
    post: PostLimit | None = None
    """The members who may write, where not all may: moderators and owners, or owners."""
    joined: dict[str, int] = {}
    """Where other members came into the group, if later than it began: what was said before is no part of their
    positions in `reads` and `got`."""


class RequestEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    name: str
    room: str
    head: int
    last: Last


class ContactState(Latest, omit_defaults=True, gc=False):
    """The room's fields are there where one hears the private room: not of users who are blocked or declined."""

    user: str
    name: str
    state: RelationState
    room: str | None = None
    epoch: str | None = None
    head: int | None = None
    read: int | None = None
    unread: int | None = None


class UserEntry(msgspec.Struct, gc=False):
    user: str
    name: str


class MemberEntry(msgspec.Struct, kw_only=True, gc=False):
    user: str
    name: str
    role: Role
    since: int
    """The `ts` of the fact that added the user."""


class PresenceEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    online: bool
    last_seen: int | None = None


class Device(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """One of one's own live sessions."""

    since: int
    """When it signed in."""
    transport: str
    address: str
    device: str | None = None
    handle: str | None = None
    """By which `sign_out` ends it; absent of the session that asks."""
    current: bool = False
    """Whether it is the session that asks; never by REST."""


# ---------------------------------------------------------------------------------------------- moderation


class ReportEntry(msgspec.Struct, omit_defaults=True, kw_only=True, rename={"sender": "from"}, gc=False):
    report: int
    ts: int
    room: str
    seq: int
    sender: str
    """The author of the message."""
    body: str | None = None
    """As it is now, cut at 200 characters; absent where it was deleted."""
    by: str | None = None
    """The user who reported it; absent where a rule did."""
    rule: str | None = None
    reason: str | None = None


class SanctionEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A user who is muted in a group, or banned from it."""

    user: str
    name: str
    kind: Literal["mute", "ban"]
    ts: int
    until: int | None = None
    """When it ends; absent where it does not end by itself."""


class AuditEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    id: int
    ts: int
    actor: str
    action: str
    room: str | None = None
    subject: str | None = None
    """The user, message or token it was done to."""
    detail: str | None = None
    """Everything else that was recorded of it, as a JSON object."""


class Suspension(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    ts: int
    until: int | None = None
    """When it ends; absent where it does not end by itself."""
    by: str
    """The admin who suspended the user."""
    reason: str | None = None


# ---------------------------------------------------------------------------------------------- notifications


class Silence(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """A room that one is not notified of."""

    room: str
    until: int | None = None
    """When that ends; absent where it does not end by itself."""


class NotificationEntry(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """A notification, as admins see it: nothing that was said."""

    notification: str
    channel: str
    user: str
    room: str
    ts: int
    """When it was worked out."""
    tries: int
    next: int | None = None
    """When it is tried next; absent where it was given up."""
    reason: str | None = None
    """Why it was not delivered, the last time."""


# ---------------------------------------------------------------------------------------------- the node


class Account(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A user who ever signed in, as admins see one."""

    user: str
    name: str
    last_seen: int | None = None
    sessions: int = 0
    """Live ones, on this node."""
    suspended: bool = False
    until: int | None = None
    """When the suspension ends; absent where it does not end by itself."""


class RoomOverview(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A room as admins see it in a list: how much is in it, and nothing that was said."""

    room: str
    title: str = ""
    head: int
    messages: int
    """How many there ever were, deleted ones included."""
    ts: int
    """Of the latest fact."""
    last_message: int | None = None
    """The `ts` of the latest message."""


class SessionEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    since: int
    """When it signed in."""
    transport: str
    address: str
    device: str | None = None
    node: str
    waiting: int = 0
    """Bytes that the peer has not taken yet."""
    stalled_ms: int = 0
    """How long ago the peer last took some of them."""


class MailboxEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """The mailbox of a room or a user, with mail in it."""

    kind: Literal["group", "private", "user"]
    id: str | None = None
    """Of the room or the user; absent for a private room, unless that was asked for."""
    waiting: int
    capacity: int
    peak: int
    """The most that ever waited."""
    refused: int = 0
    """How much mail was refused because the mailbox was full."""
    phase: str
    """Of its actor: `idle`, `queued`, `preparing`, `deciding` or `recording`."""
    age_ms: int
    """How long none of its mail was taken, as far as anybody has looked: the oldest of it waits at least so long."""
    turn_ms: int
    """How long ago the latest turn ended: mail waits at most so long."""


class Check(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A check of `/readyz`."""

    check: str
    problem: str | None = None
    """Absent where all is well."""


class Child(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A task that a supervisor keeps."""

    name: str
    """Of the work; a room or a user by its id, a private room without its id."""
    since: int
    """When it was started, the last time."""
    restarts: int = 0
    pausing: bool = False
    """Whether it has crashed and waits to be started again."""


class Crash(msgspec.Struct, kw_only=True, gc=False):
    """The crash of a task: which one, when, and the kind of the error. The log has the whole of it."""

    name: str
    ts: int
    error: str


class SupervisorEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A supervisor with the tasks that it keeps."""

    name: str
    crashes: int
    """Of all its tasks, since the node started."""
    given_up: int = 0
    """How many tasks crashed too often and were not started again."""
    children: list[Child]
    """Those that crashed first, then the oldest; at most 50."""
    more: int = 0
    """How many tasks there are besides."""
    latest: list[Crash] = []
    """The latest crashes, the last one first; at most 20."""
