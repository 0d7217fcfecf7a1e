"""The tail: messages that are committed and not yet merged into the logs of their rooms.

A message belongs into its room's stretch of the log, into the index of keys, its room's row and its sender's seat: four
pages, in as many places as there are rooms that talk. So a commit does not go there. It adds one row to the tail, all
messages of the transaction as they come; later they are merged, room by room, some dozens at a time for one dirty page.
That is the first level of a log-structured merge tree (O'Neil et al. 1996), of which the B-trees are the second.

What is in the table is also held here, in memory: it is merged from here, and read back only after a crash. Nobody else
reads it: a room is merged before it is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from gochat.domain.facts import Message

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[int, list[Message]]]).decode


class _Lot:
    """Consecutive transactions that are merged together."""

    __slots__ = ("keys", "last", "rooms")

    def __init__(self) -> None:
        self.rooms: dict[int, list[Message]] = {}
        self.keys: set[tuple[int, str, str]] = set()
        self.last = 0
        """The number of the latest transaction."""


class Tail:
    """Changed in the writer thread only, and only after its transaction; `holds` and `touches` may be asked in any."""

    def __init__(self) -> None:
        self._new, self._old = _Lot(), _Lot()
        self._order: list[int] = []
        """The rooms of the old lot, the last one first."""
        self._names: dict[str, int] = {}
        self._commits: dict[int, frozenset[int]] = {}
        """The rooms of each transaction that has a row."""
        self.facts = 0
        self.unsure = True
        """The table may hold what is not known here: the writer has not begun, or a write failed."""

    def __contains__(self, num: int) -> bool:
        return num in self._new.rooms or num in self._old.rooms

    def holds(self, rooms: Iterable[str] | None = None) -> bool:
        """Whether something of these rooms, or of any, is or may be unmerged."""
        if self.unsure:
            return True
        names = self._names
        return bool(names) if rooms is None else any(room in names for room in rooms)

    def touches(self, numbers: Iterable[int], nums: Collection[int]) -> bool:
        """Whether one of these transactions, whose rows were seen in the table, is or may be of one of the rooms."""
        commits = self._commits
        for number in numbers:
            rooms = commits.get(number)
            if rooms is None or not rooms.isdisjoint(nums):
                return True
        return False

    def nums(self, rooms: Iterable[str] | None = None) -> list[int]:
        """The numbers of those of the rooms, or of all, that have something unmerged."""
        names = self._names
        return list(names.values()) if rooms is None else [names[room] for room in rooms if room in names]

    def head(self, num: int) -> int | None:
        """The room's last unmerged seq."""
        found = self._new.rooms.get(num) or self._old.rooms.get(num)
        return found[-1].seq if found else None

    def has(self, key: tuple[int, str, str]) -> bool:
        """Whether a message of (room, sender, key) is in the tail, merged or not."""
        return key in self._new.keys or key in self._old.keys

    def pending(self, num: int) -> list[Message]:
        """What of the room is not merged, in order."""
        return [*self._old.rooms.get(num, ()), *self._new.rooms.get(num, ())]

    # ------------------------------------------------------------------------------------------ writing

    def expect(self, number: int, nums: Iterable[int]) -> None:
        """Transaction `number` is about to be committed; a reader may see its row before `add`."""
        self._commits[number] = frozenset(nums)

    def add(
        self, number: int, rooms: Mapping[int, Sequence[Message]], keys: Iterable[tuple[int, str, str]]
    ) -> None:  # fmt: skip
        """It was committed."""
        if not rooms:
            return
        new = self._new
        for num, messages in rooms.items():
            known = new.rooms.get(num)
            if known is None:
                new.rooms[num] = list(messages)
                self._names[messages[0].room] = num
            else:
                known.extend(messages)
            self.facts += len(messages)
        new.keys.update(keys)
        new.last = number

    def turn_over(self) -> None:
        """Close the new lot: it is the one to merge now. The old one must be merged."""
        assert not self._old.rooms
        self._old, self._new = self._new, _Lot()
        self._order = sorted(self._old.rooms, reverse=True)

    @property
    def merging(self) -> bool:
        """Whether a lot is being merged."""
        return bool(self._old.last)

    def next(self, most: int) -> list[int]:
        """Rooms of the lot that is being merged, with about so many messages; those with the lowest row ids first."""
        chosen: list[int] = []
        while self._order and most > 0:
            num = self._order.pop()
            if num in self._old.rooms:  # Else it was read meanwhile.
                chosen.append(num)
                most -= len(self._old.rooms[num])
        return chosen

    def spent(self, merged: Collection[int]) -> int:
        """Up to which transaction rows are of no more use, once these rooms are merged; 0: none is."""
        old, new = self._old, self._new
        if any(num not in merged for num in old.rooms):
            return 0
        return old.last if any(num not in merged for num in new.rooms) else max(old.last, new.last)

    def forget(self, merged: Iterable[int], spent: int) -> None:
        """These rooms are merged, and rows up to `spent` deleted."""
        for num in merged:
            for lot in (self._old, self._new):
                messages = lot.rooms.pop(num, None)
                if messages is not None:
                    self.facts -= len(messages)
                    self._names.pop(messages[0].room, None)
        if spent:
            self._old = _Lot()
            if spent >= self._new.last:
                self._new = _Lot()
            for number in [number for number in self._commits if number <= spent]:
                del self._commits[number]

    def drop(self) -> None:
        """Nothing is known any more of what the table holds."""
        self.unsure = True
        self._new, self._old, self.facts = _Lot(), _Lot(), 0
        self._names, self._commits = {}, {}


def append(connection: sqlite3.Connection, number: int, pieces: Sequence[tuple[int, Sequence[Message]]]) -> None:
    """Write the row of transaction `number`. Raises UnicodeError for a text that can't be encoded."""
    connection.execute("INSERT INTO tail VALUES (?, ?)", (number, _encode(pieces)))


def unmerged(connection: sqlite3.Connection) -> Mapping[int, list[Message]]:
    """What the table holds that the logs do not, by room, in order."""
    found: dict[int, list[Message]] = {}
    heads: dict[int, int] = {}
    for num, messages in _stored(connection):
        if num not in heads:
            row = connection.execute("SELECT head FROM room WHERE num = ?", (num,)).fetchone()
            heads[num] = row[0] if row else 0
        fresh = [message for message in messages if message.seq > heads[num]]
        if fresh:
            found.setdefault(num, []).extend(fresh)
    return found


def _stored(connection: sqlite3.Connection) -> Iterator[tuple[int, list[Message]]]:
    for (pieces,) in connection.execute("SELECT messages FROM tail ORDER BY number"):
        yield from _decode(pieces)
