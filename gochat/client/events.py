"""The events that an application reads: facts, other news from the server, and the state of the connection."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from gochat.client.positions import Reset
from gochat.client.wire import Fact
from gochat.protocol import replies
from gochat.protocol.entries import ContactState, GroupEntry


class Offline(msgspec.Struct, frozen=True):
    """The connection is gone, or an attempt to make it failed. The next attempt comes after `retry_s` seconds."""

    reason: str
    retry_s: float


class Online(msgspec.Struct, frozen=True):
    """There is a connection again. Facts that were missed follow; groups that the user was added to meanwhile are
    only listed in `welcome`."""

    welcome: replies.Welcome


class Listed(msgspec.Struct, frozen=True):
    """Rooms of the user that the latest `welcome` had no space for: more groups, or private rooms beside the latest.
    They come as soon as they are found, some at a time; facts of these rooms may come before."""

    groups: list[GroupEntry]
    contacts: list[ContactState]
    unreadable: list[str] = []
    """Rooms that the server left out since it can't read them: its database is damaged."""


Event: TypeAlias = (
    Fact
    | replies.Read
    | replies.Got
    | replies.Typing
    | replies.Presence
    | replies.Request
    | replies.Contact
    | replies.Error
    | Reset
    | Offline
    | Online
    | Listed
)
