"""Keys that verify tokens. Each is bound to one algorithm when it is loaded; nothing in a token can change that.

A token may only name, by `kid`, one of the keys that the configured source holds; `jku`, `jwk` and `x5u` are ignored.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms

from gochat.errors import AuthError, ConfigError

log = logging.getLogger(__name__)

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
Key: TypeAlias = bytes | PublicKey

#: A key set is read whole; real ones have a handful of keys.
MAX_KEYS = 100
#: As much of a key's name as a line of the log holds.
KID_CHARS = 40
_JWK_TYPE = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}


class Keys(Protocol):
    """Where verifying keys come from."""

    async def find(self, kid: str | None) -> Key:
        """The key for a token that names `kid`. Raises AuthError."""


class OneKey:
    """A single key. `kid` is ignored: there is nothing to choose."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find(self, kid: str | None) -> Key:
        return self._key


class KeySet:
    """A JWK set that does not change."""

    def __init__(self, keys: Mapping[str | None, PublicKey]) -> None:
        self._keys = keys

    def get(self, kid: str | None) -> PublicKey | None:
        """The key named `kid`; without a name the only key there is."""
        if kid is None and len(self._keys) == 1:
            (only,) = self._keys.values()
            return only
        return self._keys.get(kid)

    async def find(self, kid: str | None) -> Key:
        key = self.get(kid)
        if key is None:
            raise AuthError("the token names no key that is known here")
        return key


def secret_key(secret: str, source: str) -> bytes:
    """An HMAC key. Raises ConfigError for a key that was made for another use, like a PEM or JWK."""
    try:
        return get_default_algorithms()["HS256"].prepare_key(secret)  # type: ignore[no-any-return]
    except (jwt.InvalidKeyError, TypeError, ValueError):
        raise ConfigError("auth.secret", source, "must be a random text, not a key file or JWK") from None


def read_public_key(file: Path, algorithm: str) -> PublicKey:
    """The public key in a PEM file. Raises ConfigError."""
    pem = _read("auth.key_file", file)
    verifier = get_default_algorithms()[algorithm]
    try:
        key = verifier.prepare_key(pem)
    except (jwt.InvalidKeyError, TypeError, ValueError):
        raise ConfigError("auth.key_file", str(file), f"must be a PEM public key for {algorithm}") from None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise ConfigError("auth.key_file", str(file), "must be the public key alone; a verifier needs no private key")
    if verifier.check_key_length(key):
        raise ConfigError("auth.key_file", str(file), "is too short: RSA needs at least 2048 bits")
    return key


def read_key_set(file: Path, algorithm: str) -> KeySet:
    """The JWK set in a file. Raises ConfigError."""
    try:
        return parse_key_set(_read("auth.jwks_file", file), algorithm)
    except ValueError as error:
        raise ConfigError("auth.jwks_file", str(file), str(error)) from None


def parse_key_set(document: bytes, algorithm: str) -> KeySet:
    """Those keys of a JWK set (RFC 7517) that verify `algorithm`. Raises ValueError if there are none; the log names
    those that should and can't be used, since their tokens are refused."""
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("is not a JWK set") from None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f"is not a JWK set of at most {MAX_KEYS} keys")
    keys: dict[str | None, PublicKey] = {}
    unusable: list[str] = []
    for entry in entries:
        if isinstance(entry, dict) and _is_for(entry, algorithm):
            key = _load(entry, algorithm)
            kid = entry.get("kid")
            if key is None or not (kid is None or isinstance(kid, str)):
                unusable.append(str(kid)[:KID_CHARS])
                continue
            if kid in keys:
                raise ValueError("names two keys alike")
            keys[kid] = key
    if not keys:
        raise ValueError(f"holds no usable public key for {algorithm}")
    if unusable:
        log.warning("a JWK set has keys for %s that can't be used: %s", algorithm, ", ".join(unusable))
    return KeySet(keys)


def _is_for(entry: Mapping[str, Any], algorithm: str) -> bool:
    """Whether the key says that it verifies signatures of `algorithm`. A key that says nothing of it does, too."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") == _JWK_TYPE[algorithm]
        and entry.get("alg", algorithm) == algorithm
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _load(entry: dict[str, Any], algorithm: str) -> PublicKey | None:
    verifier = get_default_algorithms()[algorithm]
    try:
        key = verifier.prepare_key(verifier.from_jwk(entry))
    except (jwt.PyJWTError, TypeError, ValueError):
        return None  # The caller names it in the log.
    usable = isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey)
    return key if usable and not verifier.check_key_length(key) else None


def _read(path: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(path, str(file), (error.strerror or "can't be read").lower()) from None
