"""Text that is not UTF-8 ends a WebSocket with 1007 (RFC 6455, section 8.1), wherever it stands in a frame."""

from __future__ import annotations

import contextlib

import pytest
import trio

from gochat.node import Node
from gochat.protocol.websocket import CLOSE, CONTINUATION, TEXT, client_frame
from tests.e2e.peer import address
from tests.tokens import issue

HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
BAD = {
    "alone": client_frame(TEXT, b"\xff\xfe\xfd"),
    "in a known field": client_frame(TEXT, b'{"type":"send","id":1,"to":"user:ann","body":"\xc3"}'),
    "in an unknown field": client_frame(TEXT, b'{"type":"ping","id":1,"more":"\xed\xa0\x80"}'),
    "in a name": client_frame(TEXT, b'{"type":"ping","id":1,"\xff":1}'),
    "in fragments": client_frame(TEXT, b'{"type":"ping","x":"\xe2\x82', fin=False) + client_frame(CONTINUATION, b'"}'),
    "in a long one": client_frame(TEXT, b'{"type":"ping","x":"' + b"x" * 30_000 + b'\xff"}'),
    "in the reason of a Close": client_frame(CLOSE, b"\x03\xe8\xff"),
}


@pytest.mark.parametrize("where", BAD)
@pytest.mark.parametrize("signed_in", [False, True])
async def test_it_closes_with_1007(node: Node, where: str, signed_in: bool) -> None:
    hello = client_frame(TEXT, b'{"type":"hello","token":"%s"}' % issue(node, "ann").encode())
    ping = client_frame(TEXT, b'{"type":"ping","id":"after"}')
    async with await trio.open_tcp_stream(*address(node, "http")) as stream:
        await stream.send_all(HANDSHAKE + (hello if signed_in else b""))
        found = b""
        with trio.fail_after(25):
            while b"\r\n\r\n" not in found or (signed_in and b'"welcome"' not in found):
                found += await stream.receive_some()
            await stream.send_all(BAD[where] + ping)
            found = b""
            while bytes((0x88,)) not in found:
                found += await stream.receive_some()
            with contextlib.suppress(trio.BrokenResourceError):  # The server does not wait for ever.
                await stream.send_all(client_frame(CLOSE, b"\x03\xe8"))
            found += b"".join([piece async for piece in stream])
        close = found.index(bytes((0x88,)))
        assert found[close + 2 : close + 4] == (1007).to_bytes(2)
        assert b"after" not in found
    with trio.fail_after(25):
        while node.connections.statistics().open:
            await trio.sleep(0.01)
