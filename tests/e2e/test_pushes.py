"""A node pushes to the devices that users have subscribed, and mails to the addresses that their tokens name."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio

from gochat.auth import tokens as auth
from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.notify.push_service import PushService
from tests.notify.receivers import SmtpReceiver, smtp_relay
from tests.tokens import issue

#: For what must come; generous, since machines are shared.
SOON = 60
PUSH = {"push": True, "push_contact": "mailto:ops@chat.example", "allow_private": True, "after_minutes": 0}


async def until(holds: Callable[[], Any]) -> None:
    with trio.fail_after(SOON):
        while not holds():
            await trio.sleep(0.01)


async def peer(node: Node, nursery: trio.Nursery, user: str, **hello: Any) -> Peer:
    found = await Peer.open(node, "tcp", nursery)
    await found.hello(user, **hello)
    return found


async def leave(node: Node, who: Peer, user: str) -> None:
    await who.aclose()
    await until(lambda: user not in node.live.users)


@pytest.fixture
async def service(tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> PushService:
    made = PushService(tmp_path)
    await nursery.start(made.serve)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    return made


async def test_each_device_reads_its_own_push_and_one_that_is_gone_is_forgotten(
    start: Start, nursery: trio.Nursery, service: PushService
) -> None:
    async with start(notify=PUSH) as node:
        bob = await peer(node, nursery, "bob")
        key = (await bob.ask("push"))["key"]
        for count in (1, 2):
            assert (await bob.ask("push", subscription=service.subscription()))["devices"] == count
        await leave(node, bob, "bob")
        service.receiver.answers.extend([201, 410])
        ann = await peer(node, nursery, "ann")
        await ann.ask("send", to="user:bob", body="a secret")
        await until(lambda: len(service.receiver.received) == 2)
        told = service.told(key)
        assert sorted(number for number, _ in told) == [0, 1]
        assert {(each["user"], each["room"], each["from"], each["count"]) for _, each in told} == {
            ("bob", "dm:ann:bob", "ann", 1)
        }
        assert len({each["id"] for _, each in told}) == 1
        assert not any(b"secret" in received.body for received in service.receiver.received)
        assert "a secret" not in str(told)
        notices = node.gateway.notifications.notices
        with trio.fail_after(SOON):
            while (await notices.wishes("bob", 0)).devices != 1:
                await trio.sleep(0.01)


async def test_a_device_ends_with_the_suspension_of_its_user(
    start: Start, nursery: trio.Nursery, service: PushService
) -> None:
    async with start(notify=PUSH) as node:
        bob = await peer(node, nursery, "bob")
        await bob.ask("push", subscription=service.subscription())
        cy = await peer(node, nursery, "cy")
        key = (await cy.ask("push", subscription=service.subscription()))["key"]
        await leave(node, cy, "cy")
        root = await peer(node, nursery, "root", token=issue(node, "root", ["admin", "chat:read", "chat:write"]))
        assert (await root.ask("admin", action="suspend", user="bob"))["type"] == "ok"
        await until(lambda: "bob" not in node.live.users)
        await root.ask("send", to="user:bob", body="to nobody")
        await root.ask("send", to="user:cy", body="marker")
        await until(lambda: service.receiver.received)
        assert [number for number, _ in service.told(key)] == [1]


async def test_mail_goes_to_the_address_of_the_latest_token(start: Start, nursery: trio.Nursery) -> None:
    receiver = SmtpReceiver()
    with smtp_relay(receiver) as port:
        notify = {
            "smtp": f"127.0.0.1:{port}",
            "smtp_security": "none",
            "mail_from": "chat@chat.example",
            "allow_private": True,
            "after_minutes": 0,
        }
        async with start(notify=notify, auth={"mail_claim": "email"}) as node:
            for address in ("old@mail.example", "bob@mail.example"):
                bob = await peer(node, nursery, "bob", token=with_claim(node, "bob", address))
                await leave(node, bob, "bob")
            ann = await peer(node, nursery, "ann")
            await ann.ask("send", to="user:cy", body="who has no address")
            await ann.ask("send", to="user:bob", body="a secret")
            await until(lambda: receiver.envelopes)
        (envelope,) = receiver.envelopes
        assert envelope.rcpt_tos == ["bob@mail.example"]
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert (mail["subject"], mail.get_content()) == ("ann", "1 new in ann\r\n")


def with_claim(node: Node, user: str, address: str) -> str:
    claims = jwt.decode(issue(node, user), options={"verify_signature": False})
    return jwt.encode(claims | {"email": address}, auth.issuer(node.settings)._key, "HS256")
