"""Iterators over lists that come in pages. Classes, not async generators: a caller who has enough just leaves the loop,
and nothing is left to be closed."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from gochat.client.errors import Refused
from gochat.client.wire import Page
from gochat.protocol import replies

Entry = TypeVar("Entry")


class Pages:
    """The pages of a room's log: upwards from `after` to the head, or else downwards from `before` (None: the newest)
    to the beginning. `ask(before, after)` fetches one. Pages of `messages` alone go on at their own `next`."""

    def __init__(
        self,
        ask: Callable[[int | None, int | None], Awaitable[Page]],
        before: int | None,
        after: int | None,
        messages: bool = False,
    ) -> None:
        self._messages = messages
        self._ask = ask
        self._before = before
        self._after = after
        self._incomplete = False
        self._done = False

    def __aiter__(self) -> Pages:
        return self

    async def __anext__(self) -> Page:
        if self._incomplete:
            raise Refused(
                replies.Error(code="unavailable", message="a part of the history can't be reached now", temporary=True)
            )
        if self._done:
            raise StopAsyncIteration
        page = await self._ask(self._before, self._after)
        self._incomplete = not page.complete
        if self._messages:
            self._done = page.next is None
            if self._after is not None:
                self._after = page.next
            else:
                self._before = page.next
        elif not page.entries:
            self._done = True
        elif self._after is not None:
            self._after = page.entries[-1].seq
            self._done = self._after >= page.head
        else:
            self._before = page.entries[0].seq
            self._done = self._before == 1
        return page


class Listing(Generic[Entry]):
    """The entries of a list that comes page by page. `ask(cursor)` fetches a page: its entries and where the next
    one starts, None at the end."""

    def __init__(self, ask: Callable[[str | None], Awaitable[tuple[Iterable[Entry], str | None]]]) -> None:
        self._ask = ask
        self._waiting: deque[Entry] = deque()
        self._cursor: str | None = None
        self._done = False

    def __aiter__(self) -> Listing[Entry]:
        return self

    async def __anext__(self) -> Entry:
        while not self._waiting:
            if self._done:
                raise StopAsyncIteration
            entries, self._cursor = await self._ask(self._cursor)
            self._waiting.extend(entries)
            self._done = self._cursor is None
        return self._waiting.popleft()
