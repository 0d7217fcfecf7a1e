"""Contacts, requests and moderation by the client, against a real node with the default policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.client import Chat, Ended, Offline, Online, Refused, connect
from gochat.config import Policy
from gochat.domain import facts
from gochat.node import Node
from gochat.protocol import replies
from tests.client.command import gochat
from tests.client.conftest import Start, enter, url
from tests.client.test_chat import fact
from tests.tokens import issue


async def event(chat: Chat, kind: type[Any]) -> Any:
    """The next event, which is of this kind."""
    with trio.fail_after(60):
        got = await anext(chat)
    assert isinstance(got, kind), got
    return got


def bodies(page: Any) -> list[str]:
    return [entry.body for entry in page.entries]


async def test_a_request_arrives_is_accepted_and_the_room_is_live(strict: Node) -> None:
    with trio.fail_after(60):
        async with (
            enter(strict, "ann") as ann,
            enter(strict, "bob") as bob,
        ):
            await ann.send("user:bob", "hi")
            asked = await event(bob, replies.Request)
            assert (asked.user, asked.room, asked.head, asked.last.body) == ("ann", "dm:ann:bob", 1, "hi")
            assert [entry.user async for entry in bob.requests()] == ["ann"]
            reply = await bob.accept("ann")
            assert (reply.state, reply.head) == ("contact", 1)
            await fact(ann)
            assert await event(ann, replies.Contact) == replies.Contact(user="bob", state="contact")
            await ann.send("user:bob", "good to see you")
            heard = await event(bob, facts.Message)
            assert (heard.seq, heard.body) == (2, "good to see you")
            assert bodies(await bob.page("user:ann")) == ["hi", "good to see you"]
            assert [entry.user async for entry in bob.requests()] == []
            assert [(entry.user, entry.state) async for entry in bob.contacts()] == [("ann", "contact")]


async def test_writing_back_accepts(strict: Node) -> None:
    with trio.fail_after(60):
        async with (
            enter(strict, "ann") as ann,
            enter(strict, "bob") as bob,
        ):
            await ann.send("user:bob", "hi")
            await event(bob, replies.Request)
            assert (await bob.send("user:ann", "ho")).seq == 2
            assert (await event(bob, facts.Message)).body == "ho"
            assert await event(bob, replies.Contact) == replies.Contact(user="ann", state="contact")
            assert [(await fact(ann)).body for _ in range(2)] == ["hi", "ho"]
            await ann.send("user:bob", "how are you?")
            assert (await event(bob, facts.Message)).body == "how are you?"


async def test_what_another_device_accepts_is_live_on_this_one(strict: Node) -> None:
    with trio.fail_after(60):
        async with (
            enter(strict, "ann") as ann,
            enter(strict, "bob", device="phone") as phone,
            enter(strict, "bob", device="desk") as desk,
        ):
            await ann.send("user:bob", "hi")
            for device in (phone, desk):
                await event(device, replies.Request)
            await phone.accept("ann")
            assert await event(desk, replies.Contact) == replies.Contact(user="ann", state="contact")
            await ann.send("user:bob", "more")
            for device in (phone, desk):
                assert (await event(device, facts.Message)).seq == 2


async def test_several_messages_wait_and_one_too_many_is_refused(strict: Node) -> None:
    with trio.fail_after(60):
        async with (
            enter(strict, "ann") as ann,
            enter(strict, "bob") as bob,
        ):
            for number in range(3):
                await ann.send("user:bob", f"hi {number}")
                assert (await event(bob, replies.Request)).last.body == f"hi {number}"
            with pytest.raises(Refused) as caught:
                await ann.send("user:bob", "hello?")
            assert (caught.value.code, caught.value.rule) == ("declined", "request.waits")
            await bob.accept("ann")
            await ann.send("user:bob", "thanks")
            assert (await event(bob, facts.Message)).seq == 4
            assert bodies(await bob.page("user:ann")) == ["hi 0", "hi 1", "hi 2", "thanks"]


async def test_a_friend_of_old_who_asks_again_leaves_no_gap(strict: Node) -> None:
    """Messages that waited follow, once the room is live, on those before them: on the device that accepts and on the
    other, and also where the connection broke meanwhile."""
    with trio.fail_after(60):
        async with (
            enter(strict, "ann") as ann,
            enter(strict, "bob", "tcp", device="phone") as phone,
            enter(strict, "bob", device="desk") as desk,
        ):
            await phone.add_contact("ann")
            await ann.send("user:bob", "1")
            await phone.remove_contact("ann")
            for body in ("2", "3"):
                await ann.send("user:bob", body)
            for device in (phone, desk):
                assert (await fact(device)).seq == 1
            (session,) = [each for each in strict.gateway.live.users["bob"] if each.device == "desk"]
            session.close(4000, "draining")
            await seen(desk, Online)
            assert [entry.user for entry in desk.welcome.requests] == ["ann"]
            await phone.accept("ann")
            for device in (phone, desk):
                assert [(await fact(device)).seq for _ in range(2)] == [2, 3]
            await ann.send("user:bob", "4")
            for device in (phone, desk):
                assert (await fact(device)).seq == 4


async def seen(chat: Chat, kind: type[Any]) -> list[Any]:
    """The events up to the first of this kind, which is the last of them."""
    passed: list[Any] = []
    with trio.fail_after(60):
        while not passed or not isinstance(passed[-1], kind):
            passed.append(await anext(chat))
    return passed


async def test_after_a_reconnect_a_request_still_waits(start: Start) -> None:
    with trio.fail_after(60):
        async with start(policy=Policy()) as node:
            address = url(node)
            async with trio.open_nursery() as nursery:
                bob = await nursery.start(stay, address, issue(node, "bob"))
                async with connect(address, token=issue(node, "ann")) as ann:
                    await ann.send("user:bob", "hi")
                await event(bob, replies.Request)
                for session in list(node.gateway.sessions.values()):
                    session.close(4000, "draining")
                passed = await seen(bob, Online)
                assert {type(each) for each in passed} <= {Offline, Online}
                assert [entry.last.body for entry in passed[-1].welcome.requests] == ["hi"]
                await bob.accept("ann")
                async with connect(address, token=issue(node, "ann")) as ann:
                    await ann.send("user:bob", "again")
                assert (await event(bob, facts.Message)).seq == 2
                nursery.cancel_scope.cancel()


async def stay(address: str, token: str, task_status: trio.TaskStatus[Chat] = trio.TASK_STATUS_IGNORED) -> None:
    async with connect(address, token=token) as chat:
        task_status.started(chat)
        await trio.sleep_forever()


async def test_declined_and_blocked(strict: Node) -> None:
    with trio.fail_after(60):
        async with (
            enter(strict, "ann") as ann,
            enter(strict, "bob") as bob,
        ):
            await ann.send("user:bob", "hi")
            assert (await bob.decline("ann")).state == "declined"
            assert (await bob.decline("ann")).state == "declined"
            with pytest.raises(Refused) as caught:
                await ann.send("user:bob", "please")
            assert caught.value.rule == "request.declined"
            assert (await bob.block("ann")).state == "blocked"
            with pytest.raises(Refused) as caught:
                await bob.accept("ann")
            assert caught.value.code == "conflict"
            with pytest.raises(Refused) as caught:
                await bob.send("user:ann", "?")
            assert caught.value.rule == "contact.blocked"
            assert [(entry.user, entry.state) async for entry in bob.contacts()] == [("ann", "blocked")]
            assert (await bob.unblock("ann")).state == "declined"
            with pytest.raises(Refused) as caught:
                await bob.accept("nobody")
            assert caught.value.code == "not_found"


async def test_a_group_is_moderated(strict: Node) -> None:
    with trio.fail_after(60):
        async with (
            enter(strict, "ann") as ann,
            enter(strict, "bob") as bob,
        ):
            await ann.create_group("tea", users=["bob"])
            spam = await bob.send("group:tea", "buy!")
            await ann.report("group:tea", spam.seq, "spam")
            await ann.report("group:tea", spam.seq, "spam")
            (report,) = [entry async for entry in ann.reports("group:tea")]
            assert (report.seq, report.sender, report.body, report.by, report.reason) == (
                spam.seq,
                "bob",
                "buy!",
                "ann",
                "spam",
            )
            await ann.close_report(report.report)
            assert [entry async for entry in ann.reports("group:tea")] == []
            with pytest.raises(Refused):
                _ = [entry async for entry in bob.reports("group:tea")]
            await ann.mute("tea", "bob", seconds=600)
            with pytest.raises(Refused) as caught:
                await bob.send("group:tea", "buy!")
            assert caught.value.rule == "group.muted"
            await ann.unmute("group:tea", "bob")
            await bob.send("group:tea", "sorry")
            await ann.ban("tea", "bob")
            with pytest.raises(Refused) as caught:
                await ann.add_users("tea", ["bob"])
            assert caught.value.rule == "group.banned"
            await ann.unban("tea", "bob")
            await ann.add_users("tea", ["bob"])


async def admin_token(tmp_path: Path, node: Node, user: str = "root") -> str:
    ran = await gochat(node, "token", "issue", user, "--scope", "admin", GOCHAT_NODE__DATA=str(tmp_path / "data"))
    assert ran.code == 0, ran.err
    return ran.out.strip()


async def test_what_an_admin_does(strict: Node, tmp_path: Path) -> None:
    token = await admin_token(tmp_path, strict)
    with trio.fail_after(60):
        async with connect(url(strict), token=token) as root:
            async with enter(strict, "bob") as bob:
                await root.suspend("bob", seconds=600, reason="spam")
                with pytest.raises(Ended) as caught:
                    await bob.send("user:ann", "hi")
                assert caught.value.number == 4503
            with pytest.raises(Refused):
                async with enter(strict, "bob"):
                    pytest.fail("he is suspended")
            await root.unsuspend("bob")
            async with enter(strict, "bob") as bob:
                await bob.send("user:ann", "hi")
                await root.revoke_tokens("bob")
                with pytest.raises(Ended):
                    await bob.send("user:ann", "still here")
            await root.revoke_token("some-jti")
            done = [(entry.actor, entry.action, entry.subject) async for entry in root.audit()]
            assert done == [
                ("root", "user.revoke", "some-jti"),
                ("root", "user.revoke", "bob"),
                ("root", "user.unsuspend", "bob"),
                ("root", "user.suspend", "bob"),
            ]
            assert [entry async for entry in root.reports()] == []
        async with enter(strict, "ann") as ann:
            with pytest.raises(Refused) as refused:
                await ann.suspend("bob")
            assert refused.value.code == "forbidden"
