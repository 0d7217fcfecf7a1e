"""Tokens: JWTs signed with one algorithm, verified against keys that the operator chose, and issued with the secret.

`JwtTokens` is the `Tokens` port. What it refuses it refuses with an AuthError that repeats nothing of the token.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jwt

from gochat.auth.claims import DEFAULT_SCOPES, SCOPES, identity
from gochat.auth.fetched import FetchedKeys
from gochat.auth.keys import Keys, OneKey, read_key_set, read_public_key, secret_key
from gochat.auth.secret import own_secret
from gochat.config import Auth, Settings
from gochat.domain.ids import is_name
from gochat.errors import AuthError, ConfigError
from gochat.ports import Identity

#: Far above real tokens, and far below what makes parsing costly; a WebSocket's head is of this order too.
MAX_TOKEN_CHARS = 8_192
_TYPES = ("jwt", "at+jwt")
#: Three parts in base64url without padding (RFC 7515, sections 2 and 7.1): one token has one form.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch

_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "the token is over"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
    (jwt.InvalidIssuerError, "the token is from another issuer"),
    (jwt.InvalidSignatureError, "the signature is wrong"),
    (jwt.InvalidAlgorithmError, "the token is not signed with the configured algorithm"),
)


class JwtTokens:
    """Verifies tokens by `rules`, with keys from `keys`."""

    def __init__(self, rules: Auth, keys: Keys) -> None:
        self._rules = rules
        self._keys = keys
        required = ["sub", "iat", "exp", "aud", *(["iss"] if rules.issuer else [])]
        self._jwt = jwt.PyJWT({"require": required, "enforce_minimum_key_length": True})

    async def verify(self, token: str) -> Identity:
        kid = _kid(_header(token))
        key = await self._keys.find(kid)
        rules = self._rules
        try:
            claims = self._jwt.decode(
                token, key, [rules.algorithm],
                audience=rules.audience, issuer=rules.issuer or None, leeway=rules.leeway_s,
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise AuthError(_reason(error)) from None
        return identity(claims, rules)


class Issuer:
    """Makes tokens that a node with the same settings and secret accepts."""

    def __init__(self, rules: Auth, secret: str) -> None:
        self._rules = rules
        self._key = secret_key(secret, "auth.secret")

    def issue(
        self, user: str, *, now_s: int, ttl_s: int, scopes: Iterable[str] = DEFAULT_SCOPES, name: str | None = None
    ) -> str:
        """A token for `user`, good for `ttl_s` seconds from `now_s` (Unix time). Raises AuthError for what no node
        would accept."""
        rules = self._rules
        asked = set(scopes)
        if not is_name(user):
            raise AuthError(f"{user!r} is not a user id: up to 64 of a-z 0-9 _ . - that start with a letter or digit")
        if not 0 < ttl_s <= rules.max_lifetime_s:
            raise AuthError(f"a token lives from 1 to {rules.max_lifetime_s} seconds (auth.max_lifetime_s)")
        if asked - SCOPES:
            raise AuthError(f"no such scope: {' '.join(sorted(asked - SCOPES))}; there are {' '.join(sorted(SCOPES))}")
        claims: dict[str, Any] = {
            "sub": user,
            rules.user_claim: user,
            "iat": now_s,
            "exp": now_s + ttl_s,
            "aud": rules.audience,
            "jti": secrets.token_urlsafe(12),
            "scope": " ".join(sorted(asked)),
        }
        if rules.issuer:
            claims["iss"] = rules.issuer
        if name is not None:
            claims["name"] = name
        identity(claims, rules)
        return jwt.encode(claims, self._key, "HS256")


def tokens(settings: Settings) -> JwtTokens:
    """The verifier that the settings ask for. Reads key files; makes the node's own secret if there is no key.

    Raises ConfigError.
    """
    auth = settings.auth
    return JwtTokens(auth, _keys(settings))


def issuer(settings: Settings) -> Issuer:
    """The issuer for a node with these settings. Raises ConfigError where the signing key is elsewhere."""
    auth = settings.auth
    if auth.configured and not auth.secret:
        raise ConfigError("auth.algorithm", "settings", "tokens are signed elsewhere; here is only the public key")
    return Issuer(auth, auth.secret or own_secret(Path(settings.node.data)))


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and claims of a token as they stand, for people to look at; nothing of it is proven.

    Raises AuthError if it is no token.
    """
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, UnicodeError) as error:
        raise AuthError("this is not a token") from error
    return parts["header"], parts["payload"]


def _keys(settings: Settings) -> Keys:
    auth = settings.auth
    if auth.key_file:
        return OneKey(read_public_key(Path(auth.key_file), auth.algorithm))
    if auth.jwks_file:
        return read_key_set(Path(auth.jwks_file), auth.algorithm)
    if auth.jwks_url:
        return FetchedKeys(auth.jwks_url, auth.algorithm)
    return OneKey(secret_key(auth.secret or own_secret(Path(settings.node.data)), "auth.secret"))


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARS or _COMPACT(token) is None:
        raise AuthError("the token is not well formed, or too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise AuthError(_reason(error)) from None
    # Extensions that must be understood (RFC 7515 section 4.1.11), of which none are; b64 changes what is signed.
    if "crit" in header or "b64" in header:
        raise AuthError("the token's header asks for an extension that is not known here")
    kind = header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise AuthError("the token is of another type")
    return header


def _kid(header: dict[str, Any]) -> str | None:
    kid: str | None = header.get("kid")
    return kid


def _reason(error: jwt.PyJWTError) -> str:
    """Why, without PyJWT's own words: they repeat parts of the token."""
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"claim {error.claim} is missing"
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "the token is not well formed")
