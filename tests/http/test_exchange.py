from __future__ import annotations

import json
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest
import trio

from gochat.http.messages import Headers, Request, Response, SendPiece, StreamedResponse
from gochat.http.problems import CutShort
from gochat.http.router import Route, Router
from gochat.http.shell import HttpShell
from gochat.http.wire import HttpLimits
from gochat.transports.listen import open_listeners
from tests.http.wiring import GET, serving, slotted

TEXT = "text/plain; charset=utf-8"
CHUNKED = {"transfer-encoding": "chunked"}


class Streamed(StreamedResponse):
    """Sends `pieces`, and then does what it is told. Says how often it was closed."""

    def __init__(self, *pieces: bytes, then: Exception | None = None, headers: dict[str, str] = CHUNKED) -> None:
        super().__init__(headers=headers)
        self._pieces = pieces
        self._then = then
        self.closed = 0

    async def send_body(self, send: SendPiece) -> None:
        for piece in self._pieces:
            await send(piece)
            await trio.lowlevel.checkpoint()
        if self._then is not None:
            raise self._then

    def close(self) -> None:
        self.closed += 1


async def text(request: Request) -> Response:
    return Response(200, b"text", media_type=TEXT)


async def echo(request: Request) -> Response:
    body = b""
    while piece := await request.read_body():
        body += piece
    return Response(200, body)


async def stream(request: Request) -> Response:
    return Streamed(b"one", b"two", b"three")


async def empty(request: Request) -> Response:
    return Response(204, b"that no one may see")


async def crash(request: Request) -> Response:
    raise ValueError("a secret of the server")


APP = Router(
    [
        Route("/", text),
        Route("/echo", echo, ("POST",)),
        Route("/stream", stream),
        Route("/crash", crash),
    ]
)


async def test_a_streamed_response_is_whole() -> None:
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


async def test_a_body_over_the_limit_is_413_in_the_middle_of_a_handler() -> None:
    async with serving(HttpShell(APP, limits=HttpLimits(body_bytes=100))) as client:
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101)
        assert (await client.response()).status == 413


async def test_a_body_has_an_end_that_may_be_read_again() -> None:
    async def twice(request: Request) -> Response:
        assert await request.read_body() == b"body"
        assert [await request.read_body() for _ in range(2)] == [b"", b""]
        return Response()

    async with serving(HttpShell(twice)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        assert (await client.response()).status == 200


async def test_an_exception_is_a_500_and_one_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(HttpShell(APP)) as client:
        response = await client.get(b"/crash")
        assert response.status == 500
        assert b"secret" not in response.body
        assert (await client.get(b"/")).body == b"text"
    [record] = caplog.records
    assert "GET /crash failed: ValueError at test_exchange.py:" in record.getMessage()
    assert record.exc_info is None


async def several(request: Request) -> Response:
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


async def nothing(request: Request) -> Response:
    return None  # type: ignore[return-value]


async def bad_header(request: Request) -> Response:
    return Response(200, b"x", headers={"a": "b\r\nc: d"})


@pytest.mark.parametrize("handler", [several, nothing, bad_header])
async def test_a_handler_that_gives_no_response_is_a_500(
    handler: Callable[[Request], Awaitable[Response]], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(HttpShell(handler)) as client:
        await client.send(GET % b"/")
        response = await client.response()
        assert response.status == 500
        assert json.loads(response.body)["code"] == "internal"
    assert len(caplog.records) == 1


WRONG = {
    "unfinished": lambda: Streamed(b"half", headers={"content-length": "9"}),
    "too much": lambda: Streamed(b"two", headers={"content-length": "1"}),
    "broken": lambda: Streamed(b"half", then=ValueError("in the middle")),
    "cut short": lambda: Streamed(b"half", then=CutShort("on purpose")),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_response_that_goes_wrong_ends_the_connection(wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    response = WRONG[wrong]()

    async def handler(request: Request) -> Response:
        return response

    async with serving(HttpShell(handler)) as client:
        await client.send(GET % b"/" + GET % b"/")
        answer = await client.rest()
        assert answer.count(b"HTTP/1.1") == 1
        assert b"\r\n0\r\n\r\n" not in answer, "it does not look whole"
    assert [record.levelname for record in caplog.records] == ["INFO" if wrong == "cut short" else "ERROR"]
    assert response.closed == 1


async def test_a_stream_that_fails_before_its_first_piece_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    response = Streamed(then=OSError("the disk is gone"), headers={"content-length": "9"})

    async def handler(request: Request) -> Response:
        return response

    async with serving(HttpShell(handler)) as client:
        answer = await client.get(b"/")
        assert answer.status == 500 and b"disk" not in answer.body
    assert len(caplog.records) == response.closed == 1


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_streamed_response_is_closed_however_it_ends(method: bytes) -> None:
    responses: list[Streamed] = []

    async def handler(request: Request) -> Response:
        responses.append(Streamed(b"x" * 1000, headers={"content-length": "1000"}))
        return responses[-1]

    async with serving(HttpShell(handler)) as client:
        await client.send(b"%s / HTTP/1.1\r\nHost: x\r\n\r\n" % method)
        await client.response(body=method == b"GET")
        await client.get(b"/")
    assert [response.closed for response in responses] == [1, 1]


async def test_a_reset_within_the_body_is_no_failure_of_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    pieces: list[bytes] = []

    async def handler(request: Request) -> Response:
        waiting.set()
        while True:
            pieces.append(await request.read_body())

    waiting, ended = trio.Event(), trio.Event()
    [listener] = open_listeners("127.0.0.1:0")
    async with trio.open_nursery() as nursery, await trio.open_tcp_stream(*listener.getsockname()) as near:
        far = trio.SocketStream(trio.socket.from_stdlib_socket(listener.accept()[0]))
        listener.close()

        async def serve() -> None:
            assert await HttpShell(handler).serve(far, slotted()) is None
            await far.aclose()
            ended.set()

        nursery.start_soon(serve)
        with trio.fail_after(60):
            await near.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")
            await waiting.wait()
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await near.aclose()
            await ended.wait()
    assert b"".join(pieces) in (b"", b"body"), "a body that was cut off has no end"
    assert not caplog.records


async def test_the_request() -> None:
    requests: list[Request] = []

    async def handler(request: Request) -> Response:
        requests.append(request)
        return Response()

    async with serving(HttpShell(handler, trusted={"10.0.0.1"}), peer="10.0.0.1") as client:
        await client.send(
            b"GET /caf%C3%A9%2Fx?q=%20 HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.7\r\nX-A: b\r\nx-a: c\r\n\r\n"
        )
        await client.response()
        assert requests[0].slot is client.slot
    [request] = requests
    assert request.path == "/caf\u00e9/x"
    assert request.raw_path == b"/caf%C3%A9%2Fx"
    assert request.query == b"q=%20"
    assert request.client == "198.51.100.7"
    assert request.headers.get_all("x-a") == ["b", "c"]


def test_headers() -> None:
    headers = Headers([(b"a", b"1"), (b"b", b"\xe9"), (b"a", b"2")])
    assert (headers.get("a"), headers.get_all("a")) == ("1", ["1", "2"])
    assert (headers.get("b"), headers.get("c"), headers.get("c", "x")) == ("\xe9", "", "x")
    assert "a" in headers and "c" not in headers and headers.get_all("c") == []


def test_a_response_names_its_length_and_type_once() -> None:
    assert Response(200, b"abc", media_type=TEXT).fields() == [
        (b"content-length", b"3"),
        (b"content-type", TEXT.encode()),
    ]
    assert Response(304, headers={"etag": '"a"'}).fields() == [(b"etag", b'"a"')]
    assert Response(200, headers={"content-length": "9"}).fields() == [(b"content-length", b"9")]
