"""The screen on a real node, with keys pressed and pictures looked at, but without a terminal."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from gochat.client import Ended
from gochat.client.screen.commands import ALIASES, COMMANDS
from gochat.client.screen.keys import KEYS
from gochat.client.screen.run import run
from gochat.node import Node
from tests.client.conftest import enter
from tests.client.glass import PATIENCE_S
from tests.client.peer import TEA
from tests.client.screen.desk_glass import DeskGlass, glass


async def test_two_people_chat(node: Node) -> None:
    async with glass(node, "ann", "user:bob") as ann, glass(node, "bob", "user:ann") as bob:
        ann.type("hello", "//shrug")
        await bob.sees("#1 <ann> hello", "#2 <ann> /shrug")
        bob.press("meta up", "meta up", *"ho", "enter")
        await ann.sees("> #1 ann: hello", "#3 <bob> ho")
        await ann.sees("#2 <ann> /shrug [read]")
        ann.type("/react 👍", "/edit 1 hallo", "/delete #2")
        await bob.sees("#1 <ann> hallo (edited)", "#2 <ann> (deleted)", "👍 1")
        bob.type("/react 1 :thumbs_up:")
        await ann.sees("👍 1")
        bob.press("x")
        await ann.sees("bob is typing")
        bob.press("ctrl u", *"!", "enter")
        await ann.sees("<bob> !")
        await ann.no_longer_sees("typing")
        assert ann.rings >= 1
        await ann.sees(" user:bob · online")


async def test_what_is_typed_is_not_disturbed_by_what_arrives(node: Node) -> None:
    async with glass(node, "ann", "user:bob") as ann, glass(node, "bob", "user:ann") as bob:
        ann.press(*"half a thought")
        await ann.sees("[bob] half a thought")
        bob.type("one", "two", "three")
        await ann.sees("<bob> three", "[bob] half a thought")
        ann.press(*", ended", "enter")
        await bob.sees("<ann> half a thought, ended")


async def test_habits_of_irc(node: Node) -> None:
    async with glass(node, "ann") as ann, glass(node, "bob") as bob:
        await ann.sees("signed in as ann", "no rooms yet")
        ann.type("hello?")
        await ann.sees("this window is no room", "[gochat] hello?")
        ann.press("ctrl c")
        ann.type("/msg bob psst")
        await ann.sees("to user:bob: psst")
        await bob.sees("bob", "Act: 2")
        bob.press("meta a")
        await bob.sees("[ann]", "#1 <ann> psst")
        bob.type("/group create tea ann")
        await bob.sees("[tea]", "created the group")
        bob.type("/topic #tea Green tea", "/names", "/invite eve", "/topic #tea")
        await bob.sees("Green tea", "ann, member", "2 members", "bob added eve")
        await ann.sees("#tea")
        ann.type("/join tea", "/whois bob", "ann was here")
        await ann.sees("bob is online", "<ann> ann was here", "3 members")
        ann.type("/join milk")
        await ann.sees("you are not in group:milk")
        ann.press("ctrl u")
        ann.type("/query zoe")
        await ann.sees("[zoe]", "nobody has signed in as zoe yet")
        ann.type("/j group:nowhere")
        await ann.sees("you are not in group:nowhere")
        ann.type("/part", "/win 3")
        await ann.sees("[tea]")
        ann.press("meta left")
        await ann.sees("[bob]")
        ann.press("meta 3")
        await ann.sees("[tea]")
        ann.type("/topic", "/2")
        await ann.sees("[bob]")
        ann.type("/names #tea", "/win list")
        await ann.sees("eve, member", " 1 gochat", " 3 group:tea")
        ann.type("/win last")
        await ann.sees("[tea]", "the title is: Green tea")
        ann.type("/win next", "/win prev", "/win goto 3", "/say /shrug")
        await ann.sees("<ann> /shrug")
        bob.type("/op ann")
        await ann.sees("bob made ann moderator")
        bob.type("/deop ann")
        await ann.sees("bob made ann member")
        ann.type("/part")
        await ann.sees("group:tea is off the list until somebody writes there")


async def test_completion_from_the_keyboard(node: Node) -> None:
    async with glass(node, "ann", "group:tea") as ann, glass(node, "bob") as bob:
        ann.type("/group create tea bob")
        await ann.sees("2 members")
        ann.press(*"b", "tab", *"look: :thumbs_u", "tab", "enter")
        await bob.sees("2 #tea")
        await ann.sees("<ann> bob: look: 👍")
        ann.press("/", "q", "u", "tab")
        await ann.sees("[/query]", "[tea] /query")
        ann.press("tab")
        await ann.sees("[tea] /quit")
        ann.press("x")
        await ann.no_longer_sees("[/quit]")
        bob.press("meta 2")
        await bob.sees("<ann> bob: look: 👍")
        assert bob.rings >= 1


async def test_a_completion_ends_with_its_room_and_with_its_text(node: Node) -> None:
    async with glass(node, "ann", "group:tea") as ann, enter(node, "bob"):
        ann.type("/group create tea bob")
        await ann.sees("2 members")
        ann.press(*"/qu", "tab", "meta 1", "tab")
        await ann.sees("[gochat]")
        ann.press("meta 2", "ctrl c", "tab")
        await ann.sees("[tea]")
        ann.press(*"b", "tab", "enter", "tab")
        await ann.sees("<ann> bob:")
        ann.press("meta 1", "x")
        await ann.sees("[gochat] x")
        assert not ann.desk.composer.has_draft(TEA)


async def test_scrollback_pages_in(node: Node) -> None:
    async with enter(node, "bob") as bob:
        for number in range(1, 261):
            await bob.send("user:ann", f"message {number}.")
    async with glass(node, "ann") as ann:
        await ann.sees("message 260.")
        with trio.fail_after(PATIENCE_S):
            while not any("message 1." in line for line in ann.lines()):
                ann.press("page up")
                await ann.next_picture()
        await ann.sees("PgDn: later")
        ann.press("ctrl end")
        await ann.sees("message 260.")


async def test_unread_messages_are_read_when_they_are_seen_and_not_before(node: Node) -> None:
    async with glass(node, "ann", "user:bob") as ann, glass(node, "bob", "user:ann") as bob:
        await bob.sees("[ann]")
        bob.press("focus out")
        ann.type("hello")
        await bob.sees("<ann> hello")
        bob.press("focus in")
        await ann.sees("<ann> hello [read]")
        bob.press("meta 1")
        await bob.sees("[gochat]")
        ann.type("more")
        await bob.sees("1 ", "Act: 2")
        bob.press("meta 2")
        await ann.sees("<ann> more [read]")


async def test_receipts_are_there_after_a_new_start_and_devices_confirm(node: Node) -> None:
    async with enter(node, "bob", confirms=True) as bob:
        async with glass(node, "ann", "user:bob") as ann:
            ann.type("hello")
            await ann.sees("<ann> hello [received]")
            await bob.read("user:ann", 1)
            await ann.sees("<ann> hello [read]")
        async with glass(node, "ann", "user:bob") as ann:
            await ann.sees("<ann> hello [read]")


async def test_a_search_in_what_was_typed(node: Node) -> None:
    async with glass(node, "ann", "user:bob") as ann:
        await ann.sees("[bob]")
        ann.type("first of all", "second")
        await ann.sees("<ann> second")
        ann.press(*"unfinished", "ctrl r", *"FIR")
        await ann.sees("[typed before: FIR] first of all")
        ann.press("esc")
        await ann.sees("[bob] unfinished")
        ann.press("ctrl r", *"sec", "backspace", "ctrl r")
        await ann.sees("[nothing has: se] second")
        ann.press("enter")
        await ann.sees("[bob] second")
        ann.press("ctrl u", "ctrl r", *"first", "end", *" things", "enter")
        await ann.sees("<ann> first of all things")
        ann.press("ctrl r", *"sec", "begin paste", "!", "end paste")
        await ann.sees("[bob] !second")


async def test_a_paste_is_one_message_and_a_draft_stays_with_its_room(node: Node) -> None:
    async with glass(node, "ann", "user:bob") as ann, glass(node, "bob", "user:ann") as bob:
        ann.press("begin paste", *"one", "enter", "tab", *"two", "enter", "end paste")
        await ann.sees("[bob] one", "          two")
        ann.press("meta 1")
        await ann.sees("[gochat]", " 2 ~bob")
        ann.press("meta 2", "meta enter", *"three", "enter")
        await bob.sees("<ann> one", "          two", "      three")


async def test_strangers_ask(strict: Node) -> None:
    async with glass(strict, "ann", "user:bob") as ann, glass(strict, "bob") as bob:
        ann.type("hello")
        await ann.sees("bob gets this as a request")
        await bob.sees("ann wants to write to you, in window 2", "2  ann          ?")
        bob.press("meta a")
        await bob.sees("wants to write to you: /accept ann, /decline ann", "<ann> hello")
        bob.type("/accept ann")
        await bob.no_longer_sees("/decline ann")
        ann.type("how are you?")
        await bob.sees("<ann> how are you?")
        ann.type("see https://spam.example/")
        await ann.sees("1 not sent, see /unsent")


#: A line that is typed, the answer to it, and whether the line stays in the input to be mended.
MISTAKES = [
    ("/nope", "there is no /nope", True),
    ("/me waves", "a message is only text here", True),
    ("/msg bob", "usage: /msg", True),
    ("/msg Bob! hi", "usage: /msg", True),
    ("/query", "usage: /query", True),
    ("/win 99", "usage: /win", True),
    ("/edit", "there is no message here", True),
    ("/reply", "there is no message here", True),
    ("/help nothing", "there is no /nothing", True),
    ("/help msg", "/msg USER | #GROUP TEXT", False),
    ("/topic", "this room is no group", False),
    ("/say", "usage: /say", True),
    ("/op", "this room is no group", False),
    ("/99", "there is no /99", True),
    ("/leave", "/group leave leaves a group for good", True),
    ("/topic x", "this room is no group", False),
    ("/search nothing", "nothing found", False),
    ("/unsent", "everything is sent", False),
    ("/rooms", "no rooms yet", False),
    ("/delete 99", "(not_found)", False),
    ("x" * 4_001, "4,001 characters", True),
]


async def test_what_can_not_be_done_is_explained_and_can_be_mended(node: Node) -> None:
    async with glass(node, "ann", "user:bob") as ann:
        for typed, answer, kept in MISTAKES:
            ann.press("begin paste", *typed, "end paste", "enter")
            await ann.sees(answer)
            assert (ann.desk.composer.text == typed) is kept, typed
            if not typed.startswith("/"):
                ann.press("ctrl u")
            ann.type("/clear")  # In the place of a command that stayed: hands that know IRC take the line for empty.
            await ann.no_longer_sees(answer)
        ann.type("/query")
        ann.press(*" Bob", "backspace", "backspace", "backspace", *"cat", "enter")
        await ann.sees("[cat]")


async def test_another_device_is_signed_out(node: Node) -> None:
    phone = trio.Event()

    async def be_there() -> None:
        async with enter(node, "ann", device="phone") as chat:
            phone.set()
            async for _ in chat:
                pass

    async def sign_it_out() -> None:
        async with glass(node, "ann", "user:bob") as ann, glass(node, "bob") as bob:
            await phone.wait()
            ann.type("/devices")
            await ann.sees("ws from 127.0.0.1", "this one", "ws phone from")
            number = next(line for line in ann.lines() if "ws phone" in line).split("│")[1].split()[0]
            ann.type(f"/signout {3 - int(number)}", "/signout 3")
            await ann.sees("/quit leaves", "no device has this number")
            ann.type(f"/signout {number}", "still here")
            await ann.sees("signed out: ws phone from 127.0.0.1")
            await bob.sees("Act: 2")

    with trio.fail_after(2 * PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sign_it_out)
            with pytest.raises(Ended):
                await be_there()


async def test_help_lists_every_command_and_the_keys(node: Node) -> None:
    async with glass(node, "ann", rows=120) as ann:
        ann.type("/help", "/help edit")
        await ann.sees(*(f"/{name}" for name in COMMANDS if name not in ALIASES), "PgUp", "/edit [NUMBER] [TEXT]: ")


async def test_leaving_waits_for_what_is_unsent(node: Node) -> None:
    async with enter(node, "ann") as chat, trio.open_nursery() as nursery:
        shown = DeskGlass(chat, "user:bob")
        nursery.start_soon(run, shown.desk, shown)
        shown.press("x", "ctrl d", "ctrl c")
        shown.type("last words", "/quit")
    async with enter(node, "bob") as bob:
        assert bob.welcome.contacts[0].last is not None
        assert bob.welcome.contacts[0].last.body == "last words"
    assert not shown.desk.interrupted


async def test_the_mouse_scrolls_and_goes_to_rooms(node: Node) -> None:
    async with enter(node, "bob") as bob:
        for number in range(1, 61):
            await bob.send("user:ann", f"message {number}.")
    async with glass(node, "ann") as ann:
        await ann.sees("message 60.")
        ann.press(("mouse press", 4, 40, 10))
        await ann.no_longer_sees("message 60.")
        ann.press(("mouse press", 5, 40, 10), ("mouse press", 1, 3, 1))
        await ann.sees("[gochat]")


async def test_sounds_have_a_bound(node: Node) -> None:
    async with glass(node, "ann", "user:bob") as ann, enter(node, "bob") as bob:
        await ann.sees("[bob]")
        for number in range(30):
            await bob.send("user:ann", f"ann! {number}")
        await ann.sees("ann! 29")
        assert 1 <= ann.rings <= 3


def test_every_key_that_help_names_is_there() -> None:
    names: list[Any] = ["enter", "meta enter", "tab", "meta 1", "meta 0", "meta left", "ctrl n", "meta a", "page up"]
    assert set(names) <= KEYS.keys()
