"""The lines that the terminal client shows for events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.client import Listed, Offline, Online, Refused, Reset, Unknown
from gochat.client.errors import Lost, why_closed
from gochat.client.terminal import text
from gochat.domain import facts, moderation
from gochat.errors import CLOSE_BY_NUMBER
from gochat.protocol import replies
from gochat.protocol.entries import Last

ROOT = Path(__file__).parent.parent.parent
BASE: dict[str, Any] = {"room": "group:tea", "seq": 7, "ts": 0, "sender": "ann"}


def shown(fact: Any) -> str:
    """The line of a fact, without its time."""
    return text.fact_line(fact, "ann").split(" group:tea #7 ")[1]


@given(st.text())
def test_nothing_of_others_moves_the_cursor(dirty: str) -> None:
    assert all(char.isprintable() or char in "\u200c\u200d" for char in text.inert(dirty))
    first, *more = text.body(dirty).split("\n")
    assert all(char.isprintable() or char in "\u200c\u200d" for char in "".join((first, *more)))
    assert all(line.startswith("      | ") for line in more)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\x07\x7f\x9b", "a\\rb\\x07\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("👩\u200d💻 茶", "👩\u200d💻 茶"),
    ],
)
def test_control_characters_show_as_escapes(dirty: str, clean: str) -> None:
    assert text.inert(dirty) == clean


def test_what_may_have_been_done_is_not_told_as_undone() -> None:
    refused = replies.Error(code="unavailable", message="no answer", temporary=True)
    assert text.failure(Refused(refused)) == "not done: no answer (unavailable)"
    unknown = msgspec.structs.replace(refused, unknown=True)
    assert text.failure(Refused(unknown)) == "it may have been done: no answer (unavailable)"
    assert text.failure(Lost("the connection broke")).startswith("it may have been done: ")


def test_further_lines_of_a_message_can_not_pass_for_another() -> None:
    assert shown(facts.Message(**BASE, body="hi\n12:00 user:bob #9 bob: \tfake")) == (
        "ann: hi\n      | 12:00 user:bob #9 bob:     fake"
    )


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (
            facts.Message(**BASE, body="hi", reply_to=3, edited=1, reactions={"👍": 2}),
            "ann (to #3): hi (edited) [👍 2]",
        ),
        (facts.Message(**BASE, deleted=1), "ann: (deleted)"),
        (facts.Edit(**BASE, target=3, body="ho"), "ann edited #3: ho"),
        (facts.Edit(**BASE, target=3), "ann edited #3"),
        (facts.Delete(**BASE, target=3), "ann deleted #3"),
        (facts.Reaction(**BASE, target=3, emoji="👍", on=True), "ann reacted 👍 to #3"),
        (facts.Reaction(**BASE, target=3, emoji="👍", on=False), "ann took 👍 from #3"),
        (facts.Member(**BASE, users=["bob", "eve"], change="added"), "ann added bob, eve"),
        (facts.Member(**BASE, users=["bob"], change="removed"), "ann removed bob"),
        (facts.Member(**BASE, users=["bob"], change="role", role="owner"), "ann made bob owner"),
        (facts.Member(**BASE, users=["ann"], change="left"), "ann left"),
        (facts.Group(**BASE, title="Tea", post="owner"), 'ann set title "Tea", post "owner"'),
        (facts.Closed(**BASE), "ann deleted the group"),
        (Unknown(**BASE, type="pin"), "ann: pin (this client is too old to show it)"),
    ],
)
def test_every_fact_has_its_line(fact: Any, line: str) -> None:
    assert shown(fact) == line


def test_the_first_fact_of_a_group_is_its_creation() -> None:
    created = facts.Member(room="group:tea", seq=1, ts=0, sender="ann", users=["ann"], change="added", title="Tea")
    assert text.fact_line(created, "ann").endswith('ann created the group "Tea"')


def test_rooms_are_written_as_their_user_types_them() -> None:
    assert [text.address(room, "bob") for room in ("dm:ann:bob", "dm:bob:bob", "group:tea")] == [
        "user:ann",
        "user:bob",
        "group:tea",
    ]


def test_a_time_that_no_clock_shows_is_no_error() -> None:
    assert text.clock(10**18) == "--:--"


@pytest.mark.parametrize("number", CLOSE_BY_NUMBER)
def test_every_way_to_be_closed_has_its_words(number: int) -> None:
    told = why_closed(number)
    assert told.endswith(f" ({number})")
    assert told.partition(" (")[0] != why_closed(4999).partition(" (")[0]
    assert told[0].islower(), "it goes on after a colon"
    assert "`" not in told


def test_what_becomes_of_the_connection_is_told() -> None:
    assert text.notice(Offline("the node is draining", 0.25), "ann") == (
        "* connection lost: the node is draining; next attempt in 0.2 s"
    )
    assert text.notice(Reset(room="dm:ann:bob", epoch="e", head=3), "ann") == (
        "* user:bob: the server went back to an earlier state; see /history"
    )
    assert text.reset_line(Reset(room="dm:ann:bob", epoch="e", head=3), "ann") == (
        "* user:bob: the server went back to an earlier state; it goes on after #3 here:"
        " `gochat tail user:bob --from 1` prints the room as it is now"
    )
    assert text.reset_line(Reset(room="dm:ann:bob", epoch="e", head=0), "ann") == (
        "* user:bob: the server went back to an earlier state; it goes on after #0 here"
    )
    assert text.notice(replies.Typing(room="group:tea", sender="bob"), "ann") is None
    assert text.notice(Listed([], []), "ann") is None
    assert text.notice(Listed([], [], ["group:tea"]), "ann") == (
        "* the server can't read group:tea: its database is damaged; its operator has to restore it"
    )
    assert text.notice(Online(welcomed()), "ann") == "* connected again"
    cut_off = msgspec.structs.replace(welcomed(), incomplete=True)
    assert text.notice(Online(cut_off), "ann") == f"* connected again\n* {text.INCOMPLETE}"
    assert text.notice(Online(welcomed("group:tea", "dm:ann:bob")), "ann") == (
        "* connected again\n* the server can't read group:tea, user:bob: its database is damaged;"
        " its operator has to restore it"
    )


def welcomed(*unreadable: str) -> replies.Welcome:
    limits = replies.Limits(
        frame_bytes=1,
        body_chars=1,
        add_users=1,
        group_members=1,
        window=1,
        sessions=1,
        messages_per_s=1.0,
        message_burst=1,
        key_days=None,
    )
    return replies.Welcome(
        user="ann",
        session="s",
        node="n",
        server="g",
        heartbeat_s=30.0,
        limits=limits,
        contacts=[],
        rooms=[],
        requests=[],
        unreadable=list(unreadable),
    )


def asked(body: str, *, name: str = "bob") -> replies.Request:
    last = Last(seq=1, ts=0, sender="bob", body=body)
    return replies.Request(user="bob", name=name, room="dm:ann:bob", head=1, last=last)


def test_a_request_shows_who_and_what() -> None:
    line = text.request_line(asked("hi"), "ann")
    assert line.endswith('user:bob #1 bob wants to write to you: "hi"')
    line = text.request_line(asked("hi\n\x1b[2J", name="Bob\x07"), "ann")
    assert line.endswith('bob (Bob\\x07) wants to write to you: "hi\n      | \\x1b[2J"')


def refused(rule: str, code: str = "declined", **fields: Any) -> str:
    return text.refusal(Refused(replies.Error(code=code, message="no", temporary=False, rule=rule, **fields)))


def test_refusals_are_said_in_plain_words() -> None:
    assert refused("request.waits") == (
        "your messages wait for an answer; until it comes you can't send more (declined)"
    )
    assert refused("group.muted", "forbidden", retry_after_ms=600_000) == (
        "you are muted in this group; again in 10 min (forbidden)"
    )
    assert refused("links.foreign", "external_link") == "links to other sites are not allowed here (external_link)"
    assert refused("a.rule.of.tomorrow") == "no (declined)"


def test_every_rule_that_a_person_can_break_has_its_words() -> None:
    source = "".join(
        path.read_text() for folder in ("domain", "actors") for path in (ROOT / "gochat" / folder).glob("*.py")
    )
    rules = {*re.findall(r'rule="([a-z.]+)"', source), *moderation.BY_RULE} - {"group.members"}
    assert "request.waits" in rules
    assert {rule for rule in rules if refused(rule) == "no (declined)"} == set()


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("contact", "* bob is a contact now: you can write to each other"),
        ("declined", "* bob is declined, and can't ask again for a while"),
        ("blocked", "* bob is blocked: neither of you can write to the other"),
        ("none", "* bob is no contact"),
    ],
)
def test_every_state_has_its_words(state: Any, line: str) -> None:
    assert text.notice(replies.Contact(user="bob", state=state), "ann") == line


def test_nodes_that_tell_of_no_devices_are_named() -> None:
    assert text.missing_notice(["south", "we\x1bst"]) == (
        "* without devices on south, we\\x1bst: no answer from there now"
    )


def test_mentions_are_shown_by_the_names() -> None:
    fact = facts.Message(**BASE, body="@Bob, @bob-by and a@bob: @eve", mentions=["bob", "eve"])
    assert text.fact_text(fact, {"ann": "Ann", "bob": "Bob \\x07", "eve": "eve"}.__getitem__) == (
        "Ann: @Bob \\x07, @bob-by and a@bob: @eve"
    )
    assert text.fact_text(fact) == "ann: @Bob, @bob-by and a@bob: @eve"
