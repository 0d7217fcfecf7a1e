from __future__ import annotations

import json

import pytest

from gochat.http.app import make_app
from gochat.http.exposition import Audience, metrics_routes
from gochat.http.shell import HttpShell
from tests.http.wiring import serving

TEXT = b"# TYPE x gauge\nx 1\n"
PROXIES = {"127.0.0.1", "10.0.0.1"}


async def status(audience: Audience, peer: str, header: bytes = b"") -> int:
    shell = HttpShell(make_app(list, metrics_routes(lambda: TEXT, audience)), trusted=PROXIES)
    async with serving(shell, peer) as client:
        await client.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n%s\r\n" % header)
        response = await client.response()
        if response.status == 200:
            assert response.body == TEXT
            assert response.headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
            assert response.headers[b"cache-control"] == b"no-store"
        else:
            assert json.loads(response.body)["code"] == {403: "forbidden", 404: "not_found"}[response.status]
        return response.status


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_may_read(peer: str) -> None:
    assert await status("loopback", peer) == 200
    assert await status("all", peer) == 200
    assert await status("off", peer) == 404


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", ""])
async def test_others_only_if_all_may(peer: str) -> None:
    assert await status("loopback", peer) == 403
    assert await status("all", peer) == 200
    assert await status("off", peer) == 404


@pytest.mark.parametrize(
    "header",
    [
        b"X-Forwarded-For: 192.0.2.1\r\n",
        b"X-Forwarded-For: 127.0.0.1\r\n",
        b"X-Forwarded-For: 127.0.0.1, 192.0.2.1\r\n",
        b"X-Forwarded-For: unknown\r\n",
        b"Forwarded: for=192.0.2.1\r\n",
        b"Via: 1.1 proxy\r\n",
        b"X-Real-IP: 192.0.2.1\r\n",
    ],
)
async def test_a_proxy_on_this_machine_opens_nothing(header: bytes) -> None:
    assert await status("loopback", "127.0.0.1", header) == 403
    assert await status("loopback", "127.0.0.2", header) == 403
    assert await status("all", "127.0.0.1", header) == 200


async def test_a_far_peer_can_not_claim_to_be_near() -> None:
    assert await status("loopback", "10.0.0.1", b"X-Forwarded-For: 127.0.0.1\r\n") == 403
    assert await status("loopback", "192.0.2.1", b"X-Forwarded-For: ::1\r\n") == 403
