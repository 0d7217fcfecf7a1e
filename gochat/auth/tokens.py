"""Tokens: JWTs signed with one algorithm, verified against keys that the operator chose, and issued with the secret.

`JwtTokens` is the `Tokens` port. It refuses a token with an AuthError that repeats nothing of it. Signatures are
PyJWT's to verify. Tokens are taken apart here, once: PyJWT does it twice where the header is wanted first, and checks
at each use that the secret is no public key, which was settled when it was loaded.
"""

from __future__ import annotations

import binascii
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import msgspec
from jwt.algorithms import get_default_algorithms
from msgspec import UNSET, UnsetType

from gochat.auth.claims import DEFAULT_SCOPES, SCOPES, identity
from gochat.auth.fetched import FetchedKeys
from gochat.auth.keys import Keys, OneKey, read_key_set, read_public_key, secret_key
from gochat.auth.secret import own_secret
from gochat.auth.user_ids import escape, unescape
from gochat.config import Auth, Settings
from gochat.domain.ids import is_name
from gochat.errors import AuthError, ConfigError
from gochat.ports.tokens import Identity

#: Far above real tokens, and far below the size that makes parsing costly; a WebSocket's head is of this order too.
MAX_TOKEN_CHARS = 8_192
_TYPES = ("jwt", "at+jwt")
#: The type of a ticket (auth/tickets.py), which is no token.
TICKET = "ticket+jwt"
_MALFORMED = "the token is not well formed"
#: Three parts in base64url without padding (RFC 7515, sections 2 and 7.1): one token has one form.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch


class _Header(msgspec.Struct, gc=False):
    """A token's header. All other members, like a key or the place of one, are ignored."""

    alg: Any = None
    typ: str = "JWT"
    kid: str | UnsetType = UNSET
    crit: Any = UNSET
    b64: Any = UNSET


_read_header = msgspec.json.Decoder(_Header).decode
_read_claims = msgspec.json.Decoder(dict[str, Any]).decode


class JwtTokens:
    """Verifies tokens by `rules`, with keys from `keys`."""

    def __init__(self, rules: Auth, keys: Keys, types: Sequence[str] = _TYPES) -> None:
        self._rules = rules
        self._keys = keys
        self._types = types
        self._signatures = get_default_algorithms()[rules.algorithm]

    async def verify(self, token: str) -> Identity:
        """The token's identity. Raises AuthError; the claims are not looked at before the signature holds."""
        head, body, signature = _parts(token)
        header = _header(head, self._rules.algorithm, self._types)
        key = await self._keys.find(header.kid if isinstance(header.kid, str) else None)
        signed = token[: len(head) + 1 + len(body)].encode("ascii")
        # Keys are made for the one algorithm, and long enough for it, when they are loaded.
        if not self._signatures.verify(signed, key, _decoded(signature)):
            raise AuthError("the signature is wrong")
        try:
            claims = _read_claims(_decoded(body))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise AuthError(_MALFORMED) from None
        return identity(claims, self._rules, time.time())


class Issuer:
    """Makes tokens that a node with the same settings and secret accepts."""

    def __init__(self, rules: Auth, secret: str) -> None:
        self._rules = rules
        self._key = secret_key(secret, "auth.secret")

    def issue(
        self, user: str, *, now_s: int, ttl_s: int, scopes: Iterable[str] = DEFAULT_SCOPES, name: str | None = None
    ) -> str:
        """A token for `user`, good for `ttl_s` seconds from `now_s` (Unix time). Raises AuthError for claims that no
        node would accept."""
        claims = self._claims(user, now_s, ttl_s, set(scopes), name)
        identity(claims, self._rules)
        return jwt.encode(claims, self._key, "HS256")

    def ticket(
        self,
        user: str,
        *,
        now_s: int,
        ttl_s: int,
        token_ttl_s: int,
        scopes: Iterable[str] = DEFAULT_SCOPES,
        name: str | None = None,
    ) -> str:
        """A ticket that is good once, within `ttl_s`, for a token of `token_ttl_s`. Raises AuthError, as `issue`."""
        # The token that it will be exchanged for has to be good, too.
        self.issue(user, now_s=now_s, ttl_s=token_ttl_s, scopes=scopes, name=name)
        claims = self._claims(user, now_s, min(ttl_s, self._rules.max_lifetime_s), set(scopes), name)
        claims |= {"aud": f"{self._rules.audience}#ticket", "ttl": token_ttl_s}
        return jwt.encode(claims, self._key, "HS256", headers={"typ": TICKET})

    def _called(self, user: str) -> str:
        """The value of `auth.user_claim` that stands for this user."""
        given = unescape(user) if self._rules.user_map == "escape" else user
        if given is None:
            here = escape(user)
            raise AuthError(f"{user!r} is no escaped id (auth.user_map): whom the provider calls so is {here} here")
        return given

    def _claims(self, user: str, now_s: int, ttl_s: int, asked: set[str], name: str | None) -> dict[str, Any]:
        rules = self._rules
        if not is_name(user):
            raise AuthError(f"{user!r} is not a user id: up to 64 of a-z 0-9 _ . - that start with a letter or digit")
        if not 0 < ttl_s <= rules.max_lifetime_s:
            raise AuthError(f"a token lives from 1 to {rules.max_lifetime_s} seconds (auth.max_lifetime_s)")
        if asked - SCOPES:
            raise AuthError(f"no such scope: {' '.join(sorted(asked - SCOPES))}; there are {' '.join(sorted(SCOPES))}")
        claims: dict[str, Any] = {
            "sub": user,
            rules.user_claim: self._called(user),
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
        return claims


def tokens(settings: Settings) -> JwtTokens:
    """The verifier that the settings ask for. Reads key files, or the node's own secret if no key is configured.

    Raises ConfigError.
    """
    return JwtTokens(settings.auth, _keys(settings))


def issuer(settings: Settings) -> Issuer:
    """The issuer for a node with these settings. Raises ConfigError where the signing key is elsewhere, or where there
    is no secret."""
    auth = settings.auth
    if auth.configured and not auth.secret:
        source = next(name for name in ("key_file", "jwks_file", "jwks_url") if getattr(auth, name))
        problem = "tokens for this node are signed elsewhere, by the service that has the private key"
        hint = "have that service issue a token, and pass it on in GOCHAT_TOKEN"
        raise ConfigError(f"auth.{source}", "settings", problem, hint=hint)
    return Issuer(auth, auth.secret or own_secret(Path(settings.node.data)))


class OwnKeys(NamedTuple):
    """The secret of a node that signs tokens itself, and the same secret as a verifying key."""

    secret: str
    source: Keys


def own_keys(settings: Settings) -> OwnKeys | None:
    """None where tokens are signed elsewhere. Raises ConfigError."""
    auth = settings.auth
    if auth.configured and not auth.secret:
        return None
    secret = auth.secret or own_secret(Path(settings.node.data))
    return OwnKeys(secret, OneKey(secret_key(secret, "auth.secret")))


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and claims of a token as they stand, for people to look at; nothing of them is proven.

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


def _parts(token: str) -> tuple[str, str, str]:
    """Header, claims and signature as they stand."""
    if len(token) > MAX_TOKEN_CHARS or _COMPACT(token) is None:
        raise AuthError("the token is not well formed, or too long")
    head, body, signature = token.split(".")
    return head, body, signature


def _header(part: str, algorithm: str, types: Sequence[str]) -> _Header:
    try:
        header = _read_header(_decoded(part))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise AuthError(_MALFORMED) from None
    # No extension that must be understood (RFC 7515 section 4.1.11) is; b64 changes the bytes that are signed.
    if header.crit is not UNSET or header.b64 is not UNSET:
        raise AuthError("the token's header asks for an extension that is not known here")
    if header.typ.lower().removeprefix("application/") not in types:
        raise AuthError("the token is of another type")
    if header.alg != algorithm:
        raise AuthError("the token is not signed with the configured algorithm")
    return header


def _decoded(part: str) -> bytes:
    """Of base64url without padding, in the one form that its bytes have."""
    given = part.encode("ascii")
    try:
        data = urlsafe_b64decode(given + b"=" * (-len(given) % 4))
    except binascii.Error:
        raise AuthError(_MALFORMED) from None
    if urlsafe_b64encode(data).rstrip(b"=") != given:
        raise AuthError(_MALFORMED)
    return data
