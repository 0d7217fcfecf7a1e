"""Says whether a device can be pushed to, from what it subscribes with. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from gochat.domain.notices import Subscription
from gochat.notify.encryption import device_key, device_secret

ENDPOINT_CHARS: Final = 1_024
# Anything else can't stand in a request's first line, and `urlsplit` passes over some of it without a word.
_VISIBLE: Final = re.compile(r"[!-~]+")


def problem(subscription: Subscription) -> str | None:
    """Why a device can't be subscribed so; None if it can. The endpoint's address is looked at when sending."""
    try:
        parts = urlsplit(subscription.endpoint)
        port = parts.port
    except ValueError:
        return "endpoint: not a URL"
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or port == 0:
        return "endpoint: must be an https URL"
    if len(subscription.endpoint) > ENDPOINT_CHARS or not _VISIBLE.fullmatch(subscription.endpoint):
        return f"endpoint: up to {ENDPOINT_CHARS} characters of ASCII, without spaces and control characters"
    try:
        device_key(subscription.p256dh)
    except ValueError:
        return "keys.p256dh: not a public key of the curve P-256 in base64url"
    try:
        device_secret(subscription.auth)
    except ValueError:
        return "keys.auth: not 16 bytes in base64url"
    return None
