"""The client against a real node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gochat.client import Chat, Ended, Offline, Online, Refused, Unreachable, connect
from gochat.domain import facts
from gochat.node import Node
from gochat.protocol import replies
from gochat.protocol.entries import PresenceEntry
from tests.client.conftest import Start, enter, url
from tests.tokens import issue


@pytest.fixture(params=["ws", "tcp", "nng"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def fact(chat: Chat) -> Any:
    """The next fact; what else comes is passed over."""
    with trio.fail_after(60):
        async for event in chat:
            if isinstance(event, facts.Fact):
                return event


async def test_two_users_chat(node: Node, transport: str) -> None:
    with trio.fail_after(60):
        async with (
            enter(node, "ann", transport) as ann,
            enter(node, "bob", transport) as bob,
        ):
            ack = await ann.send("user:bob", "hi 😀")
            heard = await fact(bob)
            assert (heard.room, heard.seq, heard.sender, heard.body) == ("dm:ann:bob", ack.seq, "ann", "hi 😀")
            assert await fact(ann) == heard
            answer = await bob.send("user:ann", "ho", reply_to=1)
            assert (await fact(ann)).reply_to == 1
            assert (await ann.edit("user:bob", 1, "hello")).seq == answer.seq + 1
            await bob.react("user:ann", 1, "👍")
            await bob.read("user:ann", 4)
            await bob.typing("user:ann")
            kinds = [(await fact(bob)).__class__ for _ in range(3)]
            assert kinds == [facts.Message, facts.Edit, facts.Reaction]
            page = await bob.page("user:ann")
            first = page.entries[0]
            assert isinstance(first, facts.Message)
            assert (first.body, first.reactions) == ("hello", {"👍": 1})
            assert (await ann.delete("user:bob", 1)).seq == 5


async def test_a_group_and_its_lists(node: Node, transport: str) -> None:
    with trio.fail_after(60):
        async with (
            enter(node, "ann", transport) as ann,
            enter(node, "bob", transport) as bob,
        ):
            await ann.create_group("tea", title="Tea", users=["bob"])
            await ann.add_users("tea", ["eve", "kim"])
            await ann.remove_users("tea", ["eve"])
            await ann.set_role("tea", "bob", "moderator")
            await ann.set_group("tea", title="Green tea")
            members = {entry.user: entry.role async for entry in bob.members("group:tea")}
            assert members == {"ann": "owner", "bob": "moderator", "kim": "member"}
            assert [(entry.room, entry.title) async for entry in bob.groups()] == [("group:tea", "Green tea")]
            assert [entry.user async for entry in bob.search_users("an")] == ["ann"]
            await bob.leave_group("tea")
            with pytest.raises(Refused) as caught:
                await bob.send("group:tea", "still here?")
            assert caught.value.code == "not_member"
            await ann.delete_group("tea")
            kinds = [type(await fact(ann)) for _ in range(8)]
            assert kinds[-1] is facts.Closed


async def test_messages_are_found(node: Node) -> None:
    with trio.fail_after(60):
        async with enter(node, "ann") as ann:
            for text in ("green tea", "black coffee", "茶道"):
                await ann.send("user:ann", text)
            while not (found := [entry async for entry in ann.search("tea")]):
                await trio.sleep(0.05)  # The index follows the log within a second.
            assert [entry.body for entry in found] == ["green tea"]


async def test_presence_of_who_is_watched(node: Node) -> None:
    with trio.fail_after(60):
        async with enter(node, "ann") as ann:
            await ann.send("user:bob", "hi")
            (before,) = await ann.watch(["bob"])
            assert not before.online
            async with enter(node, "bob"):
                await fact(ann)
                assert await anext(ann) == replies.Presence(users=[PresenceEntry(user="bob", online=True)])


async def test_a_rewind_brings_the_whole_log(node: Node) -> None:
    with trio.fail_after(60):
        async with enter(node, "ann", "tcp") as ann:
            for number in range(620):
                await ann.send("user:ann", f"note {number}", key=f"k{number}")
            await ann.rewind("user:ann", 0)
            assert [(await fact(ann)).seq for _ in range(620)] == list(range(1, 621))
        async with enter(node, "ann", "tcp") as ann:
            await ann.rewind("user:ann", 0)
            assert [(await fact(ann)).seq for _ in range(620)] == list(range(1, 621))
            assert [len(page.entries) async for page in ann.history("user:ann", after=0)] == [200, 200, 200, 20]
            with pytest.raises(Refused):
                await ann.rewind("group:none", 0)


async def test_a_session_lives_through_a_restart(start: Start, transport: str) -> None:
    """Every message is sent once, acked once and heard once, in order, whatever the node does meanwhile."""
    heard: list[int] = []
    acked: list[int] = []
    listening, a_third, done = trio.Event(), trio.Event(), trio.Event()

    async def write(address: str, token: str) -> None:
        async with connect(address, token=token) as chat:
            await listening.wait()
            for number in range(60):
                acked.append((await chat.send("user:bob", f"{number}")).seq)
                if number == 20:
                    a_third.set()

    async def listen(address: str, token: str) -> None:
        async with connect(address, token=token) as chat:
            listening.set()
            async for event in chat:
                if isinstance(event, facts.Message):
                    heard.append(event.seq)
                    if len(heard) == 60:
                        break
        done.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with start() as node:
                address = url(node, transport)
                nursery.start_soon(listen, address, issue(node, "bob"))
                nursery.start_soon(write, address, issue(node, "ann"))
                await a_third.wait()
            async with start():
                await done.wait()
    assert acked == list(range(1, 61))
    assert heard == acked


async def test_a_first_message_that_comes_while_there_is_no_connection_is_heard(start: Start) -> None:
    seen: list[Any] = []
    listening, offline, heard = trio.Event(), trio.Event(), trio.Event()

    async def listen(address: str, token: str) -> None:
        async with connect(address, token=token) as chat:
            listening.set()
            async for event in chat:
                seen.append(event)
                if isinstance(event, Offline):
                    offline.set()
                if isinstance(event, facts.Message):
                    break
        heard.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with start() as node:
                address = url(node)
                nursery.start_soon(listen, address, issue(node, "ann"))
                await listening.wait()
            await offline.wait()
            async with start() as node:
                async with enter(node, "bob", "tcp") as bob:
                    await bob.send("user:ann", "first")
                await heard.wait()
    assert any(isinstance(event, Online) for event in seen)
    assert seen[-1].body == "first"


async def test_a_session_that_is_replaced_does_not_come_back(node: Node, transport: str) -> None:
    with trio.fail_after(60):
        phone = {"token": issue(node, "ann"), "device": "phone"}
        async with connect(url(node, transport), **phone) as first, connect(url(node, transport), **phone) as second:
            with pytest.raises(Ended) as caught:
                await anext(first)
            assert caught.value.number == 4502
            await second.send("user:ann", "still here")


async def test_a_bad_token_is_refused(node: Node, transport: str) -> None:
    with trio.fail_after(60), pytest.raises(Refused) as caught:
        async with connect(url(node, transport), token="nonsense"):
            pytest.fail("that was no token")
    assert caught.value.code == "unauthorized"


# ---------------------------------------------------------------------------------------------- TLS


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gochat test")])
    now = datetime.now(tz=UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


async def test_tls_is_checked_and_used(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert_file, key_file = certificate(tmp_path)
    with trio.fail_after(60):
        async with start(tls_cert=str(cert_file), tls_key=str(key_file)) as node:
            secure = url(node).replace("ws:", "wss:")
            with pytest.raises(Unreachable, match="TLS: self"):
                async with connect(secure, token=issue(node, "ann")):
                    pytest.fail("nobody vouches for this certificate")
            monkeypatch.setenv("SSL_CERT_FILE", str(cert_file))
            async with connect(secure, token=issue(node, "ann")) as ann:
                assert (await ann.send("user:ann", "note")).seq == 1
