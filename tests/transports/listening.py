"""A server of connections on a socket of its own, and what talks to it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from gochat.transports.admission import Connections, Slot
from gochat.transports.listen import Handler, Server, open_listeners


def books(capacity: int = 100, unauthenticated: int = 100, per_address: int = 100) -> Connections:
    return Connections(capacity=capacity, unauthenticated=unauthenticated, per_address=per_address)


async def echo(stream: trio.abc.Stream, slot: Slot) -> None:
    async for data in stream:
        if data == b"sign in":
            slot.authenticated()
        if data == b"crash":
            raise ValueError("the handler is broken\nforged line")
        await stream.send_all(data)


@asynccontextmanager
async def serving(
    handler: Handler = echo, connections: Connections | None = None, bind: str = "127.0.0.1:0", **options: object
) -> AsyncIterator[tuple[Server, socket.socket]]:
    server = Server("test", handler, connections or books(), **options)  # type: ignore[arg-type]
    listeners = open_listeners(bind)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        with trio.fail_after(60):
            yield server, listeners[0]
        nursery.cancel_scope.cancel()


async def connect(listener: socket.socket) -> trio.SocketStream:
    return await trio.open_tcp_stream(*listener.getsockname()[:2])


async def echoes(stream: trio.abc.Stream) -> bool:
    """Whether there is an echo; False if the server has closed."""
    try:
        await stream.send_all(b"hello")
        return await stream.receive_some() == b"hello"
    except trio.BrokenResourceError:
        return False


async def until(condition: object) -> None:
    """Let the server's side catch up with what the client's side has done."""
    with trio.fail_after(60):
        while not condition():  # type: ignore[operator]
            await trio.testing.wait_all_tasks_blocked(0.001)
