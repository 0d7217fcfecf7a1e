"""The key that a node signs its pushes with: made at the first use, in the data folder, for its owner's eyes alone.

Browsers tie a subscription to this key. A node that loses it has to have all its users subscribe again, so it belongs
into backups of the folder, and it is never replaced by itself. The nodes of a cluster all push to the
same devices, so they make the key from what they share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gochat.durable import make_once
from gochat.errors import ConfigError

FILE_NAME: Final = "push.key"
#: The order of the curve's group: private keys are below it (NIST FIPS 186-5, P-256).
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def own_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """The key in `folder`; it is made where there is none. Of two that make one at once the first counts. Raises
    ConfigError where it can't be read or made, where others may read it, and where it is no key."""
    file = folder / FILE_NAME
    try:
        if not file.exists():
            new = ec.generate_private_key(ec.SECP256R1())
            make_once(file, new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if file.stat().st_mode & 0o077:
            raise ConfigError("node.data", str(file), f"others may read it; `chmod 600 {file}`")
        key = load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise ConfigError("node.data", str(file), (error.strerror or "can't be used").lower()) from error
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        hint = "put it back from a backup; with another key all devices have to subscribe again"
        raise ConfigError("node.data", str(file), "is no private key of the curve P-256, in PEM", hint=hint)
    return key


def shared_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The key that everybody has who has these 64 secret bytes, and that does not tell them."""
    return ec.derive_private_key(int.from_bytes(secret) % (_ORDER - 1) + 1, ec.SECP256R1())
