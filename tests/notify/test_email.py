"""An e-mail keeps the port's promises, with a real relay, and its relay is told from its receiver."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from gochat.notify.channel import DELIVERED, GONE, Gone, Retry
from gochat.notify.email import Email, NoAddress, Relay
from gochat.notify.notification import Templates
from tests.contracts.channel import SOON, ChannelContract
from tests.notify.receivers import NOTIFICATION, SmtpReceiver, smtp_relay
from tests.notify.stages import TIMEOUT_S, let_go_of_ports, server_tls, unused_port


class MailStage:
    secrets = ("bob@mail.example",)
    forgets = True
    target = "bob@mail.example"

    def __init__(self, receiver: SmtpReceiver, start: Callable[[], int]) -> None:
        self.receiver = receiver
        self._silent: list[Any] = []
        relay = Relay("127.0.0.1", start(), security="none", allow_private=True)
        self.relay = relay
        self.channel = Email(relay, "chat@chat.example", Templates(), TIMEOUT_S)

    def ids(self) -> list[str]:
        return [envelope_id(envelope) for envelope in self.receiver.envelopes]

    def then(self, what: str) -> None:
        answers = {"refuse": ("DATA", "451 later"), "gone": ("RCPT", "550 5.1.1 no bob, no <bob@mail.example>")}
        command, answer = answers.get(what, ("RCPT", what))
        self.receiver.once[command] = answer

    def calm(self) -> None:
        self.receiver.once.clear()

    async def vanish(self) -> None:
        self.relay._port = unused_port()


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    let_go_of_ports()


def envelope_id(envelope: Any) -> str:
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    return str(mail["message-id"]).strip("<>").partition("@")[0]


@pytest.fixture
def relays() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class TestMailContract(ChannelContract):
    @pytest.fixture
    def stage(self, relays: ExitStack) -> MailStage:
        receiver = SmtpReceiver()
        return MailStage(receiver, lambda: relays.enter_context(smtp_relay(receiver)))


async def test_a_mail_is_one_that_people_can_read(relays: ExitStack) -> None:
    receiver = SmtpReceiver()
    port = relays.enter_context(smtp_relay(receiver))
    templates = Templates("{from} wrote", ".{count} new\n..from {from}")
    channel = Email(Relay("127.0.0.1", port, security="none", allow_private=True), "chat@chat.example", templates, SOON)
    assert await channel.send(NOTIFICATION, "bob@mail.example") == DELIVERED
    (envelope,) = receiver.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("chat@chat.example", ["bob@mail.example"])
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert (mail["subject"], mail["to"], mail["auto-submitted"]) == (
        "Änne M. wrote",
        "bob@mail.example",
        "auto-generated",
    )
    assert mail.get_content().splitlines() == [".3 new ..from Änne M."]
    assert envelope.content.isascii()


@pytest.mark.parametrize(
    ("answer", "for_good"),
    [
        ("550 5.1.1 unknown", True),
        ("550 5.1.10 no mail here", True),
        ("551 5.1.6 moved", True),
        ("553 5.1.3 not well formed", True),
        ("550 no such user here", True),
        ("553", True),
        ("550 5.7.1 Relaying denied", False),
        ("550 5.7.26 unauthenticated", False),
        ("550 5.1.8 Sender address rejected: Domain not found", False),
        ("550 5.2.1 disabled", False),
        ("550 relay not permitted", False),
        ("553 sorry, authentication is required", False),
        ("554 5.1.1 unknown", False),
        ("450 4.1.1 later", False),
    ],
)
async def test_a_relay_says_whether_the_receiver_is_wrong_or_the_operator(
    relays: ExitStack, answer: str, for_good: bool
) -> None:
    receiver = SmtpReceiver()
    receiver.once["RCPT"] = answer
    port = relays.enter_context(smtp_relay(receiver))
    relay = Relay("127.0.0.1", port, security="none", allow_private=True)
    result = await Email(relay, "chat@chat.example", Templates(), SOON).send(NOTIFICATION, "bob@mail.example")
    assert result == (Gone if for_good else Retry)(f"the mail relay answered {answer}")


async def test_the_words_of_a_relay_are_told_without_the_address_and_without_an_end(relays: ExitStack) -> None:
    receiver = SmtpReceiver()
    receiver.once["RCPT"] = "550 5.7.1 <Bob@Mail.example>: BOB, bobby, mail\x1b[2J " + "x" * 200
    port = relays.enter_context(smtp_relay(receiver))
    relay = Relay("127.0.0.1", port, security="none", allow_private=True)
    result = await Email(relay, "chat@chat.example", Templates(), SOON).send(NOTIFICATION, "bob@mail.example")
    assert isinstance(result, Retry)
    assert result.reason.startswith("the mail relay answered 550 5.7.1 (address) (address), bobby, mail?[2J xxx")
    assert len(result.reason) < 160


@pytest.mark.parametrize("wrapped", [False, True])
async def test_the_password_goes_over_tls(relays: ExitStack, tmp_path: Path, wrapped: bool) -> None:
    server, client = server_tls(tmp_path)
    receiver = SmtpReceiver()
    receiver.login = b"gochat", b"pass word"
    port = relays.enter_context(smtp_relay(receiver, server, wrapped=wrapped))

    def channel(password: str, **more: Any) -> Email:
        relay = Relay(
            "localhost",
            port,
            security="tls" if wrapped else "starttls",
            user="gochat",
            password=password,
            tls=client,
            allow_private=True,
            **more,
        )
        return Email(relay, "chat@chat.example", Templates(), SOON)

    assert await channel("pass word").send(NOTIFICATION, "bob@mail.example") == DELIVERED
    wrong = await channel("wrong").send(NOTIFICATION, "bob@mail.example")
    assert wrong == Retry("the mail relay answered 535 5.7.8")


async def test_a_relay_without_tls_gets_neither_password_nor_mail(relays: ExitStack) -> None:
    receiver = SmtpReceiver()
    port = relays.enter_context(smtp_relay(receiver))
    relay = Relay("127.0.0.1", port, user="gochat", password="pass", allow_private=True)
    result = await Email(relay, "chat@chat.example", Templates(), SOON).send(NOTIFICATION, "bob@mail.example")
    assert isinstance(result, Retry)
    assert not receiver.envelopes


@pytest.mark.parametrize(
    ("said", "again"),
    [
        (b"", False),
        (b"220 relay.example\r\n250-part of an answer\r\n", False),
        (b"220 a line without an end", True),
        (b"220-an answer without an end\r\n", True),
        (b"hello\r\n", False),
    ],
)
async def test_a_relay_that_breaks_off_or_has_no_end_is_left_at_once(
    said: bytes, again: bool, nursery: trio.Nursery
) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # The other side has left, which is what is wanted.
            await stream.send_all(said)
            while again:
                await stream.send_all(said)

    (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    relay = Relay("127.0.0.1", listener.socket.getsockname()[1], security="none", allow_private=True)
    result = await Email(relay, "chat@chat.example", Templates(), SOON).send(NOTIFICATION, "bob@mail.example")
    assert result == Retry("the mail relay broke off: BrokenResourceError")


async def test_a_private_relay_is_refused(relays: ExitStack) -> None:
    receiver = SmtpReceiver()
    port = relays.enter_context(smtp_relay(receiver))
    channel = Email(Relay("127.0.0.1", port, security="none"), "chat@chat.example", Templates(), SOON)
    result = await channel.send(NOTIFICATION, "bob@mail.example")
    assert isinstance(result, Retry)
    assert "private" in result.reason


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bob",
        "a@b\r\nRCPT TO:<x@y>",
        "a b@c.example",
        "<a@b.example>",
        "a@b..c",
        "é@b.example",
        # Encoded words: an end of line, and the address `x,other@evil.example`.
        "=?utf-8?q?0=0a?=@b.example",
        "=?utf-8?q?x=2cother=40evil.example?=@b.example",
    ],
)
async def test_what_is_no_address_is_never_handed_in(address: str) -> None:
    channel = Email(Relay("127.0.0.1", 1, security="none"), "chat@chat.example", Templates(), SOON)
    assert await channel.send(NOTIFICATION, address) == GONE


@pytest.mark.parametrize(
    ("change", "sender"),
    [
        ({"ts": 1 << 53}, "chat@chat.example"),  # A year that no calendar of Python's has.
        ({"sender_name": "\ud800"}, "chat@chat.example"),
        ({"id": "x\ny"}, "chat@chat.example"),
        ({}, "=?utf-8?q?0=0a?=@chat.example"),
        ({}, "chat\n@chat.example"),
    ],
)
async def test_what_no_mail_can_be_made_of_is_a_failure_and_raises_nothing(change: dict[str, Any], sender: str) -> None:
    channel = Email(Relay("127.0.0.1", 1, security="none"), sender, Templates("{from}", "{from}"), SOON)
    result = await channel.send(msgspec.structs.replace(NOTIFICATION, **change), "bob@mail.example")
    assert isinstance(result, Retry)
    assert result.reason in (
        "the e-mail can't be written: ValueError",
        "the e-mail can't be written: UnicodeEncodeError",
    )


async def test_an_address_may_be_looked_up(relays: ExitStack) -> None:
    receiver = SmtpReceiver()
    port = relays.enter_context(smtp_relay(receiver))
    known: dict[str, str] = {"bob": "bob@mail.example"}

    async def lookup(user: str) -> str | None:
        if user == "bob" and not known:
            raise NoAddress("the lookup answered 500")
        return known.get(user)

    relay = Relay("127.0.0.1", port, security="none", allow_private=True)
    channel = Email(relay, "chat@chat.example", Templates(), SOON, lookup)
    assert await channel.send(NOTIFICATION, None) == DELIVERED
    assert receiver.envelopes[0].rcpt_tos == ["bob@mail.example"]
    known.clear()
    assert await channel.send(NOTIFICATION, None) == Retry("the lookup answered 500")
    known["ann"] = "ann@mail.example"
    assert await channel.send(NOTIFICATION, None) == GONE
