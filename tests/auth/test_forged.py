"""Hundreds of forged and odd tokens: refused by the verifier, and by every door of a running node."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gochat.auth.keys import OneKey
from gochat.auth.tokens import JwtTokens, tokens
from gochat.config import Auth, Settings
from gochat.errors import AuthError
from gochat.http.rest import bearer
from gochat.node import Node, running
from tests.auth.forged import HS256, forged, good_claims, signed
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer, WsPeer
from tests.http.rest.client import Rest

SECRET = "correct horse battery staple, twice over"
NOW = int(time.time())
FORGED = forged(SECRET, NOW)
#: The longest text that passes a header, and a frame, to be judged as a token at all.
MOST_CHARS = 5_000
#: One of so many is tried on each door.
EACH = 5


def told_of(token: str, text: str) -> bool:
    """Whether a part of the token stands in the text."""
    return any(len(part) >= 12 and part in text for part in token.split("."))


async def accepted_of(verifier: JwtTokens) -> list[str]:
    """Those that the verifier lets pass. Its errors about the others are checked."""
    accepted = []
    for name, token in FORGED.items():
        try:
            await verifier.verify(token)
            accepted.append(name)
        except AuthError as error:
            assert not told_of(token, str(error)), name
            assert len(str(error)) < 300, name
    return accepted


def test_there_are_hundreds_and_no_two_are_alike() -> None:
    assert len(set(FORGED.values())) == len(FORGED) > 500


async def test_what_they_are_made_from_is_good() -> None:
    verifier = JwtTokens(Auth(secret=SECRET), OneKey(SECRET.encode()))
    assert (await verifier.verify(signed(HS256, good_claims(NOW), SECRET))).user == "alice"


async def test_each_is_refused() -> None:
    verifier = JwtTokens(Auth(secret=SECRET), OneKey(SECRET.encode()))
    assert await accepted_of(verifier) == []


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_is_no_secret(algorithm: str, tmp_path: Path) -> None:
    """Whatever form of the public key is taken for an HMAC's secret."""
    private: Any = {
        "RS256": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[algorithm]()
    public = private.public_key()
    pem = public.public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    verifier = tokens(Settings(auth=Auth(algorithm=algorithm, key_file=str(tmp_path / "key.pem"))))  # type: ignore[arg-type]
    claims = good_claims(NOW)
    assert (await verifier.verify(jwt.encode(claims, private, algorithm))).user == "alice"
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(public)
    forms = [
        pem, pem.strip(), pem + b"\n", pem.replace(b"\n", b"\r\n"), b"".join(pem.splitlines()),
        public.public_bytes(ser.Encoding.DER, ser.PublicFormat.SubjectPublicKeyInfo), base64.b64encode(pem),
        jwk.encode(), json.dumps(json.loads(jwk), sort_keys=True).encode(), b"",
    ]  # fmt: skip
    number = 0
    for key in forms:
        for alg, digest in ("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"), (algorithm, "sha256"):
            for header in ({"alg": alg}, {"alg": alg, "jwk": json.loads(jwk)}):
                number += 1
                with pytest.raises(AuthError):
                    await verifier.verify(signed(header, claims, key, digest))
    assert number == 80
    assert await accepted_of(verifier) == []


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """It lets one address show many bad tokens at once: how long a guesser waits is tested elsewhere."""
    monkeypatch.setattr(bearer, "REFUSED_BURST", 10_000)
    async with running(make_settings(tmp_path / "data", auth={"secret": SECRET})) as running_node:
        yield running_node


def sample(start: int) -> dict[str, str]:
    """Other ones for each door."""
    fit = {name: token for name, token in FORGED.items() if token and len(token) < MOST_CHARS}
    chosen = {name: token for name, token in list(fit.items())[start::EACH] if "\ud800" not in token}
    assert len(chosen) > 80
    return chosen


@pytest.mark.parametrize("transport", ["tcp", "ws"])
async def test_sockets_refuse_them(
    transport: str, node: Node, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    for name, token in sample(["tcp", "ws"].index(transport)).items():
        peer = await Peer.open(node, transport, nursery)
        reply = await peer.ask("hello", token=token)
        assert (reply["type"], reply["code"]) == ("error", "unauthorized"), (name, reply)
        assert not told_of(token, json.dumps(reply)), name
        assert await peer.closed() == 4500, name
        await peer.aclose()
    await _unharmed(node, nursery, caplog)


async def test_rest_refuses_them(node: Node, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    tried = 0
    for name, token in sample(2).items():
        if not (token.isascii() and token.isprintable()) or token != token.strip():
            continue  # No header can carry it.
        tried += 1
        rest = Rest(node, token)
        answer = await rest.get("/v1/me")
        assert answer.refusal == (401, "unauthorized"), name
        assert "www-authenticate" in answer.headers
        assert not told_of(token, answer.body.decode() + str(answer.headers)), name
        await rest.aclose()
    assert tried > 60
    await _unharmed(node, nursery, caplog)


async def test_handshakes_refuse_them(node: Node, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    """A token in the handshake of a WebSocket stands in for that of hello."""
    tried = 0
    for name, token in sample(3).items():
        if not (token.isascii() and token.isprintable()) or token != token.strip():
            continue
        tried += 1
        headers = [("Authorization", f"Bearer {token}")]
        peer = await WsPeer.connect(nursery, node, ["gochat.v1.json"], extra_headers=headers)
        reply = await peer.ask("hello")
        assert reply["code"] == "unauthorized", (name, reply)
        assert not told_of(token, json.dumps(reply)), name
        assert await peer.closed() == 4500, name
        await peer.aclose()
    assert tried > 60
    await _unharmed(node, nursery, caplog)


async def _unharmed(node: Node, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing crashed, nothing of a token is in the log, and a good one is let in."""
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
    assert not any(told_of(token, caplog.text) for token in FORGED.values())
    peer = await Peer.open(node, "tcp", nursery)
    assert (await peer.ask("hello", token=signed(HS256, good_claims(NOW), SECRET)))["type"] == "welcome"
    await peer.aclose()
