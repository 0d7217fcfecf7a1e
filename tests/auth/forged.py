"""Tokens that no signer has meant: forged, mangled or odd. Every one must be refused, by any verifier of HS256.

Made from a good token, the secret it is signed with, and what is known of attacks on JWT (RFC 8725 has many of them).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

HS256: Final = {"alg": "HS256", "typ": "JWT"}
ATTACKER: Final = "the attacker's own key, long enough to be used"
MEGABYTE: Final = 1_000_000
#: Values in the place of a number of seconds that are no number of seconds.
NO_TIMES: Final[dict[str, Any]] = {
    "empty text": "", "text": "soon", "ISO 8601": "2999-01-01T00:00:00Z", "true": True, "false": False, "list": [],
    "list of one": [4_000_000_000], "object": {}, "not a number": float("nan"), "infinite": float("inf"),
    "minus infinite": float("-inf"), "1e300": 1e300, "minus zero": -0.0, "a half": 0.5, "negative": -1,
    "very negative": -(2**63), "over 2**53": 2**53 + 1, "over 2**64": 2**64, "of 400 digits": 10**400,
}  # fmt: skip
NO_TEXTS: Final[dict[str, Any]] = {
    "zero": 0,
    "one": 1,
    "a half": 0.5,
    "true": True,
    "false": False,
    "empty list": [],
    "list": ["alice"],
    "object": {"alice": True},
    "empty object": {},
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: Any) -> str:
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def mac(text: str, secret: str | bytes, digest: str = "sha256") -> str:
    key = secret.encode() if isinstance(secret, str) else secret
    return b64(hmac.new(key, text.encode(), digest).digest())


def signed(header: Any, payload: Any, secret: str | bytes, digest: str = "sha256") -> str:
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{mac(text, secret, digest)}"


def good_claims(now_s: int, **changed: Any) -> dict[str, Any]:
    base = {"sub": "alice", "iat": now_s - 10, "exp": now_s + 3_000, "aud": "gochat", "scope": "chat:read admin"}
    return base | changed


def forged(secret: str, now_s: int) -> dict[str, str]:
    """All of them by a name that says what is wrong."""
    claims = good_claims(now_s)
    found: dict[str, str] = {}
    for family in (_unsigned, _other_algorithms, _chosen_keys, _extensions, _headers, _claims, _keys, _shapes, _large):
        for name, token in family(claims, secret):
            assert name not in found, name
            found[name] = token
    return found


Family = Iterator[tuple[str, str]]


def _unsigned(claims: dict[str, Any], secret: str) -> Family:
    good = signed(HS256, claims, secret).rpartition(".")[2]
    for letters in itertools.product(*((letter, letter.upper()) for letter in "none")):
        alg = "".join(letters)
        text = f"{part({'alg': alg})}.{part(claims)}"
        yield f"alg {alg}, no signature", f"{text}."
        yield f"alg {alg}, two parts", text
        yield f"alg {alg}, signature of another", f"{text}.{good}"
        yield f"alg {alg}, signed", signed({"alg": alg}, claims, secret)
    for alg in ("none ", " none", "none\0", "n\u043ene", "null", "NULL", "no", "", "plain"):
        yield f"alg {alg!r}, no signature", f"{part({'alg': alg})}.{part(claims)}."
    for header in (b'{"alg":"HS256","alg":"none"}', b'{"alg":"none","alg":"HS256"}'):
        yield f"{header!r}, no signature", f"{part(header)}.{part(claims)}."


def _other_algorithms(claims: dict[str, Any], secret: str) -> Family:
    for digest in ("sha384", "sha512"):
        yield f"HMAC of {digest}", signed({"alg": f"HS{digest[3:]}"}, claims, secret, digest)
        yield f"HMAC of {digest} as HS256", signed(HS256, claims, secret, digest)
    for digest in ("md5", "sha1", "sha224", "sha3_256", "blake2s"):
        yield f"HMAC of {digest} as HS256", signed(HS256, claims, secret, digest)
    for alg in (
        "RS256", "RS384", "RS512", "PS256", "ES256", "ES256K", "ES512", "EdDSA", "HS384", "HS512", "HS1", "HS2",
        "HS256 ", " HS256", "hs256", "Hs256", "HS-256", "HS256\0", "HMAC", "dir", "A128KW", "RSA-OAEP", "\uff28S256",
        "HS256,none",
        ["HS256"], ["none", "HS256"], {"alg": "HS256"}, 256, 0, True, False, None,
    ):  # fmt: skip
        yield f"alg {alg!r} by HMAC of SHA-256", signed({"alg": alg, "typ": "JWT"}, claims, secret)
    yield "no alg", signed({"typ": "JWT"}, claims, secret)
    yield "ALG", signed({"ALG": "HS256"}, claims, secret)
    yield "ES256 of zeros", f"{part({'alg': 'ES256'})}.{part(claims)}.{b64(bytes(64))}"
    yield "EdDSA of zeros", f"{part({'alg': 'EdDSA'})}.{part(claims)}.{b64(bytes(64))}"
    rsa_key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key()))
    yield "RS256 by a key of its own", jwt.encode(claims, rsa_key, "RS256")
    yield "PS256 by a key of its own", jwt.encode(claims, rsa_key, "PS256")
    yield "RS256 by the key in its jwk", jwt.encode(claims, rsa_key, "RS256", {"jwk": jwk})
    yield "RS256 by the key at its jku", jwt.encode(claims, rsa_key, "RS256", {"jku": "https://attacker.example/keys"})
    yield "ES256 by a key of its own", jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256")
    yield "EdDSA by a key of its own", jwt.encode(claims, ed25519.Ed25519PrivateKey.generate(), "EdDSA")


def _chosen_keys(claims: dict[str, Any], secret: str) -> Family:
    oct_key = {"kty": "oct", "k": b64(ATTACKER.encode()), "alg": "HS256", "kid": "1"}
    for name, extra, key in (
        ("kid /dev/null", {"kid": "/dev/null"}, ""),
        ("kid ../dev/null", {"kid": "../../../../../../dev/null"}, ""),
        ("kid of a file", {"kid": "/proc/sys/kernel/randomize_va_space"}, "2\n"),
        ("kid of SQL", {"kid": "x' UNION SELECT 'k' -- "}, "k"),
        ("kid of a command", {"kid": "|/usr/bin/id"}, ""),
        ("kid of a URL", {"kid": "https://attacker.example/key"}, ATTACKER),
        ("kid empty", {"kid": ""}, ""),
        ("kid none", {"kid": "none"}, "none"),
        ("kid is the key", {"kid": ATTACKER}, ATTACKER),
        ("kid with NUL", {"kid": "key\0"}, ATTACKER),
        ("jku", {"jku": "https://attacker.example/keys"}, ATTACKER),
        ("jku of a file", {"jku": "file:///dev/null"}, ""),
        ("jku on loopback", {"jku": "http://127.0.0.1:8080/v1/openapi.json"}, ATTACKER),
        ("x5u", {"x5u": "https://attacker.example/cert"}, ATTACKER),
        ("x5c", {"x5c": [base64.b64encode(ATTACKER.encode()).decode()]}, ATTACKER),
        ("x5t", {"x5t": b64(hashlib.sha256(ATTACKER.encode()).digest()[:20])}, ATTACKER),
        ("jwk", {"jwk": oct_key}, ATTACKER),
        ("jwk empty", {"jwk": {}}, ""),
        ("jwk of an empty key", {"jwk": {"kty": "oct", "k": ""}}, ""),
        ("jwks", {"jwks": {"keys": [oct_key]}}, ATTACKER),
        ("all of them", {"jwk": oct_key, "kid": "1", "jku": "data:,", "x5u": "data:,"}, ATTACKER),
    ):
        yield f"{name}, by another key", signed(HS256 | extra, claims, key)
    for kid in (1, 0, True, [], ["1"], {}, {"a": 1}, 1.5):
        yield f"kid {kid!r}", signed(HS256 | {"kid": kid}, claims, secret)


def _extensions(claims: dict[str, Any], secret: str) -> Family:
    for crit in (
        [],
        ["exp"],
        ["alg"],
        ["b64"],
        ["kid", "http://x.example"],
        "exp",
        "",
        None,
        True,
        1,
        {},
        [1],
        [[]],
        [""],
    ):
        yield f"crit {crit!r}", signed(HS256 | {"crit": crit, "exp": 1}, claims, secret)
    for b64_ in (True, False, "false", 0, 1, None, []):
        yield f"b64 {b64_!r}", signed(HS256 | {"b64": b64_}, claims, secret)
        yield f"b64 {b64_!r} and crit", signed(HS256 | {"b64": b64_, "crit": ["b64"]}, claims, secret)
    detached = f"{part(HS256 | {'b64': False, 'crit': ['b64']})}."
    yield "detached", f"{detached}.{mac(detached + json.dumps(claims), secret)}"


def _headers(claims: dict[str, Any], secret: str) -> Family:
    for typ in (
        "JWE",
        "JOSE",
        "rt+jwt",
        "dpop+jwt",
        "application/json",
        "",
        " ",
        "jwt2",
        1,
        True,
        [],
        ["JWT"],
        {},
        None,
    ):
        yield f"typ {typ!r}", signed(HS256 | {"typ": typ}, claims, secret)
    for header in ([], ["HS256"], "HS256", "", 1, True, None, {}):
        yield f"header {header!r}", signed(header, claims, secret)
    for header in (
        b"",
        b"{",
        b"{}{}",
        b'{"alg":"HS256"}{}',
        b"{alg:HS256}",
        b"{'alg':'HS256'}",
        b'{"alg":"HS256",}',
        b"\xff\xfe",
        b'{"alg":"HS256\xff"}',
        b'{"alg":"\\ud800"}',
        b"\0",
        b"[" * 1_500,
        b'{"a":' * 1_500,
        b"HS256",
        b'"\\u0000"',
    ):
        yield f"header {header[:24]!r}", signed(header, claims, secret)


def _claims(claims: dict[str, Any], secret: str) -> Family:
    def of(name: str, changed: Any) -> tuple[str, str]:
        return name, signed(HS256, changed, secret)

    for claim in ("exp", "iat", "nbf"):
        for name, value in NO_TIMES.items():
            yield of(f"{claim} is {name}", claims | {claim: value})
        yield of(f"{claim} is a text of digits", claims | {claim: str(claims["exp"])})
    now_s = claims["iat"] + 10
    for claim in ("exp", "iat", "sub", "aud"):
        yield of(f"no {claim}", {name: value for name, value in claims.items() if name != claim})
        yield of(f"{claim} null", claims | {claim: None})
        yield of(f"{claim.upper()}", {name.replace(claim, claim.upper()): value for name, value in claims.items()})
    yield of("over", claims | {"exp": now_s - 6, "iat": now_s - 60})
    yield of("over since 1970", claims | {"exp": 1, "iat": 0})
    yield of("not yet", claims | {"nbf": now_s + 20_000, "exp": now_s + 21_000})
    yield of("made tomorrow", claims | {"iat": now_s + 86_400, "exp": now_s + 90_000})
    yield of("for no time", claims | {"iat": now_s, "exp": now_s})
    yield of("for 31 days", claims | {"iat": now_s, "exp": now_s + 31 * 86_400})
    yield of("for ever", claims | {"exp": 2**53})
    for claim in ("sub", "iss", "jti", "scope", "name"):
        for name, value in NO_TEXTS.items():
            yield of(f"{claim} is {name}", claims | {claim: value})
    for sub in ("", "Alice", "ALICE", " alice", "alice ", "alice\n", "alice\0", "al ice", "-alice", ".alice",
                "a" * 65, "a:b", "dm:a:b", "user:alice", "a/b", "..", "*", "\u0430lice", "alice\u200b",
                "\uff41lice"):  # fmt: skip
        yield of(f"sub {sub!r}", claims | {"sub": sub})
    for aud in (
        "",
        "gochat ",
        "GOCHAT",
        "gochat2",
        "*",
        [],
        ["other"],
        [["gochat"]],
        ["gochat", 1],
        ["go", "chat"],
        {},
        {"gochat": 1},
        True,
        0,
        1,
    ):
        yield of(f"aud {aud!r}", claims | {"aud": aud})
    for name in ("", " ", "n" * 65, "a\nb", "a\0", "\x1b[2J", "a\u2028b"):
        yield of(f"name {name!r}", claims | {"name": name})
    for jti in ("", "x" * 257):
        yield of(f"jti of {len(jti)}", claims | {"jti": jti})
    for payload in ([], [claims], "alice", "", 1, True, None, {}, {"sub": "alice"}):
        yield of(f"payload {str(payload)[:20]!r}", payload)
    for raw in (b"", b"{", b"\xff", b"{}{}", b"sub=alice", b"\0", b"[" * 3_000, b'{"a":' * 3_000):
        yield of(f"payload {raw[:24]!r}", raw)


def _keys(claims: dict[str, Any], secret: str) -> Family:
    keys = (
        b"", b"secret", b"gochat", b"\x01" * 32, secret.upper().encode(), secret[::-1].encode(), secret[:-1].encode(),
        secret.encode() + b"\n", secret.encode() + b" ", secret.encode() * 2, base64.b64encode(secret.encode()),
        b64(secret.encode()).encode(), secret.encode().hex().encode(), hashlib.sha256(secret.encode()).digest(),
        hashlib.sha256(secret.encode()).hexdigest().encode(), ATTACKER.encode(), secret.encode("utf-16"),
    )  # fmt: skip
    for number, key in enumerate(keys):
        yield f"key {number} of others", signed(HS256, claims, key)
    text = f"{part(HS256)}.{part(claims)}"
    for name, signature in (
        ("no key at all", hashlib.sha256(text.encode()).digest()),
        ("the key before", hashlib.sha256(secret.encode() + text.encode()).digest()),
        ("the key behind", hashlib.sha256(text.encode() + secret.encode()).digest()),
        ("zeros", bytes(32)),
        ("ones", b"\xff" * 32),
        ("in hex", hmac.new(secret.encode(), text.encode(), "sha256").hexdigest().encode()),
        ("the secret", secret.encode()),
    ):
        yield f"signature by {name}", f"{text}.{b64(signature)}"
    for name, what in (
        ("the header", part(HS256)), ("the payload", part(claims)), ("both and a dot", f"{text}."), ("nothing", ""),
        ("both without a dot", text.replace(".", "")), ("what they say", json.dumps(HS256) + "." + json.dumps(claims)),
        ("the payload first", f"{part(claims)}.{part(HS256)}"),
    ):  # fmt: skip
        yield f"signature of {name}", f"{text}.{mac(what, secret)}"


def _shapes(claims: dict[str, Any], secret: str) -> Family:
    good = signed(HS256, claims, secret)
    head, body, signature = good.split(".")
    other = signed(HS256, claims | {"sub": "bob"}, secret).split(".")
    yield "nothing", ""
    for text in (".", "..", "...", "....", "a.b.c", "null", "undefined", "{}", "Bearer", "alice", "0", "\0", "\ud800"):
        yield f"{text!r}", text
    for name, parts in {
        "header alone": (head,), "no signature": (head, body), "signature empty": (head, body, ""),
        "header empty": ("", body, signature), "payload empty": (head, "", signature),
        "signature alone": ("", "", signature),
        "swapped": (body, head, signature), "signature first": (signature, head, body),
        "four parts": (head, body, signature, ""),
        "signed twice": (head, body, signature, signature), "as a JWE": (head, "", body, signature, ""),
        "header twice": (head, head, signature), "payload of another": (head, other[1], signature),
        "signature of another": (head, body, other[2]), "six parts": (head, body, signature) * 2,
    }.items():  # fmt: skip
        yield name, ".".join(parts)
    for space in (
        " ",
        "\n",
        "\t",
        "\r\n",
        "\0",
        "\u00a0",
        "\ufeff",
        "\u200b",
        "=",
        "==",
        "%",
        "%3D",
        "é",
        ",",
        ";",
        "+",
        "/",
    ):
        yield f"{space!r} before", space + good
        yield f"{space!r} behind", good + space
        yield f"{space!r} inside", f"{head}.{body[:7]}{space}{body[7:]}.{signature}"
        yield f"{space!r} before the signature", f"{head}.{body}.{space}{signature}"
    yield "in quotes", f'"{good}"'
    yield "with its scheme", f"Bearer {good}"
    yield "twice", good + good
    yield "twice, by comma", f"{good},{good}"
    yield "reversed", good[::-1]
    yield "in upper case", good.upper()
    yield "in lower case", good.lower()
    yield "in base64", base64.b64encode(good.encode()).decode()
    yield "dots of another script", good.replace(".", "\uff0e")
    yield "as JSON", json.dumps({"protected": head, "payload": body, "signature": signature})
    padded = base64.urlsafe_b64encode(json.dumps(HS256).encode() + b" ").decode()
    yield "padded header", f"{padded}.{body}.{mac(f'{padded}.{body}', secret)}"
    for cut in range(1, 9):
        yield f"signature without its last {cut}", good[:-cut]
        yield f"signature without its first {cut}", f"{head}.{body}.{signature[cut:]}"
    for name, where in ("header", 0), ("payload", 1), ("signature", 2):
        for at in (0, 5, 12, 18, 24, 31, 36):  # Where no flipped bit below gives the same letter.
            parts_ = [head, body, signature]
            changed = "A" if parts_[where][at] != "A" else "B"
            parts_[where] = parts_[where][:at] + changed + parts_[where][at + 1 :]
            yield f"{name} with another letter at {at}", ".".join(parts_)
    raw = bytearray(base64.urlsafe_b64decode(signature + "="))
    for bit in range(0, 256, 16):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} of the signature", f"{head}.{body}.{b64(bytes(flipped))}"


def _large(claims: dict[str, Any], secret: str) -> Family:
    yield "a long claim", signed(HS256, claims | {"more": "x" * 8_000}, secret)
    yield "a long header", signed(HS256 | {"more": "x" * 8_000}, claims, secret)
    yield "many claims", signed(HS256, claims | {str(number): 0 for number in range(1_000)}, secret)
    yield "deep", signed(HS256, b'{"sub":"alice","a":' + b"[" * 2_000 + b"]" * 2_000 + b"}", secret)
    yield "a megabyte", "a" * MEGABYTE
    yield "a megabyte of payload", f"{part(HS256)}.{'a' * MEGABYTE}.{mac('x', secret)}"
    yield "a megabyte of signature", f"{part(HS256)}.{part(claims)}.{'a' * MEGABYTE}"
    yield "a megabyte of dots", "." * MEGABYTE
    yield "many parts", ".".join(["a"] * 4_000)
