"""People's words as they are shown, over every transport and by REST: characters that hide or deceive are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio

from gochat.node import Node
from tests.e2e.test_moderation import signed_in, token
from tests.e2e.test_sight import entries
from tests.http.rest.client import Rest

# ruff: noqa: RUF001 -- ambiguous characters are what this is about

Connect = Callable[..., Any]
TEA = "group:tea"
KISS = "👩🏽\u200d❤️\u200d💋\u200d👨🏾"


async def test_bodies_and_titles_are_cleaned(connect: Connect, transport: str) -> None:
    ann = await connect("ann", transport)
    await ann.ask("group", name="tea", action="create", title="\u202e Tea\u2028 \u2066time ")
    said = await ann.ask("send", to=TEA, body="one\x07\r\ntwo\u202e \u200b", key="k")
    assert (await ann.ask("send", to=TEA, body="one\ntwo", key="k"))["duplicate"]
    same = await ann.ask("edit", room=TEA, seq=said["seq"], body="one\x08\ntwo")
    assert (same["seq"], same["duplicate"]) == (said["seq"], True)
    for body in ("\u200b\u2060", "\u2800 \u3164", "\u202e", "\u2066\u2069", "\x07"):
        for reply in (
            await ann.ask("send", to=TEA, body=body),
            await ann.ask("edit", room=TEA, seq=said["seq"], body=body),
        ):
            assert reply["code"] == "bad_request"
            assert "nothing to show" in reply["message"]
    told = await entries(ann, after=0)
    assert told[1]["title"] == "Tea time"
    assert told[said["seq"]]["body"] == "one\ntwo"


async def test_reasons_are_cleaned(connect: Connect, node: Node, nursery: trio.Nursery, transport: str) -> None:
    ann = await connect("ann", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    seq = (await ann.ask("send", to=TEA, body="hi"))["seq"]
    bob = await connect("bob", transport)
    await bob.ask("report", room=TEA, seq=seq, reason="\u202espam\x1b[2J")
    assert [entry["reason"] for entry in (await ann.ask("reports", room=TEA))["reports"]] == ["spam[2J"]
    root = await signed_in(node, nursery, token(node, "root", admin=True), transport)
    await root.ask("admin", action="suspend", user="eve", reason="\u202erude\u2800")
    await root.ask("admin", action="suspend", user="eve", reason="\u200b")
    details = [entry.get("detail") for entry in (await root.ask("audit"))["entries"] if entry["subject"] == "eve"]
    assert details == ["{}", '{"reason":"rude"}']
    await root.aclose()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\u200b", "mo"),
        ("\u2800", "mo"),
        ("\u3164", "mo"),
        ("\u202enimda", "nimda"),
        ("ann\u202e", "ann"),
        ("  padded   name ", "padded name"),
        ("a\u0301\u0336\u0336\u0336\u0336\u0336", "a\u0301\u0336\u0336\u0336"),
        ("علی\u200cرضا", "علی\u200cرضا"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
    ids=ascii,
)
async def test_names_are_cleaned(connect: Connect, node: Node, nursery: trio.Nursery, name: str, shown: str) -> None:
    ann = await connect("ann")
    mo = await signed_in(node, nursery, token(node, "mo", name=name))
    await mo.ask("group", name="tea", action="create", users=["ann"])
    await mo.ask("send", to="user:mo", body="noted")
    with trio.fail_after(25):
        while not (found := (await ann.ask("search", **{"q": "mo", "in": "users"}))["users"]):
            await trio.sleep(0.05)
    assert [(each["user"], each["name"]) for each in found] == [("mo", shown)]
    members = (await ann.ask("members", room=TEA))["members"]
    assert {each["user"]: each["name"] for each in members} == {"ann": "ann", "mo": shown}
    rest = Rest(node, token(node, "mo", name=name))
    assert (await rest.get("/v1/me")).json["name"] == shown
    await rest.aclose()
    await mo.aclose()


async def test_an_emoji_written_in_two_ways_is_one_reaction(connect: Connect, transport: str) -> None:
    ann, bob = await connect("ann", transport), await connect("bob", transport)
    await ann.ask("group", name="tea", action="create", users=["bob"])
    seq = (await ann.ask("send", to=TEA, body="hi"))["seq"]

    async def react(peer: Any, emoji: str, *, on: bool = True) -> Any:
        return await peer.ask("react", room=TEA, seq=seq, emoji=emoji, on=on)

    first = await react(ann, "❤")
    for form in ("❤️", "❤\ufe0e", " ❤️ "):
        again = await react(ann, form)
        assert (again["seq"], again["duplicate"]) == (first["seq"], True)
    await react(bob, "❤️")
    await react(bob, KISS)
    assert (await entries(ann, after=0))[seq]["reactions"] == {"❤️": 2, KISS: 1}
    assert "duplicate" not in await react(ann, "❤\ufe0e", on=False)
    assert (await entries(ann, after=0))[seq]["reactions"] == {"❤️": 1, KISS: 1}


@pytest.mark.parametrize(
    "text", ["a", "é", "+", "1", "👍👍", "👍x", "\u200b", "🇫", "😀\u200d😀", "🏽", "\U000e0067", "ok", "<b>", "<3"]
)
async def test_only_an_emoji_is_a_reaction(connect: Connect, text: str) -> None:
    ann = await connect("ann")
    seq = (await ann.ask("send", to="user:ann", body="hi"))["seq"]
    reply = await ann.ask("react", room="dm:ann:ann", seq=seq, emoji=text, on=True)
    assert (reply["code"], "emoji" in reply["message"]) == ("bad_request", True)
    assert (await ann.ask("react", room="dm:ann:ann", seq=seq, emoji=text, on=False))["duplicate"]


async def notes(ann: Any, **fields: Any) -> dict[int, dict[str, Any]]:
    page = await ann.ask("history", room="dm:ann:ann", **fields)
    return {entry["seq"]: entry for entry in page["entries"]}


async def test_reactions_of_before_stay_and_can_be_taken_off(connect: Connect, node: Node) -> None:
    ann = await connect("ann")
    room = "dm:ann:ann"
    seq = (await ann.ask("send", to=room, body="hi"))["seq"]
    rules = node.rules.current
    node.rules.current = msgspec.structs.replace(rules, emoji={})  # Anything was a reaction once.
    for emoji in ("+1", "❤", "\u0301"):
        await ann.ask("react", room=room, seq=seq, emoji=emoji, on=True)
    node.rules.current = rules
    assert (await notes(ann, after=0))[seq]["reactions"] == {"+1": 1, "❤": 1, "\u0301": 1}
    assert (await ann.ask("react", room=room, seq=seq, emoji="❤️", on=True))["duplicate"]
    for emoji in ("+1", "❤️", "\u0301"):
        assert "duplicate" not in await ann.ask("react", room=room, seq=seq, emoji=emoji, on=False)
    assert "reactions" not in (await notes(ann, after=0))[seq]
