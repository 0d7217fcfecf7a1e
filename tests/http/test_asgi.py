from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from gochat.http.asgi import Receive, Scope, Send
from gochat.http.shell import HttpShell
from gochat.http.wire import HttpLimits
from gochat.transports.listen import open_listeners
from tests.http.wiring import GET, leased, serving


async def text(request: Request) -> StarletteResponse:
    return PlainTextResponse("text")


async def echo(request: Request) -> StarletteResponse:
    return StarletteResponse(await request.body())


async def stream(request: Request) -> StarletteResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two", b"three"):
            yield part
            await trio.lowlevel.checkpoint()

    return StreamingResponse(parts())


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"that no one may see"})


async def crash(request: Request) -> StarletteResponse:
    raise ValueError("a secret of the server")


APP = Starlette(
    routes=[
        Route("/", text),
        Route("/echo", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/crash", crash),
    ]
)


async def test_a_streamed_response_is_whole() -> None:
    """The `done` event once came before the last send: Starlette then cut responses short."""
    async with serving(HttpShell(APP)) as client:
        for _ in range(3):
            response = await client.get(b"/stream")
            assert response.headers[b"transfer-encoding"] == b"chunked"
            assert response.body == b"onetwothree"


async def test_a_streamed_response_to_http_1_0_ends_with_the_connection() -> None:
    async with serving(HttpShell(APP)) as client:
        await client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        assert (await client.rest()).endswith(b"\r\n\r\nonetwothree")


@pytest.mark.parametrize("path", [b"/", b"/stream"])
async def test_head_is_get_without_a_body(path: bytes) -> None:
    async with serving(HttpShell(APP)) as client:
        await client.send(b"HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        head = await client._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        if path == b"/":
            assert b"content-length: 4" in head.lower()
        assert (await client.get(b"/")).body == b"text"


async def test_a_response_without_content_has_no_body() -> None:
    async with serving(HttpShell(empty)) as client:
        for _ in range(2):
            assert (await client.get(b"/"))[::2] == (204, b"")


async def test_a_body_larger_than_one_read() -> None:
    async with serving(HttpShell(APP)) as client:
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)
        assert (await client.response()).body == b"x" * 300_000


async def test_a_body_over_the_limit_is_413_though_starlette_makes_an_exception_500() -> None:
    async with serving(HttpShell(APP, limits=HttpLimits(body_bytes=100))) as client:
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101)
        assert (await client.response()).status == 413


async def test_an_exception_is_a_500_and_one_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(HttpShell(APP)) as client:
        response = await client.get(b"/crash")
        assert response.status == 500
        assert b"secret" not in response.body
        assert (await client.get(b"/")).body == b"text"
    [record] = caplog.records
    assert "GET /crash failed: ValueError at test_asgi.py:" in record.getMessage()
    assert record.exc_info is None


async def bare_crash(scope: Scope, receive: Receive, send: Send) -> None:
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def wrong_order(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.body", "body": b"x"})


async def bad_header(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]})
    await send({"type": "http.response.body", "body": b"x"})


@pytest.mark.parametrize("app", [bare_crash, silent, wrong_order, bad_header])
async def test_an_app_that_answers_nothing_right_is_a_500(app: object, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(HttpShell(app)) as client:  # type: ignore[arg-type]
        await client.send(GET % b"/")
        response = await client.response()
        assert response.status == 500
        assert json.loads(response.body)["code"] == "internal"
        assert await client.rest() == b""
    assert len(caplog.records) == 1


async def unfinished(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def too_much(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"two"})


@pytest.mark.parametrize("app", [unfinished, too_much])
async def test_a_response_that_goes_wrong_ends_the_connection(app: object, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(HttpShell(app)) as client:  # type: ignore[arg-type]
        await client.send(GET % b"/" + GET % b"/")
        assert (await client.rest()).count(b"HTTP/1.1") <= 1
    assert len(caplog.records) == 1


async def test_disconnect_is_told_after_the_response_and_not_before() -> None:
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            told.append((await receive())["type"])

        assert (await receive())["more_body"] is False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            told.append("start")
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    async with serving(HttpShell(app)) as client:
        await client.get(b"/")
        await trio.testing.wait_all_tasks_blocked()
    assert told == ["start", "http.disconnect"]


async def test_a_reset_within_the_body_is_a_disconnect_and_no_failure_of_the_app(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.set()
        while told[-1:] != ["http.disconnect"]:
            told.append((await receive())["type"])
        with pytest.raises(OSError, match="gone"):
            await send({"type": "http.response.start", "status": 200, "headers": []})

    waiting, ended = trio.Event(), trio.Event()
    [listener] = open_listeners("127.0.0.1:0")
    async with trio.open_nursery() as nursery, await trio.open_tcp_stream(*listener.getsockname()) as near:
        far = trio.SocketStream(trio.socket.from_stdlib_socket(listener.accept()[0]))
        listener.close()

        async def serve() -> None:
            assert await HttpShell(app).serve(far, leased()) is None
            await far.aclose()
            ended.set()

        nursery.start_soon(serve)
        with trio.fail_after(10):
            await near.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")
            await waiting.wait()
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await near.aclose()
            await ended.wait()
    assert told[-1] == "http.disconnect"
    assert not caplog.records


async def test_the_scope() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with serving(HttpShell(app, scheme="https", trusted={"10.0.0.1"}), peer="10.0.0.1") as client:
        await client.send(
            b"GET /caf%C3%A9%2Fx?q=%20 HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.7\r\nX-A: b\r\n\r\n"
        )
        await client.response()
    [scope] = scopes
    assert scope["path"] == "/caf\u00e9/x"
    assert scope["raw_path"] == b"/caf%C3%A9%2Fx"
    assert scope["query_string"] == b"q=%20"
    assert scope["client"] == ("198.51.100.7", 0)
    assert scope["scheme"] == "https"
    assert (b"x-a", b"b") in scope["headers"]
