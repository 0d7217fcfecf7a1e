"""Web Push: to the devices that users have subscribed, by way of their browsers' push services (RFC 8030)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from gochat.domain.notices import ChannelName, Subscription
from gochat.notify.channel import DELIVERED, GONE, Result, Retry, Target
from gochat.notify.circuit import Circuits
from gochat.notify.encryption import (
    MOST_BYTES,
    TOKEN_S,
    device_key,
    device_secret,
    encode64,
    encrypted,
    point,
    vapid,
)
from gochat.notify.http import NoAnswer, Poster, Unsendable
from gochat.notify.notification import Notification, Templates, content
from gochat.notify.subscription import problem

#: How long a push service keeps what it can't deliver.
TTL_S: Final = 24 * 3_600
#: Push services whose signature is kept; there are a handful in the world.
MOST_SERVICES: Final = 64

_encode = msgspec.json.Encoder().encode


class WebPush:
    """The channel `push`. `target` is a subscription."""

    name: ChannelName = "push"
    everybody = False

    def __init__(
        self,
        poster: Poster,
        key: ec.EllipticCurvePrivateKey,
        contact: str,
        templates: Templates,
        now_ms: Callable[[], int],
    ) -> None:
        """`contact`: a mailto: or https: URL that a push service may write to."""
        self._poster = poster
        self._key = key
        self._contact = contact
        self._templates = templates
        self._now_ms = now_ms
        self._circuits = Circuits()
        self._tokens: dict[str, tuple[int, str]] = {}
        """By push service: when the signature was made, in seconds, and the header."""

    @property
    def public_key(self) -> str:
        """The `applicationServerKey` for browsers."""
        return encode64(point(self._key.public_key()))

    async def send(self, notification: Notification, target: Target) -> Result:
        assert isinstance(target, Subscription)
        if problem(target) is not None:
            return GONE
        host = urlsplit(target.endpoint).netloc
        refusal = self._circuits.refusal(host, self._now_ms())
        if refusal is not None:
            return Retry(refusal)
        body = encrypted(
            self._payload(notification),
            device_key(target.p256dh),
            device_secret(target.auth),
            os.urandom(16),
            ec.generate_private_key(ec.SECP256R1()),
        )
        headers = {
            "authorization": self._authorization(target.endpoint),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(TTL_S),
            "urgency": "high" if notification.room.startswith("dm:") else "normal",
            "topic": _topic(notification),
        }
        try:
            answer = await self._poster.post(target.endpoint, body, headers)
        except Unsendable:
            # The device's own fault: others of the same push service are not to wait for it.
            self._circuits.cancelled(host)
            return GONE
        except NoAnswer as error:
            self._circuits.failed(host, self._now_ms(), str(error))
            return Retry(str(error))
        except BaseException:
            self._circuits.cancelled(host)
            raise
        self._circuits.answered(host)
        if answer.ok:
            return DELIVERED
        if answer.status in (404, 410):
            return GONE
        return Retry(f"the push service answered {answer.status}", answer.retry_after_ms)

    def _payload(self, notification: Notification) -> bytes:
        told = content(notification, self._templates)
        data = _encode(told)
        if len(data) > MOST_BYTES:
            # Texts are at most 500 characters each; only those of four bytes come here.
            data = _encode({**told, "title": "", "text": ""})
        return data

    def _authorization(self, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}"
        now_s = self._now_ms() // 1000
        made_s, header = self._tokens.get(audience, (0, ""))
        # Half of its time is left for a push service whose clock differs.
        if not 0 <= now_s - made_s < TOKEN_S // 2:
            header = vapid(self._key, audience, self._contact, now_s)
            if len(self._tokens) >= MOST_SERVICES:
                self._tokens.clear()
            self._tokens[audience] = now_s, header
        return header


def _topic(notification: Notification) -> str:
    """The same for each notification of a room, so that a later one takes the place of one that waits; it tells the
    push service nothing of the room."""
    digest = hashlib.blake2b(f"{notification.user}\0{notification.room}".encode(), digest_size=16).digest()
    return encode64(digest)
