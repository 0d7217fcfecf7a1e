"""A push keeps the port's promises, with real sockets, and nobody but the device reads it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec

from gochat.notify import webpush
from gochat.notify.channel import DELIVERED, GONE, Retry
from gochat.notify.circuit import FAILURES, PAUSE_MS
from gochat.notify.encryption import decode64, encode64
from gochat.notify.http import Poster
from gochat.notify.notification import Templates
from gochat.notify.vapid_key import own_key
from gochat.notify.webpush import WebPush
from tests.contracts.channel import ChannelContract
from tests.notify.receivers import NOTIFICATION, HttpReceiver
from tests.notify.stages import TIMEOUT_S, Device, HttpStage, now_ms, server_tls


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
async def push(receiver: HttpReceiver, tmp_path: Path) -> AsyncIterator[PushStage]:
    server, client = server_tls(tmp_path)
    poster = Poster(TIMEOUT_S, allow_private=True, tls=client)
    async with trio.open_nursery() as nursery:
        await nursery.start(receiver.serve, server)
        yield PushStage(receiver, poster)
        await poster.aclose()
        nursery.cancel_scope.cancel()


class TestPushContract(ChannelContract):
    @pytest.fixture
    def stage(self, push: PushStage) -> PushStage:
        return push


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


async def test_a_push_service_that_is_down_is_tried_now_and_then(
    push: PushStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_ms = now_ms()
    channel = WebPush(push.poster, push.key, "mailto:ops@chat.example", Templates(), lambda: clock_ms)
    received, answers = push.receiver.received, push.receiver.answers
    answers += ["close"] * FAILURES
    for _ in range(FAILURES + 2):
        assert isinstance(await channel.send(NOTIFICATION, push.target), Retry)
    assert len(received) == FAILURES, "it is left alone"

    clock_ms += PAUSE_MS
    monkeypatch.setattr(webpush, "problem", lambda _: None)
    bad = push.target._replace(endpoint=push.target.endpoint + "/a b")
    assert await channel.send(NOTIFICATION, bad) == GONE, "which says nothing of the push service"
    answers.append("close")
    for _ in range(2):
        assert isinstance(await channel.send(NOTIFICATION, push.target), Retry)
    assert len(received) == FAILURES + 1, "one try"

    clock_ms += PAUSE_MS
    answers.append(503)
    assert isinstance(await channel.send(NOTIFICATION, push.target), Retry)
    assert await channel.send(NOTIFICATION, push.target) == DELIVERED, "it has answered, whatever it said"


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
