"""Every frame the server may send besides the facts (domain/facts.py): replies, and events without a seq."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from gochat.domain.facts import AnyFact, Role

ReplyId: TypeAlias = int | str | None
#: The state that one user holds of another. `request`: the other asks to write. See domain/relationship.py.
RelationState: TypeAlias = Literal["none", "request", "contact", "blocked", "declined"]


class Frame(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """Any server frame. `id` echoes the request's; events have none."""


class Reply(Frame, kw_only=True):
    id: ReplyId = None


class Limits(msgspec.Struct, frozen=True):
    """The limits of the node, in bytes, characters, counts and messages a second."""

    frame_bytes: int = 65_536
    body_chars: int = 4_000
    add_users: int = 200
    group_members: int = 100_000
    window: int = 128
    sessions: int = 20
    messages_per_s: float = 1.0
    message_burst: int = 1
    key_days: int | None = None
    """How long a key is remembered; None is for ever."""


class Last(msgspec.Struct, omit_defaults=True, rename={"sender": "from"}, gc=False):
    """The latest message of a room, for a list; its body cut at 200 characters."""

    seq: int
    ts: int
    sender: str
    body: str
    """Empty where it is deleted."""
    deleted: int | None = None
    """When it was deleted."""


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


class RoomEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    room: str
    title: str
    role: Role
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


class RequestEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    name: str
    room: str
    head: int
    last: Last


class ContactState(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """The room's fields are there where one hears the private room: not of users who are blocked or declined."""

    user: str
    name: str
    state: RelationState
    room: str | None = None
    epoch: str | None = None
    head: int | None = None
    read: int | None = None
    unread: int | None = None
    mentions: int = 0
    """How many of the unread messages mention one, counted up to 100; users whom one has blocked do not count."""
    reads: dict[str, int] = {}
    """Up to where each other user has read, as far as they tell one: see the event `read`."""
    got: dict[str, int] = {}
    """Up to where facts have come to the others' devices, where that is further: see the event `got`."""
    last: Last | None = None


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


class Welcome(Reply, tag="welcome", kw_only=True):
    user: str
    session: str
    node: str
    server: str
    heartbeat_s: float
    limits: Limits
    contacts: list[ContactEntry]
    rooms: list[RoomEntry]
    requests: list[RequestEntry]
    rooms_next: str | None = None
    """There where not all groups fit: the `cursor` with which `groups` goes on with the others."""
    unreadable: list[str] = []
    """Rooms that are left out of the lists, since the server's database is damaged and they can't be read."""


class Ack(Reply, tag="ack", gc=False, kw_only=True):
    """The request's fact is durable. `duplicate`: it was already, at this seq."""

    room: str
    seq: int
    epoch: str
    ts: int
    duplicate: bool = False
    request: bool = False
    """The message asks to write: its receiver has not accepted the sender, and sees it as a request."""


class Ok(Reply, tag="ok", gc=False, kw_only=True):
    room: str | None = None
    seq: int | None = None
    head: int | None = None
    state: str | None = None


class Error(Reply, tag="error", gc=False, kw_only=True):
    code: str
    message: str
    temporary: bool
    retry_after_ms: int | None = None
    rule: str | None = None
    unknown: bool = False
    close: int | None = None


class Pong(Reply, tag="pong", gc=False, kw_only=True):
    pass


class Page(Reply, tag="page", kw_only=True):
    """Every fact of a range, ascending and dense; of a `history` with `messages` only messages that are not deleted.
    `complete` false: a part of it can't be reached now."""

    room: str
    epoch: str
    entries: list[AnyFact]
    head: int
    complete: bool
    next: int | None = None
    """With `messages`, where there may be more in this direction: the `after` or `before` to go on with, also where
    this page is short or empty."""
    reads: dict[str, int] = {}
    """Up to where each other user has read, as far as they tell one: see the event `read`."""
    got: dict[str, int] = {}
    """Up to where facts have come to the others' devices, where that is further: see the event `got`."""


class UserEntry(msgspec.Struct, gc=False):
    user: str
    name: str


class UserResults(Reply, tag="results", kw_only=True):
    users: list[UserEntry]
    next: str | None = None


class MessageResults(Reply, tag="results", kw_only=True):
    entries: list[AnyFact]
    next: str | None = None


class GroupEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A group as in `welcome.rooms`, and how many members it has. Older servers end with `members`."""

    room: str
    title: str
    role: Role
    members: int
    epoch: str | None = None
    head: int | None = None
    read: int | None = None
    unread: int | None = None
    mentions: int = 0
    """How many of the unread messages mention one, counted up to 100; users whom one has blocked do not count."""
    reads: dict[str, int] = {}
    """Up to where each other user has read, as far as they tell one: see the event `read`."""
    got: dict[str, int] = {}
    """Up to where facts have come to the others' devices, where that is further: see the event `got`."""
    last: Last | None = None


class Groups(Reply, tag="groups", kw_only=True):
    groups: list[GroupEntry]
    next: str | None = None
    unreadable: list[str] = []
    """Rooms that are left out of the page, since the server's database is damaged and they can't be read."""


class MemberEntry(msgspec.Struct, kw_only=True, gc=False):
    user: str
    name: str
    role: Role
    since: int
    """The `ts` of the fact that added the user."""


class Members(Reply, tag="members", kw_only=True):
    room: str
    members: list[MemberEntry]
    next: str | None = None


class PresenceEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    online: bool
    last_seen: int | None = None


class Presence(Reply, tag="presence", kw_only=True):
    """The reply to `watch`, and the event when a watched user comes or goes."""

    users: list[PresenceEntry]


class Contacts(Reply, tag="contacts", kw_only=True):
    contacts: list[ContactState]
    next: str | None = None
    unreadable: list[str] = []
    """Rooms that are left out of the page, since the server's database is damaged and they can't be read."""


class Requests(Reply, tag="requests", kw_only=True):
    requests: list[RequestEntry]
    next: str | None = None


class Reports(Reply, tag="reports", kw_only=True):
    reports: list[ReportEntry]
    next: str | None = None


class Audit(Reply, tag="audit", kw_only=True):
    entries: list[AuditEntry]
    next: str | None = None


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


class Users(Reply, tag="users", kw_only=True):
    users: list[Account]
    next: str | None = None


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


class Rooms(Reply, tag="rooms", kw_only=True):
    rooms: list[RoomOverview]
    next: str | None = None


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


class Sessions(Reply, tag="sessions", kw_only=True):
    sessions: list[SessionEntry]
    next: str | None = None


class Suspension(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    user: str
    ts: int
    until: int | None = None
    """When it ends; absent where it does not end by itself."""
    by: str
    """The admin who suspended the user."""
    reason: str | None = None


class Suspensions(Reply, tag="suspensions", kw_only=True):
    suspensions: list[Suspension]
    next: str | None = None


class SanctionEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A user who is muted in a group, or banned from it."""

    user: str
    name: str
    kind: Literal["mute", "ban"]
    ts: int
    until: int | None = None
    """When it ends; absent where it does not end by itself."""


class Sanctions(Reply, tag="sanctions", kw_only=True):
    name: str
    """Of the group."""
    sanctions: list[SanctionEntry]
    next: str | None = None


class Device(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """One of one's own live sessions."""

    since: int
    """When it signed in."""
    transport: str
    address: str
    device: str | None = None
    current: bool = False
    """Whether it is the session that asks; never by REST."""


class Devices(Reply, tag="devices", kw_only=True):
    devices: list[Device]


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


class Overview(Reply, tag="overview", kw_only=True):
    node: str
    server: str
    ts: int
    ready: bool
    checks: list[Check]
    metrics: dict[str, dict[str, float]]
    """By name, as `/metrics` has them, then by the values of their labels with commas between; without labels by the
    empty string. Of a histogram its `_sum` and `_count`."""
    supervisors: list[SupervisorEntry]


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


class Mailboxes(Reply, tag="mailboxes", kw_only=True):
    mailboxes: list[MailboxEntry]
    waiting: int
    """All mail that waits, over all mailboxes of the node."""
    next: str | None = None


class Request(Frame, tag="request", gc=False, kw_only=True):
    """A stranger's messages wait for an answer. No fact of that room comes until `accept`, or until one writes back."""

    user: str
    name: str
    room: str
    head: int
    last: Last


class Contact(Frame, tag="contact", gc=False, kw_only=True):
    """The state that one holds of a user has changed, perhaps on another device."""

    user: str
    state: RelationState


class Read(Frame, tag="read", rename={"sender": "from"}, gc=False, kw_only=True):
    room: str
    sender: str
    seq: int


class Got(Frame, tag="got", gc=False, kw_only=True):
    """The facts of a room have come to devices of these users, up to these seqs."""

    room: str
    got: dict[str, int]


class Typing(Frame, tag="typing", rename={"sender": "from"}, gc=False, kw_only=True):
    room: str
    sender: str


class Lag(Frame, tag="lag", gc=False, kw_only=True):
    """Facts were left out. No fact of that room comes until `resume`."""

    room: str
    epoch: str
    head: int


class Silence(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """A room that one is not notified of."""

    room: str
    until: int | None = None
    """When that ends; absent where it does not end by itself."""


class Notify(Reply, tag="notify", kw_only=True):
    """One's own wishes for notifications."""

    channels: list[str]
    """By which ways this server notifies: `webhook`, `push`, `mail`."""
    quiet: str | None = None
    tz: str | None = None
    mentions: bool = False
    """Whether messages that mention one are told in silent rooms too."""
    rooms: list[Silence]


class Push(Reply, tag="push", kw_only=True):
    """`key` is the `applicationServerKey` for subscribing; absent where the server does not push."""

    key: str | None = None
    devices: int
    """How many one has subscribed."""


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


class Notifications(Reply, tag="notifications", kw_only=True):
    """The next to be sent, or the latest to be given up, first."""

    notifications: list[NotificationEntry]
    waiting: int
    """How many wait, and how many were given up, of all channels or of the one asked for."""
    dead: int
    retried: int | None = None
    """With `retry`, how many are tried again."""


class Reset(Frame, tag="reset", gc=False, kw_only=True):
    """The position that a client gave belongs to another log: it starts the room anew."""

    room: str
    epoch: str
    head: int


class Goaway(Frame, tag="goaway", gc=False, kw_only=True):
    reason: str
    reconnect_ms: int


class Ping(Frame, tag="ping", gc=False, kw_only=True):
    pass


AnyReply: TypeAlias = (
    Welcome
    | Ack
    | Ok
    | Error
    | Pong
    | Page
    | UserResults
    | MessageResults
    | Groups
    | Members
    | Presence
    | Contacts
    | Requests
    | Reports
    | Audit
    | Users
    | Rooms
    | Sessions
    | Suspensions
    | Overview
    | Mailboxes
    | Sanctions
    | Devices
    | Notify
    | Push
    | Notifications
)
AnyEvent: TypeAlias = AnyFact | Read | Got | Typing | Presence | Request | Contact | Lag | Reset | Goaway | Ping
