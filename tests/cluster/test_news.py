"""Nobody but the cluster's nodes can write what they believe, and nothing that they write is over its bounds."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from gochat.cluster.entry import Forged, TooNew, Unfit
from gochat.cluster.news import (
    MAC_BYTES,
    MOST_BYTES,
    MOST_CHANGES,
    MOST_EVENTS,
    VERSION,
    Answer,
    AnyMessage,
    Ask,
    EndRow,
    EventRow,
    News,
    NewsCodec,
    SessionRow,
    row_of,
)
from gochat.domain import commands
from gochat.domain.ids import MAX_SEQ

CODEC = NewsCodec("c1", "secret")
LONGEST = "x" * 64
NEWS = News(
    "north",
    "boot",
    7,
    1_700_000_000_000,
    [SessionRow("ann", 5, "phone"), SessionRow("bob", 6)],
    [EndRow("cat", 4)],
    [EventRow("read", "dm:ann:bob", "ann", 3, True), EventRow("typing", "group:tea", "bob")],
)


@pytest.mark.parametrize(
    "message",
    [
        NEWS,
        News("north", "boot", 8, 0, leaving=True),
        Ask("north", "nonce"),
        Answer("north", "boot", "nonce", 7, 1_700_000_000_000, 0, False, [SessionRow("ann", 5)]),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_are_read_as_they_were_written(message: AnyMessage) -> None:
    assert CODEC.decode(CODEC.encode(message, "soft"), "soft") == message


def test_the_bytes_stay_as_they_are() -> None:
    """Nodes of two releases talk to each other."""
    data = CODEC.encode(NEWS, "soft")
    assert data[MAC_BYTES] == VERSION == 1
    assert hashlib.blake2b(data, digest_size=8).hexdigest() == "0541bfa3caa5ff7f"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * MAC_BYTES,
        CODEC.encode(NEWS, "soft")[:-1],
        CODEC.encode(NEWS, "soft") + b"x",
        bytes(MAC_BYTES) + CODEC.encode(NEWS, "soft")[MAC_BYTES:],
        NewsCodec("c1", "another").encode(NEWS, "soft"),
        NewsCodec("c2", "secret").encode(NEWS, "soft"),
        CODEC.encode(NEWS, "soft.north"),
    ],
)
def test_whatever_else_is_on_the_channel_is_not_believed(data: bytes) -> None:
    with pytest.raises(Forged):
        CODEC.decode(data, "soft")


def signed(body: bytes, version: int = VERSION) -> bytes:
    payload = bytes((version,)) + body
    return CODEC._mac("soft", payload) + payload


def test_a_later_version_is_passed_over() -> None:
    with pytest.raises(TooNew):
        CODEC.decode(signed(b"whatever", VERSION + 1), "soft")


@pytest.mark.parametrize(
    "body",
    [
        [],
        ["gossip"],
        ["ask", "north"],
        ["ask", "", "nonce"],
        ["ask", "n" * 65, "nonce"],
        ["news", "north", "boot", -1, 0],
        ["news", "north", "boot", 1, 0, [["Ann", 5]]],
        ["news", "north", "boot", 1, 0, [["ann", 5, "d" * 65]]],
        ["news", "north", "boot", 1, 0, [["ann", 5]] * (MOST_CHANGES + 1)],
        ["news", "north", "boot", 1, 0, [], [], [["typing", "group:tea", "ann"]] * (MOST_EVENTS + 1)],
        ["news", "north", "boot", 1, 0, [], [], [["shout", "group:tea", "ann"]]],
        ["news", "north", "boot", 1, 0, [], [], [["typing", "tea", "ann"]]],
        ["news", "north", "boot", 1, 0, [], [], [["typing", "dm:bob:ann", "ann"]]],
        ["news", "north", "boot", 1, 0, [], [], [["read", "group:tea", "ann", MAX_SEQ + 1]]],
    ],
)
def test_what_no_node_writes_is_passed_over(body: Any) -> None:
    with pytest.raises(Unfit):
        CODEC.decode(signed(msgspec.msgpack.encode(body)), "soft")


def test_fields_that_a_later_release_adds_are_ignored() -> None:
    body = ["ask", "north", "nonce", "something new"]
    assert CODEC.decode(signed(msgspec.msgpack.encode(body)), "soft") == Ask("north", "nonce")


def test_the_largest_message_is_within_the_bound_of_bytes() -> None:
    room = f"dm:{LONGEST}:{LONGEST}"
    news = News(
        LONGEST,
        LONGEST,
        2**62,
        2**62,
        [SessionRow(LONGEST, 2**62, "\U0001f600" * 64)] * MOST_CHANGES,
        [EndRow(LONGEST, 2**62)] * MOST_CHANGES,
        [EventRow("typing", room, LONGEST, MAX_SEQ, True)] * MOST_EVENTS,
    )
    data = CODEC.encode(news, "soft")
    assert len(data) <= MOST_BYTES
    assert CODEC.decode(data, "soft") == news
    with pytest.raises(Unfit):
        CODEC.decode(signed(b"x" * MOST_BYTES), "soft")


@pytest.mark.parametrize(
    "event",
    [
        commands.Typing(room="group:tea", user="ann"),
        commands.Read(room="dm:ann:bob", user="ann", seq=3),
        commands.Got(room="dm:ann:bob", user="ann", seq=3),
    ],
)
def test_events_travel_as_commands(event: commands.AnyEphemeral) -> None:
    assert row_of(event, withheld=False).command() == event
    assert row_of(event, withheld=True).withheld
