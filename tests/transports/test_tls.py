from __future__ import annotations

import ssl

import pytest
import trio
import trio.testing

from gochat.transports.admission import Slot
from tests.transports.listening import books, connect, echo, echoes, serving, until


async def test_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    leases: list[Slot] = []

    async def handler(stream: trio.abc.Stream, slot: Slot) -> None:
        leases.append(slot)
        await echo(stream, slot)

    server_context, client_context = contexts
    async with serving(handler, tls=server_context) as (_, listener):
        stream = trio.SSLStream(await connect(listener), client_context, server_hostname="localhost")
        assert await echoes(stream)
        await trio.aclose_forcefully(stream)
    assert [slot.direct for slot in leases] == [False]


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"])
async def test_no_tls_handshake_in_time_or_at_all(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connections = books()
    async with serving(connections=connections, tls=contexts[0], handshake_s=0.05) as (_, listener):
        async with await connect(listener) as stream:
            await stream.send_all(first)
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass  # closed with unread bytes
        await until(lambda: connections.statistics().open == 0)
    assert not caplog.records
