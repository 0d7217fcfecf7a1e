from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from gochat.auth import fetched
from gochat.auth.fetched import FetchedKeys, KeysUnavailable
from gochat.auth.tokens import JwtTokens
from gochat.config import Auth
from gochat.errors import AuthError


class Site(ThreadingHTTPServer):
    """An issuer's site: what it answers can be changed while it runs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.location = ""
        self.body = b""
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/keys"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with running() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[Site]:
    with running() as server:
        yield server


KEY, OTHER = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()


def key_set(**keys: ed25519.Ed25519PrivateKey) -> bytes:
    entries = [OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for kid, key in keys.items()]
    return json.dumps({"keys": entries}).encode()


async def test_a_token_is_verified_with_a_fetched_key(site: Site) -> None:
    site.body = key_set(a=KEY)
    tokens = JwtTokens(Auth(algorithm="EdDSA", jwks_url=site.url), FetchedKeys(site.url, "EdDSA"))
    now = int(time.time())
    claims = {"sub": "ann", "iat": now, "exp": now + 60, "aud": "gochat"}
    for _ in range(3):
        identity = await tokens.verify(jwt.encode(claims, KEY, "EdDSA", {"kid": "a"}))
        assert identity.user == "ann"
    with pytest.raises(AuthError, match="signature"):
        await tokens.verify(jwt.encode(claims, OTHER, "EdDSA", {"kid": "a"}))
    assert site.requests == 1


async def test_an_unknown_key_is_fetched_but_not_by_everyone_who_asks(site: Site) -> None:
    site.body = key_set(a=KEY)
    keys = FetchedKeys(site.url, "EdDSA", retry_s=0)
    assert await keys.find("a") == KEY.public_key()
    site.body = key_set(a=KEY, b=OTHER)
    assert await keys.find("b") == OTHER.public_key()
    assert site.requests == 2

    patient = FetchedKeys(site.url, "EdDSA", retry_s=3_600)

    async def ask(kid: str) -> None:
        with pytest.raises(AuthError, match="no key that is known"):
            await patient.find(kid)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(ask, f"forged{number}")
    assert site.requests == 3


async def test_old_keys_are_fetched_again_and_dropped(site: Site) -> None:
    site.body = key_set(a=KEY)
    keys = FetchedKeys(site.url, "EdDSA", refresh_s=0, retry_s=0)
    await keys.find("a")
    site.body = key_set(b=OTHER)
    with pytest.raises(AuthError, match="no key that is known"):
        await keys.find("a")


@pytest.mark.parametrize("failure", ["status", "redirect", "garbage", "too long", "no key", "gone"])
async def test_known_keys_go_on_while_the_site_fails(site: Site, elsewhere: Site, failure: str) -> None:
    site.body = key_set(a=KEY)
    keys = FetchedKeys(site.url, "EdDSA", refresh_s=0, retry_s=0)
    fresh = FetchedKeys(site.url, "EdDSA")
    assert await keys.find("a") == KEY.public_key()
    if failure == "status":
        site.status = 500
    elif failure == "redirect":
        elsewhere.body = key_set(b=OTHER)
        site.status, site.location = 302, elsewhere.url
    elif failure == "garbage":
        site.body = b"<html>"
    elif failure == "too long":
        site.body = key_set(b=OTHER) + b" " * fetched.MAX_BYTES
    elif failure == "no key":
        site.body = b'{"keys": []}'
    else:
        site.shutdown()
        site.server_close()
    assert await keys.find("a") == KEY.public_key()
    with pytest.raises(KeysUnavailable):
        await fresh.find("a")


async def test_a_site_that_never_answers_is_given_up() -> None:
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener[0]:
        keys = FetchedKeys(f"http://127.0.0.1:{listener[0].socket.getsockname()[1]}/", "EdDSA", timeout_s=0.1)
        with trio.fail_after(60), pytest.raises(KeysUnavailable):
            await keys.find("a")
