"""News that nodes tell each other on the bulletin, and that may be lost: sessions that begin and end, what users type.

A message is `mac + version + body`. The MAC covers the cluster, the channel, the version and the body, by a key that
the nodes share, and is checked before anything is believed. A message that was caught and is sent once more is known by
its counter; one of an earlier boot, by a boot that has answered nobody (roster.py).
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gochat.cluster.entry import Forged, TooNew, Unfit
from gochat.domain import commands
from gochat.domain.commands import AnyEphemeral
from gochat.domain.ids import MAX_SEQ, NAME_PATTERN, is_room

#: The version that this release writes, and the highest that it reads.
VERSION: Final = 1
MAC_BYTES: Final = 16
#: Bounds of one message: sessions that began or ended, events, and bytes.
MOST_CHANGES: Final = 1_000
MOST_EVENTS: Final = 500
MOST_BYTES: Final = 512 * 1024

UserId: TypeAlias = Annotated[str, Meta(pattern=f"^{NAME_PATTERN}$")]
#: An instance, a boot, a nonce.
Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Natural: TypeAlias = Annotated[int, Meta(ge=0, le=2**62)]
Device: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]


class SessionRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A session on the node that tells of it."""

    user: UserId
    since: Natural
    """Of two sessions of a user the newer one has the greater number. No two of a node have the same."""
    device: Device | None = None


class EndRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The end of a session."""

    user: UserId
    since: Natural


class EventRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An ephemeral event, as the node has taken it."""

    kind: Literal["typing", "read", "got"]
    room: Annotated[str, Meta(max_length=200)]
    user: UserId
    seq: Annotated[int, Meta(ge=0, le=MAX_SEQ)] = 0
    withheld: bool = False
    """Whether nobody but the user is to be told."""

    def command(self) -> AnyEphemeral:
        if self.kind == "typing":
            return commands.Typing(room=self.room, user=self.user)
        kind = commands.Read if self.kind == "read" else commands.Got
        return kind(room=self.room, user=self.user, seq=self.seq)


class News(msgspec.Struct, array_like=True, frozen=True, tag="news"):
    """Told to all nodes when there is something to tell, and once a second as a beat."""

    instance: Word
    boot: Word
    counter: Natural
    """1, 2, 3, ... within the boot. With a gap something was lost."""
    now_ms: Natural
    """The clock of the node that tells."""
    began: Annotated[list[SessionRow], Meta(max_length=MOST_CHANGES)] = []
    ended: Annotated[list[EndRow], Meta(max_length=MOST_CHANGES)] = []
    events: Annotated[list[EventRow], Meta(max_length=MOST_EVENTS)] = []
    leaving: bool = False
    """Whether the node stops: it has no sessions any more, and this is its last message."""


class Ask(msgspec.Struct, array_like=True, frozen=True, tag="ask"):
    """Asks for all sessions of a node, or of all nodes."""

    instance: Word
    """The node that asks."""
    nonce: Word


class Answer(msgspec.Struct, array_like=True, frozen=True, tag="answer"):
    """A part of a node's sessions, told to the node that asked."""

    instance: Word
    boot: Word
    nonce: Word
    counter: Natural
    """That of the latest news that these sessions hold."""
    now_ms: Natural
    """The clock of the node that tells."""
    part: Natural
    """0, 1, 2, ..."""
    last: bool
    sessions: Annotated[list[SessionRow], Meta(max_length=MOST_CHANGES)] = []


AnyMessage: TypeAlias = News | Ask | Answer

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyMessage).decode


def row_of(event: AnyEphemeral, *, withheld: bool) -> EventRow:
    if isinstance(event, commands.Typing):
        return EventRow("typing", event.room, event.user, 0, withheld)
    return EventRow("read" if isinstance(event, commands.Read) else "got", event.room, event.user, event.seq, withheld)


class NewsCodec:
    """Writes and reads the messages of one cluster."""

    def __init__(self, cluster: str, secret: str) -> None:
        """`cluster`: the cluster's id. `secret`: what its nodes share, of any length."""
        self._cluster = cluster
        self._key = hashlib.blake2b(secret.encode(), digest_size=64, person=b"gochat secret").digest()

    def encode(self, message: AnyMessage, channel: str) -> bytes:
        """The bytes for that channel, and no other."""
        signed = bytes((VERSION,)) + _encode(message)
        return self._mac(channel, signed) + signed

    def decode(self, data: bytes, channel: str) -> AnyMessage:
        """Raises Forged, TooNew or Unfit, in this order."""
        signed = data[MAC_BYTES:]
        if not signed or not compare_digest(data[:MAC_BYTES], self._mac(channel, signed)):
            raise Forged(f"a message on {channel} is not signed with the cluster's secret")
        if signed[0] > VERSION:
            raise TooNew(f"a message on {channel} is of version {signed[0]}, later than {VERSION}")
        if len(data) > MOST_BYTES:
            raise Unfit(f"a message on {channel} has {len(data)} bytes")
        try:
            message: AnyMessage = _decode(memoryview(signed)[1:])
        except msgspec.MsgspecError as error:
            raise Unfit(f"a message on {channel}: {error}") from None
        if isinstance(message, News) and not all(is_room(row.room) for row in message.events):
            raise Unfit(f"a message on {channel} has an event of no room")
        return message

    def _mac(self, channel: str, signed: bytes) -> bytes:
        keyed = hashlib.blake2b(key=self._key, digest_size=MAC_BYTES, person=b"gochat news")
        keyed.update(_encode([self._cluster, channel]))
        keyed.update(signed)
        return keyed.digest()
