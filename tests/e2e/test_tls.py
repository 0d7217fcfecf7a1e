"""WebSocket over TLS: bytes go through the stream, and all else is as on a plain connection."""

from __future__ import annotations

import ssl
from pathlib import Path

import trio
import trio_websocket

from tests import certificates
from tests.e2e.conftest import Start
from tests.e2e.peer import WsPeer, address


async def test_a_conversation(start: Start, nursery: trio.Nursery, tmp_path: Path) -> None:
    certificate = certificates.localhost(tmp_path)
    async with start(http={"tls_cert": str(certificate), "tls_key": str(certificate)}) as node:
        host, port = address(node, "https")
        context = ssl.create_default_context(cafile=str(certificate))
        secret = trio.SSLStream(await trio.open_tcp_stream(host, port), context, server_hostname="localhost")
        with trio.fail_after(10):
            socket = await trio_websocket.wrap_client_stream(nursery, secret, f"localhost:{port}", "/v1/ws")
            peer = WsPeer(node, socket, secret.transport_stream)
            await peer.hello("ann")
            # More than one read takes, and more than the window lets be carried out at once.
            bodies = [f"{number} {'x' * 1000}" for number in range(300)]
            async with trio.open_nursery() as sending:
                sending.start_soon(_send_all, peer, bodies)
                heard = [await peer.receive() for _ in bodies]
            assert [fact["body"] for fact in heard] == bodies
            await socket.ping()
            await socket.aclose(1000)
            while node.connections.statistics().open:
                await trio.lowlevel.checkpoint()


async def _send_all(peer: WsPeer, bodies: list[str]) -> None:
    for body in bodies:
        await peer.send({"type": "send", "to": "user:ann", "body": body})
