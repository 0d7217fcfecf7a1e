"""Commands about people and for admins, as processes against a real node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gochat.commands import EXIT_AUTH
from gochat.node import Node
from tests.client.command import gochat
from tests.client.conftest import enter
from tests.tokens import issue

# ---------------------------------------------------------------------------------------------- contact


async def test_contacts_from_the_command_line(strict: Node) -> None:
    async with enter(strict, "ann") as ann:
        await ann.send("user:bob", "hi\x1b[2J")
        ran = await gochat(strict, "contact", "list", "--requests", "--as", "bob")
        assert ran.out.endswith(' user:ann #1 ann wants to write to you: "hi[2J"\n')
        ran = await gochat(strict, "contact", "list", "--requests", "--json", "--as", "bob")
        assert [json.loads(line)["user"] for line in ran.out.splitlines()] == ["ann"]
        assert await gochat(strict, "contact", "accept", "user:ann", "--as", "bob") == (0, "user:ann contact\n", "")
        assert (await gochat(strict, "contact", "list", "--requests", "--as", "bob")) == (0, "", "")
        await gochat(strict, "contact", "block", "eve", "--as", "bob")
        ran = await gochat(strict, "contact", "list", "--as", "bob")
        assert ran.out == "user:ann, contact\nuser:eve, blocked\n"
        ran = await gochat(strict, "contact", "list", "--json", "--as", "bob")
        ann, eve = (json.loads(line) for line in ran.out.splitlines())
        assert (ann["user"], ann["state"], ann["room"], ann["head"]) == ("ann", "contact", "dm:ann:bob", 1)
        assert eve == {"user": "eve", "name": "eve", "state": "blocked"}
        refused = await gochat(strict, "send", "user:eve", "hi", "--as", "bob")
        assert (refused.code, refused.err) == (1, "gochat: one of you has blocked the other (blocked)\n")


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [
        (["add", "eve"], 0, "user:eve contact\n"),
        (["remove", "eve"], 0, "user:eve none\n"),
        (["block", "eve"], 0, "user:eve blocked\n"),
        (["unblock", "eve"], 0, "user:eve none\n"),
        (["accept", "eve"], 1, ""),
        (["decline", "eve"], 1, ""),
        (["add", "Eve!"], 2, ""),
        (["add", "bob"], 1, ""),
    ],
)
async def test_each_action_prints_what_it_led_to(strict: Node, words: list[str], code: int, out: str) -> None:
    ran = await gochat(strict, "contact", *words, "--as", "bob")
    assert (ran.code, ran.out) == (code, out)
    assert "Traceback" not in ran.err
    assert bool(ran.err) is (code != 0)


async def test_one_message_too_many_to_a_stranger_is_explained(strict: Node) -> None:
    for number in range(1, 4):
        ran = await gochat(strict, "send", "user:bob", f"{number}", "--as", "ann")
        assert (ran.code, ran.out) == (0, f"user:bob #{number}\n")
        assert ran.err.startswith("* a request: the receiver must accept you")
        assert ("nobody has signed in as bob" in ran.err) is (number == 1)
    ran = await gochat(strict, "send", "user:bob", "4", "--as", "ann")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "gochat: your messages wait for an answer; until it comes you can't send more (declined)\n"


# ---------------------------------------------------------------------------------------------- admin


async def test_a_site_is_moderated_from_the_command_line(strict: Node, tmp_path: Path) -> None:
    async with enter(strict, "ann") as ann:
        await ann.create_group("tea", users=["bob"])
        async with enter(strict, "bob") as bob:
            spam = await bob.send("group:tea", "buy!")
        await ann.report("group:tea", spam.seq, "spam")
    data = {"GOCHAT_NODE__DATA": str(tmp_path / "data")}
    token = {"GOCHAT_TOKEN": (await gochat(strict, "token", "issue", "root", "--scope", "admin", **data)).out}

    ran = await gochat(strict, "admin", "reports", **token)
    assert ran.out.endswith(f' group:tea #{spam.seq} bob: "buy!", by ann: spam\n')
    ran = await gochat(strict, "admin", "reports", "--room", "group:tea", "--json", **token)
    (report,) = [json.loads(line) for line in ran.out.splitlines()]
    assert (report["from"], report["by"], report["reason"]) == ("bob", "ann", "spam")
    assert await gochat(strict, "admin", "close", str(report["report"]), **token) == (
        0,
        "",
        f"closed {report['report']}\n",
    )
    assert (await gochat(strict, "admin", "reports", **token)).out == ""

    assert (await gochat(strict, "admin", "reports", GOCHAT_TOKEN=issue(strict, "ann"))).code == EXIT_AUTH
    assert (await gochat(strict, "admin", "users", "ann", "--as", "root")).code == 0  # --as signs for the scope admin

    ran = await gochat(strict, "admin", "suspend", "user:bob", "--for", "7d", "--reason", "spam", **token)
    assert (ran.code, ran.err) == (0, "suspended user:bob\n")
    assert (await gochat(strict, "send", "user:ann", "hi", "--as", "bob")).code == 4
    assert (await gochat(strict, "admin", "unsuspend", "bob", **token)).code == 0
    assert (await gochat(strict, "send", "user:ann", "hi", "--as", "bob")).code == 0
    assert (await gochat(strict, "admin", "revoke", "--user", "bob", **token)).code == 0
    assert (await gochat(strict, "admin", "revoke", "--jti", "0b5f", **token)).code == 0
    ran = await gochat(strict, "admin", "audit", "--limit", "4", "--json", **token)
    entries = [json.loads(line) for line in ran.out.splitlines()]
    assert [(entry["action"], entry["subject"]) for entry in entries] == [
        ("user.revoke", "0b5f"),
        ("user.revoke", "bob"),
        ("user.unsuspend", "bob"),
        ("user.suspend", "bob"),
    ]
    detail = json.loads(entries[-1]["detail"])
    assert detail["reason"] == "spam"
    assert abs(detail["until"] - entries[-1]["ts"] - 7 * 86_400_000) < 60_000
    assert "root user.suspend bob" in (await gochat(strict, "admin", "audit", **token)).out


async def test_an_admin_looks_over_the_site_from_the_command_line(strict: Node, tmp_path: Path) -> None:
    data = {"GOCHAT_NODE__DATA": str(tmp_path / "data")}
    token = {"GOCHAT_TOKEN": (await gochat(strict, "token", "issue", "root", "--scope", "admin", **data)).out}
    async with enter(strict, "ann") as ann:
        await ann.create_group("tea", title="Green\x1b[2J tea")
        await ann.send("user:ann", "note")
        ran = await gochat(strict, "admin", "users", "ann", **token)
        assert (ran.code, ran.out) == (0, "user:ann, 1 session\n")
        ran = await gochat(strict, "admin", "sessions", "--user", "ann", **token)
        assert "ws from 127.0.0.1" in ran.out
        ran = await gochat(strict, "admin", "rooms", **token)
        assert ran.out == "group:tea (Green[2J tea), 0 messages\n"
        ran = await gochat(strict, "admin", "rooms", "--private", "--user", "ann", "--json", **token)
        assert json.loads(ran.out)["room"] == "dm:ann:ann"
        ran = await gochat(strict, "admin", "suspend", "ann", **token)
        assert ran.err == "suspended user:ann\n"
    ran = await gochat(strict, "admin", "suspend", "anm", "--reason", "spam", **token)
    assert (ran.code, ran.err.splitlines()[1:]) == (
        0,
        ["warning: nobody has signed in as anm yet; if that is a slip: gochat admin unsuspend anm"],
    )
    ran = await gochat(strict, "admin", "suspensions", **token)
    assert [line.split(", since")[0] for line in ran.out.splitlines()] == ["user:anm", "user:ann"]
    assert ", by root: spam\n" in ran.out
    ran = await gochat(strict, "admin", "users", "nobody", **token)
    assert ran == (1, "", "gochat: nobody has signed in as nobody yet\n")
    ran = await gochat(strict, "admin", "unsuspend", "amn", **token)
    assert (ran.code, ran.err.splitlines()[1:]) == (
        0,
        ["warning: amn was not suspended; `gochat admin suspensions` prints who is"],
    )
    assert (await gochat(strict, "admin", "unsuspend", "anm", **token)).err == "user:anm may sign in\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["users"], 4, "(forbidden)"),
        (["rooms", "--private"], 4, "(forbidden)"),
        (["sessions"], 4, "(forbidden)"),
        (["suspensions"], 4, "(forbidden)"),
        (["suspend", "bob"], 4, "(forbidden)"),
        (["audit"], 4, "(forbidden)"),
        (["reports"], 4, "(forbidden)"),
        (["close", "7"], 1, "(not_found)"),
        (["suspend", "bob", "--for", "soon"], 2, "is not a time such as"),
        (["suspend", "bob", "--for", "0"], 2, "no time at all"),
        (["suspend", "Bob"], 2, "is no user id: up to 64 of a-z"),
        (["revoke"], 2, "Name one of --user and --jti"),
        (["revoke", "--user", "bob", "--jti", "x"], 2, "Name one of --user and --jti"),
        (["reports", "--room", "tea"], 2, "an address is"),
    ],
)
async def test_who_is_no_admin_is_told_so(strict: Node, words: list[str], code: int, says: str) -> None:
    ran = await gochat(strict, "admin", *words, GOCHAT_TOKEN=issue(strict, "ann"))
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert "Traceback" not in ran.err
