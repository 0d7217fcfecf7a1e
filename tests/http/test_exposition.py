from __future__ import annotations

import json
import time

import pytest

from gochat.auth.keys import OneKey
from gochat.auth.standing import Standing
from gochat.auth.tokens import Issuer, JwtTokens
from gochat.config import Auth
from gochat.domain.side_records import Suspended
from gochat.http.app import make_app
from gochat.http.exposition import Audience, metrics_routes
from gochat.http.rest.bearer import BearerAuth
from gochat.http.shell import HttpShell
from tests.http.wiring import serving

TEXT = b"# TYPE x gauge\nx 1\n"
SECRET = "s" * 32
AUTH = Auth(secret=SECRET)
CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found"}


def token(*scopes: str, user: str = "prometheus") -> str:
    return Issuer(AUTH, SECRET).issue(user, now_s=int(time.time()), ttl_s=60, scopes=scopes)


async def status(audience: Audience, text: str | None = None, peer: str = "127.0.0.1", header: str = "") -> int:
    """The status that a peer with this token gets."""
    standing = Standing([Suspended("mallory", True, None)])
    tokens = JwtTokens(AUTH, OneKey(SECRET.encode()))

    auth = BearerAuth(tokens, standing, lambda *_: None)
    shell = HttpShell(make_app(list, metrics_routes(lambda: TEXT, audience, auth)), trusted={"127.0.0.1", "10.0.0.1"})
    given = "" if text is None else f"Authorization: Bearer {text}\r\n"
    async with serving(shell, peer) as client:
        await client.send(f"GET /metrics HTTP/1.1\r\nHost: x\r\n{given}{header}\r\n".encode())
        response = await client.response()
        if response.status == 200:
            assert response.body == TEXT
            assert response.headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
            assert response.headers[b"cache-control"] == b"no-store"
        else:
            assert json.loads(response.body)["code"] == CODES[response.status]
            assert (b"www-authenticate" in response.headers) is (response.status != 404)
        return response.status


@pytest.mark.parametrize("scopes", [["metrics"], ["admin"], ["admin", "metrics", "chat:read"]])
async def test_a_token_for_it_reads(scopes: list[str]) -> None:
    assert await status("token", token(*scopes)) == 200
    assert await status("all", token(*scopes)) == 200
    assert await status("off", token(*scopes)) == 404


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "192.0.2.1", ""])
@pytest.mark.parametrize("header", ["", "X-Forwarded-For: 127.0.0.1\r\n", "Forwarded: for=127.0.0.1\r\n"])
async def test_where_one_comes_from_opens_nothing(peer: str, header: str) -> None:
    assert await status("token", None, peer, header) == 401
    assert await status("all", None, peer, header) == 200
    assert await status("off", None, peer, header) == 404


async def test_other_tokens_do_not() -> None:
    assert await status("token", token("chat:read", "chat:write", "groups:write")) == 403
    assert await status("token", "nonsense") == 401
    assert await status("token", token("metrics", user="mallory")) == 401, "a suspended user"
