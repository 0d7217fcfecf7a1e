"""Frames as a client meets them: requests to bytes, and bytes to the frames of a server, known or not.

A server may be newer than the client. Types and fields that are not known here are no error: a fact of an unknown
type still has its seq and is handed on as `Unknown`, anything else that is unknown is `Strange` and can be ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, get_args

import msgspec

from gochat.client.errors import ClientError, Garbled
from gochat.domain.facts import AnyFact
from gochat.protocol import replies
from gochat.protocol.entries import UserEntry
from gochat.protocol.requests import Request


class Results(replies.Reply, tag="results", kw_only=True):
    """The reply to `search`: users or messages, whichever were asked for."""

    users: list[UserEntry] = msgspec.field(default_factory=list)
    entries: list[AnyFact] = msgspec.field(default_factory=list)
    next: str | None = None


class Unknown(msgspec.Struct, kw_only=True, rename={"sender": "from"}):
    """A fact of a type that this client does not know; `raw` is the whole of it, JSON."""

    type: str
    room: str
    seq: int
    ts: int
    sender: str
    raw: bytes = b""


class Strange(msgspec.Struct):
    """A frame that this client does not know and that is no fact."""

    type: str
    id: replies.ReplyId = None


Fact: TypeAlias = AnyFact | Unknown
FACTS = get_args(Fact)


class Page(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A range of a room's log, ascending; dense, unless only messages were asked for: then `next` says where to go
    on. `complete` false: a part of it can't be reached now."""

    room: str
    epoch: str
    entries: list[Fact]
    head: int
    complete: bool
    next: int | None = None
    reads: dict[str, int] = {}
    """Up to where each other user has read, as far as they tell one."""
    got: dict[str, int] = {}
    """Up to where facts have come to the others' devices, where that is further."""
    joined: dict[str, int] = {}
    """Where other members came into the group, if later than it began: what was said before is no part of their
    positions in `reads` and `got`."""
    id: replies.ReplyId = None


class _RawPage(replies.Reply, tag="page", kw_only=True):
    """A page as it travels: entries are decoded one by one, so that one of an unknown type does not cost the others."""

    room: str
    epoch: str
    entries: list[msgspec.Raw]
    head: int
    complete: bool
    next: int | None = None
    reads: dict[str, int] = msgspec.field(default_factory=dict)
    got: dict[str, int] = msgspec.field(default_factory=dict)
    joined: dict[str, int] = msgspec.field(default_factory=dict)


_Known: TypeAlias = (
    AnyFact
    | replies.Welcome
    | replies.Ack
    | replies.Ok
    | replies.Error
    | replies.Pong
    | _RawPage
    | Results
    | replies.Groups
    | replies.Members
    | replies.Names
    | replies.Presence
    | replies.Contacts
    | replies.Requests
    | replies.Reports
    | replies.Audit
    | replies.Users
    | replies.Rooms
    | replies.Sessions
    | replies.Suspensions
    | replies.Overview
    | replies.Mailboxes
    | replies.Sanctions
    | replies.Devices
    | replies.Notify
    | replies.Push
    | replies.Notifications
    | replies.Request
    | replies.Contact
    | replies.Read
    | replies.Got
    | replies.Typing
    | replies.Lag
    | replies.Reset
    | replies.Goaway
    | replies.Ping
)
Reply: TypeAlias = (
    replies.Welcome
    | replies.Ack
    | replies.Ok
    | replies.Error
    | replies.Pong
    | Page
    | Results
    | replies.Groups
    | replies.Members
    | replies.Names
    | replies.Presence
    | replies.Contacts
    | replies.Requests
    | replies.Reports
    | replies.Audit
    | replies.Users
    | replies.Rooms
    | replies.Sessions
    | replies.Suspensions
    | replies.Overview
    | replies.Mailboxes
    | replies.Sanctions
    | replies.Devices
    | replies.Notify
    | replies.Push
    | replies.Notifications
)
ServerFrame: TypeAlias = (
    Fact
    | Reply
    | replies.Request
    | replies.Contact
    | replies.Read
    | replies.Got
    | replies.Typing
    | replies.Lag
    | replies.Reset
    | replies.Goaway
    | replies.Ping
    | Strange
)

_encode = msgspec.json.Encoder().encode
_decode_known: msgspec.json.Decoder[_Known] = msgspec.json.Decoder(_Known)
_decode_fact: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)
_decode_unknown = msgspec.json.Decoder(Unknown)
_decode_strange = msgspec.json.Decoder(Strange)


def encode(request: Request) -> bytes:
    """A request as one JSON object. Raises ClientError if a text in it is no Unicode."""
    try:
        return _encode(request)
    except UnicodeEncodeError:
        raise ClientError("a text holds half of a surrogate pair, which is no character") from None


def encode_fact(fact: Fact) -> bytes:
    """A fact as the JSON object that a server sends."""
    return fact.raw if isinstance(fact, Unknown) else _encode(fact)


def encode_sent(sent: msgspec.Struct) -> bytes:
    """A reply, an event, or an entry of a list as the JSON object that a server sends."""
    return _encode(sent)


def encode_json(told: Mapping[str, object]) -> bytes:
    """Several of these as one JSON object."""
    return _encode(told)


def decode(payload: bytes | str) -> ServerFrame:
    """One frame from one payload. Raises Garbled if it is not even a JSON object with a string `type`."""
    try:
        frame = _decode_known.decode(payload)
    except msgspec.ValidationError:
        return _decode_other(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Garbled("the peer does not speak gochat's protocol") from None
    if type(frame) is _RawPage:
        return Page(
            id=frame.id,
            room=frame.room,
            epoch=frame.epoch,
            head=frame.head,
            complete=frame.complete,
            next=frame.next,
            reads=frame.reads,
            got=frame.got,
            joined=frame.joined,
            entries=[_decode_entry(bytes(raw)) for raw in frame.entries],
        )
    return frame  # type: ignore[return-value]  # a _RawPage never gets here


def _decode_entry(raw: bytes) -> Fact:
    try:
        return _decode_fact.decode(raw)
    except msgspec.ValidationError:
        unknown = _decode_other(raw)
        if isinstance(unknown, Unknown):
            return unknown
    raise Garbled("a page holds what is no fact")


def _decode_other(payload: bytes | str) -> Unknown | Strange:
    """A frame that is neither known nor garbled. A fact is recognized by its `room`, `seq` and `ts`."""
    try:
        unknown = _decode_unknown.decode(payload)
        unknown.raw = payload.encode() if isinstance(payload, str) else bytes(payload)
        return unknown
    except msgspec.ValidationError:
        pass  # It lacks a field that every fact has; it may still be a frame.
    try:
        return _decode_strange.decode(payload)
    except msgspec.ValidationError:
        raise Garbled("the peer does not speak gochat's protocol") from None
