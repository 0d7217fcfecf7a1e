"""Web Push's cryptography, pure: what only the device can read (RFC 8291 over RFC 8188), and who the server is
(RFC 8292). Names of variables are those of the RFCs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: A push service takes 4,096 bytes; this is what is left for the text.
MOST_BYTES: Final = 3_072
_RECORD_SIZE: Final = 4_096
_SALT_BYTES: Final = 16
#: How long a signature of the server is used. A push service takes none that is good for more than 24 hours.
TOKEN_S: Final = 12 * 3_600


def encode64(data: bytes) -> str:
    """base64url without padding, as all of Web Push writes bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode64(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def device_key(p256dh: str) -> ec.EllipticCurvePublicKey:
    """A device's public key. Raises ValueError for what is no point of the curve."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode64(p256dh))


def device_secret(auth: str) -> bytes:
    """A device's secret. Raises ValueError."""
    secret = decode64(auth)
    if len(secret) != 16:
        raise ValueError("not 16 bytes")
    return secret


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The 65 bytes of an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encrypted(
    plaintext: bytes,
    ua_public: ec.EllipticCurvePublicKey,
    auth_secret: bytes,
    salt: bytes,
    as_private: ec.EllipticCurvePrivateKey,
) -> bytes:
    """One record that the device alone can read. `salt` (16 random bytes) and `as_private` are made anew for each."""
    assert len(plaintext) <= MOST_BYTES
    assert len(salt) == _SALT_BYTES
    public = point(as_private.public_key())
    ecdh_secret = as_private.exchange(ec.ECDH(), ua_public)
    ikm = _derived(auth_secret, ecdh_secret, b"WebPush: info\0" + point(ua_public) + public, 32)
    key = _derived(salt, ikm, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(salt, ikm, b"Content-Encoding: nonce\0", 12)
    header = salt + _RECORD_SIZE.to_bytes(4, "big") + bytes([len(public)]) + public
    return header + AESGCM(key).encrypt(nonce, plaintext + b"\x02", None)


def _derived(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869), for at most one block of it."""
    pseudorandom = hmac.digest(salt, material, hashlib.sha256)
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)[:length]


def vapid(key: ec.EllipticCurvePrivateKey, audience: str, contact: str, now_s: int) -> str:
    """The value of `Authorization`: a JWT (ES256) that names the push service and whom it may write to about us."""
    claims = {"aud": audience, "exp": now_s + TOKEN_S, "sub": contact}
    parts = ({"typ": "JWT", "alg": "ES256"}, claims)
    signing = ".".join(encode64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    r, s = utils.decode_dss_signature(key.sign(signing.encode(), ec.ECDSA(hashes.SHA256())))
    signature = encode64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    return f"vapid t={signing}.{signature}, k={encode64(point(key.public_key()))}"
