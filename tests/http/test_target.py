"""Which host and path a request is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.http.messages import Request, Response
from gochat.http.problems import Problem
from gochat.http.shell import HttpShell
from gochat.http.target import headers_of, origin_form
from gochat.http.upgrade import Head
from tests.http.wiring import UPGRADE, serving

GOOD = [
    b"chat.example",
    b"chat.example:443",
    b"chat.example:",
    b"localhost",
    b"127.0.0.1:8080",
    b"[::1]",
    b"[::1]:8080",
    b"a_b.example",
    b"x",
    b"",
    b"xn--bcher-kva.example",
    b"%41.example",
]
BAD = [
    b"chat.example/", b"a b", b"a@b", b"user@chat.example", b"http://chat.example", b"[::1", b"::1", b"[::1]x", b"a:b",
    b"chat.example:99999", b"chat.example:-1", b"a?b", b"a#b", b"a\\b", b"<x>", b"b\xfccher.example", b"%zz",
    b":80", b"a:1:2", b'"a"',
]  # fmt: skip


async def app(request: Request) -> Response:
    host = request.headers.get("host", "none").encode("latin-1")
    return Response(200, host + b" " + request.raw_path + b"?" + request.query)


@pytest.mark.parametrize("host", GOOD)
async def test_a_host(host: bytes) -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
        assert (await client.response()).body == host + b" /?"


@pytest.mark.parametrize("host", BAD)
@pytest.mark.parametrize("upgrade", [False, True])
async def test_what_is_no_host_is_refused_on_every_way_in(host: bytes, upgrade: bool) -> None:
    head = UPGRADE.replace(b"chat.example", host) if upgrade else b"GET / HTTP/1.1\r\nHost: %s\r\n" % host
    async with serving(HttpShell(app)) as client:
        await client.send(head + b"\r\n")
        response = await client.response()
        assert response.status == 400
        assert b"Host" in response.body


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        (b"http://chat.example/a?b", b"chat.example /a?b"),
        (b"http://chat.example", b"chat.example /?"),
        (b"https://chat.example:8443?b", b"chat.example:8443 /?b"),
        (b"HTTP://[::1]:80/", b"[::1]:80 /?"),
        (b"/x?u=http://evil.example/", b"other.example /x?u=http://evil.example/"),
    ],
)
async def test_a_target_that_is_a_url_names_the_host(target: bytes, seen: bytes) -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(b"GET %s HTTP/1.1\r\nHost: other.example\r\n\r\n" % target)
        assert (await client.response()).body == seen


NO_TARGETS = [b"http:///a", b"http://u@h/a", b"http://a b/", b"http://h:x/", b"ftp://h/", b"*x", b"h:1"]


@pytest.mark.parametrize("target", NO_TARGETS)
async def test_a_target_that_names_no_host_or_path_is_refused(target: bytes) -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(b"GET %s HTTP/1.1\r\nHost: other.example\r\n\r\n" % target)
        assert (await client.response()).status == 400


async def test_the_host_of_an_upgrade_is_that_of_its_target() -> None:
    head = UPGRADE.replace(b"/v1/ws", b"http://chat.example/v1/ws?x").replace(b"Host: chat", b"Host: other")
    async with serving(HttpShell(app)) as client:
        await client.send(head + b"\r\n")
        await client.ended.wait()
        assert client.upgrade is not None
        assert (client.upgrade.fields[b"host"], client.upgrade.target) == ([b"chat.example"], "/v1/ws?x")


@given(st.binary(), st.binary())
def test_any_bytes_are_judged(target: bytes, host: bytes) -> None:
    try:
        headers = headers_of(Head(b"GET", target, [(b"host", host)], b"1.1"))
    except Problem as problem:
        assert problem.status == 400
    else:
        assert len(headers) == 1
    assert isinstance(origin_form(target), bytes)
