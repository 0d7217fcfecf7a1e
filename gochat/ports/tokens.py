"""The port of the tokens, which say who is there."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The user whom a token names, and the rights that it gives."""

    user: str
    scopes: frozenset[str]
    name: str | None = None
    expires_s: float | None = None
    """Unix time, seconds; None where nobody signed in, as for requests that REST answers without a token."""
    token_id: str | None = None
    issued_s: float | None = None
    """The token's `iat`."""
    mail: str | None = None
    """The mail address that the token names, where one is wanted (`auth.mail_claim`)."""


class Tokens(Protocol):
    """Says who a token belongs to."""

    async def verify(self, token: str) -> Identity:
        """Raises AuthError with a reason that does not repeat the token."""
