"""Hand-made and forged tokens against the verifier: what a signer could not have meant is refused, and says nothing."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gochat.auth.claims import DEFAULT_SCOPES, SCOPES
from gochat.auth.keys import OneKey
from gochat.auth.secret import make_secret
from gochat.auth.tokens import MAX_TOKEN_CHARS, Issuer, JwtTokens, issuer, tokens, unverified
from gochat.config import Auth, Node, Settings
from gochat.errors import AuthError, ConfigError
from gochat.ports.tokens import Identity

SECRET = "correct horse battery staple, twice over"
RULES = Auth(secret=SECRET)
HS256 = {"alg": "HS256", "typ": "JWT"}


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims; a change to None takes the claim out."""
    now = int(time.time())
    base = {"sub": "alice", "iat": now - 10, "exp": now + 60, "aud": "gochat", "scope": "chat:read chat:write"}
    return {name: value for name, value in (base | changed).items() if value is not None}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def handmade(payload: Any, header: Any = HS256, secret: str = SECRET) -> str:
    """A token signed by hand, whatever it says: PyJWT would not make all of these."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def verify(token: str, rules: Auth = RULES) -> Identity:
    return trio.run(JwtTokens(rules, OneKey(SECRET.encode())).verify, token)


def refusal(token: str, rules: Auth = RULES) -> str:
    with pytest.raises(AuthError) as caught:
        verify(token, rules)
    return str(caught.value)


def test_a_good_token() -> None:
    payload = claims(jti="t1", name="Alice A.", iss="anyone", other={"deep": [1]}, nbf=int(time.time()))
    identity = verify(handmade(payload))
    assert identity == Identity(
        user="alice",
        scopes=frozenset({"chat:read", "chat:write"}),
        name="Alice A.",
        issued_s=float(payload["iat"]),
        expires_s=float(payload["exp"]),
        token_id="t1",
    )


def test_an_issued_token_is_accepted() -> None:
    now = int(time.time())
    token = Issuer(RULES, SECRET).issue("bob", now_s=now, ttl_s=60, name="Bob")
    identity = verify(token)
    assert (identity.user, identity.name, identity.scopes) == ("bob", "Bob", DEFAULT_SCOPES)
    assert identity.expires_s == now + 60
    assert identity.token_id


def test_no_scope_and_unknown_scopes_allow_nothing() -> None:
    assert verify(handmade(claims(scope=None))).scopes == frozenset()
    assert verify(handmade(claims(scope="openid chat:reads CHAT:READ chat:read,chat:write"))).scopes == frozenset()
    assert verify(handmade(claims(scope=" ".join(SCOPES)))).scopes == SCOPES


NOW = int(time.time())
WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "no sub": claims(sub=None),
    "no iat": claims(iat=None),
    "no exp": claims(exp=None),
    "no aud": claims(aud=None),
    "sub null": claims() | {"sub": None},
    "sub number": claims(sub=7),
    "sub list": claims(sub=["alice"]),
    "sub upper": claims(sub="Alice"),
    "sub empty": claims(sub=""),
    "sub long": claims(sub="a" * 65),
    "sub newline": claims(sub="alice\n"),
    "sub colon": claims(sub="a:b"),
    "sub look-alike": claims(sub="\u0430lice"),
    "exp over": claims(exp=NOW - 100),
    "exp zero": claims(exp=0),
    "exp negative": claims(exp=-1),
    "exp bool": claims(exp=True),
    "exp float": claims(exp=NOW + 60.5),
    "exp whole float": claims(exp=float(NOW + 60)),
    "exp string": claims(exp=str(NOW + 60)),
    "exp 1e300": claims(exp=1e300),
    "exp 2**64": claims(exp=2**64),
    "exp 10**4000": claims(exp=10**4000),
    "exp infinity": claims(exp=float("inf")),
    "exp nan": claims(exp=float("nan")),
    "exp list": claims(exp=[NOW + 60]),
    "exp object": claims(exp={"value": NOW + 60}),
    "lifetime": claims(iat=NOW, exp=NOW + 30 * 86_400 + 1),
    "lifetime from 1970": claims(iat=0),
    "iat ahead": claims(iat=NOW + 20_000, exp=NOW + 21_000),
    "iat after exp": claims(iat=NOW + 4, exp=NOW + 3),
    "iat is exp": claims(iat=NOW + 3, exp=NOW + 3),
    "iat bool": claims(iat=True),
    "iat float": claims(iat=NOW - 10.0),
    "iat string": claims(iat=str(NOW - 10)),
    "iat negative": claims(iat=-1),
    "iat null": claims() | {"iat": None},
    "nbf ahead": claims(nbf=NOW + 1_000),
    "nbf float": claims(nbf=NOW - 1.5),
    "nbf string": claims(nbf="0"),
    "nbf bool": claims(nbf=False),
    "nbf null": claims() | {"nbf": None},
    "jti null": claims() | {"jti": None},
    "aud null": claims() | {"aud": None},
    "aud other": claims(aud="gochat2"),
    "aud empty": claims(aud=""),
    "aud empty list": claims(aud=[]),
    "aud other list": claims(aud=["other"]),
    "aud prefix": claims(aud=["goch", "at"]),
    "aud object": claims(aud={"gochat": True}),
    "aud number list": claims(aud=["gochat", 1]),
    "aud nested": claims(aud=[["gochat"]]),
    "aud bool": claims(aud=True),
    "iss number": claims(iss=1),
    "iss list": claims(iss=["a"]),
    "jti number": claims(jti=7),
    "jti empty": claims(jti=""),
    "jti long": claims(jti="x" * 257),
    "scope list": claims(scope=["chat:read"]),
    "scope number": claims(scope=1),
    "name number": claims(name=1),
    "name empty": claims(name=""),
    "name blank": claims(name="  "),
    "name long": claims(name="n" * 65),
    "name control": claims(name="a\x1b[2J"),
    "name newline": claims(name="a\nb"),
    "name line separator": claims(name="a\u2028b"),
    "name surrogate": claims(name="a\ud800"),
}


@pytest.mark.parametrize("payload", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_wrong_claims_are_refused(payload: dict[str, Any]) -> None:
    assert refusal(handmade(payload))


@pytest.mark.parametrize("changed", [{"aud": ["other", "gochat"]}, {"name": "名前 🙂", "jti": "x"}], ids=str)
def test_what_is_allowed_is_accepted(changed: dict[str, Any]) -> None:
    assert verify(handmade(claims(**changed))).user == "alice"


@pytest.mark.parametrize(
    "offsets",
    [
        {"exp": -2, "iat": -60},
        {"iat": 3},
        {"nbf": 3},
        {"iat": -86_400 * 29, "exp": 3_600},
        {"iat": 0, "exp": 30 * 86_400},
    ],
    ids=str,
)
def test_times_within_the_leeway_and_the_longest_lifetime_are_accepted(offsets: dict[str, int]) -> None:
    now = int(time.time())
    assert verify(handmade(claims(**{name: now + offset for name, offset in offsets.items()}))).user == "alice"


WRONG_HEADERS: dict[str, Any] = {
    "alg none": {"alg": "none"},
    "alg nOnE": {"alg": "nOnE"},
    "alg empty": {"alg": ""},
    "alg null": {"alg": None},
    "alg missing": {"typ": "JWT"},
    "alg list": {"alg": ["HS256"]},
    "alg object": {"alg": {"HS256": 1}},
    "alg lower": {"alg": "hs256"},
    "alg HS384": {"alg": "HS384"},
    "alg HS512": {"alg": "HS512"},
    "alg RS256": {"alg": "RS256"},
    "crit unknown": HS256 | {"crit": ["exp"], "exp": 1},
    "crit b64": HS256 | {"crit": ["b64"], "b64": False},
    "crit empty": HS256 | {"crit": []},
    "b64 false": HS256 | {"b64": False},
    "b64 true": HS256 | {"b64": True},
    "kid number": HS256 | {"kid": 1},
    "kid list": HS256 | {"kid": ["a"]},
    "typ number": HS256 | {"typ": 1},
    "typ JWE": HS256 | {"typ": "JWE"},
    "typ refresh": HS256 | {"typ": "rt+jwt"},
    "list": ["HS256"],
    "string": "HS256",
    "null": None,
    "not JSON": b"{alg}",
    "not UTF-8": b'{"alg":"\xff"}',
    "two objects": b'{"alg":"HS256"}{}',
    "deep": b'{"a":' + b"[" * 1_500,
}


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_wrong_headers_are_refused(header: Any) -> None:
    assert refusal(handmade(claims(), header))


@pytest.mark.parametrize(
    "extra",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "x' UNION SELECT 'secret"},
        {"kid": ""},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/cert"},
        {"jwk": {"kty": "oct", "k": b64(b"attacker's own key, long enough to be used")}},
        {"typ": "at+jwt"},
        {"typ": "application/at+JWT"},
    ],
    ids=str,
)
def test_a_header_cannot_choose_the_key(extra: dict[str, Any]) -> None:
    assert verify(handmade(claims(), HS256 | extra)).user == "alice"
    forged = handmade(claims(), HS256 | extra, secret="attacker's own key, long enough to be used")
    assert refusal(forged) == "the signature is wrong"


@pytest.mark.parametrize("secret", ["", "secret", SECRET + " ", SECRET.upper()])
def test_another_secret_is_refused(secret: str) -> None:
    assert refusal(handmade(claims(), secret=secret)) == "the signature is wrong"


def mangled() -> dict[str, str]:
    head, body, signature = handmade(claims()).split(".")
    admin = b64(json.dumps(claims(scope="admin")).encode())
    return {
        "empty": "",
        "dots": "..",
        "one part": head,
        "two parts": f"{head}.{body}",
        "no signature": f"{head}.{body}.",
        "four parts": f"{head}.{body}.{signature}.",
        "five parts": f"{head}.{body}.{signature}..",
        "other claims": f"{head}.{admin}.{signature}",
        "cut": f"{head}.{body}.{signature[:-4]}",
        "longer": f"{head}.{body}.{signature}AAAA",
        "swapped": f"{body}.{head}.{signature}",
        "space before": f" {head}.{body}.{signature}",
        "newline after": f"{head}.{body}.{signature}\n",
        "space inside": f"{head}. {body}.{signature}",
        "standard alphabet": f"{head}.{body}.{signature[:-1]}+",
        "not ASCII": f"{head}.{body}.{signature}é",
        "surrogate": f"{head}.{body}.\ud800",
        "NUL": f"{head}.{body}.{signature}\0",
        "long": handmade(claims(more="x" * MAX_TOKEN_CHARS)),
        "huge": "a" * 10_000_000,
        "many dots": "." * MAX_TOKEN_CHARS,
        "payload list": handmade([]),
        "payload null": handmade(None),
        "payload string": handmade("alice"),
        "payload not JSON": handmade(b"{"),
        "payload not UTF-8": handmade(b'{"sub":"\xff"}'),
        "payload deep": handmade(b'{"sub":' + b"[" * 3_000),
        "payload deep and closed": handmade(b'{"a":' + b"[" * 2_000 + b"]" * 2_000 + b"}"),
    }


MANGLED = mangled()


@pytest.mark.parametrize("token", MANGLED.values(), ids=MANGLED)
def test_mangled_tokens_are_refused(token: str) -> None:
    assert refusal(token)


def test_every_flipped_bit_is_noticed() -> None:
    token = handmade(claims())
    for index, char in enumerate(token):
        assert refusal(token[:index] + ("A" if char != "A" else "B") + token[index + 1 :])


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_is_signed_is_judged_not_crashed_on(header: bytes, payload: bytes) -> None:
    assert refusal(handmade(payload, header))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jku"]), JSON))
def test_any_header_is_judged(header: dict[str, Any]) -> None:
    token = handmade(claims(), HS256 | header)
    try:
        assert verify(token).user == "alice"
    except AuthError:
        assert set(header) & {"alg", "typ", "kid", "crit", "b64"}


@given(st.sampled_from(["sub", "iat", "exp", "aud", "nbf", "iss", "jti", "scope", "name"]), JSON)
def test_any_claim_is_judged(claim: str, value: Any) -> None:
    with contextlib.suppress(AuthError):
        assert verify(handmade(claims() | {claim: value})).user


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "jku", "x"]), JSON),
    st.dictionaries(st.sampled_from(["sub", "iat", "exp", "aud", "nbf", "iss", "jti", "scope", "x"]), JSON),
    st.sampled_from([{}, {"aud": ["gochat", "other"]}, {"nbf": NOW - 1}, {"jti": "a", "iss": "b"}, {"exp": NOW + 9}]),
)
def test_what_is_accepted_pyjwt_accepts_too(header: dict[str, Any], odd: dict[str, Any], good: dict[str, Any]) -> None:
    token = handmade(claims() | odd | good, header | HS256)
    with contextlib.suppress(AuthError):
        identity = verify(token)
        required = {"require": ["sub", "iat", "exp", "aud"]}
        known = jwt.decode(token, SECRET, ["HS256"], audience="gochat", leeway=RULES.leeway_s, options=required)
        assert (identity.user, identity.expires_s) == (known["sub"], float(known["exp"]))


def test_a_refusal_repeats_nothing_of_the_token() -> None:
    for changed in ({"sub": "Hush"}, {"aud": "hush"}, {"scope": ["hush"]}, {"name": "hush\n"}, {"exp": "hush"}):
        token = handmade(claims(**changed))
        said = refusal(token).lower()
        assert "hush" not in said
        assert token[-20:].lower() not in said
    assert "hush" not in refusal(handmade(claims(), HS256 | {"crit": ["hush"]}))


def test_issuer_is_checked_when_configured() -> None:
    rules = Auth(secret=SECRET, issuer="https://id.example")
    assert verify(handmade(claims(iss="https://id.example")), rules).user == "alice"
    for issued_by in (None, "https://id.example/", "https://id.exampl", "", ["https://id.example"], 1):
        assert refusal(handmade(claims(iss=issued_by)), rules)


def test_jti_is_required_when_configured() -> None:
    rules = Auth(secret=SECRET, require_jti=True)
    assert verify(handmade(claims(jti="a")), rules).token_id == "a"
    assert refusal(handmade(claims()), rules) == "claim jti is missing"


def test_another_claim_can_name_the_user() -> None:
    rules = Auth(secret=SECRET, user_claim="preferred_username")
    assert verify(handmade(claims(sub="8f2c-UUID", preferred_username="ann")), rules).user == "ann"
    assert refusal(handmade(claims(preferred_username=None)), rules)
    assert refusal(handmade(claims(sub=None, preferred_username="ann")), rules)
    token = Issuer(rules, SECRET).issue("ann", now_s=int(time.time()), ttl_s=60)
    assert verify(token, rules).user == "ann"


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "Ann"},
        {"user": "ann\n"},
        {"ttl_s": 0},
        {"ttl_s": -5},
        {"ttl_s": 30 * 86_400 + 1},
        {"scopes": ["chat:read", "root"]},
        {"name": ""},
        {"name": "n" * 65},
    ],
    ids=str,
)
def test_nothing_is_issued_that_would_be_refused(wrong: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"user": "ann", "now_s": int(time.time()), "ttl_s": 60} | wrong
    with pytest.raises(AuthError):
        Issuer(RULES, SECRET).issue(asked.pop("user"), **asked)


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


PRIVATE_KEYS: dict[str, Callable[[], Any]] = {
    "RS256": rsa_key,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def public_pem(private: Any) -> bytes:
    pem: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


@pytest.mark.parametrize("algorithm", PRIVATE_KEYS)
async def test_public_keys_verify_and_are_no_secrets(algorithm: str, tmp_path: Path) -> None:
    private = PRIVATE_KEYS[algorithm]()
    pem = public_pem(private)
    (tmp_path / "key.pem").write_bytes(pem)
    verifier = tokens(Settings(auth=Auth(algorithm=algorithm, key_file=str(tmp_path / "key.pem"))))  # type: ignore[arg-type]
    identity = await verifier.verify(jwt.encode(claims(), private, algorithm))
    assert identity.user == "alice"
    # The public key is known to everyone: as an HMAC secret it must prove nothing.
    for secret in (pem, pem.strip(), base64.b64decode(b"".join(pem.splitlines()[1:-1]))):
        signed = ".".join((b64(json.dumps(HS256).encode()), b64(json.dumps(claims()).encode())))
        forged = f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
        with pytest.raises(AuthError, match="not signed with the configured algorithm"):
            await verifier.verify(forged)
    other = PRIVATE_KEYS[algorithm]()
    with pytest.raises(AuthError, match="signature is wrong"):
        await verifier.verify(jwt.encode(claims(), other, algorithm))
    with pytest.raises(ConfigError, match=r"auth\.key_file: tokens for this node are signed elsewhere"):
        issuer(Settings(auth=Auth(algorithm=algorithm, key_file="key.pem")))  # type: ignore[arg-type]


async def test_without_a_key_the_node_and_its_issuer_share_a_secret_of_their_own(tmp_path: Path) -> None:
    settings = Settings(node=Node(data=str(tmp_path / "data")))
    with pytest.raises(ConfigError, match="no such folder"):
        issuer(settings)
    make_secret(tmp_path / "data")
    token = issuer(settings).issue("ann", now_s=int(time.time()), ttl_s=60)
    assert (await tokens(settings).verify(token)).user == "ann"
    make_secret(tmp_path / "other")
    elsewhere = Settings(node=Node(data=str(tmp_path / "other")))
    with pytest.raises(AuthError, match="signature is wrong"):
        await tokens(elsewhere).verify(token)


def test_a_token_can_be_looked_at_without_proof() -> None:
    header, payload = unverified(handmade({"sub": "anyone"}, secret="another secret"))
    assert header["alg"] == "HS256"
    assert payload == {"sub": "anyone"}
    for text in ("", "a.b", "\ud800", "a" * 100):
        with pytest.raises(AuthError, match="not a token"):
            unverified(text)


def test_no_token_has_the_id_of_a_used_ticket() -> None:
    """Its revocation would be taken for the use of a ticket, and end no session."""
    assert "ticket:" in refusal(handmade(claims(jti="ticket:5")))
    assert verify(handmade(claims(jti="tickets"))).token_id == "tickets"
