"""A webhook keeps the port's promises, with a real socket, and says who sends it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from standardwebhooks import Webhook as Verifier

from gochat.config import webhook_key
from gochat.notify.channel import DELIVERED, Retry
from gochat.notify.http import Poster
from gochat.notify.notification import Templates
from gochat.notify.webhook import Webhook
from tests.contracts.channel import SOON, ChannelContract
from tests.notify.receivers import NOTIFICATION, HttpReceiver
from tests.notify.stages import SECRET, TIMEOUT_S, HttpStage, now_ms

OLD_SECRET = "whsec_" + "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk"


class WebhookStage(HttpStage):
    secrets = (SECRET, "hook-path")
    target = None

    def __init__(self, receiver: HttpReceiver, poster: Poster) -> None:
        super().__init__(receiver, poster)
        url = f"http://127.0.0.1:{receiver.port}/hook-path"
        self.channel = Webhook(poster, url, [SECRET], Templates(), now_ms)

    def ids(self) -> list[str]:
        return [received.headers["webhook-id"] for received in self.receiver.received]


@pytest.fixture
async def webhook(receiver: HttpReceiver, serving: None) -> AsyncIterator[WebhookStage]:
    poster = Poster(TIMEOUT_S, allow_private=True)
    yield WebhookStage(receiver, poster)
    await poster.aclose()


class TestWebhookContract(ChannelContract):
    @pytest.fixture
    def stage(self, webhook: WebhookStage) -> WebhookStage:
        return webhook


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
