"""Notes on their way into the log: how far users have read, names, times last seen.

The first note of a partition leaves at once, so that a user who reads here and signs in elsewhere finds what was read.
Those that follow wait for each other: a partition's notes of half a second are one entry, and one entry of it is on its
way at a time. While the log is away they are kept, up to a bound; the latest of each user and room counts.
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

#: How long after an entry of a partition's notes the next ones wait for each other.
WAIT_S: Final = 0.5
#: Notes of one entry, and their size.
MOST_AT_ONCE: Final = 4_000
MOST_BYTES_AT_ONCE: Final = MOST_BYTES // 2
#: Notes that may wait. More are dropped while the log is away: positions are told again with the next ones.
MOST_WAITING: Final = 50_000

Send: TypeAlias = Callable[[int, Sequence[Noted], Callable[[], None]], None]
"""Has the notes put into a partition's log, and calls the function when they are recorded, or never will be."""


class _Partition:
    def __init__(self) -> None:
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
        self._partitions = [_Partition() for _ in range(PARTITIONS)]
        self._numbers = 0
        self._count = 0
        """How many wait."""
        self._noted = trio.Event()
        self._progress = trio.Event()

    def read(self, room: str, user: str, seq: int) -> None:
        self._note(partition_of(room), ReadUpTo(room, user, seq))

    def got(self, room: str, user: str, seq: int) -> None:
        self._note(partition_of(room), GotUpTo(room, user, seq))

    def user(self, user: str, name: str | None, last_seen: int | None) -> None:
        old = self._partitions[SITE].waiting.get((UserNoted, "", user))
        if isinstance(old, UserNoted):
            name = old.name if name is None else name
            last_seen = old.last_seen if last_seen is None else last_seen
        self._note(SITE, UserNoted(user, name, last_seen))

    def _note(self, partition: int, note: Noted) -> None:
        of = self._partitions[partition]
        place = (type(note), "" if isinstance(note, UserNoted) else note.room, note.user)
        old = of.waiting.get(place)
        if old is not None:
            if isinstance(note, UserNoted) or note.seq > old.seq:  # type: ignore[union-attr]
                of.waiting[place] = note
            return
        if self._count >= MOST_WAITING:
            return
        self._count += 1
        self._numbers += 1
        if not of.waiting:
            of.oldest_waiting = self._numbers
        of.waiting[place] = note
        if trio.current_time() - of.sent_at >= WAIT_S:
            self._send_off(partition)
        else:
            self._noted.set()

    async def flush(self, kinds: tuple[type[Noted], ...] = (ReadUpTo, GotUpTo, UserNoted)) -> None:
        """Return when everything of these kinds that was noted before is recorded. Others may go along."""
        number = self._numbers
        wanted = [
            of
            for of in self._partitions
            if of.oldest_sent is not None or any(isinstance(note, kinds) for note in of.waiting.values())
        ]
        while True:
            for partition, of in enumerate(self._partitions):
                if of in wanted:
                    self._send_off(partition)
            if not any(of.older_than(number) for of in wanted):
                return
            await self._progress.wait()

    async def run(self) -> None:
        """Send what waits, now and then, for ever."""
        while True:
            await self._noted.wait()
            await trio.sleep(WAIT_S)
            self._noted = trio.Event()
            for partition in range(PARTITIONS):
                self._send_off(partition)

    def _send_off(self, partition: int) -> None:
        of = self._partitions[partition]
        if not of.waiting or of.oldest_sent is not None:
            return
        notes: list[Noted] = []
        size = 0
        for place in list(of.waiting)[:MOST_AT_ONCE]:
            size += _at_most(of.waiting[place])
            if notes and size > MOST_BYTES_AT_ONCE:
                break
            notes.append(of.waiting.pop(place))
        self._count -= len(notes)
        of.oldest_sent, of.sent_at = of.oldest_waiting, trio.current_time()

        def done() -> None:
            of.oldest_sent = None
            if of.waiting:
                self._noted.set()
            self._progress.set()
            self._progress = trio.Event()

        self._send(partition, notes, done)


def _at_most(note: Noted) -> int:
    """No note takes more bytes of an entry."""
    text = note.user + (note.name or "" if isinstance(note, UserNoted) else note.room)
    return 64 + 4 * len(text)
