"""Every frame the server may send besides the facts (domain/facts.py): replies, and events without a seq."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from gochat.domain.facts import AnyFact
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    Check,
    ContactEntry,
    ContactState,
    Device,
    GroupEntry,
    Last,
    MailboxEntry,
    MemberEntry,
    NotificationEntry,
    PresenceEntry,
    RelationState,
    ReportEntry,
    RequestEntry,
    RoomEntry,
    RoomOverview,
    SanctionEntry,
    SessionEntry,
    Silence,
    SupervisorEntry,
    Suspension,
    UserEntry,
)

ReplyId: TypeAlias = int | str | None


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
    incomplete: bool = False
    """The node is cut off from the others: rooms, and facts that they acknowledged, may be missing. They come later."""
    epoch: str | None = None
    """That of every room's log, for as long as the connection lives. Older servers leave it out."""


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
    joined: dict[str, int] = {}
    """Where other members came into the group, if later than it began: what was said before is no part of their
    positions in `reads` and `got`."""


class UserResults(Reply, tag="results", kw_only=True):
    users: list[UserEntry]
    next: str | None = None


class MessageResults(Reply, tag="results", kw_only=True):
    entries: list[AnyFact]
    next: str | None = None


class Groups(Reply, tag="groups", kw_only=True):
    groups: list[GroupEntry]
    next: str | None = None
    unreadable: list[str] = []
    """Rooms that are left out of the page, since the server's database is damaged and they can't be read."""


class Members(Reply, tag="members", kw_only=True):
    room: str
    members: list[MemberEntry]
    next: str | None = None


class Names(Reply, tag="names", kw_only=True):
    users: list[UserEntry]
    """In the order of the request. Users whose names are not told are left out."""


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


class Users(Reply, tag="users", kw_only=True):
    users: list[Account]
    next: str | None = None


class Rooms(Reply, tag="rooms", kw_only=True):
    rooms: list[RoomOverview]
    next: str | None = None


class Sessions(Reply, tag="sessions", kw_only=True):
    sessions: list[SessionEntry]
    next: str | None = None


class Suspensions(Reply, tag="suspensions", kw_only=True):
    suspensions: list[Suspension]
    next: str | None = None


class Sanctions(Reply, tag="sanctions", kw_only=True):
    name: str
    """Of the group."""
    sanctions: list[SanctionEntry]
    next: str | None = None


class Devices(Reply, tag="devices", kw_only=True):
    devices: list[Device]
    missing: list[str] = []
    """The names of nodes of the cluster that did not answer in time: sessions there are not told of."""


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
    | Names
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
