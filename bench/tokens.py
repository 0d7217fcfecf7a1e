"""Tokens for the users of a run, signed with a secret that the server under test is started with."""

from __future__ import annotations

import secrets
import time

import jwt

_SCOPE = "chat:read chat:write groups:write"
_LIFETIME_S = 24 * 3600


class Issuer:
    """Signs HS256 tokens. The secret is made anew for every server."""

    __slots__ = ("secret",)

    def __init__(self) -> None:
        self.secret = secrets.token_hex(32)

    def token(self, user: str) -> str:
        now = int(time.time())
        claims = {"sub": user, "iat": now, "exp": now + _LIFETIME_S, "aud": "gochat", "scope": _SCOPE}
        return jwt.encode(claims, self.secret, algorithm="HS256")
