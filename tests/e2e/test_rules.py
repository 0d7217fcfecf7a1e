"""Listed words and foreign links, over every transport, and lists that are read again while the node runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.durability.process import Served
from tests.durability.wire import Link
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.e2e.test_moderation import signed_in as by_token
from tests.e2e.test_moderation import token

Connect = Callable[..., Any]
LINK = "see https://evil.example.com/x"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("zwoggle\n")
    return file


async def signed_in(node: Any, nursery: trio.Nursery, *users: str, transport: str = "tcp") -> list[Peer]:
    peers = []
    for user in users:
        peers.append(await Peer.open(node, transport, nursery))
        await peers[-1].hello(user)
    return peers


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


def refused(reply: dict[str, Any]) -> tuple[str, str | None]:
    return reply["code"], reply.get("rule")


async def test_a_listed_word_is_refused_wherever_it_can_be_read(
    start: Start, nursery: trio.Nursery, words: Path, transport: str
) -> None:
    async with start(policy={"word_action": "refuse", "words_file": str(words)}) as node:
        (ann,) = await signed_in(node, nursery, "ann", transport=transport)
        listed = ("censored", "words.listed")
        assert (await ann.ask("group", name="tea", action="create"))["seq"] == 1
        assert (await ann.ask("send", to="group:tea", body="fine"))["seq"] == 2
        for reply in (
            await ann.ask("send", to="group:tea", body="you z.w.o.g.g.l.e"),
            await ann.ask("edit", room="group:tea", seq=2, body="zw0ggle"),
            await ann.ask("react", room="group:tea", seq=2, emoji="zwoggle", on=True),
            await ann.ask("group", name="tea", action="set", title="The Zwoggle"),
            await ann.ask("group", name="cake", action="create", title="zwoggle"),
            await ann.ask("group", name="zwoggle", action="create"),
        ):
            assert refused(reply) == listed
            assert "zwoggle" not in reply["message"].lower()
        assert refused(await ann.ask("edit", room="group:tea", seq=1, body="zwoggle")) == ("not_found", None)
        assert (await ann.ask("history", room="group:tea"))["head"] == 2


async def test_a_refused_text_costs_a_token_and_a_repeat_of_a_recorded_one_none(
    start: Start, nursery: trio.Nursery, words: Path
) -> None:
    policy = {"word_action": "refuse", "words_file": str(words)}
    async with start(policy=policy, limits={"messages_per_s": 0.001, "message_burst": 2}) as node:
        (ann,) = await signed_in(node, nursery, "ann")
        assert (await ann.ask("send", to="user:ann", body="x", key="k"))["seq"] == 1
        assert (await ann.ask("send", to="user:ann", body="zwoggle", key="k"))["duplicate"]
        assert refused(await ann.ask("send", to="user:ann", body="zwoggle"))[0] == "censored"
        assert refused(await ann.ask("send", to="user:ann", body="y"))[0] == "rate_limited"


async def test_masked(start: Start, nursery: trio.Nursery, words: Path, transport: str) -> None:
    policy = {"word_action": "mask", "words_file": str(words), "links": "deny", "link_action": "mask"}
    async with start(policy=policy) as node:
        ann, bob = await signed_in(node, nursery, "ann", "bob", transport=transport)
        await ann.ask("send", to="user:bob", body=f"you zwoggle {LINK}")
        body = (await bob.event("message"))["body"]
        assert body == f"you ******* see {'*' * len('https://evil.example.com/x')}"
        assert (await ann.ask("history", room="dm:ann:bob"))["entries"][0]["body"] == body
        await ann.ask("edit", room="dm:ann:bob", seq=1, body="zwoggle")
        assert (await bob.event("edit"))["body"] == "*******"
        assert refused(await ann.ask("group", name="zwoggle", action="create")) == ("censored", "words.listed")


async def test_flagged(start: Start, nursery: trio.Nursery, words: Path) -> None:
    policy = {"word_action": "flag", "words_file": str(words), "links": "deny", "link_action": "flag"}
    async with start(policy=policy) as node:
        ann, bob = await signed_in(node, nursery, "ann", "bob")
        await ann.ask("group", name="tea", action="create", users=["bob"])
        sent = await bob.ask("send", to="group:tea", body=f"zwoggle {LINK}", key="k")
        assert (await bob.ask("send", to="group:tea", body="zwoggle", key="k"))["duplicate"]
        edited = (await bob.ask("send", to="group:tea", body="fine"))["seq"]
        await bob.ask("edit", room="group:tea", seq=edited, body="zwoggle")
        reports = (await ann.ask("reports", room="group:tea"))["reports"]
        assert [(each["seq"], each["rule"], each["from"]) for each in reports] == [
            (sent["seq"], "words.listed", "bob"),
            (sent["seq"], "links.foreign", "bob"),
            (edited, "words.listed", "bob"),
        ]
        assert all("by" not in each for each in reports)


async def test_links_between_contacts_alone(start: Start, nursery: trio.Nursery) -> None:
    async with start(policy={"links": "contacts", "own_domains": ["own.example"]}) as node:
        ann, bob = await signed_in(node, nursery, "ann", "bob")
        await ann.ask("group", name="tea", action="create", users=["bob"])
        stranger = ("external_link", "links.contacts")
        assert refused(await ann.ask("send", to="user:bob", body=LINK)) == stranger
        assert refused(await ann.ask("send", to="group:tea", body=LINK)) == stranger
        assert (await ann.ask("send", to="user:bob", body="see https://docs.own.example/x"))["type"] == "ack"
        assert (await ann.ask("send", to="user:ann", body=LINK))["type"] == "ack", "notes to self"
        await ann.ask("contact", user="bob", action="add")
        assert refused(await ann.ask("send", to="user:bob", body=LINK)) == stranger, "the receiver's contacts count"
        await bob.ask("contact", user="ann", action="add")
        assert (await ann.ask("send", to="user:bob", body=LINK))["type"] == "ack"


async def test_a_listed_name_is_not_shown(start: Start, nursery: trio.Nursery, words: Path) -> None:
    async with start(policy={"word_action": "refuse", "words_file": str(words)}) as node:
        await by_token(node, nursery, token(node, "bob", name="Bob Zwoggle"))
        ann = await by_token(node, nursery, token(node, "ann", name="Ann"))
        await ann.ask("send", to="user:bob", body="hi")
        again = await by_token(node, nursery, token(node, "ann", name="Ann"))
        assert [each["name"] for each in again.welcome["contacts"]] == ["bob"]


async def test_lists_are_read_again(tmp_path: Path, words: Path) -> None:
    served = Served(tmp_path, env={"GOCHAT_POLICY__WORDS_FILE": str(words), "GOCHAT_POLICY__WORD_ACTION": "refuse"})
    await served.start()
    try:
        async with await Link.open("tcp", served.addresses["tcp"]) as ann:
            await ann.hello(served.token("ann"))

            async def code(body: str) -> Any:
                return (await ann.ask({"type": "send", "id": body, "to": "user:ann", "body": body})).get("code")

            assert (await code("zwoggle"), await code("plimf")) == ("censored", None)
            rewrite(words, "plimf\n")
            os.kill(served.pid, signal.SIGHUP)
            with trio.fail_after(25):
                while await code("plimf") is None:
                    pass
            assert await code("zwoggle") is None
            rewrite(words, "x\n")
            os.kill(served.pid, signal.SIGHUP)
            with trio.fail_after(25):
                while "words_file" not in served.log.read_text():
                    await code("another")
            assert await code("plimf") == "censored", "a list that can't be used changes nothing"
    finally:
        assert await served.stop() == 0
