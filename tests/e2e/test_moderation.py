"""Acts of moderators and admins: mute, kick, ban, handle reports, suspend, revoke; and the trace that they leave."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from gochat.auth import tokens as auth
from gochat.auth.claims import SCOPES
from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer

Connect = Callable[..., Any]
TEA = "group:tea"


def token(node: Node, user: str, *, admin: bool = False, **options: Any) -> str:
    scopes = SCOPES if admin else SCOPES - {"admin"}
    return auth.issuer(node.settings).issue(user, now_s=int(time.time()), ttl_s=3600, scopes=scopes, **options)


async def signed_in(node: Node, nursery: trio.Nursery, text: str, transport: str = "tcp") -> Peer:
    peer = await Peer.open(node, transport, nursery)
    peer.welcome = await peer.ask("hello", token=text)
    return peer


@pytest.fixture
async def tea(connect: Connect) -> tuple[Peer, Peer, Peer]:
    """The owner, a moderator and a member of a group."""
    ann, mod, bob = [await connect(user) for user in ("ann", "mod", "bob")]
    await ann.ask("group", name="tea", action="create", users=["mod", "bob"])
    await ann.ask("group", name="tea", action="role", user="mod", role="moderator")
    return ann, mod, bob


def refused(reply: dict[str, Any]) -> tuple[str, str | None]:
    return reply["code"], reply.get("rule")


async def test_who_is_muted_reads_but_does_not_write(tea: tuple[Peer, Peer, Peer]) -> None:
    ann, mod, bob = tea
    assert (await bob.ask("send", to=TEA, body="hi"))["seq"] == 4
    assert refused(await bob.ask("group", name="tea", action="mute", user="mod")) == ("forbidden", None)
    assert refused(await mod.ask("group", name="tea", action="mute", user="ann")) == ("forbidden", None)
    assert refused(await mod.ask("group", name="tea", action="mute", user="zoe")) == ("not_found", None)
    assert (await mod.ask("group", name="tea", action="mute", user="bob", seconds=3600))["seq"] == 4, "no fact"
    for reply in (
        await bob.ask("send", to=TEA, body="hi"),
        await bob.ask("edit", room=TEA, seq=4, body="ho"),
        await bob.ask("react", room=TEA, seq=4, emoji="👍", on=True),
    ):
        assert refused(reply) == ("forbidden", "group.muted")
        assert 3_590_000 < reply["retry_after_ms"] <= 3_600_000
    assert (await bob.ask("delete", room=TEA, seq=4))["type"] == "ack"
    assert (await mod.ask("group", name="tea", action="unmute", user="bob"))["type"] == "ok"
    assert (await mod.ask("group", name="tea", action="unmute", user="bob"))["type"] == "ok", "as it is"
    assert (await bob.ask("send", to=TEA, body="hi"))["seq"] == 6
    assert (await ann.facts(TEA, 6))[-1]["seq"] == 6


async def test_a_mute_and_a_ban_outlive_a_restart(start: Start, nursery: trio.Nursery) -> None:
    for began in (True, False):
        async with start() as node:
            ann, bob = await Peer.open(node, "tcp", nursery), await Peer.open(node, "tcp", nursery)
            await ann.hello("ann")
            await bob.hello("bob")
            if began:
                await ann.ask("group", name="tea", action="create", users=["bob", "cat"])
                await ann.ask("group", name="tea", action="mute", user="bob")
                await ann.ask("group", name="tea", action="ban", user="cat")
            assert refused(await bob.ask("send", to=TEA, body="x")) == ("forbidden", "group.muted")
            add = await ann.ask("group", name="tea", action="add", users=["cat"])
            assert refused(add) == ("forbidden", "group.banned")
            await ann.aclose()
            await bob.aclose()


async def test_who_is_banned_is_out_and_does_not_come_back(tea: tuple[Peer, Peer, Peer]) -> None:
    ann, mod, bob = tea
    assert (await mod.ask("group", name="tea", action="ban", user="bob"))["seq"] == 4
    assert (await bob.facts(TEA, 4))[-1]["change"] == "removed"
    assert refused(await bob.ask("send", to=TEA, body="x")) == ("not_member", None)
    for peer in (ann, mod):
        add = await peer.ask("group", name="tea", action="add", users=["dan", "bob"])
        assert refused(add) == ("forbidden", "group.banned")
    assert (await mod.ask("group", name="tea", action="ban", user="zoe"))["seq"] == 4, "also who never was in it"
    await ann.ask("group", name="tea", action="unban", user="bob")
    assert (await ann.ask("group", name="tea", action="add", users=["bob"]))["seq"] == 5
    assert refused(await ann.ask("group", name="tea", action="ban", user="ann")) == ("conflict", None), "the last owner"


async def test_reports(node: Node, nursery: trio.Nursery, tea: tuple[Peer, Peer, Peer]) -> None:
    ann, mod, bob = tea
    sent = await bob.ask("send", to=TEA, body="x" * 300)
    assert (await ann.ask("report", room=TEA, seq=sent["seq"], reason="  spam "))["type"] == "ok"
    assert (await ann.ask("report", room=TEA, seq=sent["seq"], reason="again"))["type"] == "ok"
    assert refused(await ann.ask("report", room=TEA, seq=1)) == ("not_found", None), "no message"
    private = await bob.ask("send", to="user:ann", body="psst")
    await ann.ask("report", room="dm:ann:bob", seq=private["seq"])
    assert refused(await bob.ask("reports", room=TEA)) == ("forbidden", None)
    assert refused(await mod.ask("reports")) == ("forbidden", None)
    assert refused(await ann.ask("reports", room="group:none")) == ("not_found", None)
    (report,) = (await mod.ask("reports", room=TEA))["reports"]
    assert (report["room"], report["seq"], report["from"], report["by"]) == (TEA, sent["seq"], "bob", "ann")
    assert (report["reason"], report["body"]) == ("spam", "x" * 200)

    root = await signed_in(node, nursery, token(node, "root", admin=True))
    first = await root.ask("reports", limit=1)
    assert first["reports"] == [report]
    rest = await root.ask("reports", cursor=first["next"])
    assert [each["room"] for each in rest["reports"]] == ["dm:ann:bob"]

    private_report = rest["reports"][0]["report"]
    for peer, number in ((bob, report["report"]), (bob, private_report), (ann, private_report)):
        reply = await peer.ask("close_report", report=number)
        never = await peer.ask("close_report", report=99)
        assert {**reply, "id": 0} == {**never, "id": 0}, "whoever may not close it does not learn that there is one"
    assert refused(await mod.ask("close_report", report=99)) == ("not_found", None)
    assert (await mod.ask("close_report", report=report["report"]))["type"] == "ok"
    assert (await mod.ask("close_report", report=report["report"]))["type"] == "ok", "as it is"
    assert (await mod.ask("reports", room=TEA))["reports"] == []


async def test_a_closed_report_may_come_again_and_an_open_one_once(
    node: Node, nursery: trio.Nursery, tea: tuple[Peer, Peer, Peer]
) -> None:
    ann, mod, bob = tea
    sent = await bob.ask("send", to=TEA, body="x")
    for _ in range(3):
        await ann.ask("report", room=TEA, seq=sent["seq"])
    (report,) = (await mod.ask("reports", room=TEA))["reports"]
    await mod.ask("close_report", report=report["report"])
    await ann.ask("report", room=TEA, seq=sent["seq"])
    assert len((await mod.ask("reports", room=TEA))["reports"]) == 1
    root = await signed_in(node, nursery, token(node, "root", admin=True))
    actions = [entry["action"] for entry in (await root.ask("audit"))["entries"]]
    assert actions == ["message.report", "report.close", "message.report"]


async def test_who_is_muted_names_nothing(tea: tuple[Peer, Peer, Peer]) -> None:
    ann, mod, bob = tea
    await ann.ask("group", name="tea", action="mute", user="mod")
    reply = await mod.ask("group", name="tea", action="set", title="Mine")
    assert refused(reply) == ("forbidden", "group.muted")
    await mod.ask("typing", room=TEA)
    await bob.facts(TEA, 3)
    await bob.nothing_more()


async def test_everything_leaves_a_trace(node: Node, nursery: trio.Nursery, tea: tuple[Peer, Peer, Peer]) -> None:
    ann, mod, bob = tea
    root = await signed_in(node, nursery, token(node, "root", admin=True))
    sent = await bob.ask("send", to=TEA, body="x")
    await ann.ask("report", room=TEA, seq=sent["seq"])
    await mod.ask("delete", room=TEA, seq=sent["seq"])
    await bob.ask("delete", room=TEA, seq=(await bob.ask("send", to=TEA, body="mine"))["seq"])
    await mod.ask("group", name="tea", action="mute", user="bob", seconds=60)
    await mod.ask("group", name="tea", action="remove", users=["bob"])
    await mod.ask("group", name="tea", action="ban", user="bob")
    await root.ask("admin", action="suspend", user="bob", seconds=60, reason="spam")
    await root.ask("admin", action="unsuspend", user="bob")
    await root.ask("admin", action="revoke", token="t1")
    assert refused(await ann.ask("audit")) == ("forbidden", None)
    page = await root.ask("audit", limit=200)
    told = [(entry["actor"], entry["action"], entry.get("room"), entry.get("subject")) for entry in page["entries"]]
    assert told[::-1] == [
        ("ann", "message.report", TEA, f"{TEA}:{sent['seq']}"),
        ("mod", "message.delete", TEA, f"{TEA}:{sent['seq']}"),
        ("mod", "group.mute", TEA, "bob"),
        ("mod", "group.remove", TEA, "bob"),
        ("mod", "group.ban", TEA, "bob"),
        ("root", "user.suspend", None, "bob"),
        ("root", "user.unsuspend", None, "bob"),
        ("root", "user.revoke", None, "t1"),
    ]
    assert json.loads(page["entries"][2]["detail"])["reason"] == "spam"
    first = await root.ask("audit", limit=3)
    second = await root.ask("audit", limit=200, cursor=first["next"])
    assert first["entries"] + second["entries"] == page["entries"]


async def test_a_suspended_user_is_out(start: Start, nursery: trio.Nursery, transport: str) -> None:
    async with start() as node:
        root = await signed_in(node, nursery, token(node, "root", admin=True), transport)
        bob = await signed_in(node, nursery, token(node, "bob"), transport)
        other = await Peer.open(node, transport, nursery)
        await other.hello("bob")
        for fields in ({"action": "suspend"}, {"action": "unsuspend", "user": "bob", "seconds": 5},
                       {"action": "suspend", "user": "Bob"}, {"action": "revoke"},
                       {"action": "revoke", "user": "bob", "token": "t"}):  # fmt: skip
            assert refused(await root.ask("admin", **fields)) == ("bad_request", None), fields
        assert refused(await bob.ask("admin", action="suspend", user="root")) == ("forbidden", None)
        with trio.fail_after(25):
            assert (await root.ask("admin", action="suspend", user="bob"))["type"] == "ok"
            assert await bob.closed() == await other.closed() == 4503
        await turned_away(node, nursery, transport, token=token(node, "bob"))
        await turned_away(node, nursery, transport, token=token(node, "bob", admin=True))
        await root.aclose()
    async with start() as node:
        await turned_away(node, nursery, transport, token=token(node, "bob"))
        root = await signed_in(node, nursery, token(node, "root", admin=True), transport)
        await root.ask("admin", action="unsuspend", user="bob")
        assert (await signed_in(node, nursery, token(node, "bob"), transport)).welcome["type"] == "welcome"


async def turned_away(node: Node, nursery: trio.Nursery, transport: str, **hello: str) -> None:
    peer = await Peer.open(node, transport, nursery)
    assert refused(await peer.ask("hello", **hello)) == ("unauthorized", None)
    assert await peer.closed() == 4500


async def test_a_suspension_ends_by_itself(start: Start, nursery: trio.Nursery) -> None:
    async with start() as node:
        root = await signed_in(node, nursery, token(node, "root", admin=True))
        await root.ask("admin", action="suspend", user="bob", seconds=600)
        await turned_away(node, nursery, "tcp", token=token(node, "bob"))
        await root.ask("admin", action="suspend", user="bob", seconds=1)
        with trio.fail_after(25):
            while True:
                bob = await Peer.open(node, "tcp", nursery)
                if (await bob.ask("hello", token=token(node, "bob")))["type"] == "welcome":
                    break


async def test_revoked_tokens(start: Start, nursery: trio.Nursery) -> None:
    async with start() as node:
        root = await signed_in(node, nursery, token(node, "root", admin=True))
        one, two = token(node, "bob"), token(node, "bob")
        name = auth.unverified(one)[1]["jti"]
        first, second = await signed_in(node, nursery, one), await signed_in(node, nursery, two)
        carl = await signed_in(node, nursery, token(node, "carl"))
        with trio.fail_after(25):
            await root.ask("admin", action="revoke", token=name)
            assert await first.closed() == 4503
        assert (await second.ask("ping"))["type"] == "pong"
        assert refused(await second.ask("refresh", token=one)) == ("unauthorized", None)
        await turned_away(node, nursery, "tcp", token=one)
        with trio.fail_after(25):
            await root.ask("admin", action="revoke", user="bob")
            assert await second.closed() == 4503
        await turned_away(node, nursery, "tcp", token=two)
        assert (await carl.ask("ping"))["type"] == "pong"
        for peer in (root, carl):
            await peer.aclose()
    async with start() as node:
        for text in (one, two):
            await turned_away(node, nursery, "tcp", token=text)
        later = auth.issuer(node.settings).issue("bob", now_s=int(time.time()) + 2, ttl_s=60)
        assert (await signed_in(node, nursery, later)).welcome["type"] == "welcome", "issued after the revocation"
