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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import msgspec

from gochat.domain.facts import Message

Key: TypeAlias = tuple[int, str, str]
"""Room, sender, key."""
Pieces: TypeAlias = Mapping[int, Sequence[Message]]
"""Messages by room, each room's in order."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[int, list[Message]]]).decode

#: Memory of a message beside its body, and of its key (CPython 3.11, keys of 36 characters).
MESSAGE_BYTES, KEY_BYTES = 400, 192
#: Bytes for each character of a text that is not ASCII, at most: 4 of its own, and 4 of its UTF-8, which CPython keeps
#: beside it once it was encoded.
WIDE = 8


def weigh(messages: Sequence[Message]) -> int:
    """Bytes of memory that the messages take at most, their keys not counted. The same whenever it is asked."""
    size = MESSAGE_BYTES * len(messages)
    for message in messages:
        body = message.body or ""
        size += len(body) if body.isascii() else WIDE * len(body)
    return size


class _Lot:
    """Consecutive transactions that are merged together."""

    __slots__ = ("bytes", "count", "keys", "last", "left", "rooms", "weights")

    def __init__(self) -> None:
        self.rooms: dict[int, list[Message]] = {}
        self.weights: dict[int, int] = {}
        """What each room's messages take in memory."""
        self.keys: set[Key] = set()
        self.last = 0
        """The number of the latest transaction."""
        self.count = self.left = 0
        """Messages that it ever had, and those that are not merged."""
        self.bytes = 0
        """What those take in memory."""

    @property
    def size(self) -> int:
        """Bytes of memory; keys are kept until the whole lot is merged."""
        return self.bytes + KEY_BYTES * len(self.keys)

    def add(self, num: int, messages: Sequence[Message], weight: int) -> bool:
        """Whether nothing of the room was in it."""
        self.count += len(messages)
        self.left += len(messages)
        self.bytes += weight
        known = self.rooms.get(num)
        if known is None:
            self.rooms[num], self.weights[num] = list(messages), weight
        else:
            known.extend(messages)
            self.weights[num] += weight
        return known is None

    def forget(self, num: int, upto: int) -> int:
        """Let go of the room's messages up to a seq. How many those were."""
        messages = self.rooms.get(num)
        if messages is None or messages[0].seq > upto:
            return 0
        count = min(upto - messages[0].seq + 1, len(messages))
        if count == len(messages):
            weight = self.weights.pop(num)
            del self.rooms[num]
        else:
            weight = weigh(messages[:count])
            self.weights[num] -= weight
            del messages[:count]
        self.left -= count
        self.bytes -= weight
        return count


class Tail:
    """Changed in the commit thread only, and only after its transaction; `holds` and `rooms_of` may be asked in any."""

    def __init__(self) -> None:
        self._new, self._old = _Lot(), _Lot()
        self._order: list[int] = []
        """The rooms of the old lot, the last one first."""
        self._names: dict[str, int] = {}
        self._rows: dict[int, dict[int, int]] = {}
        """Of each transaction that has a row its rooms, and the last seq of each."""
        self.facts = 0
        """How many are to be merged."""
        self.stuck: dict[int, list[Message]] = {}
        """Of rooms whose logs do not take them. They stay in the table, and such a room takes no more."""
        self.unsure = True
        """The writer has not begun, or could not write: nothing can be merged, and memory and table may differ. What
        is named in memory then is what may be unmerged."""

    def __contains__(self, num: int) -> bool:
        return num in self._new.rooms or num in self._old.rooms or num in self.stuck

    def holds(self, rooms: Iterable[str] | None = None) -> bool:
        """Whether something of these rooms, or of any, is or may be unmerged."""
        names = self._names
        return bool(names) if rooms is None else any(room in names for room in rooms)

    def rooms_of(self, numbers: Iterable[int]) -> list[int] | None:
        """The rooms of which one of these transactions, whose rows were seen in the table, is or may be; None: that is
        not known."""
        rows = self._rows
        found: set[int] = set()
        for number in numbers:
            row = rows.get(number)
            if row is None:
                return None
            found.update(row)
        return list(found)

    def nums(self, rooms: Iterable[str]) -> list[int]:
        """The numbers of those of the rooms that have something unmerged."""
        found = map(self._names.get, rooms)
        return [num for num in found if num is not None]

    def rooms(self) -> list[str]:
        """Those that have something unmerged."""
        return list(self._names)

    def stuck_rooms(self) -> dict[int, str]:
        """The names of rooms whose logs take nothing, by number."""
        return {num: messages[0].room for num, messages in self.stuck.items()}

    def head(self, num: int) -> int:
        """The room's last unmerged seq; 0 where there is none."""
        found = self._new.rooms.get(num) or self._old.rooms.get(num)
        return found[-1].seq if found else 0

    def has(self, key: Key) -> bool:
        """Whether a message with the key is in the tail, merged or not."""
        return key in self._new.keys or key in self._old.keys

    def pending(self, nums: Iterable[int], most: int | None = None) -> dict[int, list[Message]]:
        """What of the rooms is not merged, in order; at most so many messages."""
        found: dict[int, list[Message]] = {}
        for num in nums:
            if most is not None and most <= 0:
                break
            messages = [
                *self.stuck.get(num, ()), *self._old.rooms.get(num, ()), *self._new.rooms.get(num, ())
            ][:most]  # fmt: skip
            if messages:
                found[num] = messages
            if most is not None:
                most -= len(messages)
        return found

    def row_of(self, num: int, seq: int) -> int | None:
        """The number of the transaction whose row may have the message."""
        for number, row in self._rows.items():
            if row.get(num, 0) >= seq:
                return number
        return None

    # ------------------------------------------------------------------------------------------ writing

    def expect(self, number: int, rooms: Pieces) -> None:
        """Transaction `number` is about to be committed; a reader may see its row before `add`."""
        self._rows[number] = {num: messages[-1].seq for num, messages in rooms.items()}

    def cancel(self, number: int) -> None:
        """It was not."""
        self._rows.pop(number, None)

    def add(self, number: int, rooms: Pieces, keys: Iterable[Key], weights: Mapping[int, int] = {}) -> None:
        """It was committed. `weights`: by room what `weigh` says, where that is known."""
        if not rooms:
            return
        new = self._new
        for num, messages in rooms.items():
            if new.add(num, messages, weights.get(num) or weigh(messages)):
                self._names[messages[0].room] = num
            self.facts += len(messages)
        new.keys.update(keys)
        new.last = number

    @property
    def merging(self) -> bool:
        """Whether a lot is being merged."""
        return bool(self._old.last)

    @property
    def bytes(self) -> int:
        """Memory of what is to be merged, and of the keys of what was."""
        new, old = self._new, self._old
        return new.bytes + old.bytes + KEY_BYTES * (len(new.keys) + len(old.keys))

    @property
    def new_bytes(self) -> int:
        """The same of the lot that is not being merged."""
        return self._new.size

    def overdue(self, share: float) -> int:
        """How many messages must be merged now for this share of the lot to be."""
        old = self._old
        return int(min(share, 1) * old.count) - (old.count - old.left)

    @property
    def rows(self) -> int:
        """How many the table has."""
        return len(self._rows)

    def turn_over(self) -> None:
        """Close the new lot: it is the one to merge now. The old one must be merged."""
        assert not self._old.rooms
        self._old, self._new = self._new, _Lot()
        self._order = sorted(self._old.rooms, reverse=True)

    def slice(self, most: int) -> dict[int, list[Message]]:
        """The next messages of the lot that is being merged, about so many; those with the lowest row ids first."""
        found: dict[int, list[Message]] = {}
        while self._order and most > 0:
            num = self._order[-1]
            messages = self._old.rooms.get(num, ())  # None is left of a room that was read meanwhile.
            if messages:
                found[num] = list(messages[:most])
            if len(messages) <= most:
                self._order.pop()
            most -= len(messages)
        return found

    def spent(self, merged: Pieces) -> int:
        """Up to which transaction rows are of no more use, once these are merged; 0: none is."""

        def done(lot: _Lot) -> bool:
            return all(num in merged and merged[num][-1].seq >= rest[-1].seq for num, rest in lot.rooms.items())

        old, new = self._old, self._new
        if not done(old):
            return 0
        return max(old.last, new.last) if done(new) else old.last

    def forget(self, merged: Pieces, spent: int) -> None:
        """These are merged, and rows up to `spent` deleted."""
        for num, messages in merged.items():
            self.stuck.pop(num, None)
            self.facts -= sum(lot.forget(num, messages[-1].seq) for lot in (self._old, self._new))
            if num not in self:
                self._names.pop(messages[0].room, None)
        if spent:
            self._old = _Lot()
            if spent >= self._new.last:
                self._new = _Lot()
            for number in [number for number in self._rows if number <= spent]:
                del self._rows[number]
            if self.stuck:
                self.expect(spent, self.stuck)

    def jam(self, num: int, messages: list[Message]) -> None:
        """The room's log does not take these, which is all there is of it."""
        self.facts -= sum(lot.forget(num, messages[-1].seq) for lot in (self._old, self._new))
        self.stuck[num] = messages
        self._names[messages[0].room] = num

    def doubt(self, rooms: Mapping[str, int]) -> None:
        """The writer can't write. These rooms were being written."""
        self.unsure = True
        self._names = {**self._names, **rooms}

    def begin(self, left: Pieces) -> None:
        """The writer begins, or begins anew, and merges `left`, which is what the table holds. Until it has, whoever
        reads these rooms must look at the table."""
        self.unsure = True
        self._names = {**self._names, **{messages[0].room: num for num, messages in left.items()}}
        self._new, self._old, self.facts, self._order = _Lot(), _Lot(), 0, []
        self.stuck, self._rows = {}, {}

    def begun(self) -> None:
        """It has: what is not merged is stuck."""
        self._names = {messages[0].room: num for num, messages in self.stuck.items()}
        self.unsure = False


@contextmanager
def wiping(connection: sqlite3.Connection) -> Iterator[None]:
    """What is deleted meanwhile is overwritten, whole pages too, which costs writing them once more."""
    connection.execute("PRAGMA secure_delete = ON").close()
    try:
        yield
    finally:
        connection.execute("PRAGMA secure_delete = FAST").close()


def append(connection: sqlite3.Connection, number: int, pieces: Pieces) -> None:
    """Write the row of transaction `number`. Raises UnicodeError for a text that can't be encoded."""
    connection.execute("INSERT INTO tail VALUES (?, ?)", (number, _encode(list(pieces.items()))))


def delete(connection: sqlite3.Connection, spent: int, stuck: Pieces) -> None:
    """Delete the rows up to `spent`, but for what is stuck. Their texts are in the logs now, to be deleted there one
    day: no other copy may stay in free pages."""
    with wiping(connection):
        connection.execute("DELETE FROM tail WHERE number <= ?", (spent,))
    if stuck:
        append(connection, spent, stuck)


def take_out(connection: sqlite3.Connection, number: int, num: int) -> None:
    """Take a room, which is merged, out of a row."""
    for (pieces,) in connection.execute("SELECT messages FROM tail WHERE number = ?", (number,)).fetchall():
        rest = [piece for piece in _decode(pieces) if piece[0] != num]
        connection.execute("UPDATE tail SET messages = ? WHERE number = ?", (_encode(rest), number))


def unmerged(connection: sqlite3.Connection) -> dict[int, list[Message]]:
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
