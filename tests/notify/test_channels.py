"""Each channel keeps the port's promises, with real sockets; and what each adds to them."""

from __future__ import annotations

import email
import email.policy
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import http_ece
import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook as Verifier

from gochat.config import webhook_key
from gochat.domain.notices import Subscription
from gochat.notify import webpush
from gochat.notify.channel import DELIVERED, GONE, Gone, Retry
from gochat.notify.circuit import FAILURES
from gochat.notify.email import Email, NoAddress, Relay
from gochat.notify.encryption import decode64, encode64, point
from gochat.notify.http import Poster
from gochat.notify.notification import Templates
from gochat.notify.vapid_key import own_key
from gochat.notify.webhook import Webhook
from gochat.notify.webpush import WebPush
from tests.certificates import localhost
from tests.contracts.channel import SOON, ChannelContract
from tests.notify.receivers import NOTIFICATION, HttpReceiver, SmtpReceiver, smtp_relay

TIMEOUT_S = 2.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_" + "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk"


def now_ms() -> int:
    import time

    return time.time_ns() // 1_000_000


def server_tls(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server called localhost, and of a client that trusts it."""
    file = localhost(folder)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


class Device:
    """A browser's half of a subscription."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"sixteen bytes ok"

    def subscription(self, endpoint: str) -> Subscription:
        return Subscription(endpoint, encode64(point(self.key.public_key())), encode64(self.secret))

    def read(self, body: bytes) -> Any:
        return json.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm"))


class HttpStage:
    secrets: tuple[str, ...] = ()
    forgets = False

    def __init__(self, receiver: HttpReceiver, poster: Poster) -> None:
        self.receiver = receiver
        self.poster = poster

    def then(self, what: str) -> None:
        self.receiver.answers.append({"refuse": 503, "gone": 410}.get(what, what))

    def calm(self) -> None:
        self.receiver.answers.clear()

    async def vanish(self) -> None:
        await self.receiver.stop()


class WebhookStage(HttpStage):
    secrets = (SECRET, "hook-path")
    target = None

    def __init__(self, receiver: HttpReceiver, poster: Poster) -> None:
        super().__init__(receiver, poster)
        url = f"http://127.0.0.1:{receiver.port}/hook-path"
        self.channel = Webhook(poster, url, [SECRET], Templates(), now_ms)

    def ids(self) -> list[str]:
        return [received.headers["webhook-id"] for received in self.receiver.received]


class PushStage(HttpStage):
    forgets = True

    def __init__(self, receiver: HttpReceiver, poster: Poster) -> None:
        super().__init__(receiver, poster)
        self.device = Device()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.channel = WebPush(poster, self.key, "mailto:ops@chat.example", Templates(), now_ms)
        self.target = self.device.subscription(f"https://localhost:{receiver.port}/push/secret-path")
        self.secrets = ("secret-path", self.target.auth)

    def ids(self) -> list[str]:
        return [self.device.read(received.body)["id"] for received in self.receiver.received]


@pytest.fixture
async def receiver() -> HttpReceiver:
    return HttpReceiver()


@pytest.fixture
async def serving(receiver: HttpReceiver) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(receiver.serve)
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
async def webhook(receiver: HttpReceiver, serving: None) -> AsyncIterator[WebhookStage]:
    poster = Poster(TIMEOUT_S, allow_private=True)
    yield WebhookStage(receiver, poster)
    await poster.aclose()


@pytest.fixture
async def push(receiver: HttpReceiver, tmp_path: Path) -> AsyncIterator[PushStage]:
    server, client = server_tls(tmp_path)
    poster = Poster(TIMEOUT_S, allow_private=True, tls=client)
    async with trio.open_nursery() as nursery:
        await nursery.start(receiver.serve, server)
        yield PushStage(receiver, poster)
        await poster.aclose()
        nursery.cancel_scope.cancel()


class TestWebhookContract(ChannelContract):
    @pytest.fixture
    def stage(self, webhook: WebhookStage) -> WebhookStage:
        return webhook


class TestPushContract(ChannelContract):
    @pytest.fixture
    def stage(self, push: PushStage) -> PushStage:
        return push


# ---------------------------------------------------------------------------------------------- webhook


async def test_the_public_package_verifies_a_webhook_under_either_secret(receiver: HttpReceiver, serving: None) -> None:
    poster = Poster(SOON, allow_private=True)
    channel = Webhook(poster, f"http://127.0.0.1:{receiver.port}/", [SECRET, OLD_SECRET], Templates(), now_ms)
    assert await channel.send(NOTIFICATION, None) == DELIVERED
    (received,) = receiver.received
    for secret in (SECRET, OLD_SECRET):
        told = Verifier(secret).verify(received.body, received.headers)
        assert told["type"] == "message.unread"
        assert told["data"]["id"] == NOTIFICATION.id
    with pytest.raises(Exception, match="No matching signature"):
        Verifier("whsec_" + "A" * 32).verify(received.body, received.headers)
    await poster.aclose()


async def test_the_body_stays_in_the_node_unless_a_template_names_it(webhook: WebhookStage) -> None:
    await webhook.channel.send(NOTIFICATION, None)
    webhook.channel._templates = Templates(text="{body}")
    await webhook.channel.send(NOTIFICATION, None)
    plain, asked = [received.body.decode() for received in webhook.receiver.received]
    assert NOTIFICATION.body not in plain
    assert json.loads(asked)["data"]["text"] == NOTIFICATION.body


async def test_a_redirect_is_not_followed(webhook: WebhookStage) -> None:
    webhook.then(f"http://127.0.0.1:{webhook.receiver.port}/elsewhere")
    result = await webhook.channel.send(NOTIFICATION, None)
    assert isinstance(result, Retry)
    assert [received.path for received in webhook.receiver.received] == ["/hook-path"]


async def test_what_the_receiver_asks_by_retry_after_is_told(webhook: WebhookStage) -> None:
    webhook.receiver.headers = [("retry-after", "120")]
    webhook.then("refuse")
    assert await webhook.channel.send(NOTIFICATION, None) == Retry("the receiver answered 503", 120_000)


async def test_an_answer_without_an_end_is_not_read_to_it(webhook: WebhookStage) -> None:
    webhook.receiver.answers.append("endless")
    with trio.fail_after(SOON):
        assert await webhook.channel.send(NOTIFICATION, None) == DELIVERED


async def test_a_private_address_is_refused_without_a_connection(receiver: HttpReceiver, serving: None) -> None:
    poster = Poster(SOON, allow_private=False)
    for host in ("127.0.0.1", "localhost"):
        url = f"http://{host}:{receiver.port}/"
        result = await Webhook(poster, url, [SECRET], Templates(), now_ms).send(NOTIFICATION, None)
        assert isinstance(result, Retry)
        assert "private" in result.reason
    assert receiver.connections == 0
    await poster.aclose()


async def test_the_address_that_was_checked_is_connected_to(
    receiver: HttpReceiver, serving: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers the second question otherwise is never asked it."""
    asked: list[str] = []
    resolve = trio.socket.getaddrinfo

    async def rebinding(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != "rebind.example":
            return await resolve(host, port, *args, **more)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(trio.socket, "getaddrinfo", rebinding)
    poster = Poster(SOON, allow_private=True)
    url = f"http://rebind.example:{receiver.port}/"
    assert await Webhook(poster, url, [SECRET], Templates(), now_ms).send(NOTIFICATION, None) == DELIVERED
    assert asked == ["rebind.example"]
    assert receiver.received[0].headers["host"] == f"rebind.example:{receiver.port}"
    await poster.aclose()


@pytest.mark.parametrize(
    "secret", ["", "short", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "A" * 120, "no base64 at all!!"]
)
def test_a_secret_of_another_form_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="must be") as told:
        webhook_key(secret)
    assert not secret or secret == "whsec_" or secret not in str(told.value)


# ---------------------------------------------------------------------------------------------- push


async def test_a_push_says_who_sends_it_and_only_the_device_reads_it(push: PushStage) -> None:
    assert await push.channel.send(NOTIFICATION, push.target) == DELIVERED
    assert await push.channel.send(NOTIFICATION, push.target) == DELIVERED
    first, second = push.receiver.received
    assert first.body != second.body, "each push has a salt and a key of its own"
    assert b"ntf_" not in first.body
    told = push.device.read(first.body)
    assert (told["room"], told["from"], told["count"], told["title"]) == ("dm:ann:bob", "ann", 3, "Änne M.")
    assert NOTIFICATION.body not in json.dumps(told)
    headers = first.headers
    assert (headers["content-encoding"], headers["ttl"], headers["urgency"]) == ("aes128gcm", "86400", "high")
    assert len(headers["topic"]) <= 32
    assert second.headers["topic"] == headers["topic"]
    token, key = [part.partition("=")[2] for part in headers["authorization"].removeprefix("vapid ").split(", ")]
    assert key == push.channel.public_key
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode64(key))
    audience = f"https://localhost:{push.receiver.port}"
    claims = jwt.decode(token, public, algorithms=["ES256"], audience=audience)
    assert claims["sub"] == "mailto:ops@chat.example"
    assert claims["exp"] - now_ms() // 1000 <= 24 * 3600


@pytest.mark.parametrize("status", [404, 410])
async def test_a_device_that_the_service_does_not_know_is_gone(push: PushStage, status: int) -> None:
    push.receiver.answers.append(status)
    assert await push.channel.send(NOTIFICATION, push.target) == GONE


async def test_a_push_service_needs_the_certificate_of_its_name(push: PushStage) -> None:
    target = push.target._replace(endpoint=push.target.endpoint.replace("localhost", "127.0.0.1"))
    assert isinstance(await push.channel.send(NOTIFICATION, target), Retry)
    assert not push.receiver.received


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "http://push.example/x"},
        {"endpoint": "https:///x"},
        {"endpoint": "https://push.example/a b"},
        {"endpoint": "https://push.example/a\tb"},
        {"endpoint": " https://push.example/a"},
        {"endpoint": "https://push.example/a\x7f"},
        {"endpoint": "https://user:pw@push.example/x"},
        {"endpoint": "https://push.example:99999/x"},
        {"endpoint": "https://push.example/" + "x" * 2000},
        {"endpoint": "file:///etc/passwd"},
        {"p256dh": "AAAA"},
        {"p256dh": encode64(b"\x04" + bytes(64))},
        {"auth": encode64(b"short")},
        {"auth": "!"},
    ],
)
async def test_what_can_not_be_pushed_to_is_never_posted_to(push: PushStage, change: dict[str, str]) -> None:
    assert await push.channel.send(NOTIFICATION, push.target._replace(**change)) == GONE
    assert push.receiver.connections == 0


async def test_a_device_that_no_request_can_name_costs_its_push_service_nothing(
    push: PushStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the check of subscriptions to let one pass: others at the same push service do not wait for it."""
    bad = push.target._replace(endpoint=push.target.endpoint + "/a b")
    with monkeypatch.context() as patch:
        patch.setattr(webpush, "problem", lambda _: None)
        assert [await push.channel.send(NOTIFICATION, bad) for _ in range(FAILURES)] == [GONE] * FAILURES
    assert await push.channel.send(NOTIFICATION, push.target) == DELIVERED


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = own_key(tmp_path), own_key(tmp_path)
    assert first.private_numbers() == second.private_numbers()
    file = tmp_path / "push.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
    file.chmod(0o640)
    with pytest.raises(Exception, match="others may read it"):
        own_key(tmp_path)
    file.chmod(0o600)
    file.write_text("no key")
    with pytest.raises(Exception, match="no private key"):
        own_key(tmp_path)


# ---------------------------------------------------------------------------------------------- mail


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


def unused_port() -> int:
    """A port at which nobody listens, for it is bound and does not."""
    import socket

    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    return int(held.getsockname()[1])


_held: list[Any] = []


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    while _held:
        _held.pop().close()


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


async def test_a_private_relay_is_refused(relays: ExitStack) -> None:
    receiver = SmtpReceiver()
    port = relays.enter_context(smtp_relay(receiver))
    channel = Email(Relay("127.0.0.1", port, security="none"), "chat@chat.example", Templates(), SOON)
    result = await channel.send(NOTIFICATION, "bob@mail.example")
    assert isinstance(result, Retry)
    assert "private" in result.reason


@pytest.mark.parametrize(
    "address", ["", "bob", "a@b\r\nRCPT TO:<x@y>", "a b@c.example", "<a@b.example>", "a@b..c", "é@b.example"]
)
async def test_what_is_no_address_is_never_handed_in(address: str) -> None:
    channel = Email(Relay("127.0.0.1", 1, security="none"), "chat@chat.example", Templates(), SOON)
    assert await channel.send(NOTIFICATION, address) == GONE


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
