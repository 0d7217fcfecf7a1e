"""The terminal client: what a typed line does, and what is shown."""

from __future__ import annotations

import pytest
import trio

from gochat.client.terminal import text
from gochat.client.terminal.commands import COMMANDS
from gochat.client.terminal.stdin import Unreadable
from gochat.node import Node
from tests.client.conftest import enter
from tests.client.line_screen import Screen, screen
from tests.client.peer import TEA, Peer, listed
from tests.client.talk import talking


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
        ("/group leave ghost", "the current room is no group"),
        ("/delete 99", "(not_found)"),
        ("/watch bob user:eve", "* eve is offline"),
        ("/watch", "* nobody is watched"),
        ("/unsent", "* everything is sent"),
        ("/drop 1", "no message of that number waits"),
        ("/drop", "usage: /drop NUMBER | all"),
        ("/retry 1", "no message of that number was refused"),
        (Unreadable("byte 1 of the line is not UTF-8"), "* not sent: byte 1 of the line is not UTF-8"),
        ("/help", "/quit"),
        ("/rooms", "* no rooms yet"),
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
async def test_what_can_not_be_done_is_explained(node: Node, line: str | Unreadable, answer: str) -> None:
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
            with trio.fail_after(60):
                while await unread(node) > 0:
                    pass


async def unread(node: Node) -> int:
    async with enter(node, "ann") as chat:
        return chat.welcome.contacts[0].unread


async def test_nobody_at_the_screen_reads_nothing(node: Node) -> None:
    async with screen(node, "ann", "user:bob", present=False) as ann, screen(node, "bob", "user:ann") as bob:
        await bob.type("three")
        await ann.sees("bob: three")
        await ann.type("/watch eve")  # its answer comes after what would have been read
        await ann.sees("* eve is offline")
    assert await unread(node) == 1


async def test_a_refused_line_is_kept_tried_again_and_dropped(strict: Node) -> None:
    async with screen(strict, "ann", "user:ann") as ann:
        await ann.type("see https://spam.example/", "next")
        await ann.sees("* not done: links to other sites are not allowed here")
        await ann.sees("* it is kept: /retry 1 sends it again, /drop 1 forgets it")
        await ann.sees("ann: next")
        await ann.type("/unsent")
        await ann.sees("  1 to user:ann: see https://spam.example/ [links to other sites")
        await ann.type("/retry 1", "/drop 1", "/unsent")
        await ann.sees("* dropped; 0 messages left")
        await ann.sees("* everything is sent")


async def test_the_writer_learns_that_a_stranger_must_accept_first(strict: Node) -> None:
    async with screen(strict, "bob") as bob, screen(strict, "ann", "user:bob") as ann:
        await ann.type("hello")
        await ann.sees("* bob gets this as a request: they must accept you")
        await bob.sees("wants to write to you")
        await bob.type("/accept ann")
        await ann.sees("* bob is a contact now")
        await ann.type("again")
        await bob.sees("ann: again")
    assert sum("gets this as a request" in line for line in ann.noted) == 1


async def test_an_id_that_never_signed_in_is_told(node: Node) -> None:
    async with screen(node, "bob") as bob:
        await bob.sees("signed in as bob")
    async with screen(node, "ann", "user:bbo") as ann:
        await ann.sees("* nobody has signed in as bbo yet")
        with trio.fail_after(60):  # Users are found within a second of their sign-in.
            while not await ann.console.chat.is_known("bob"):
                await trio.sleep(0.05)
        await ann.type("/to user:bob", "hi")
        await ann.sees("ann: hi")
    assert not any("signed in as bob" in line for line in ann.noted)


async def test_an_heir_who_never_signed_in_is_asked_about(node: Node) -> None:
    async with screen(node, "ann") as ann:
        await ann.type("/group create tea ghost", "/group leave ghost")
        await ann.sees("* nobody has signed in as ghost yet; /group leave ghost! leaves the group to them all the same")
        await ann.type("/group leave ghost!")
        await ann.sees("ann left")


async def test_rooms_shows_what_happened_since_the_sign_in(node: Node) -> None:
    async with screen(node, "ann") as ann, screen(node, "bob", "user:ann") as bob:
        await ann.sees("signed in as ann")
        await bob.type("news")
        await ann.sees("bob: news")
        await ann.type("/rooms")
        await ann.sees("  user:bob, 1 unread: ")  # Whether bob is online is not told of whom nobody watches.


@pytest.mark.parametrize("answer", ["accept", "decline", "block"])
async def test_rooms_lists_no_request_that_was_answered_here(strict: Node, answer: str) -> None:
    for user in ("bob", "eve"):
        async with enter(strict, user) as stranger:
            await stranger.send("user:ann", f"hello from {user}")
    async with screen(strict, "ann") as ann:
        await ann.sees('bob wants to write to you: "hello from bob"')
        await ann.type(f"/{answer} bob", "/rooms", "/requests", "/help")
        await ann.sees("/quit")
        listed_first, listed_now, asked = [line for line in ann.said if "eve wants to write" in line]
    assert "bob wants to write" in listed_first
    assert "bob wants to write" not in listed_now + asked


async def test_rooms_that_the_server_can_not_read_are_named(peer: Peer) -> None:
    unreadable = ["group:tea", "dm:ann:bob"]
    async with talking(peer, listed(0)) as (chat, visit), trio.open_nursery() as nursery:
        shown = Screen(chat, TEA, present=True)
        nursery.start_soon(shown.run)
        await shown.sees("* writing to group:tea")
        await visit.close()
        second = await peer.visit()
        await second.welcome(unreadable=unreadable)
        told = "* the server can't read group:tea, user:bob: its database is damaged; its operator has to restore it"
        await shown.sees(told)
        await shown.type("/rooms")
        await shown.sees("group:tea")
        await shown.sees(told)
        await shown.type("/quit")


async def test_many_short_pauses_are_told_once(peer: Peer) -> None:
    """As with a full disk: each refusal asks for a second, and it may go on for hours."""
    async with talking(peer, listed(0)) as (chat, visit), trio.open_nursery() as nursery:
        shown = Screen(chat, TEA, present=False)
        nursery.start_soon(shown.run)
        await shown.type("kept")
        for _ in range(3):
            await visit.refuse(await visit.expect("send"), "unavailable", temporary=True, retry_after_ms=1_500)
        await shown.sees("* not sent yet: it is unavailable (unavailable); it is tried again until the server takes it")
        await visit.ack(await visit.expect("send"))
        await shown.type("/quit")
    assert sum("not sent yet" in line for line in shown.noted) == 1


async def test_a_pipe_of_which_every_line_is_refused_comes_to_its_end(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gochat.client.unsent.MAX_MESSAGES", 3)
    async with talking(peer, listed(0)) as (chat, visit), trio.open_nursery() as nursery:
        shown = Screen(chat, TEA, present=False)
        nursery.start_soon(shown.run)
        await shown.type(*(f"line {number}" for number in range(1, 6)), "/quit")
        for number in range(1, 6):
            sent = await visit.expect("send")
            assert sent["body"] == f"line {number}"
            await visit.refuse(sent, "forbidden")
    assert shown.console.failures == 5
    told = [line.splitlines()[1] for line in shown.noted if line.startswith("* not sent, and kept no longer:")]
    kept = [text.unsent_line(draft) for draft in shown.console.unsent]
    every = [f"  {n} to group:tea: line {n} [it is forbidden (forbidden)]" for n in range(1, 6)]
    assert told + kept == every, "each is told, as it goes or at the end"


async def test_rooms_that_can_not_be_listed_are_told(peer: Peer) -> None:
    async with talking(peer, listed(0), rooms_next="group:tea") as (chat, visit), trio.open_nursery() as nursery:
        shown = Screen(chat, TEA, present=True)
        nursery.start_soon(shown.run)
        await visit.refuse(await visit.expect("groups"), "internal")
        await shown.sees("* not all of your rooms can be listed: it is internal (internal)")
        await shown.type("/quit")


async def test_commands_are_answered_while_there_is_no_connection(peer: Peer) -> None:
    async with talking(peer, listed(0)) as (chat, visit), trio.open_nursery() as nursery:
        shown = Screen(chat, TEA, present=True)
        nursery.start_soon(shown.run)
        await shown.sees("* writing to group:tea")
        await shown.type("/delete 1")
        await visit.expect("delete")
        await visit.close()  # The server may have done it.
        await shown.sees("* it may have been done: the connection broke before the answer came")
        assert not any("not done" in line for line in shown.noted)
        await shown.type("kept", "/history", "/unsent", "/help")
        await shown.sees("* not done: there is no connection")
        await shown.sees("  1 to group:tea: kept [waits]")
        await shown.sees("/quit")
        second = await peer.visit()
        await second.welcome(listed(0))
        sent = await second.expect("send")
        assert sent["body"] == "kept"
        await second.ack(sent)
        await shown.type("/quit")
