"""Tokens for the users of a run: signed with the server's secret, or made by others and read from a file."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import jwt

from bench.faults import Misused

_SCOPE = "chat:read chat:write groups:write"
_LIFETIME_S = 24 * 3600


class Issuer:
    """Signs HS256 tokens. The secret is made anew for every server that the harness starts."""

    __slots__ = ("secret",)

    def __init__(self, secret: str = "") -> None:
        self.secret = secret or secrets.token_hex(32)

    def token(self, user: str) -> str:
        now = int(time.time())
        claims = {"sub": user, "iat": now, "exp": now + _LIFETIME_S, "aud": "gochat", "scope": _SCOPE}
        return jwt.encode(claims, self.secret, algorithm="HS256")


class TokenFile:
    """A line for each user: the id, a space, the token."""

    def __init__(self, path: Path) -> None:
        """Raises Misused."""
        try:
            lines = path.read_text().splitlines()
            self._tokens = dict(line.split() for line in lines if line.strip())
        except (OSError, ValueError) as error:
            raise Misused(f"{path}: {error}; each line is a user id and a token") from None
        self._users = list(self._tokens)

    def token(self, user: str) -> str:
        return self._tokens[user]

    def users(self, start: int, count: int) -> list[str]:
        """Raises Broken where there are too few."""
        found = self._users[start : start + count]
        if len(found) < count:
            raise Misused(f"{start + count} users are needed and the file of tokens has {len(self._users)}")
        return found
