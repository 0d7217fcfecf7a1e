"""A client and its scripted server in conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from gochat.client import Chat, Replica, connect
from gochat.client.errors import ClientError
from tests.client.peer import Peer, Visit


@asynccontextmanager
async def talking(
    peer: Peer,
    *rooms: dict[str, Any],
    queue: int = 1_000,
    confirms: bool = False,
    replica: Replica | None = None,
    **welcome: Any,
) -> AsyncIterator[tuple[Chat, Visit]]:
    """A client, and its first connection as the server sees it."""
    visits: list[Visit] = []

    async def greet() -> None:
        visits.append(await peer.visit())
        await visits[0].welcome(*rooms, **welcome)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(greet)
            async with connect(peer.url, token="abc", queue=queue, confirms=confirms, replica=replica) as chat:
                yield chat, visits[0]


class Asking:
    """A call of the application that runs beside the test."""

    def __init__(self, nursery: trio.Nursery, call: Callable[[], Awaitable[Any]]) -> None:
        self._done = trio.Event()
        self._result: Any = None
        self._error: ClientError | None = None
        nursery.start_soon(self._run, call)

    async def _run(self, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            self._result = await call()
        except ClientError as error:
            self._error = error
        self._done.set()

    async def result(self) -> Any:
        with trio.fail_after(60):
            await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


async def event(chat: Chat) -> Any:
    with trio.fail_after(60):
        return await anext(chat)


async def bodies(chat: Chat, count: int) -> list[str]:
    return [(await event(chat)).body for _ in range(count)]
