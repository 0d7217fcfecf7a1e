"""What waits for slow readers has a bound over all sessions: above it those for whom most waits lag first.

Counting each byte that waits would cost every send. So the outboxes that the kernel takes no more from are looked at a
few times a second, and their limits are set to a level at which they fit together: whoever holds more than the level
gets nothing more but lag and replies, whoever holds less is not touched. In between the sum can pass the bound by what
the node delivers in that time, and by one limit for each newcomer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import trio

#: How often the outboxes are looked at, which takes some 30 ns for each session: the second while more than a quarter
#: of the bound waits.
EVERY_S, OFTEN_S = 0.2, 0.05
#: A reader is never held to less than this: a page of history and its own acks must fit.
LEAST_BYTES = 65_536


class Slow(Protocol):
    """An outbox, as far as this goes."""

    size: int
    limit: int
    writing: bool


def level(sizes: Sequence[int], total: int, most: int) -> int:
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


def spread(outboxes: Iterable[Slow], total: int, most: int, limited: list[Slow]) -> list[Slow]:
    """Set the limits of those that wait for their readers; `limited` had theirs set before. Those that have now."""
    for outbox in limited:
        outbox.limit = most
    slow = [outbox for outbox in outboxes if outbox.writing]
    limit = level([outbox.size for outbox in slow], total, most)
    if limit >= most:
        return []
    for outbox in slow:
        outbox.limit = limit
    return slow


async def keep_spread(outboxes: Callable[[], Iterable[Slow]], total: int, most: int) -> None:
    """Do so for ever."""
    limited: list[Slow] = []
    while True:
        now = list(outboxes())
        limited = spread(now, total, most, limited)
        waits = sum(outbox.size for outbox in now if outbox.writing)
        await trio.sleep(OFTEN_S if waits * 4 > total else EVERY_S)
