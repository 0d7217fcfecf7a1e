from __future__ import annotations

import json
import random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.http.messages import PeerGone, Request, Response, SendPiece, StreamedResponse
from gochat.http.shell import HttpShell
from gochat.http.wire import HttpLimits
from tests.http import wiring
from tests.http.wiring import GET, UPGRADE, serving, slotted

LIMITS = HttpLimits(head_bytes=16 * 1024, body_bytes=100, head_s=5, body_s=30, idle_s=75, write_s=30)


async def echo(request: Request) -> Response:
    """Answers with the path and the body."""
    body = b""
    while piece := await request.read_body():
        body += piece
    return Response(200, request.path.encode() + b"|" + body)


def code_of(response: wiring.Response) -> str:
    assert response.headers[b"content-type"] == b"application/problem+json"
    problem = json.loads(response.body)
    assert problem["status"] == response.status
    return str(problem["code"])


# --- requests and responses


async def test_a_connection_serves_one_request_after_another() -> None:
    async with serving(HttpShell(echo)) as client:
        for path in (b"/a", b"/b", b"/c"):
            response = await client.get(path)
            assert (response.status, response.body) == (200, path + b"|")
            assert response.headers[b"date"].endswith(b"GMT")
            assert b"connection" not in response.headers


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(HttpShell(echo)) as client:
        await client.send(b"".join(GET % path for path in (b"/a", b"/b", b"/c")))
        assert [(await client.response()).body for _ in range(3)] == [b"/a|", b"/b|", b"/c|"]


async def test_a_head_and_body_may_come_byte_by_byte() -> None:
    async with serving(HttpShell(echo)) as client:
        for byte in b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" + GET % b"/b":
            await client.send(bytes([byte]))
        assert (await client.response()).body == b"/a|body"
        assert (await client.response()).body == b"/b|"


async def test_a_chunked_body() -> None:
    async with serving(HttpShell(echo)) as client:
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
        )
        assert (await client.response()).body == b"/a|body"
        assert (await client.get(b"/b")).body == b"/b|"


@pytest.mark.parametrize(
    "head", [b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET /a HTTP/1.0\r\n\r\n"]
)
async def test_a_client_may_ask_for_the_end(head: bytes) -> None:
    async with serving(HttpShell(echo)) as client:
        await client.send(head)
        assert (await client.rest()).endswith(b"/a|")


async def test_a_client_that_says_the_end_still_gets_its_answer() -> None:
    async with serving(HttpShell(echo)) as client:
        await client.send(GET % b"/a")
        await client.stream.send_eof()  # type: ignore[attr-defined]
        assert (await client.rest()).endswith(b"/a|")


# --- what is wrong with a request


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"),
        (b"GET\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "bad_request"),
        (b"GET relative HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX", 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413, "too_large"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101, 413, "too_large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 64 * 1024, 431, "too_large"),
        (b"GET /" + b"x" * 64 * 1024, 431, "too_large"),
    ],
)
async def test_a_bad_request_is_told_so_and_the_connection_closed(
    request_bytes: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(HttpShell(echo, limits=LIMITS)) as client:
        await client.send(request_bytes)
        response = await client.response()
        assert (response.status, code_of(response)) == (status, code)
        assert response.headers[b"connection"] == b"close"
        assert await client.rest() == b""
    assert not caplog.records


async def test_half_a_request_and_then_the_end() -> None:
    async with serving(HttpShell(echo)) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost:")
        await client.stream.send_eof()  # type: ignore[attr-defined]
        await client.ended.wait()


async def deaf(request: Request) -> Response:
    return Response()


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        (b"Content-Length: 4", (b"", b"body")),
        (b"Content-Length: 4", (b"bo", b"dy")),
        (b"Content-Length: 4", (b"body", b"")),
        (b"Content-Length: 65536", (b"b", bytes(65_535))),
        (b"Transfer-Encoding: chunked", (b"2\r\nbo", b"\r\n0\r\n\r\n")),
    ],
)
async def test_a_short_body_that_no_one_reads_is_skipped_wherever_it_is_cut(
    head: bytes, parts: tuple[bytes, bytes]
) -> None:
    async with serving(HttpShell(deaf)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + parts[0])
        assert b"connection" not in (await client.response()).headers
        await client.send(parts[1] + GET % b"/")
        assert (await client.response()).status == 200


async def test_a_long_body_that_no_one_reads_ends_the_connection_after_the_response() -> None:
    async with serving(HttpShell(deaf)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\nbo")
        assert (await client.response()).headers[b"connection"] == b"close"
        await client.send(b"dy")
        assert await client.rest() == b""


async def test_chunks_that_no_one_reads_are_skipped_up_to_a_bound() -> None:
    async with serving(HttpShell(deaf)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await client.response()).status == 200
        await client.send((b"1000\r\n" + bytes(4096) + b"\r\n") * 20)
        assert await client.rest() == b""


@pytest.mark.parametrize("rest", [b"zz\r\n", b"-1\r\n"])
async def test_a_malformed_rest_of_a_body_gets_no_second_response(rest: bytes) -> None:
    async with serving(HttpShell(deaf)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await client.response()).status == 200
        await client.send(rest)
        assert await client.rest() == b""


async def test_a_peer_that_waits_to_send_a_body_that_no_one_reads_is_let_go() -> None:
    async with serving(HttpShell(deaf)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.response()).headers[b"connection"] == b"close"
        assert await client.rest() == b""


async def test_the_rest_of_a_skipped_body_must_come_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(HttpShell(deaf, limits=LIMITS), seconds=200) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nb")
        assert (await client.response()).status == 200
        start = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() - start == pytest.approx(5)


async def test_expect_100_continue() -> None:
    async with serving(HttpShell(echo)) as client:
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.response()).status == 100
        await client.send(b"body")
        assert (await client.response()).body == b"/a|body"
        assert (await client.get(b"/b")).body == b"/b|"


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent() -> None:
    async with serving(HttpShell(echo, limits=LIMITS)) as client:
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.response()).status == 413


# --- time


async def test_a_head_must_come_in_time_however_slowly_it_drips(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(HttpShell(echo, limits=LIMITS), seconds=200) as client:
        start = trio.current_time()

        async def drip() -> None:
            for byte in GET % b"/":
                await client.send(bytes([byte]))
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            assert code_of(await client.response()) == "bad_request"
            assert trio.current_time() - start == pytest.approx(5)
            nursery.cancel_scope.cancel()


async def test_one_who_never_speaks_is_not_answered(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(HttpShell(echo, limits=LIMITS), seconds=200) as client:
        start = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() - start == pytest.approx(5)


async def test_between_requests_more_time_is_given(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(HttpShell(echo, limits=LIMITS), seconds=200) as client:
        await client.get(b"/")
        await trio.sleep(74)
        assert (await client.get(b"/a")).body == b"/a|"
        start = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() - start == pytest.approx(75)


async def test_a_kept_connection_gives_a_next_head_no_more_time_than_the_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with serving(HttpShell(echo, limits=LIMITS), seconds=200) as client:
        await client.get(b"/")
        await trio.sleep(50)
        await client.send(b"GET")
        start = trio.current_time()
        assert (await client.response()).status == 408
        assert trio.current_time() - start == pytest.approx(5)


async def test_a_body_must_come_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(HttpShell(echo, limits=LIMITS), seconds=200) as client:
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nb")
        start = trio.current_time()
        await trio.sleep(20)
        await client.send(b"o")
        assert (await client.response()).status == 408
        assert trio.current_time() - start == pytest.approx(30)


async def test_one_who_reads_nothing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    class Endless(StreamedResponse):
        async def send_body(self, send: SendPiece) -> None:
            try:
                while True:
                    await send(b"x" * 1000)
            except PeerGone:
                finished.set()
                raise

    async def endless(request: Request) -> Response:
        return Endless(headers={"transfer-encoding": "chunked"})

    finished = trio.Event()
    near, far = trio.testing.lockstep_stream_pair()  # holds no byte that was not asked for
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpShell(endless, limits=LIMITS).serve, far, slotted())
        await near.send_all(GET % b"/")
        start = trio.current_time()
        with trio.fail_after(200):
            await finished.wait()
        assert trio.current_time() - start == pytest.approx(30)


# --- draining


async def test_draining_ends_those_who_wait_and_lets_the_others_finish() -> None:
    asked, answer = trio.Event(), trio.Event()

    async def slow(request: Request) -> Response:
        if request.path == "/slow":
            asked.set()
            await answer.wait()
        return Response(200, b"done")

    shell = HttpShell(slow)
    async with serving(shell) as idle, serving(shell) as busy, serving(shell) as late:
        await idle.get(b"/")
        await busy.send(GET % b"/slow")
        await asked.wait()
        await trio.testing.wait_all_tasks_blocked()
        shell.drain()
        assert await idle.rest() == b""
        answer.set()
        assert (await busy.response()).body == b"done"
        assert await busy.rest() == b""
        assert (await late.get(b"/")).headers[b"connection"] == b"close"
        assert await late.rest() == b""
    async with serving(shell) as client:
        await client.send(UPGRADE + b"\r\n")
        assert code_of(await client.response()) == "unavailable"
    assert client.upgrade is None


# --- hostile


async def test_a_peer_that_goes_away_at_any_byte_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    request = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    for length in range(len(request) + 1):
        async with serving(HttpShell(echo)) as client:
            await client.send(request[:length])
            await client.stream.aclose()
            with trio.fail_after(2):
                await client.ended.wait()
    assert not caplog.records


MUTATED = [
    GET % b"/",
    UPGRADE + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.tuples(st.sampled_from(MUTATED), st.integers(0, 2**32)).map(lambda a: mutate(*a)))
def test_any_bytes_end_in_responses_or_the_end(data: bytes) -> None:
    async def main() -> None:
        async with serving(HttpShell(echo, limits=LIMITS), seconds=200) as client:
            await client.send(data)
            await client.stream.send_eof()  # type: ignore[attr-defined]
            await client.ended.wait()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def mutate(data: bytes, seed: int) -> bytes:
    rng, mutated = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(mutated))
        mutated[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    return bytes(mutated)


# --- the server as a whole


async def test_options_of_the_server_is_a_ping() -> None:
    ask = b"OPTIONS * HTTP/1.1\r\nHost: chat.example\r\n%s\r\n"
    async with serving(HttpShell(echo, limits=LIMITS)) as client:
        for _ in range(2):
            await client.send(ask % b"")
            response = await client.response()
            assert (response.status, response.body) == (204, b"") and b"content-length" not in response.headers
        await client.send(ask % b"Content-Length: 3\r\n" + b"abc")
        assert (await client.response()).status == 204, "what comes along means nothing"
        assert (await client.get(b"/a")).body == b"/a|", "the connection goes on"
        await client.send(ask % b"Content-Length: 101\r\n")
        assert (await client.response()).status == 413


@pytest.mark.parametrize("head", [b"GET *", b"POST *", b"OPTIONS **", b"OPTIONS *?a", b"OPTIONS x"])
async def test_only_options_has_no_path(head: bytes) -> None:
    async with serving(HttpShell(echo)) as client:
        await client.send(head + b" HTTP/1.1\r\nHost: chat.example\r\n\r\n")
        response = await client.response()
        assert (response.status, code_of(response)) == (400, "bad_request")
