"""The structs that come in as JSON or as a query; those that go out are in views.py.

A body or a query with an unknown field is refused: a misspelt field that was ignored would look like success.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gochat.domain.facts import HistoryScope, PostRight, Role
from gochat.domain.ids import NAME_PATTERN
from gochat.domain.notices import ChannelName
from gochat.protocol import requests as req
from gochat.protocol.requests import Cursor, Limit, Seq

# ---------------------------------------------------------------------------------------------- forms


def _told(pattern: str) -> Meta:
    """A form that clients are told in the OpenAPI document. It is checked in `protocol.conversation`, for all doors."""
    return Meta(extra_json_schema={"pattern": pattern})


ROOM_PATTERN: Final = f"(group:{NAME_PATTERN}|dm:{NAME_PATTERN}:{NAME_PATTERN})"
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
Name: TypeAlias = Annotated[req.Name, _told(f"^{NAME_PATTERN}$")]
Room: TypeAlias = Annotated[req.Room, _told(f"^{ROOM_PATTERN}$")]
Address: TypeAlias = Annotated[req.Room, _told(f"^(user:{NAME_PATTERN}|{ROOM_PATTERN})$")]
Title: TypeAlias = Annotated[req.Title, _told(r"^[^\x00]*$")]
Text: TypeAlias = Annotated[str, _told(r"^[^\x00]*[^\x00\s][^\x00]*$")]

# ---------------------------------------------------------------------------------------------- in: bodies


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A field that may be left out may be null as well, and means the same: as it is in frames."""


class NewMessage(Body, kw_only=True):
    """A message to an address (`user:bob`, `group:tea`) or a room id."""

    to: Address
    """`user:bob`, `group:tea`, or a room's id: that of a private room has its users in byte order."""
    body: Text
    reply_to: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    """The seq of a message of the same room."""


class MessageEdit(Body, kw_only=True):
    body: Text


class NewGroup(Body, kw_only=True):
    """A group that the caller will own. Its name is never given again."""

    name: Name
    title: Title | None = None
    users: list[Name] | None = None
    history: HistoryScope | None = None
    post: PostRight | None = None


class GroupChange(Body, kw_only=True):
    """Absent fields stay as they are; at least one is needed."""

    title: Title | None = None
    history: HistoryScope | None = None
    post: PostRight | None = None


class Membership(Body, kw_only=True):
    """Without `role` a member keeps the present one, and a new one becomes `member`."""

    role: Role | None = None


class NewReport(Body, kw_only=True):
    """Why moderators should look at a message."""

    reason: req.Reason | None = None


class Sanction(Body, kw_only=True):
    """A mute or a ban; without `seconds` it holds until it is taken back."""

    seconds: req.Seconds | None = None


class Suspending(Body, kw_only=True):
    """A suspension; without `seconds` it holds until it is taken back."""

    seconds: req.Seconds | None = None
    reason: req.Reason | None = None


class Revocation(Body, kw_only=True):
    """All tokens of `user` that were issued up to now, or the one with the id `token`: one of the two."""

    user: Name | None = None
    token: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    reason: req.Reason | None = None


class NotifyChange(Body, kw_only=True):
    """Fields that are left out change nothing. `until` goes with `room`, `tz` with a `quiet` that is not empty."""

    room: Room | None = None
    """A room to be notified of no more; with `until`, until then, and a time that has passed ends it."""
    until: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    quiet: Annotated[str, Meta(max_length=11), _told(f"^({_CLOCK}-{_CLOCK})?$")] | None = None
    """The hours of each day in which notifications wait, such as `22:00-07:00`; empty: none."""
    tz: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """The time zone of `quiet`, such as `Europe/Vienna`."""
    mentions: bool | None = None
    """Whether to be notified of messages that mention one, in rooms that are silent too."""


class PushChange(Body, kw_only=True):
    """A device to subscribe, and one to forget. Without either the reply tells how things are."""

    subscription: req.PushSubscription | None = None
    forget: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """The `endpoint` of a device that is to be pushed to no more."""


class NotificationRetry(Body, kw_only=True):
    """Of which channel everything that was given up is tried again; without one, of all."""

    channel: ChannelName | None = None


# ---------------------------------------------------------------------------------------------- in: queries


class Query(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class HistoryQuery(Query, kw_only=True):
    """Bounds are exclusive: `before` gives the nearest below it, `after` those above it, neither the newest."""

    room: Room
    """`group:tea`, or `dm:ann:bob` with the users in byte order."""
    before: Seq | UnsetType = UNSET
    """Not together with `after`."""
    after: Seq | UnsetType = UNSET
    """Not together with `before`."""
    limit: Limit = 50
    messages: bool = False
    """Only messages that are not deleted."""


class ListQuery(Query, kw_only=True):
    limit: Limit = 50
    cursor: Cursor | UnsetType = UNSET
    """`next` of the page before."""


class GroupsQuery(ListQuery, kw_only=True):
    owner: req.Name | UnsetType = UNSET
    """Only groups that this user owns."""


class ContactsQuery(ListQuery, kw_only=True):
    rooms: bool = False
    """Also users who share only a private room with the caller: their state is `none`."""


class UsersQuery(ListQuery, kw_only=True):
    q: Annotated[str, Meta(min_length=1, max_length=200)]
    """The beginning of the id, or of a word of the name. Letters, digits, emoji and signs; not punctuation alone."""


class ReportsQuery(ListQuery, kw_only=True):
    room: Room | UnsetType = UNSET
    """Of this room alone. Without it all of them, for an admin."""


class AccountsQuery(ListQuery, kw_only=True):
    user: Name | UnsetType = UNSET
    """Of this user alone."""


class UserListQuery(AccountsQuery, kw_only=True):
    prefix: Annotated[str, Meta(max_length=64), _told("^[a-z0-9_.:-]*$")] | UnsetType = UNSET
    """Only ids that begin so; of rooms, behind `group:` or `dm:`."""


class SessionsQuery(AccountsQuery, kw_only=True):
    slow: bool = False
    """Only sessions whose peer does not take what is sent, those that keep most waiting first."""


class MailboxesQuery(ListQuery, kw_only=True):
    private: bool = False
    """Tell the ids of private rooms too. To look at them leaves an entry in the audit log."""


class RoomsQuery(UserListQuery, kw_only=True):
    private: bool = False
    """Private rooms instead of groups. To look at them leaves an entry in the audit log."""
    q: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    """Only groups whose title and id have words that begin with each of these words. A page may be short, or empty,
    where there is a next one: many groups were looked at."""


class NotificationsQuery(Query, kw_only=True):
    dead: bool = False
    """Those that were given up after 24 hours, in the place of those that wait."""
    channel: ChannelName | UnsetType = UNSET
    limit: Limit = 50


class LeaveQuery(Query, kw_only=True):
    successor: Name | UnsetType = UNSET
    """The next owner of the group, when its last owner leaves. Only for users who leave."""
