"""The application's requests, from the call to its reply.

A call outlives connections: requests in `Pending` are sent again on the next one. Nothing is written here; `outgoing`
gives frames to the session's writer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
import trio

from gochat.client.errors import ClientError, Garbled, Lost, Refused
from gochat.client.pending import Pending
from gochat.client.wire import Reply, Strange, encode
from gochat.protocol import replies
from gochat.protocol.requests import AnyRequest

R = TypeVar("R")

#: Requests of the application under way at once; more wait for their turn. The server's own bound is a setting.
WINDOW: Final = 128


class _Call:
    """One request whose reply somebody waits for."""

    __slots__ = ("done", "error", "reply")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.reply: Reply | Strange | None = None
        self.error: ClientError | None = None

    def answer(self, reply: Reply | Strange) -> None:
        self.reply = reply
        self.done.set()

    def fail(self, error: ClientError) -> None:
        self.error = error
        self.done.set()


class Calls:
    """`on_wait` is called when the application begins to wait for a reply; `waiting` says how many do."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        self.waiting = 0
        self.frame_bytes = replies.Limits().frame_bytes
        """The largest frame that the server takes."""
        self._on_wait = on_wait
        self._window = trio.CapacityLimiter(WINDOW)
        self._pending = Pending()
        self._calls: dict[int, _Call] = {}
        self._posts: list[bytes] = []
        self._wake = trio.Event()
        self._end: ClientError | None = None

    async def call(self, request: AnyRequest, kind: type[R]) -> R:
        """Send a request of the application and return its reply, over as many connections as that takes.

        Raises Refused, Lost, or the error that ended the session. Cancelled, the request may have been carried out.
        """
        async with self._window:
            self.waiting += 1
            self._on_wait()
            try:
                return await self.inner(request, kind)
            finally:
                self.waiting -= 1

    async def inner(self, request: AnyRequest, kind: type[R]) -> R:
        """The same for the session's own requests: they neither wait for the window nor count as `waiting`."""
        if self._end is not None:
            raise self._end
        number = self._pending.next_id()
        payload = encode(msgspec.structs.replace(request, id=number))
        if len(payload) > self.frame_bytes:
            # The server would close the session for it, and not let it come back.
            raise Refused(_too_large(len(payload), self.frame_bytes))
        call = self._calls[number] = _Call()
        self._pending.open(number, request, payload)
        self._wake.set()
        try:
            await call.done.wait()
        finally:
            del self._calls[number]
            self._pending.close(number)
        if call.error is not None:
            raise call.error
        if isinstance(call.reply, replies.Error):
            raise Refused(call.reply)
        if not isinstance(call.reply, kind):
            raise Garbled(f"the server answered with what is no {kind.__name__.lower()}")
        return call.reply

    def post(self, request: AnyRequest) -> None:
        """Send a request on this connection only; nobody waits for its reply."""
        self._posts.append(encode(request))
        self._wake.set()

    async def outgoing(self) -> list[bytes]:
        """The frames to be written next; waits until there is one."""
        while not (payloads := [*self._posts, *self._pending.take()]):
            await self._wake.wait()
            self._wake = trio.Event()
        self._posts.clear()
        return payloads

    def answered(self, reply: Reply | Strange) -> bool:
        """Whether somebody waited for this reply."""
        call = self._calls.get(reply.id) if isinstance(reply.id, int) else None
        if call is None:
            return False
        call.answer(reply)
        return True

    def broken(self) -> None:
        """The connection is gone. Requests that are not safe to repeat are lost; the rest waits for the next one."""
        self._posts.clear()
        for number in self._pending.broken():
            self._calls[number].fail(Lost("the connection broke before the reply: it may have been done"))

    def end(self, error: ClientError) -> None:
        """There will be no further connection: every call, now and later, raises `error`."""
        self._end = error
        for call in self._calls.values():
            call.fail(error)


def _too_large(size: int, most: int) -> replies.Error:
    return replies.Error(
        code="too_large", message=f"the request has {size} bytes, at most {most} are allowed", temporary=False
    )
