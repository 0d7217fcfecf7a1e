from __future__ import annotations

import gc

import h11
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from gochat.http.messages import Request, Response
from gochat.http.shell import HttpShell
from gochat.http.target import origin_form
from gochat.http.upgrade import Head, Upgrade, plain_upgrade
from tests.http.wiring import GET, UPGRADE, Client, serving


async def app(request: Request) -> Response:
    """The one handler here: says that it was asked."""
    return Response(200, b"ok")


async def upgraded(client: Client) -> Upgrade:
    await client.ended.wait()
    assert client.upgrade is not None
    return client.upgrade


async def test_an_upgrade_is_returned_with_all_that_came_and_nothing_answered() -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(UPGRADE + b"Origin: http://chat.example\r\nX-A: 1\r\nX-A: 2\r\n\r\n\x81\x80abcd")
        upgrade = await upgraded(client)
        assert upgrade.target == "/v1/ws"
        assert upgrade.client == "192.0.2.1"
        assert upgrade.trailing == b"\x81\x80abcd"
        assert upgrade.header(b"origin") == "http://chat.example"
        assert upgrade.header(b"x-a") == "1, 2"
        assert upgrade.header(b"authorization") is None
        with trio.move_on_after(0.01) as nothing:
            await client.stream.receive_some()
        assert nothing.cancelled_caught


async def test_an_upgrade_on_a_kept_alive_connection_byte_by_byte() -> None:
    async with serving(HttpShell(app)) as client:
        assert (await client.get(b"/")).body == b"ok"
        assert (await client.get(b"/other")).body == b"ok"
        for byte in UPGRADE + b"\r\n":
            await client.send(bytes([byte]))
        assert (await upgraded(client)).trailing == b""


async def test_an_upgrade_behind_pipelined_requests() -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(GET % b"/" + GET % b"/" + UPGRADE + b"\r\ntrailing")
        assert (await client.response()).body == b"ok"
        assert (await client.response()).body == b"ok"
        assert (await upgraded(client)).trailing == b"trailing"


async def test_the_client_behind_a_trusted_proxy_is_named() -> None:
    async with serving(HttpShell(app, trusted={"10.0.0.1"}), peer="10.0.0.1") as client:
        await client.send(UPGRADE + b"X-Forwarded-For: 198.51.100.7\r\n\r\n")
        assert (await upgraded(client)).client == "198.51.100.7"


async def test_after_an_upgrade_nothing_of_http_is_left() -> None:
    def living() -> list[object]:
        return [item for item in gc.get_objects() if type(item).__module__.partition(".")[0] == "h11"]

    gc.collect()
    gc.disable()
    try:
        before = len([item for item in living() if isinstance(item, h11.Connection | h11.Request)])
        async with serving(HttpShell(app)) as client:
            await client.get(b"/")
            await client.send(UPGRADE + b"\r\n")
            await upgraded(client)
            assert len([item for item in living() if isinstance(item, h11.Connection | h11.Request)]) == before
    finally:
        gc.enable()


async def test_what_the_client_offers_and_the_key_are_read() -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(
            UPGRADE.replace(b"chat.example", b"a..b" + b"x" * 64)  # no domain name
            + b"Authorization: Bearer s3cret\r\nSec-WebSocket-Protocol: bearer.s3cret\r\n"
            + b"Sec-WebSocket-Protocol: gochat.v1.json,gochat.v1.msgpack\r\nX-Latin: \xe9\r\n\r\n"
        )
        upgrade = await upgraded(client)
    assert list(upgrade.subprotocols()) == ["bearer.s3cret", "gochat.v1.json", "gochat.v1.msgpack"]
    assert upgrade.key == b"dGhlIHNhbXBsZSBub25jZQ=="


def change(old: bytes, new: bytes) -> bytes:
    assert old in UPGRADE
    return UPGRADE.replace(old, new)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (change(b"Version: 13", b"Version: 8"), 426),
        (change(b"Version: 13", b"Version: 13\r\nSec-WebSocket-Version: 8"), 426),
        (change(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
        (change(b"Upgrade: websocket\r\n", b""), 426),
        (change(b"Upgrade: websocket", b"Upgrade: h2c"), 426),
        (change(b"Connection: Upgrade", b"Connection: keep-alive"), 400),
        (change(b"Connection: Upgrade\r\n", b""), 400),
        (change(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZQ=="), 400),
        (change(b"dGhlIHNhbXBsZSBub25jZQ==", b"!" * 24), 400),
        (change(b"dGhlIHNhbXBsZSBub25jZQ==", b"\xe9" * 24), 400),
        (change(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
        (UPGRADE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400),
        (UPGRADE + b"Content-Length: 5\r\n", 400),
        (UPGRADE + b"Transfer-Encoding: chunked\r\n", 400),
        (change(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (change(b"GET", b"POST"), 405),
        (change(b"Host: chat.example\r\n", b""), 400),
    ],
)
async def test_what_is_no_handshake_is_refused(request_head: bytes, status: int) -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(request_head + b"\r\n")
        response = await client.response()
        assert response.status == status
        assert response.headers[b"connection"].lower() in (b"close", b"upgrade")
        if status == 426:
            assert response.headers[b"sec-websocket-version"] == b"13"
            assert response.headers[b"upgrade"] == b"websocket"
        assert await client.rest() == b""
    assert client.upgrade is None


@pytest.mark.parametrize(
    "request_head",
    [
        change(b"Upgrade: websocket", b"Upgrade: WebSocket"),
        change(b"Connection: Upgrade", b"Connection: keep-alive, UPGRADE"),
        change(b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: upgrade"),
        change(b"/v1/ws", b"/v1/ws?x=1"),
        change(b"/v1/ws", b"http://chat.example/v1/ws"),
        UPGRADE + b"Content-Length: 0\r\n",
    ],
)
async def test_what_the_rfc_allows_is_taken(request_head: bytes) -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(request_head + b"\r\n")
        assert (await upgraded(client)).key == b"dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    "head", [change(b"/v1/ws", b"/v1/wsx"), change(b"Upgrade: websocket", b"Upgrade: h2c").replace(b"/v1/ws", b"/")]
)
async def test_an_upgrade_that_is_not_ours_is_a_request_like_any_other(head: bytes) -> None:
    async with serving(HttpShell(app)) as client:
        await client.send(head + b"\r\n")
        assert (await client.response()).body == b"ok"
        assert (await client.get(b"/")).body == b"ok"


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (b"/a?b", b"/a?b"),
        (b"http://host/a?b", b"/a?b"),
        (b"HTTPS://host:1", b"/"),
        (b"/x://y", b"/x://y"),
        (b"host:443", b"host:443"),
        (b"*", b"*"),
    ],
)
def test_a_target_may_be_a_whole_url(target: bytes, form: bytes) -> None:
    assert origin_form(target) == form


def by_h11(data: bytes) -> tuple[Head, bytes] | None:
    """The request as h11 reads it; None where it is not whole."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(request, h11.Request):
        return None
    head = Head(request.method, request.target, list(request.headers), request.http_version)
    return head, connection.trailing_data[0]


PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b"\0", b"\x7f", b"\x0b", b"\x0c", b"\x85", b"\xa0", b"\xe9", b"x",
    b"?a=b", b"#", b"\r\n folded", b"Host: other\r\n", b"Content-Length: 5\r\n", b"content-length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Bad Name: 1\r\n", b": none\r\n", b"Expect: 100-continue\r\n",
    b"Empty:\r\n", b"X-Y: \t \r\n", b"\x81\x80abcd",
]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, len(UPGRADE) + 2), st.integers(0, 3), st.sampled_from(PIECES) | st.binary(max_size=3)),
        max_size=3,
    )
)
@example([(len(UPGRADE) + 2, 0, b"trailing")])
@example([(UPGRADE.index(b"\r\nHost") + 2, 0, b"X-Y:\t a  b\t \r\n")])
def test_what_is_read_without_h11_it_would_read_so_too(changes: list[tuple[int, int, bytes]]) -> None:
    data = UPGRADE + b"\r\n"
    for at, cut, piece in changes:
        data = data[:at] + piece + data[at + cut :]
    found = plain_upgrade(data)
    if found is not None:
        assert found == by_h11(data)


def test_browsers_and_the_like_are_read_without_h11() -> None:
    data = UPGRADE + b"Origin: http://chat.example\r\nUser-Agent: Mozilla/5.0 (X11)\r\nCookie:\r\n\r\n\x81\x80abcd"
    assert plain_upgrade(data) == by_h11(data)
    assert plain_upgrade(data) is not None
    assert plain_upgrade(data[:-8]) is None
    assert plain_upgrade(GET.replace(b"/ ", b"/v1/wss ")) is None
