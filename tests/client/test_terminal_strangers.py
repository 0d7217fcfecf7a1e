"""The terminal client: strangers, requests, and moderators."""

from __future__ import annotations

from gochat.node import Node
from tests.client.line_screen import screen


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
