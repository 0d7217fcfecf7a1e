"""Events that wait for the application: a queue with a bound, filled without waiting and emptied by one reader.

`put` never refuses: its caller asks `full` first, or waits for `space`. So the bound holds but for what one frame
may bring, which is a page of 200 facts at most, and for events of which only the latest is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Inbox(Generic[T]):
    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._items: deque[T] = deque()
        self._filled = trio.lowlevel.ParkingLot()
        self._emptied = trio.lowlevel.ParkingLot()
        self._end: Exception | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        return len(self._items) >= self.bound

    def put(self, item: T) -> None:
        self._items.append(item)
        self._filled.unpark()

    def end(self, error: Exception) -> None:
        """Nothing more will come; readers get `error` once every event that waits is read."""
        self._end = error
        self._filled.unpark_all()
        self._emptied.unpark_all()

    def drop(self, which: Callable[[T], bool]) -> None:
        """Forget the items that `which` picks."""
        kept: Iterable[T] = [item for item in self._items if not which(item)]
        self._items = deque(kept)
        self._emptied.unpark_all()

    async def get(self) -> T:
        """The oldest item. Raises the error that `end` was given."""
        await self.wait()
        return self.take()

    async def wait(self) -> None:
        """Return when there is an item. Raises the error that `end` was given, once there is none and none will
        come."""
        await trio.lowlevel.checkpoint()
        while not self._items:
            if self._end is not None:
                raise self._end
            await self._filled.park()

    def take(self) -> T:
        """The oldest item, of at least one."""
        item = self._items.popleft()
        self._emptied.unpark_all()
        return item

    async def space(self, unless: Callable[[], bool]) -> None:
        """Return when the queue is not full, or `unless` is true; the code that makes it true calls `stir`."""
        while self.full and not unless():
            await self._emptied.park()

    async def half_empty(self) -> None:
        while len(self._items) * 2 > self.bound:
            await self._emptied.park()

    def stir(self) -> None:
        """Let the tasks that wait for space look again."""
        self._emptied.unpark_all()
