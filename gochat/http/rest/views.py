"""The structs that go out as JSON."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gochat.domain import facts
from gochat.domain.facts import HistoryScope, PostRight, Role
from gochat.domain.ids import message_id
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    Check,
    Device,
    Last,
    MailboxEntry,
    NotificationEntry,
    RelationState,
    ReportEntry,
    RequestEntry,
    RoomOverview,
    SanctionEntry,
    SessionEntry,
    Silence,
    SupervisorEntry,
    Suspension,
    UserEntry,
)
from gochat.protocol.replies import Limits


class MessageView(facts.Message, tag="message", kw_only=True):
    """A message as it is now. `body` is absent where it was deleted, or where the caller may not read it."""

    id: str


Entry: TypeAlias = MessageView | facts.AnyOther


class HistoryPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Every fact of a range, ascending and dense by seq; with `messages` only messages that are not deleted. The Link
    header says whether there is more: with `messages` a page may be short, or empty, all the same."""

    room: str
    epoch: str
    """Names the room's log: another epoch than before means that the log was rolled back; start the room anew."""
    head: int
    entries: list[Entry]
    reads: dict[str, int] | UnsetType = UNSET
    """Up to where each other user has read, as far as they tell the caller; absent where nobody does."""
    got: dict[str, int] | UnsetType = UNSET
    """Up to where facts have come to the others' devices, where that is further."""
    joined: dict[str, int] | UnsetType = UNSET
    """Where other members came into the group, if later than it began: what was said before is no part of their
    positions in `reads` and `got`."""


class GroupView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A group. A list leaves out `history` and `post`, and has the caller's place in the room (`epoch`, `head`, `read`,
    `unread`, `mentions`, `last`) and that of others (`reads`, `got`, `joined`); one group alone, the other way round.
    A caller who made it and may not read gets the names alone."""

    name: str
    room: str
    title: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    """The caller's role; absent for an admin who is no member."""
    members: int | UnsetType = UNSET
    history: HistoryScope | UnsetType = UNSET
    post: PostRight | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    head: int | UnsetType = UNSET
    read: int | UnsetType = UNSET
    unread: int | UnsetType = UNSET
    """Messages of others above `read` that are not deleted."""
    mentions: int | UnsetType = UNSET
    """How many of the unread messages mention the caller, counted up to 100; absent where none does."""
    reads: dict[str, int] | UnsetType = UNSET
    """Up to where each other user has read, as far as they tell the caller; absent where nobody does."""
    got: dict[str, int] | UnsetType = UNSET
    """Up to where facts have come to the others' devices, where that is further."""
    joined: dict[str, int] | UnsetType = UNSET
    """Where other members came into the group, if later than it began: what was said before is no part of their
    positions in `reads` and `got`."""
    last: Last | UnsetType = UNSET


class GroupPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    groups: list[GroupView]
    next: str | UnsetType = UNSET
    unreadable: list[str] = []
    """Rooms that are left out of the page, since the server's database is damaged and they can't be read."""


class MemberView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A member. `since`, when they were added, stands in lists alone. A caller who added them and may not read gets the
    id alone."""

    user: str
    name: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    since: int | UnsetType = UNSET


class MemberPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    room: str
    members: list[MemberView]
    next: str | UnsetType = UNSET


class UserPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    users: list[UserEntry]
    next: str | UnsetType = UNSET


class ContactView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The caller's relation to a user. `name` is for callers who may read. The private room's fields stand in lists
    alone, and not for users who are blocked or declined."""

    user: str
    name: str | UnsetType = UNSET
    state: RelationState
    room: str | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    head: int | UnsetType = UNSET
    read: int | UnsetType = UNSET
    unread: int | UnsetType = UNSET
    """Messages of others above `read` that are not deleted."""
    mentions: int | UnsetType = UNSET
    """How many of the unread messages mention the caller, counted up to 100; absent where none does."""
    reads: dict[str, int] | UnsetType = UNSET
    """Up to where each other user has read, as far as they tell the caller; absent where nobody does."""
    got: dict[str, int] | UnsetType = UNSET
    """Up to where facts have come to the others' devices, where that is further."""
    last: Last | UnsetType = UNSET


class ContactPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    contacts: list[ContactView]
    next: str | UnsetType = UNSET
    unreadable: list[str] = []
    """Rooms that are left out of the page, since the server's database is damaged and they can't be read."""


class RequestPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Users who ask to write. Their messages are read with `GET /v1/messages`."""

    requests: list[RequestEntry]
    next: str | UnsetType = UNSET


class ReportPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    reports: list[ReportEntry]
    next: str | UnsetType = UNSET


class AuditPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    entries: list[AuditEntry]
    next: str | UnsetType = UNSET


class AccountPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    users: list[Account]
    next: str | UnsetType = UNSET


class RoomOverviewPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    rooms: list[RoomOverview]
    next: str | UnsetType = UNSET


class SessionPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    sessions: list[SessionEntry]
    next: str | UnsetType = UNSET


class SuspensionPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    suspensions: list[Suspension]
    next: str | UnsetType = UNSET


class SanctionPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    name: str
    """Of the group."""
    sanctions: list[SanctionEntry]
    next: str | UnsetType = UNSET


class DevicesView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The caller's live sessions, the oldest first."""

    devices: list[Device]
    missing: list[str] = []
    """The names of nodes of the cluster that did not answer in time: sessions there are not told of."""


class OverviewView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How the node that answers is doing now."""

    node: str
    server: str
    ts: int
    ready: bool
    checks: list[Check]
    metrics: dict[str, dict[str, float]]
    """By name, as `/metrics` has them, then by the values of their labels with commas between; without labels by the
    empty string. Of a histogram its `_sum` and `_count`."""
    supervisors: list[SupervisorEntry]


class MailboxPage(msgspec.Struct, omit_defaults=True, kw_only=True):
    mailboxes: list[MailboxEntry]
    waiting: int
    """All mail that waits, over all mailboxes of the node."""
    next: str | UnsetType = UNSET


class NotifyView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One's own wishes for notifications."""

    channels: list[str]
    """By which ways this server notifies: `webhook`, `push`, `mail`."""
    quiet: str | UnsetType = UNSET
    tz: str | UnsetType = UNSET
    mentions: bool = False
    """Whether messages that mention the caller are told in silent rooms too."""
    rooms: list[Silence]


class PushView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """`key` is the `applicationServerKey` for subscribing; absent where the server does not push."""

    key: str | UnsetType = UNSET
    devices: int
    """How many one has subscribed."""


class NotificationsView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The next to be sent, or the latest to be given up, first; and how many there are of each."""

    notifications: list[NotificationEntry]
    waiting: int
    dead: int


class Retried(msgspec.Struct, kw_only=True):
    """How many are tried again."""

    retried: int


class Ticket(msgspec.Struct, kw_only=True):
    """The ticket in a link of `gochat link`, behind `#ticket=`."""

    ticket: Annotated[str, Meta(min_length=1, max_length=8_192)]


class NewToken(msgspec.Struct, kw_only=True):
    """The token that a ticket was exchanged for."""

    user: str
    token: str
    expires: int
    """When the token ends, in milliseconds since the Unix epoch."""


class Me(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The token's user, its scopes, and the limits of this node."""

    user: str
    name: str
    scopes: list[str]
    expires: int | UnsetType = UNSET
    """When the token ends, in milliseconds since the Unix epoch."""
    limits: Limits


def message_view(fact: facts.Message) -> MessageView:
    fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return MessageView(id=message_id(fact.room, fact.seq), **fields)


def entry(fact: facts.AnyFact) -> Entry:
    return message_view(fact) if isinstance(fact, facts.Message) else fact
