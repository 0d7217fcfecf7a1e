"""The terminal client: what is shown, what is read, what a typed line does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gochat.client import Chat, Offline, Online, Reset, Unknown, connect
from gochat.client.terminal import text
from gochat.client.terminal.console import COMMANDS, Console
from gochat.client.terminal.stdin import LINE_BYTES, Lines
from gochat.domain import facts
from gochat.node import Node
from gochat.protocol import replies
from tests.client.conftest import url

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
