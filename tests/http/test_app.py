from __future__ import annotations

import json

import pytest

from gochat.http.app import Check, make_app
from gochat.http.shell import HttpShell
from tests.http.wiring import Client, serving

WELL = [Check("store"), Check("listeners")]


def shell(checks: list[Check]) -> HttpShell:
    return HttpShell(make_app(lambda: checks))


async def test_the_index_says_where_the_socket_is() -> None:
    async with serving(shell(WELL)) as client:
        response = await client.get(b"/")
        assert response.status == 200
        assert b"/v1/ws" in response.body


async def test_livez_asks_for_nothing() -> None:
    async with serving(shell([Check("store", "gone")])) as client:
        response = await client.get(b"/livez")
        assert (response.status, response.body) == (200, b"alive\n")
        assert response.headers[b"cache-control"] == b"no-store"


async def test_readyz() -> None:
    checks = list(WELL)
    async with serving(shell(checks)) as client:
        assert (await client.get(b"/readyz"))[::2] == (200, b"ready\n")
        assert (await client.get(b"/readyz?verbose")).body == b"[+] store ok\n[+] listeners ok\nready\n"
        checks.append(Check("draining", "the node is going down"))
        assert (await client.get(b"/readyz"))[::2] == (503, b"not ready\n")
        verbose = await client.get(b"/readyz?verbose=1")
        assert verbose.status == 503
        assert b"[-] draining: the node is going down\n" in verbose.body


@pytest.mark.parametrize("path", [b"/nothing", b"/livez/", b"//livez", b"/%00"])
async def test_there_is_nothing_else(path: bytes) -> None:
    async with serving(shell(WELL)) as client:
        response = await client.get(path)
        assert response.status == 404
        assert response.headers[b"content-type"] == b"application/problem+json"
        assert json.loads(response.body) == {
            "title": "Not Found",
            "status": 404,
            "detail": "there is nothing at this path",
            "code": "not_found",
        }


async def test_a_wrong_method_is_told_the_right_ones() -> None:
    async with serving(shell(WELL)) as client:
        await client.send(b"DELETE /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        response = await client.response()
        assert response.status == 405
        assert set(response.headers[b"allow"].split(b", ")) == {b"GET", b"HEAD"}
        assert json.loads(response.body)["code"] == "bad_request"
        await still_serves(client)


async def test_a_fault_of_the_server_is_a_problem_too() -> None:
    def broken() -> list[Check]:
        raise RuntimeError("inside")

    async with serving(HttpShell(make_app(broken))) as client:
        response = await client.get(b"/readyz")
        assert response.status == 500
        assert json.loads(response.body)["code"] == "internal"
        assert b"inside" not in response.body
        await still_serves(client)


async def still_serves(client: Client) -> None:
    assert (await client.get(b"/livez")).status == 200
