"""Nodes ask each other over HTTP; whoever does not know the secret is told nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gochat.cluster.signing import ANSWER, MOST_OFF_MS, Signer
from gochat.errors import GochatError, UnderWay
from gochat.http.internal import MOST_BYTES, internal_routes
from gochat.http.messages import Headers, Response
from gochat.http.router import Router

NOW = 1_000_000_000_000
PATH = "/internal/state"


def signer(secret: str = "s" * 32, now_ms: int = NOW) -> Signer:
    return Signer(secret, lambda: now_ms)


class Asked:
    """A request as the router sees it."""

    def __init__(self, path: str, headers: Mapping[str, str], body: bytes, method: str = "POST") -> None:
        self.path = path
        self.method = method
        self.segments: Mapping[str, str] = {}
        self.headers = Headers([(name.encode(), value.encode()) for name, value in headers.items()])
        self.pieces = [body]
        self.read = 0

    async def read_body(self) -> bytes:
        piece = self.pieces.pop() if self.pieces else b""
        self.read += len(piece)
        return piece


async def ask(asked: Asked) -> Response:
    async def state(body: bytes) -> bytes:
        if body == b"fail":
            raise GochatError("not now")
        if body == b"later":
            raise UnderWay("it goes on")
        return b"answer to " + body

    return await Router(internal_routes({PATH: state}, signer()))(asked)  # type: ignore[arg-type]


def signed(body: bytes = b"body", by: Signer | None = None, time_ms: int = NOW) -> dict[str, str]:
    return {"x-gochat-time": str(time_ms), "x-gochat-mac": (by or signer()).sign("POST", PATH, time_ms, body)}


async def test_a_node_is_answered_and_can_tell_that_a_node_answered() -> None:
    response = await ask(Asked(PATH, signed(), b"body"))
    assert (response.status, response.body) == (200, b"answer to body")
    assert signer().is_signed(ANSWER, PATH, str(NOW), response.body, response.headers["x-gochat-mac"])
    assert not signer("t" * 32).is_signed(ANSWER, PATH, str(NOW), response.body, response.headers["x-gochat-mac"])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"body"),
        (signed(by=signer("t" * 32)), b"body"),
        (signed(), b"other"),
        (signed(time_ms=NOW - MOST_OFF_MS - 1), b"body"),
        (signed(time_ms=NOW + MOST_OFF_MS + 1), b"body"),
        ({**signed(), "x-gochat-time": str(NOW + 1)}, b"body"),
        ({**signed(), "x-gochat-time": "now"}, b"body"),
        ({**signed(), "x-gochat-mac": "é"}, b"body"),
        (signed(bytes(MOST_BYTES + 1)), bytes(MOST_BYTES + 1)),
    ],
)
async def test_others_are_told_nothing(headers: dict[str, str], body: bytes) -> None:
    response = await ask(Asked(PATH, headers, body))
    assert response.status == 403
    assert b"answer" not in response.body


async def test_a_stranger_costs_no_reading_of_a_body() -> None:
    asked = Asked(PATH, {}, b"body")
    await ask(asked)
    assert asked.read == 0


async def test_a_signature_is_for_one_method_and_path() -> None:
    mac = signer().sign("POST", PATH, NOW, b"")
    assert signer().is_signed("POST", PATH, str(NOW), b"", mac)
    assert not signer().is_signed("GET", PATH, str(NOW), b"", mac)
    assert not signer().is_signed("POST", "/internal/forget", str(NOW), b"", mac)


async def test_a_failure_is_told_to_the_node_that_asked() -> None:
    response = await ask(Asked(PATH, signed(b"fail"), b"fail"))
    assert response.status == 503 and b"not now" in response.body


async def test_what_is_under_way_is_told_with_a_signature() -> None:
    response = await ask(Asked(PATH, signed(b"later"), b"later"))
    assert (response.status, response.body) == (202, b"it goes on")
    assert signer().is_answer(PATH, NOW, response.body, response.headers["x-gochat-mac"])


async def test_other_methods_are_refused() -> None:
    assert (await ask(Asked(PATH, signed(), b"body", "GET"))).status == 405
