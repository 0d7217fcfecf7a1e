"""Bytes that wait for slow readers have a bound over all sessions: near it the readers for whom most waits lag first.

Outboxes count together the bytes that the kernel does not take (`WaitingBytes`). Each time the sum has grown
by a sixteenth of the bound, the limits of all that wait are set to a level at which they fit together: sessions that
hold more than the level get nothing more but lag and replies, sessions that hold less are not touched. Newcomers in
between have the usual limit, so the sum stays within the bound, but for that sixteenth and for replies, which a
session's window bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import trio

from gochat.transports.outbox import WaitingBytes

#: How often limits are raised again, when readers have read; a look takes some 30 ns for each session.
EVERY_S = 0.2
#: Below half of the bound nobody is held to less than the usual limit; above it limits follow each sixteenth.
CALM, STEP = 2, 16
#: A reader is never held to less than this. With so many slow readers that even this is too much for all of them
#: together (32,768 under the default bound) the sum may pass it.
LEAST_BYTES = 4_096


class LimitedOutbox(Protocol):
    """An outbox, as far as this goes."""

    size: int
    limit: int

    @property
    def writing(self) -> bool: ...


def water_level(sizes: Sequence[int], total: int, most: int) -> int:
    """The limit, up to `most`, with which outboxes that may grow to it from these sizes take at most `total` together:
    those that hold less than their share leave the rest of it to the others."""
    left, count = total, len(sizes)
    if count * most <= total:
        return most
    for size in sorted(sizes):
        share = left // count
        if size > share:
            return max(LEAST_BYTES, min(most, share))
        left -= size
        count -= 1
    return most


class Spreader:
    """Keeps the outboxes of a node within `total` bytes together; `most` is the limit of one."""

    def __init__(
        self, waiting: WaitingBytes, outboxes: Callable[[], Iterable[LimitedOutbox]], total: int, most: int
    ) -> None:
        self._waiting = waiting
        self._outboxes = outboxes
        self._total = total
        self._most = most
        self._limited: list[LimitedOutbox] = []
        self._tightened = trio.Event()
        waiting.on_crowded = self.spread
        waiting.mark = total // CALM

    def spread(self) -> None:
        """Set the limits of all that wait for their readers, and when to look again."""
        for outbox in self._limited:
            outbox.limit = self._most
        self._limited = []
        waits = self._waiting.size
        self._waiting.mark = max(self._total // CALM, waits + self._total // STEP)
        if waits * CALM < self._total:
            return
        slow = [outbox for outbox in self._outboxes() if outbox.writing]
        limit = water_level([outbox.size for outbox in slow], self._total, self._most)
        if limit < self._most:
            for outbox in slow:
                outbox.limit = limit
            self._limited = slow
            self._tightened.set()

    async def run(self) -> None:
        """Raise limits again when there is space, for ever."""
        while True:
            await self._tightened.wait()
            await trio.sleep(EVERY_S)
            self._tightened = trio.Event()
            self.spread()
