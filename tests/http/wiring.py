"""An HTTP shell on one end of a stream, and a client that speaks bytes on the other."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio
import trio.testing

from gochat.http.shell import HttpShell
from gochat.http.upgrade import Upgrade
from gochat.transports.admission import Connections, Slot

GET = b"GET %s HTTP/1.1\r\nHost: chat.example\r\n\r\n"
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


class Response(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    """Reads responses one by one; what came of the next is kept."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = b""
        self.upgrade: Upgrade | None = None
        self.ended = trio.Event()
        self.slot: Slot

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def get(self, path: bytes) -> Response:
        await self.send(GET % path)
        return await self.response()

    async def response(self, *, body: bool = True) -> Response:
        head = await self._until(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines if line)}
        content = b""
        if headers.get(b"transfer-encoding") == b"chunked":
            while size := int(await self._until(b"\r\n"), 16):
                content += (await self._exactly(size + 2))[:-2]
            await self._exactly(2)
        elif body:
            content = await self._exactly(int(headers.get(b"content-length", b"0")))
        return Response(int(first.split()[1]), headers, content)

    async def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        while await self._more():
            pass
        rest, self.buffer = self.buffer, b""
        return rest

    async def _until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            assert await self._more(), f"the stream ended after {self.buffer!r}"
        found, _, self.buffer = self.buffer.partition(end)
        return found

    async def _exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            assert await self._more(), f"the stream ended after {self.buffer!r}"
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    async def _more(self) -> bool:
        data = await self.stream.receive_some()
        self.buffer += data
        return bool(data)


def slotted(peer: str = "192.0.2.1") -> Slot:
    """The place of a connection whose socket is closed already."""
    with socket.socket() as handle:
        connections = Connections(capacity=1, unauthenticated=1, per_address=1)
        slot = connections.admit(handle, peer, direct=False)
    assert slot is not None
    return slot


@asynccontextmanager
async def serving(shell: HttpShell, peer: str = "192.0.2.1", seconds: float = 10) -> AsyncIterator[Client]:
    """One connection to `shell`, in memory. `client.upgrade` holds what `serve` returned once `ended` is set."""
    near, far = trio.testing.memory_stream_pair()
    client = Client(near)
    client.slot = slotted(peer)

    async def serve() -> None:
        client.upgrade = await shell.serve(far, client.slot)
        client.ended.set()
        if client.upgrade is None:
            await far.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with trio.fail_after(seconds):
            yield client
        await near.aclose()
        nursery.cancel_scope.cancel()
