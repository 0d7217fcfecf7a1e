from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gochat.auth.keys import KeySet, parse_key_set, read_key_set, read_public_key, secret_key
from gochat.errors import AuthError, ConfigError

RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
SMALL_RSA = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()


def public(private: Any) -> bytes:
    pem: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def private_pem(private: Any) -> bytes:
    pem: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def jwk(private: Any, **fields: Any) -> dict[str, Any]:
    kind = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    algorithm = next((a for k, a in kind.items() if isinstance(private, k)), OKPAlgorithm)
    entry: dict[str, Any] = algorithm.to_jwk(private.public_key(), as_dict=True)
    return {name: value for name, value in entry.items() if name != "key_ops"} | fields


def document(*entries: Any) -> bytes:
    return json.dumps({"keys": entries}).encode()


@pytest.mark.parametrize(("algorithm", "private"), [("RS256", RSA), ("ES256", P256), ("EdDSA", ED25519)])
def test_a_public_key_is_read(algorithm: str, private: Any, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(public(private))
    assert read_public_key(tmp_path / "key.pem", algorithm) == private.public_key()


@pytest.mark.parametrize(
    ("algorithm", "content", "said"),
    [
        ("RS256", public(P256), "PEM public key for RS256"),
        ("ES256", public(RSA), "PEM public key for ES256"),
        ("ES256", public(P384), "PEM public key for ES256"),
        ("EdDSA", public(ED448), "public key"),
        ("EdDSA", public(RSA), "PEM public key for EdDSA"),
        ("RS256", public(SMALL_RSA), "2048 bits"),
        ("RS256", private_pem(RSA), "public key alone"),
        ("ES256", private_pem(P256), "public key alone"),
        ("EdDSA", private_pem(ED25519), "public key alone"),
        ("RS256", b"", "PEM public key"),
        ("RS256", b"a plain secret of thirty-two bytes", "PEM public key"),
        ("RS256", b"\xff\xfe", "PEM public key"),
    ],
)
def test_another_file_is_refused(algorithm: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        read_public_key(tmp_path / "key.pem", algorithm)
    assert caught.value.key == "auth.key_file"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_public_key(tmp_path / "key.pem", "RS256")
    with pytest.raises(ConfigError, match="no such file"):
        read_key_set(tmp_path / "keys.json", "RS256")


@pytest.mark.parametrize("secret", [public(RSA).decode(), private_pem(P256).decode(), json.dumps(jwk(RSA))])
def test_a_key_file_is_no_secret(secret: str) -> None:
    with pytest.raises(ConfigError, match="random text"):
        secret_key(secret, "test")


def find(keys: KeySet, kid: str | None) -> Any:
    return trio.run(keys.find, kid)


def test_a_token_picks_a_key_of_the_set_by_its_name() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    keys = parse_key_set(document(jwk(P256, kid="a"), jwk(other, kid="b", alg="ES256", use="sig")), "ES256")
    assert find(keys, "a") == P256.public_key()
    assert find(keys, "b") == other.public_key()
    for kid in (None, "c", "", "../a"):
        with pytest.raises(AuthError, match="no key that is known"):
            find(keys, kid)


def test_without_a_name_the_only_key_is_meant() -> None:
    keys = parse_key_set(document(jwk(ED25519, kid="a")), "EdDSA")
    assert find(keys, None) == ED25519.public_key()
    with pytest.raises(AuthError):
        find(keys, "b")


@pytest.mark.parametrize(
    "entry",
    [
        jwk(P256, kid="x"),
        jwk(RSA, kid="x", alg="RS512"),
        jwk(RSA, kid="x", use="enc"),
        jwk(RSA, kid="x", key_ops=["sign"]),
        jwk(RSA, kid="x", key_ops=7),
        jwk(RSA, kid="x", d="AQAB"),
        jwk(SMALL_RSA, kid="x"),
        jwk(RSA, kid=7),
        jwk(RSA, n="!!"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "RSA"},
        {},
        7,
    ],
    ids=[
        "EC where RSA is wanted",
        "another algorithm",
        "encryption",
        "signing",
        "key_ops no list",
        "private",
        "too short",
        "kid no text",
        "n no number",
        "symmetric",
        "no numbers",
        "nothing",
        "no object",
    ],
)
def test_keys_for_something_else_are_left_out(entry: Any) -> None:
    assert find(parse_key_set(document(entry, jwk(RSA, kid="good")), "RS256"), "good") == RSA.public_key()
    with pytest.raises(ValueError, match="no usable public key"):
        parse_key_set(document(entry), "RS256")


def test_the_log_names_keys_of_a_set_that_can_not_be_used(caplog: pytest.LogCaptureFixture) -> None:
    entries = jwk(SMALL_RSA, kid="short"), jwk(RSA, kid=7), jwk(P256, kid="for others"), jwk(RSA, kid="good")
    parse_key_set(document(*entries), "RS256")
    assert [record.getMessage() for record in caplog.records] == [
        "a JWK set has keys for RS256 that can't be used: short, 7"
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"null", b'{"keys": {}}', b'{"keys": null}', b"[" * 100_000, document(*[{}] * 101)],
    ids=lambda content: content[:20],
)
def test_what_is_no_key_set_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JWK set"):
        parse_key_set(content, "RS256")
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(ConfigError):
        read_key_set(tmp_path / "keys.json", "RS256")


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="alike"):
        parse_key_set(document(jwk(RSA, kid="a"), jwk(RSA, kid="a")), "RS256")


NAMES = st.sampled_from(["kty", "n", "e", "alg", "use", "key_ops", "kid"])


@given(st.dictionaries(NAMES, st.text() | st.none() | st.lists(st.integers())))
def test_any_entry_is_a_key_or_none(changed: dict[str, Any]) -> None:
    keys = parse_key_set(document(jwk(RSA) | changed, jwk(P256), jwk(RSA, kid="\0good")), "RS256")
    assert find(keys, "\0good") == RSA.public_key()
