"""Stands between a client and a node, and breaks connections as networks do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Relay:
    """Passes bytes on to `target`. While that is None, connections are closed as soon as they are made."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._open: set[trio.SocketStream] = set()
        self._clients: set[trio.SocketStream] = set()
        self._deaf: set[trio.SocketStream] = set()
        self.target: tuple[str, int] | None = None

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.socket.getsockname()[:2]
        return str(host), int(port)

    async def cut(self, target: tuple[str, int] | None = None) -> None:
        """Break every connection; the next ones go to `target`."""
        self.target = target
        for stream in list(self._open):
            await trio.aclose_forcefully(stream)

    def swallow(self) -> None:
        """On the connections there are now nothing more comes from the node, as where a network lost one direction."""
        self._deaf |= self._clients

    async def serve(self) -> None:
        await trio.serve_listeners(self._pass_on, [self._listener])

    async def _pass_on(self, client: trio.SocketStream) -> None:
        if self.target is None:
            return
        node = await trio.open_tcp_stream(*self.target)
        self._open |= {client, node}
        self._clients.add(client)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._copy, client, node, nursery.cancel_scope)
                nursery.start_soon(self._copy, node, client, nursery.cancel_scope)
        finally:
            self._open -= {client, node}
            self._clients.discard(client)
            self._deaf.discard(client)
            await trio.aclose_forcefully(node)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
        try:
            async for data in source:
                if sink not in self._deaf:
                    await sink.send_all(data)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # One side has gone; the other is told below.
        if sink not in self._deaf:  # such a client is not told of the end either
            both.cancel()


@asynccontextmanager
async def relay() -> AsyncIterator[Relay]:
    """On a free port of this machine."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    between = Relay(listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(between.serve)
        try:
            yield between
        finally:
            nursery.cancel_scope.cancel()
