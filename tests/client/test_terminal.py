"""The terminal client: what is shown, what is read, what a typed line does."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gochat.client import Chat, Offline, Online, Refused, Reset, Unknown, connect
from gochat.client.terminal import text
from gochat.client.terminal.commands import COMMANDS
from gochat.client.terminal.console import Console
from gochat.client.terminal.stdin import LINE_BYTES, Lines
from gochat.domain import facts, moderation
from gochat.node import Node
from gochat.protocol import replies
from tests.client.conftest import url

ROOT = Path(__file__).parent.parent.parent
BASE: dict[str, Any] = {"room": "group:tea", "seq": 7, "ts": 0, "sender": "ann"}


def shown(fact: Any) -> str:
    """The line of a fact, without its time."""
    return text.fact_line(fact, "ann").split(" group:tea #7 ")[1]


# ---------------------------------------------------------------------------------------------- what is shown


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
        "user:ann", "user:bob", "group:tea",
    ]  # fmt: skip


def test_a_time_that_no_clock_shows_is_no_error() -> None:
    assert text.clock(10**18) == "--:--"


def test_what_becomes_of_the_connection_is_told() -> None:
    assert text.notice(Offline("the node is draining", 0.25), "ann") == (
        "* connection lost: the node is draining; next attempt in 0.2 s"
    )
    assert text.notice(Reset(room="dm:ann:bob", epoch="e", head=3), "ann") == (
        "* user:bob: the server went back to an earlier state; see /history"
    )
    assert text.notice(replies.Typing(room="group:tea", sender="bob"), "ann") is None
    assert text.notice(Online(None), "ann") == "* connected again"  # type: ignore[arg-type]  # it is not looked at


def asked(body: str, *, name: str = "bob") -> replies.Request:
    last = replies.Last(seq=1, ts=0, sender="bob", body=body)
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
    )  # fmt: skip
    assert refused("group.muted", "forbidden", retry_after_ms=600_000) == (
        "you are muted in this group; again in 10 min (forbidden)"
    )
    assert refused("links.foreign", "external_link") == "links to other sites are not allowed here (external_link)"
    assert refused("a.rule.of.tomorrow") == "no (declined)"


def test_every_rule_that_a_person_can_break_has_its_words() -> None:
    source = "".join(
        path.read_text() for folder in ("domain", "actors") for path in (ROOT / "gochat" / folder).glob("*.py")
    )  # fmt: skip
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


# ---------------------------------------------------------------------------------------------- what is read


async def read(data: bytes) -> list[str]:
    reader, writer = os.pipe()
    try:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, _write, writer, data)
                got = [line async for line in Lines(reader)]
    finally:
        os.close(reader)
    return got


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


async def test_lines_come_without_their_ends() -> None:
    assert await read(b"one\r\n\ntwo\xff\n" + "tee ☕".encode()) == ["one", "", "two\ufffd", "tee ☕"]
    assert await read(b"") == []


async def test_an_endless_line_is_cut() -> None:
    got = await read(b"x" * (3 * LINE_BYTES) + b"\nend\n")
    assert got[-1] == "end"
    assert all(len(line) <= LINE_BYTES + 65_536 for line in got)


async def test_a_plain_file_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"one\ntwo\n")
    with file.open("rb") as opened:
        assert [line async for line in Lines(opened.fileno())] == ["one", "two"]


# ---------------------------------------------------------------------------------------------- what a line does


class Screen:
    """A console on a real node, and what it shows."""

    def __init__(self, chat: Chat, to: str | None, present: bool) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []
        self.keys, self._typed = trio.open_memory_channel[str](100)
        self._changed = trio.Event()
        say, note = partial(self._show, self.said), partial(self._show, self.noted)
        self.console = Console(chat, to=to, present=present, say=say, note=note)

    def _show(self, where: list[str], line: str) -> None:
        where.append(line)
        self._changed.set()

    async def type(self, *typed: str) -> None:
        for line in typed:
            await self.keys.send(line)

    async def run(self) -> None:
        await self.console.run(self._typed)

    async def sees(self, what: str) -> None:
        """Return once something on the screen holds `what`."""
        with trio.fail_after(5):
            while not any(what in line for line in (*self.said, *self.noted)):
                self._changed = trio.Event()
                await self._changed.wait()


@asynccontextmanager
async def screen(node: Node, user: str, to: str | None = None, present: bool = True) -> AsyncIterator[Screen]:
    with trio.fail_after(20):
        async with connect(url(node), user=user) as chat, trio.open_nursery() as nursery:
            shown = Screen(chat, to, present)
            nursery.start_soon(shown.run)
            yield shown
            await shown.type("/quit")


async def test_two_people_chat(node: Node) -> None:
    async with screen(node, "ann", "user:bob") as ann, screen(node, "bob", "user:ann") as bob:
        await ann.sees("* writing to user:bob")
        await ann.type("hello", "//shrug")
        await bob.sees("user:ann #1 ann: hello")
        await bob.sees("user:ann #2 ann: /shrug")
        await bob.type("/reply 1 ho", "/react 1 👍", "/unreact #1 👍")
        await ann.sees("user:bob #3 bob (to #1): ho")
        await ann.type("/edit 1 hallo", "/delete #2", "/history 50")
        await ann.sees("#2 ann: (deleted)")
        await bob.sees("ann edited #1: hallo")
        await bob.type("/who")
        await bob.sees("* ann is online")
    assert ann.noted[0] == "* signed in as ann"


async def test_a_group_from_the_keyboard(node: Node) -> None:
    async with screen(node, "ann") as ann, screen(node, "bob") as bob:
        await ann.type("hello?", "/group add bob", "/group create tea bob, user:eve", "/group title Green tea")
        await ann.sees("* nobody to write to yet")
        await ann.sees("* writing to group:tea")
        await bob.sees("ann added bob, eve")
        await bob.type("/to group:tea", "/who", "/group role eve owner")
        await bob.sees("  ann, owner")
        await bob.sees("(forbidden)")
        await ann.type("/group remove eve", "/group role bob owner", "/group leave")
        await bob.sees("ann left")
        await bob.type("/group delete", "too late")
        await bob.sees("(not_found)")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/", "there is no /"),
        ("/nope \x1b[2J", "there is no /nope"),
        ("/to bob", "an address is user:NAME"),
        ("/edit 1", "usage: /edit NUMBER TEXT"),
        ("/edit x y", "usage: /edit NUMBER TEXT"),
        ("/history many", "usage: /history [N]"),
        ("/history", "* nothing yet"),
        ("/search", "usage: /search WORDS"),
        ("/search nothing", "* nothing found"),
        ("/group", "usage: /group create"),
        ("/group add eve", "the current room is no group"),
        ("/delete 99", "(not_found)"),
        ("/watch bob user:eve", "* eve is offline"),
        ("/help", "/quit"),
        ("/rooms", "signed in as ann"),
        ("/contacts", "* no contacts yet"),
        ("/requests", "* nobody waits for an answer"),
        ("/accept", "usage: /accept USER"),
        ("/accept bob", "no request of that user waits"),
        ("/block Bob!", "usage: /block USER"),
        ("/add user:eve", "* eve is a contact now"),
        ("/report", "usage: /report NUMBER [REASON]"),
        ("/report 99 spam", "(not_found)"),
        ("/kick", "usage: /kick USER..."),
        ("/kick eve", "the current room is no group"),
        ("/mute eve", "the current room is no group"),
        ("/ban eve long", "TIME is a time such as 90s"),
    ],
)
async def test_what_can_not_be_done_is_explained(node: Node, line: str, answer: str) -> None:
    async with screen(node, "ann", "user:bob") as ann:
        await ann.type(line, "still here")
        await ann.sees(answer)
        await ann.sees("ann: still here")


async def test_every_command_is_in_the_help(node: Node) -> None:
    async with screen(node, "ann") as ann:
        await ann.type("/help")
        await ann.sees("/quit")
    assert all(any(f"/{name}" in line for line in ann.said) for name in COMMANDS)


async def test_at_the_start_unread_messages_are_counted_and_what_shows_is_read(node: Node) -> None:
    async with screen(node, "bob", "user:ann") as bob:
        await bob.type("one", "two")
        await bob.sees("two")
    async with screen(node, "ann", "user:bob") as ann:
        await ann.sees("user:bob, offline, 2 unread: ")
        async with screen(node, "bob", "user:ann") as bob:
            await bob.type("three")
            await ann.sees("bob: three")
            # The read position travels to the sender's own screen as an event, and into the next welcome.
            with trio.fail_after(5):
                while await unread(node) > 0:
                    pass


async def unread(node: Node) -> int:
    async with connect(url(node), user="ann") as chat:
        return chat.welcome.contacts[0].unread


async def test_nobody_at_the_screen_reads_nothing(node: Node) -> None:
    async with screen(node, "ann", "user:bob", present=False) as ann, screen(node, "bob", "user:ann") as bob:
        await bob.type("three")
        await ann.sees("bob: three")
        await ann.type("/watch eve")  # its answer comes after what would have been read
        await ann.sees("* eve is offline")
    assert await unread(node) == 1


# ---------------------------------------------------------------------------------------------- strangers


async def test_a_stranger_asks_and_writing_back_accepts(strict: Node) -> None:
    async with screen(strict, "ann", "user:bob") as ann, screen(strict, "bob", "user:ann") as bob:
        await bob.sees("* writing to user:ann")
        await ann.type("hello")
        await bob.sees(
            'user:ann #1 ann wants to write to you: "hello" (/accept ann, /decline ann, /block ann; or just write back)'
        )
        await bob.type("hello yourself")
        await ann.sees("user:bob #2 bob: hello yourself")
        await bob.sees("* ann is a contact now")
        await ann.sees("* bob is a contact now")
        await ann.type("how are you?")
        await bob.sees("user:ann #3 ann: how are you?")
    assert sum("hello yourself" in line for line in bob.said) == 1


async def test_who_is_in_another_room_is_told_where_to_write_back(strict: Node) -> None:
    async with screen(strict, "bob", "user:eve") as bob, screen(strict, "ann", "user:bob") as ann:
        await ann.type("hello")
        await bob.sees('wants to write to you: "hello" (/accept ann, /decline ann, /block ann; or /to user:ann and')
        await bob.type("/to user:ann")
        await bob.sees("user:ann #1 ann: hello")
        await bob.sees("* ann wants to write to you (/accept ann, /decline ann, /block ann; or just write back)")


async def test_what_waited_before_is_shown_at_the_start(strict: Node) -> None:
    async with screen(strict, "ann", "user:bob") as ann:
        await ann.type("one", "two", "three", "four")
        await ann.sees("* not done: your messages wait for an answer; until it comes you can't send more (declined)")
    async with screen(strict, "bob", "user:ann") as bob:
        await bob.sees("requests:")
        await bob.sees('user:ann #3 ann wants to write to you: "three"')
        for number, body in ((1, "one"), (2, "two"), (3, "three")):
            await bob.sees(f"user:ann #{number} ann: {body}")
        await bob.sees("* ann wants to write to you (/accept ann, /decline ann, /block ann; or just write back)")
        await bob.type("/accept ann", "hi")
        await bob.sees("* ann is a contact now")
        await bob.sees("user:ann #4 bob: hi")
        await bob.type("/requests", "/contacts")
        await bob.sees("* nobody waits for an answer")
        await bob.sees("user:ann, contact")
    assert sum("ann: one" in line for line in bob.said) == 1


async def test_a_friend_of_old_who_asks_again_shows_once(strict: Node) -> None:
    async with screen(strict, "ann", "user:bob") as ann, screen(strict, "bob") as bob:
        await bob.type("/add ann")
        await bob.sees("* ann is a contact now")
        await ann.type("one")
        await bob.sees("ann: one")
        await bob.type("/remove ann")
        await bob.sees("* ann is no contact")
        await ann.type("two", "three")
        await bob.sees('"three"')
        await bob.type("/accept user:ann")
        await ann.sees("* bob is a contact now")
        await ann.type("four")
        await bob.sees("#4 ann: four")
    shown = [line.split("user:ann ")[1] for line in bob.said if " ann: " in line]
    assert sorted(set(shown)) == sorted(shown)
    assert {"#2 ann: two", "#3 ann: three"} <= set(shown)


async def test_a_stranger_is_declined_and_blocked(strict: Node) -> None:
    async with screen(strict, "ann", "user:bob") as ann, screen(strict, "bob") as bob:
        await ann.type("hello")
        await bob.sees('"hello"')
        await bob.type("/decline ann")
        await bob.sees("* ann is declined")
        await ann.type("please")
        await ann.sees("* not done: your request was declined (declined)")
        await bob.type("/block ann", "/contacts")
        await bob.sees("user:ann, blocked")
        await ann.type("please!")
        await ann.sees("* not done: one of you has blocked the other (blocked)")
        await bob.type("/unblock ann", "/to user:ann", "/report 1 rude")
        await bob.sees("* reported")
        await ann.type("see https://spam.example/")
        await ann.sees("* not done: your request was declined")


async def test_moderators_in_a_group(strict: Node) -> None:
    async with screen(strict, "ann") as ann, screen(strict, "bob") as bob:
        await ann.type("/group create tea bob eve")
        await bob.sees("ann added bob, eve")
        await bob.type("/to group:tea", "/mute ann")
        await bob.sees("* not done: a moderator acts on members")
        await ann.type("/mute bob 10m")
        await ann.sees("* bob is muted")
        await bob.type("spam")
        await bob.sees("* not done: you are muted in this group; again in 10 min (forbidden)")
        await ann.type("/unmute bob", "/kick eve", "/ban user:bob")
        await bob.sees("ann removed bob")
        await ann.type("/group add bob")
        await ann.sees("that user is banned from this group")
        await ann.type("/unban bob", "/group add bob")
        await ann.sees("#5 ann added bob")
