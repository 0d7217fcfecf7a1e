"""Pages of other origins: REST with CORS, and WebSockets that say why they are refused."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator

import pytest
import trio

from gochat.http import cors
from gochat.http.describe import openapi
from gochat.http.rest.table import OPERATIONS
from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import address
from tests.http.wiring import Client, Response
from tests.tokens import issue

PAGE = "https://chat.example"


@pytest.fixture
async def node(start: Start) -> AsyncIterator[Node]:
    async with start(http={"origins": [PAGE, "https://other.example:8443"]}) as running_node:
        yield running_node


async def ask(node: Node, method: str, path: str, body: object = None, **headers: str) -> Response:
    """One request on a connection of its own; `_` in the name of a header stands for `-`."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"Content-Length: {len(data)}"] if data else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    async with await trio.open_tcp_stream(*address(node, "http")) as stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode() + data)
        with trio.fail_after(25):
            return await Client(stream).response(body=method != "HEAD")


def allowed(response: Response) -> str | None:
    """The origin that may read the response."""
    assert b"access-control-allow-credentials" not in response.headers
    assert response.headers[b"vary"].lower() == b"origin"
    return response.headers.get(b"access-control-allow-origin", b"").decode() or None


async def preflight(node: Node, path: str, origin: str, method: str = "POST") -> Response:
    return await ask(
        node,
        "OPTIONS",
        path,
        Origin=origin,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers="authorization,content-type",
    )


async def test_a_listed_page_may_use_all_of_rest(node: Node) -> None:
    for operation in OPERATIONS:
        answer = await preflight(node, operation.path.replace("{", "").replace("}", ""), PAGE, operation.method)
        assert (answer.status, allowed(answer)) == (204, PAGE)
        assert operation.method in answer.headers[b"access-control-allow-methods"].decode().split(", ")
        heeded = answer.headers[b"access-control-allow-headers"].decode().split(", ")
        assert {"Authorization", "Content-Type", *operation.headers} <= set(heeded)


async def test_its_answers_can_be_read_whatever_they_are(node: Node) -> None:
    bearer = f"Bearer {issue(node, 'ann')}"
    kind = "application/json"
    message = {"to": "user:ann", "body": "hi"}
    sent = await ask(node, "POST", "/v1/messages", message, Origin=PAGE, Authorization=bearer, Content_Type=kind)
    assert (sent.status, allowed(sent)) == (201, PAGE)
    exposed = sent.headers[b"access-control-expose-headers"].decode().split(", ")
    assert {"ETag", "Location", "Retry-After", "Link", "Idempotent-Replayed"} <= set(exposed)
    for status, answer in [
        (200, await ask(node, "GET", "/v1/me", Origin=PAGE, Authorization=bearer)),
        (200, await ask(node, "HEAD", "/v1/me", Origin=PAGE, Authorization=bearer)),
        (200, await ask(node, "GET", "/v1/openapi.json", Origin=PAGE)),
        (401, await ask(node, "GET", "/v1/me", Origin=PAGE)),
        (404, await ask(node, "GET", "/v1/none", Origin=PAGE)),
        (405, await ask(node, "PUT", "/v1/me", Origin=PAGE, Authorization=bearer)),
        (415, await ask(node, "POST", "/v1/messages", message, Origin=PAGE, Authorization=bearer)),
        (413, await ask(node, "POST", "/v1/messages", Origin=PAGE, Content_Length=str(2 << 20))),
        (400, await ask(node, "GET", "http://u@h/v1/me", Origin=PAGE)),
    ]:
        assert (answer.status, allowed(answer)) == (status, PAGE)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://chat.example.evil.example",
        "http://chat.example",
        "*",
        "",
        "https://chat.example:444",
        "https://chat.example, https://chat.example",
    ],
)
async def test_other_pages_may_read_nothing_and_learn_why(node: Node, origin: str) -> None:
    refused = await preflight(node, "/v1/messages", origin)
    assert (refused.status, allowed(refused)) == (403, None)
    assert b"http.origins" in refused.body
    bearer = f"Bearer {issue(node, 'ann')}"
    answer = await ask(node, "GET", "/v1/me", Origin=origin, Authorization=bearer)
    assert (answer.status, allowed(answer)) == (200, None), "the browser keeps it from the page"


async def test_two_origins_are_none(node: Node) -> None:
    answer = await ask(node, "GET", "/v1/me", Origin=PAGE, origin=PAGE)
    assert allowed(answer) is None


async def test_origins_are_compared_as_origins(node: Node) -> None:
    for origin in "https://CHAT.example:443", "https://other.example:8443":
        answer = await preflight(node, "/v1/messages", origin)
        assert (answer.status, allowed(answer)) == (204, origin)


async def test_beside_rest_there_is_nothing_for_other_pages(node: Node) -> None:
    for path in "/livez", "/", "/docs", "/metrics":
        answer = await ask(node, "GET", path, Origin=PAGE)
        assert b"access-control-allow-origin" not in answer.headers
        assert (await preflight(node, path, PAGE)).status == 405


async def test_without_listed_origins_there_is_no_cors(start: Start) -> None:
    async with start() as node:
        assert (await preflight(node, "/v1/me", PAGE)).status == 405
        assert b"vary" not in (await ask(node, "GET", "/v1/me", Origin=PAGE)).headers


def test_the_headers_are_those_of_the_document() -> None:
    assert set(cors.HEEDED) == {"Authorization", "Content-Type", *openapi._HEADERS}
    assert set(cors.EXPOSED) == set(openapi._TOLD)
    assert {operation.method for operation in OPERATIONS} | {"HEAD"} == set(cors.METHODS)


# ---------------------------------------------------------------------------------------------- WebSockets


async def upgrade(node: Node, **headers: str) -> Response:
    return await ask(
        node,
        "GET",
        "/v1/ws",
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
        **headers,
    )


async def test_a_refused_origin_is_told_with_the_setting_and_both_values(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy's default Host, say, which is not the one that the browser asked for."""
    for _ in range(3):
        refused = await upgrade(node, Origin="https://chat.elsewhere.example")
        assert refused.status == 403
        for part in b"http.origins", b"'https://chat.elsewhere.example'", b"'127.0.0.1'", b"Host", b"Origin":
            assert part in refused.body
    [record] = [record for record in caplog.records if "http.origins" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert "'https://chat.elsewhere.example'" in record.getMessage() and "'127.0.0.1'" in record.getMessage()


async def test_what_a_header_said_is_not_repeated_without_end(node: Node) -> None:
    refused = await upgrade(node, Origin="x" * 5_000)
    assert refused.status == 403
    assert len(refused.body) < 1_000


@pytest.mark.parametrize("offered", ["bearer.T", "bearer.T, bearer.U", "chat", "chat, bearer.T"])
async def test_an_offer_without_a_subprotocol_of_ours_is_refused_with_what_would_do(node: Node, offered: str) -> None:
    refused = await upgrade(node, Sec_WebSocket_Protocol=offered)
    assert refused.status == 400
    assert b"gochat.v1.json or gochat.v1.msgpack" in refused.body
    assert (b"bearer.T" in refused.body) == ("bearer" in offered)
    for token in b"bearer.U", b'"T"':
        assert token not in refused.body


async def test_no_offer_and_one_beside_a_token_are_taken(node: Node) -> None:
    assert (await upgrade(node)).status == 101
    taken = await upgrade(node, Sec_WebSocket_Protocol="bearer.T, gochat.v1.msgpack")
    assert (taken.status, taken.headers[b"sec-websocket-protocol"]) == (101, b"gochat.v1.msgpack")
