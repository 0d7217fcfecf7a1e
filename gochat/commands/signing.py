"""Signing tokens for commands on the node's own machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from gochat.auth.claims import DEFAULT_SCOPES
from gochat.auth.tokens import issuer
from gochat.config import Settings
from gochat.protocol.catalogue import ADMIN

#: Of a token that a command signs for itself: long enough to connect, and of no use to anybody who finds it later.
TTL_S = 300


def signer(settings: Settings, user: str, *, admin: bool = False) -> Callable[[], str]:
    """A function that signs a new token for `user` at each call, good for five minutes: it may read, write and keep
    groups, or has the scope admin alone.

    Raises ConfigError where there is no secret to sign with: none is made.
    """
    signing = issuer(settings)
    scopes = frozenset({ADMIN}) if admin else DEFAULT_SCOPES
    ttl_s = min(TTL_S, settings.auth.max_lifetime_s)

    def sign() -> str:
        return signing.issue(user, now_s=int(time.time()), ttl_s=ttl_s, scopes=scopes)

    return sign
