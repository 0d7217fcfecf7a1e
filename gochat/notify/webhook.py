"""The webhook: a POST with the three headers of Standard Webhooks, to one URL that the operator names."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from gochat.config import webhook_key
from gochat.domain.notices import ChannelName
from gochat.notify.channel import DELIVERED, Result, Retry, Target
from gochat.notify.http import Answer, NoAnswer, Poster
from gochat.notify.notification import Notification, Templates, content

_encode = msgspec.json.Encoder().encode


def signed(keys: Sequence[bytes], message_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """The three headers. While a secret is being replaced both sign, and a receiver takes the one it knows."""
    content = f"{message_id}.{now_s}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


class Webhook:
    """The channel `webhook`. Everything that users are notified of goes to the one URL."""

    name: ChannelName = "webhook"
    everybody = True

    def __init__(
        self, poster: Poster, url: str, secrets: Sequence[str], templates: Templates, now_ms: Callable[[], int]
    ) -> None:
        """`secrets`: the one that counts, and the one that it replaces, if any."""
        self._poster = poster
        self._url = url
        self._keys = [webhook_key(secret) for secret in secrets]
        self._templates = templates
        self._now_ms = now_ms

    async def post(self, kind: str, message_id: str, data: object) -> Answer:
        """Post one signed event. Raises NoAnswer."""
        now_ms = self._now_ms()
        at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = _encode({"type": kind, "timestamp": at, "data": data})
        headers = signed(self._keys, message_id, now_ms // 1000, body)
        return await self._poster.post(self._url, body, {"content-type": "application/json", **headers})

    async def send(self, notification: Notification, target: Target) -> Result:
        """`Gone` is never the result: the operator's receiver is kept, and tried again."""
        try:
            answer = await self.post("message.unread", notification.id, content(notification, self._templates))
        except NoAnswer as error:
            return Retry(str(error))
        if answer.ok:
            return DELIVERED
        if answer.status == 410:
            # By the standard this ends the subscription. There is one, and the operator ends it in the settings.
            return Retry("410: the receiver wants no more; take notify.webhook_url out of the settings")
        return Retry(f"the receiver answered {answer.status}", answer.retry_after_ms)
