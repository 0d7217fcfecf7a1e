"""Every request a client may send, as one tagged union. Unknown fields are ignored, so that clients may be newer."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gochat.domain.facts import HistoryScope, PostRight, Role
from gochat.domain.notices import ChannelName

Id: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(min_length=1, max_length=64)]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=200)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
#: An address (`user:bob`) or a room id; the longest room id is a DM of two 64-character names.
Room: TypeAlias = Annotated[str, Meta(min_length=1, max_length=140)]
Title: TypeAlias = Annotated[str, Meta(max_length=200)]
Cursor: TypeAlias = Annotated[str, Meta(max_length=200)]
Reason: TypeAlias = Annotated[str, Meta(max_length=500)]
#: The first frame of a connection may have so many bytes, if `limits.frame_bytes` is less: a `hello` that resumes 1,000
#: rooms with the longest ids and epochs takes 220 KB.
FIRST_FRAME_BYTES: Final = 256 * 1024
#: At most 100 years.
Seconds: TypeAlias = Annotated[int, Meta(ge=1, le=3_155_760_000)]


class Request(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """A request with an `id` gets exactly one reply, which echoes it."""

    id: Id | None = None


class Position(msgspec.Struct, omit_defaults=True):
    """The last seq of a room that a client holds, and the epoch it belongs to."""

    seq: Seq
    epoch: Annotated[str, Meta(max_length=32)] | None = None


class Hello(Request, tag="hello", kw_only=True):
    token: str | None = None
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
    """The answer to the server's `ping` event; it gets no reply, whether it has an `id` or not."""


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


class Got(Request, tag="got", kw_only=True):
    """The facts of a room up to `seq` have come to this device. Facts that are marked as read need no `got`."""

    room: Room
    seq: Seq


class Typing(Request, tag="typing", kw_only=True):
    room: Room


class History(Request, tag="history", kw_only=True):
    room: Room
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50
    messages: bool = False
    """Skip deleted messages, and all that is no message. The page then says by `next` where to go on."""


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


class Names(Request, tag="names", kw_only=True):
    """The shown names of users, for messages and lists that tell their ids."""

    users: Annotated[list[Name], Meta(max_length=100)]


class Watch(Request, tag="watch", kw_only=True):
    users: Annotated[list[Name], Meta(max_length=15)]


class Contacts(Request, tag="contacts", kw_only=True):
    """The users to whom one's state is not `none`, by id; those who merely wait for an answer stand in `requests`."""

    limit: Limit = 50
    cursor: Cursor | None = None
    rooms: bool = False
    """Also the users with whom one has no more than a private room: their state is `none`."""


class Requests(Request, tag="requests", kw_only=True):
    limit: Limit = 50
    cursor: Cursor | None = None


class ContactAction(Request, tag="contact", kw_only=True):
    user: Name
    action: Literal["add", "remove", "block", "unblock", "accept", "decline"]


class Report(Request, tag="report", kw_only=True):
    """Tells the moderators of the room, and every admin, of a message."""

    room: Room
    seq: Annotated[int, Meta(ge=1, le=2**53)]
    reason: Reason | None = None


class Reports(Request, tag="reports", kw_only=True):
    """Open reports, oldest first: of a group for its moderators; without `room` all of them, for an admin."""

    room: Room | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class CloseReport(Request, tag="close_report", kw_only=True):
    report: Annotated[int, Meta(ge=1, le=2**53)]


class AdminAction(Request, tag="admin", kw_only=True):
    """Keeps a user out for `seconds`, or until it is taken back. Or ends tokens: all those of `user` that were
    issued up to now, or the one with the id `token`. For admins."""

    action: Literal["suspend", "unsuspend", "revoke"]
    user: Name | None = None
    token: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    seconds: Seconds | None = None
    reason: Reason | None = None


class Audit(Request, tag="audit", kw_only=True):
    """The audit log, newest first: the actor, the action and its subject. For admins."""

    limit: Limit = 50
    cursor: Cursor | None = None


class Users(Request, tag="users", kw_only=True):
    """All users who ever signed in, by id, or the one of that id: for admins."""

    user: Name | None = None
    prefix: Annotated[str, Meta(max_length=64)] | None = None
    """Only ids that begin so."""
    limit: Limit = 50
    cursor: Cursor | None = None


class Rooms(Request, tag="rooms", kw_only=True):
    """All groups, or with `private` all private rooms, by id; with `user` those of that user: for admins. A look at
    private rooms leaves an entry in the audit log."""

    user: Name | None = None
    private: bool = False
    prefix: Annotated[str, Meta(max_length=64)] | None = None
    """Only ids that begin so behind their `group:` or `dm:`."""
    q: Annotated[str, Meta(max_length=200)] | None = None
    """Only groups whose title and id have words that begin with each of these words. A page may be short, or empty,
    where there is a `next`: many groups were looked at."""
    limit: Limit = 50
    cursor: Cursor | None = None


class Sessions(Request, tag="sessions", kw_only=True):
    """Sessions of this node, by user, or those of one user: for admins."""

    user: Name | None = None
    slow: bool = False
    """Only sessions whose peer does not take what is sent, those that keep most waiting first; `cursor` is a number
    then."""
    limit: Limit = 50
    cursor: Cursor | None = None


class Overview(Request, tag="overview", kw_only=True):
    """How the node that answers is doing now: its metrics, and its supervisors with their restarts. For admins."""


class Mailboxes(Request, tag="mailboxes", kw_only=True):
    """Mailboxes of rooms and users with mail that waits, the fullest first: for admins. Private rooms are told without
    their ids."""

    private: bool = False
    """Tell the ids of private rooms too. To look at them leaves an entry in the audit log."""
    limit: Limit = 50
    cursor: Cursor | None = None
    """`next` of the page before: a number, since the order changes all the time."""


class Suspensions(Request, tag="suspensions", kw_only=True):
    """Users who are suspended now, by id: for admins."""

    limit: Limit = 50
    cursor: Cursor | None = None


class GroupAction(Request, tag="group", kw_only=True):
    """One action on a group. One that lacks a field that it needs, or has one that it does not take, is refused. A
    `set` with a `title` counts as a message, since all members read it."""

    name: Name
    action: Literal["create", "set", "add", "remove", "role", "leave", "delete", "mute", "unmute", "ban", "unban"]
    title: Title | None = None
    users: list[Name] | None = None
    history: HistoryScope | None = None
    post: PostRight | None = None
    user: Name | None = None
    role: Role | None = None
    successor: Name | None = None
    seconds: Seconds | None = None
    """How long a `mute` or `ban` holds; without it, until it is taken back."""


class Sanctions(Request, tag="sanctions", kw_only=True):
    """Users who are muted in a group or banned from it now, by id: for its moderators and owners, and for admins."""

    name: Name
    limit: Limit = 50
    cursor: Cursor | None = None


class Devices(Request, tag="devices", kw_only=True):
    """One's own live sessions, on all nodes of a cluster, the oldest first."""


class SignOut(Request, tag="sign_out", kw_only=True):
    """Ends another session of one's own, on whichever node it is, by the `handle` that `devices` tells of it, and
    revokes its token (`state` is `revoked`), so that its client can't come back with it. Where that token has no id
    (`jti`), or is the one that the request comes with, the session is only closed (`state` is `closed`). Where a node
    that may have the session does not answer: `unavailable` with `unknown`."""

    handle: Annotated[str, Meta(min_length=1, max_length=64)]


class Notify(Request, tag="notify", kw_only=True):
    """Changes one's own wishes for notifications. Without any field nothing changes; the reply tells how things are."""

    room: Room | None = None
    """A room to be notified of no more; with `until`, until then, and a time that has passed ends it."""
    until: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    quiet: Annotated[str, Meta(max_length=11)] | None = None
    """The hours of each day in which notifications wait, such as `22:00-07:00`; empty: none."""
    tz: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """The time zone of `quiet`, such as `Europe/Vienna`."""
    mentions: bool | None = None
    """Whether to be notified of messages that mention one, in rooms that are silent too."""


class PushKeys(msgspec.Struct):
    """The keys of a browser's PushSubscription, in base64url."""

    p256dh: Annotated[str, Meta(min_length=1, max_length=128)]
    auth: Annotated[str, Meta(min_length=1, max_length=64)]


class PushSubscription(msgspec.Struct):
    """The result of a browser's `PushSubscription.toJSON()`. Other fields are ignored."""

    endpoint: Annotated[str, Meta(min_length=1, max_length=1024)]
    keys: PushKeys


class Push(Request, tag="push", kw_only=True):
    """Devices for Web Push. Without any field the reply tells the key to subscribe with."""

    subscription: PushSubscription | None = None
    """A device that is to be pushed to from now on, and as no other user's."""
    forget: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """The `endpoint` of a device that is to be pushed to no more."""


class Notifications(Request, tag="notifications", kw_only=True):
    """Notifications that wait to be delivered, or could not be."""

    dead: bool = False
    """Those that were given up after 24 hours, in the place of those that wait."""
    retry: bool = False
    """Have all that were given up tried again, of `channel` or of every channel."""
    channel: ChannelName | None = None
    limit: Limit = 50


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
    | Got
    | Typing
    | History
    | Search
    | Groups
    | Members
    | Names
    | Watch
    | Contacts
    | Requests
    | ContactAction
    | GroupAction
    | Report
    | Reports
    | CloseReport
    | AdminAction
    | Audit
    | Users
    | Rooms
    | Sessions
    | Suspensions
    | Overview
    | Mailboxes
    | Sanctions
    | Devices
    | SignOut
    | Notify
    | Push
    | Notifications
)
