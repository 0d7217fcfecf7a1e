"""Notes on their way into the log: how far users have read, names, times last seen.

The first position of a partition leaves at once, so that a user who reads here and signs in elsewhere finds what was
read. Those that follow wait for each other: a partition's positions of half a second are one entry, and one entry of
them is on its way at a time. Names and times last seen have a queue of their own, in which the first waits, too: every
sign-in notes one, and nobody looks for it elsewhere at once. While the log is away notes are kept, up to a bound; the
latest of each user and room counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import trio

from gochat.cluster.entry import SITE, partition_of
from gochat.cluster.ports import MOST_BYTES, PARTITIONS
from gochat.replication import GotUpTo, Noted, ReadUpTo, UserNoted

log = logging.getLogger(__name__)

#: How long after an entry of a queue's notes the next ones wait for each other.
WAIT_S: Final = 0.5
#: Notes of one entry, and their size.
MOST_AT_ONCE: Final = 4_000
MOST_BYTES_AT_ONCE: Final = MOST_BYTES // 2
#: Notes that may wait. More are dropped while the log is away: positions are told again with the next ones.
MOST_WAITING: Final = 50_000

Send: TypeAlias = Callable[[int, Sequence[Noted], Callable[[], None]], None]
"""Has the notes put into a partition's log, and calls the function when they are recorded, or never will be."""


class _Queue:
    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.waiting: dict[tuple[type[Noted], str, str], Noted] = {}
        self.oldest_waiting = 0
        """The number of the oldest note that waits; counts where any does."""
        self.oldest_sent: int | None = None
        """The same of those that are on their way; None where none are."""
        self.sent_at = float("-inf")
        """When the last left; on trio's clock."""

    def older_than(self, number: int) -> bool:
        """Whether a note up to that number is not recorded yet."""
        if self.oldest_sent is not None and self.oldest_sent <= number:
            return True
        return bool(self.waiting) and self.oldest_waiting <= number


class Noting:
    """`run` must be running."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._positions = [_Queue(partition) for partition in range(PARTITIONS)]
        self._names = _Queue(SITE)
        self._numbers = 0
        self._count = 0
        """How many wait."""
        self._noted = trio.Event()
        self._progress = trio.Event()

    def read(self, room: str, user: str, seq: int) -> None:
        self._note_position(ReadUpTo(room, user, seq))

    def got(self, room: str, user: str, seq: int) -> None:
        self._note_position(GotUpTo(room, user, seq))

    def user(self, user: str, name: str | None, last_seen: int | None) -> None:
        place = (UserNoted, "", user)
        old = self._names.waiting.get(place)
        if isinstance(old, UserNoted):
            name = old.name if name is None else name
            last_seen = old.last_seen if last_seen is None else last_seen
        if self._put(self._names, place, UserNoted(user, name, last_seen)):
            self._noted.set()

    def _note_position(self, note: ReadUpTo | GotUpTo) -> None:
        queue = self._positions[partition_of(note.room)]
        place = (type(note), note.room, note.user)
        old = queue.waiting.get(place)
        if isinstance(old, ReadUpTo | GotUpTo) and old.seq >= note.seq:
            return
        if self._put(queue, place, note):
            if trio.current_time() - queue.sent_at >= WAIT_S:
                self._send_off(queue)
            else:
                self._noted.set()

    def _put(self, queue: _Queue, place: tuple[type[Noted], str, str], note: Noted) -> bool:
        """Whether one more waits than before. False: it stands in the place of an older one, or is dropped."""
        if place in queue.waiting:
            queue.waiting[place] = note
            return False
        if self._count >= MOST_WAITING:
            return False
        self._count += 1
        self._numbers += 1
        if not queue.waiting:
            queue.oldest_waiting = self._numbers
        queue.waiting[place] = note
        return True

    async def flush(self) -> None:
        """Return when everything that was noted before is recorded."""
        await self._flush((*self._positions, self._names))

    async def flush_positions(self) -> None:
        """Return when the positions that were noted before are recorded."""
        await self._flush(self._positions)

    async def _flush(self, queues: Sequence[_Queue]) -> None:
        number = self._numbers
        while queues := [queue for queue in queues if queue.older_than(number)]:
            for queue in queues:
                self._send_off(queue)
            if any(queue.older_than(number) for queue in queues):
                await self._progress.wait()

    async def run(self) -> None:
        """Send what waits, now and then, for ever."""
        while True:
            await self._noted.wait()
            await trio.sleep(WAIT_S)
            self._noted = trio.Event()
            for queue in (*self._positions, self._names):
                self._send_off(queue)

    def _send_off(self, queue: _Queue) -> None:
        if not queue.waiting or queue.oldest_sent is not None:
            return
        notes: list[Noted] = []
        size = 0
        for place in list(queue.waiting)[:MOST_AT_ONCE]:
            size += _at_most(queue.waiting[place])
            if notes and size > MOST_BYTES_AT_ONCE:
                break
            notes.append(queue.waiting.pop(place))
        self._count -= len(notes)
        queue.oldest_sent, queue.sent_at = queue.oldest_waiting, trio.current_time()

        def done() -> None:
            queue.oldest_sent = None
            if queue.waiting:
                self._noted.set()
            self._progress.set()
            self._progress = trio.Event()

        self._send(queue.partition, notes, done)


def _at_most(note: Noted) -> int:
    """No note takes more bytes of an entry."""
    text = note.user + (note.name or "" if isinstance(note, UserNoted) else note.room)
    return 64 + 4 * len(text)
