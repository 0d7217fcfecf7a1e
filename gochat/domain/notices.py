"""Values that notifications are decided by, and the wishes of users that are recorded. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

ChannelName: TypeAlias = Literal["webhook", "push", "mail"]
CHANNELS: Final[tuple[ChannelName, ...]] = get_args(ChannelName)
#: Bounds for each user: rooms that are silent, devices that are pushed to. Past it the oldest device is forgotten.
MOST_SILENT: Final = 1_000
MOST_DEVICES: Final = 10


class Candidate(NamedTuple):
    """A message that is not deleted and may be a reason to notify."""

    seq: int
    ts: int
    sender: str
    body: str = ""
    mentions: Sequence[str] = ()
    """The users whom it mentions."""


class Notified(NamedTuple):
    """The latest notification that a user had of a room."""

    upto: int
    """The latest message that it counted."""
    read: int
    """The user's read position then."""
    ts: int


class Reader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member of a room, as far as notifications are concerned."""

    user: str
    since: int = 1
    """The user hears of the room from this seq on."""
    read: int = 0
    """The highest seq that the user has read on any device."""
    seen_ms: int = 0
    """The first millisecond in which the user has no session any more; one that is still to come, while there is one.
    Earlier messages could be seen by the user; messages from then on are news."""
    muted: bool = False
    """Whether the user muted the room."""
    mentions: bool = False
    """Whether the user wants to be notified of mentions in rooms that are muted, too."""
    refuses: frozenset[str] = frozenset()
    """Users whom this user has blocked or declined. With a private room's other user in it nothing is due there."""
    asked_at: int | None = None
    """A stranger asks to write: the head of the private room when they asked."""
    notified: Notified | None = None


class QuietHours(NamedTuple):
    """From `begin` to `end`, in minutes since midnight, in a user's time zone; over midnight where `end` is not above
    `begin`."""

    begin: int
    end: int
    tz: str

    def __str__(self) -> str:
        return f"{_clock(self.begin)}-{_clock(self.end)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


class Subscription(NamedTuple):
    """A device that a user has subscribed for Web Push (the W3C's PushSubscription)."""

    endpoint: str
    p256dh: str
    """The device's public key, uncompressed, in base64url."""
    auth: str
    """The device's secret, 16 bytes in base64url."""

    def __repr__(self) -> str:
        return "Subscription(...)"  # With the endpoint and the keys anybody can send to the device.


class UnseenRoom(NamedTuple):
    """A room with messages that nobody has been judged by."""

    room_pk: int
    room: str
    ts: int
    """When the first of them was recorded."""


class RoomLook(NamedTuple):
    """Some members of a room, and its messages that they may have to be notified of."""

    readers: list[Reader]
    """By id; members who have read everything, or were here since the latest message, are left out."""
    messages: list[Candidate]
    """The newest first: the latest of all, and the latest that are old enough to be due."""
    upto: int
    """The last message that is old enough."""
    next_user: str | None
    """The user to go on after; None: these were the last."""


class NewNotice(NamedTuple):
    """A user is to be notified of a burst."""

    id: str
    """See burst_key."""
    user: str
    room_pk: int
    after: int
    upto: int
    """The latest message that it counts, and the user's read position."""
    read: int
    first_ts: int
    """When the first message of the burst was recorded."""


class Route(NamedTuple):
    """A channel that is open. It reaches everybody, or the users who have a device or an address there."""

    channel: str
    everybody: bool


def burst_key(room_pk: int, user: str, first: int) -> str:
    """Names the burst whose first message has the seq `first`: the same however often it is worked out. Members of a
    room who are neighbours by id are so by key, so that keeping a slice of them writes few pages."""
    return f"{room_pk}:{user}:{first}"


def notification_id(epoch: str, room: str, user: str, first: int) -> str:
    """The name of the same burst for receivers, which tells them nothing: the same however often it is sent, also by
    another start of the node."""
    digest = hashlib.blake2b("\0".join((epoch, room, user, str(first))).encode(), digest_size=16, person=b"notify")
    return f"ntf_{digest.hexdigest()}"


def told_id(epoch: str, room: str, key: str) -> str:
    """The notification_id of a notice that is kept by `key`, and has been since that epoch: another one since then
    changes nothing, whichever node sends the notice. Earlier nodes kept notices by their notification_id."""
    if key.startswith("ntf_"):
        return key
    _, user, first = key.split(":")
    return notification_id(epoch, room, user, int(first))


class Bounds(NamedTuple):
    """How many notices are kept for each channel."""

    waiting: int
    """Notices that wait; further ones are dead letters at once."""
    dead: int = 10_000
    """Dead letters: the latest."""
    of_user: int = 1_000
    """Of either kind for one user, so that no user takes the place of the others. Past it nothing more waits for the
    user, and the oldest of the user's dead letters go."""


class WaitingNotice(NamedTuple):
    """A notice whose time has come, with everything that must be known to send it, or not to."""

    id: str
    channel: str
    target: int
    """The number of the device; 0 where a channel has one receiver for a user."""
    user: str
    room: str
    after: int
    first_ts: int
    made_ts: int
    tries: int
    reader: Reader | None
    """None: the user is not in the room any more."""
    messages: list[Candidate]
    """Those of others, the newest first, at most 20."""
    total: int
    """How many there are of them, at most 1,000."""
    names: Mapping[str, str]
    """The shown names of their senders."""
    title: str
    quiet: QuietHours | None
    device: Subscription | None
    """Where `target` names one that is still subscribed."""
    address: str | None
    epoch: str
    """The one in which it was kept: see told_id."""


class Attempt(NamedTuple):
    """The outcome of a notice that was tried, or is not to be tried any more."""

    id: str
    channel: str
    target: int
    outcome: Literal["delivered", "gone", "cancelled", "retry", "wait", "dead"]
    """`gone`: the target is forgotten. `wait`: it is put off, which counts as no try. `dead`: nobody tries again unless
    the operator asks for it."""
    now_ms: int
    tries: int = 0
    next_ms: int = 0
    reason: str | None = None


class Wishes(NamedTuple):
    """A user's wishes for notifications."""

    quiet: QuietHours | None
    silent: list[tuple[str, int | None]]
    """Rooms, and until when; None: for good."""
    devices: int
    mentions: bool = False
    """Whether mentions are told in silent rooms too."""


class NoticeEntry(NamedTuple):
    """A notice, as the operator sees it."""

    id: str
    channel: str
    user: str
    room: str
    made_ts: int
    tries: int
    next_ts: int
    reason: str | None
    dead: bool
    epoch: str
    """The one in which it was kept: see told_id."""


# ---------------------------------------------------------------------------------------------- recorded


class Silenced(NamedTuple):
    """A user wants no notifications of a room until then, for good (None), or again (a time that has passed)."""

    user: str
    room: str
    until: int | None
    ts: int


class MentionsWanted(NamedTuple):
    """A user wants to be notified of mentions in silent rooms too, or not any more."""

    user: str
    on: bool


class QuietSet(NamedTuple):
    """A user has quiet hours from now on, or none (None)."""

    user: str
    hours: QuietHours | None


class Subscribed(NamedTuple):
    """A device is the user's from now on, and nobody else's. It ends with the token of that id, with all tokens of the
    user, and with a suspension."""

    user: str
    device: Subscription
    ts: int
    token_id: str | None


class Unsubscribed(NamedTuple):
    """A device of the user, or each of them (None), is pushed nothing more."""

    user: str
    endpoint: str | None


class Addressed(NamedTuple):
    """The mail address that the user's latest token named; None: it named none."""

    user: str
    address: str | None


AnyWish: TypeAlias = Silenced | MentionsWanted | QuietSet | Subscribed | Unsubscribed | Addressed


class NoticesFound(NamedTuple):
    """The node that notifies has looked at rooms. In a cluster it records what it found, so that all nodes keep the
    same notices, and another can go on. With the settings of the node that looked: those of others may differ."""

    found: list[NewNotice]
    looked: dict[int, int]
    """Up to which seq, of rooms by number."""
    routes: list[Route]
    bounds: Bounds
    now_ms: int


class NoticesTried(NamedTuple):
    """And what came of notices that it has tried to send."""

    attempts: list[Attempt]
    bounds: Bounds


class NoticesRevived(NamedTuple):
    """Dead letters, of one channel or all, are to be tried again."""

    channel: str | None
    now_ms: int


AnyNoticeRecord: TypeAlias = NoticesFound | NoticesTried | NoticesRevived


#: Mail addresses without quoting and comments, and with nothing that SMTP or a header could take for something else.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def is_address(text: str) -> bool:
    """Whether mail may be sent there. `=?` begins an encoded word: a header is read as what is encoded in it, which may
    be another address, or an end of line."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None and ".." not in text and "=?" not in text
