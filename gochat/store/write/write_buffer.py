"""The tail: messages that are committed and not yet merged into the logs of their rooms.

A message belongs into its room's stretch of the log, into the index of keys, its room's row and its sender's seat: four
pages, in as many places as there are rooms that talk. So a commit does not go there. It adds one row to the tail, all
messages of the transaction as they come; later they are merged, room by room, some dozens at a time for one dirty page.
That is the first level of a log-structured merge tree (O'Neil et al. 1996), of which the B-trees are the second.

The table's messages are also held here, in memory: they are merged from here, and read back only after a crash. Nobody
else reads them in the table: a room is merged before it is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import islice
from typing import TypeAlias

import msgspec

from gochat.domain.facts import Message

Key: TypeAlias = tuple[int, str, str]
"""Room, sender, key."""
Pieces: TypeAlias = Mapping[int, Sequence[Message]]
"""Messages by room, each room's in order."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[int, list[Message]]]).decode


class _Seq(msgspec.Struct):
    """A message, of which the rest is not looked at."""

    seq: int


_decode_seqs = msgspec.json.Decoder(list[tuple[int, list[_Seq]]]).decode

#: Memory of a message beside its body, of its key (CPython 3.11, keys of 36 characters), and of each mention, at most.
MESSAGE_BYTES, KEY_BYTES, MENTION_BYTES = 400, 192, 128
#: Bytes for each character of a text that is not ASCII, at most: 4 of its own, and 4 of its UTF-8, which CPython keeps
#: beside it once it was encoded.
WIDE = 8


def weigh(messages: Sequence[Message]) -> int:
    """Bytes of memory that the messages take at most, their keys not counted. The same whenever it is asked."""
    size = MESSAGE_BYTES * len(messages)
    for message in messages:
        body = message.body or ""
        size += len(body) if body.isascii() else WIDE * len(body)
        if message.mentions is not None:
            size += MENTION_BYTES * len(message.mentions)
    return size


class _Segment:
    """Consecutive transactions that are merged together."""

    __slots__ = ("bytes", "count", "keys", "last", "left", "rooms", "weights")

    def __init__(self) -> None:
        self.rooms: dict[int, list[Message]] = {}
        self.weights: dict[int, int] = {}
        """Bytes of memory that each room's messages take."""
        self.keys: set[Key] = set()
        self.last = 0
        """The number of the latest transaction."""
        self.count = self.left = 0
        """Messages that it ever had, and those that are not merged."""
        self.bytes = 0
        """Bytes of memory that the unmerged messages take."""

    @property
    def size(self) -> int:
        """Bytes of memory; keys are kept until the whole segment is merged."""
        return self.bytes + KEY_BYTES * len(self.keys)

    def add(self, room_pk: int, messages: Sequence[Message], weight: int) -> bool:
        """Whether nothing of the room was in it."""
        self.count += len(messages)
        self.left += len(messages)
        self.bytes += weight
        known = self.rooms.get(room_pk)
        if known is None:
            self.rooms[room_pk], self.weights[room_pk] = list(messages), weight
        else:
            known.extend(messages)
            self.weights[room_pk] += weight
        return known is None

    def forget(self, room_pk: int, upto: int) -> int:
        """Let go of the room's messages up to a seq. How many those were."""
        messages = self.rooms.get(room_pk)
        if messages is None or messages[0].seq > upto:
            return 0
        count = min(upto - messages[0].seq + 1, len(messages))
        if count == len(messages):
            weight = self.weights.pop(room_pk)
            del self.rooms[room_pk]
        else:
            weight = weigh(messages[:count])
            self.weights[room_pk] -= weight
            del messages[:count]
        self.left -= count
        self.bytes -= weight
        return count


class WriteBuffer:
    """Changed in the commit thread only, and only after its transaction; `holds` and `lasts` may be asked in any."""

    def __init__(self) -> None:
        self._new, self._old = _Segment(), _Segment()
        self._order: list[int] = []
        """The rooms of the old segment, the last one first."""
        self._names: dict[str, int] = {}
        self._rows: dict[int, dict[int, int]] = {}
        """Of each transaction that has a row its rooms, and the last seq of each."""
        self._rewritten: set[int] = set()
        """Rows that hold other messages than they did: each reader may see either."""
        self.facts = 0
        """How many are to be merged."""
        self.quarantined: dict[int, list[Message]] = {}
        """Of rooms whose logs do not take them. They stay in the table, and their room takes no more."""
        self.unsure = True
        """The writer has not begun, or could not write: nothing can be merged, and memory and table may differ. The
        rooms that are named in memory are then the rooms that may be unmerged."""

    def __contains__(self, room_pk: int) -> bool:
        return room_pk in self._new.rooms or room_pk in self._old.rooms or room_pk in self.quarantined

    def holds(self, rooms: Iterable[str] | None = None) -> bool:
        """Whether something of these rooms, or of any, is or may be unmerged."""
        names = self._names
        return bool(names) if rooms is None else any(room in names for room in rooms)

    def lasts(self, numbers: Sequence[int]) -> tuple[dict[int, int], list[int]]:
        """The rooms that have messages in these transactions, whose rows a reader saw in the table, and the last seq of
        each; and the numbers that are not known here, whose rows the reader must look into. The numbers ascend."""
        rows, rewritten = self._rows, self._rewritten
        found: dict[int, int] = {}
        unknown: list[int] = []
        for number in numbers:
            row = rows.get(number)
            if row is None or number in rewritten:
                unknown.append(number)
            else:
                found.update(row)
        if self._rewritten is not rewritten:  # A segment has ended meanwhile: rows are others now.
            return {}, list(numbers)
        return found, unknown

    def room_pks(self, rooms: Iterable[str]) -> list[int]:
        """The numbers of those of the rooms that have something unmerged."""
        found = map(self._names.get, rooms)
        return [room_pk for room_pk in found if room_pk is not None]

    def rooms(self) -> list[str]:
        """Those that have something unmerged."""
        return list(self._names)

    def quarantined_rooms(self) -> dict[int, str]:
        """The names of rooms whose logs take nothing, by number."""
        return {room_pk: messages[0].room for room_pk, messages in self.quarantined.items()}

    def head(self, room_pk: int) -> int:
        """The room's last unmerged seq; 0 where there is none."""
        found = self._new.rooms.get(room_pk) or self._old.rooms.get(room_pk)
        return found[-1].seq if found else 0

    def has(self, key: Key) -> bool:
        """Whether a message with the key is in the tail, merged or not."""
        return key in self._new.keys or key in self._old.keys

    def has_any(self, keys: AbstractSet[Key]) -> bool:
        """The same of some messages."""
        return not (keys.isdisjoint(self._new.keys) and keys.isdisjoint(self._old.keys))

    def pending(self, room_pks: Iterable[int], most: int | None = None) -> dict[int, list[Message]]:
        """The rooms' unmerged messages, in order; at most so many."""
        found: dict[int, list[Message]] = {}
        for room_pk in room_pks:
            if most is not None and most <= 0:
                break
            messages = [
                *self.quarantined.get(room_pk, ()),
                *self._old.rooms.get(room_pk, ()),
                *self._new.rooms.get(room_pk, ()),
            ][:most]
            if messages:
                found[room_pk] = messages
            if most is not None:
                most -= len(messages)
        return found

    def rows_of(self, room_pk: int, seq: int) -> list[int]:
        """The numbers of the transactions whose rows may have the message: of one, as a rule. Where a row was written
        anew, later ones may have the same message."""
        found = (number for number, row in self._rows.items() if row.get(room_pk, 0) >= seq)
        return list(found if self._rewritten else islice(found, 1))

    # ------------------------------------------------------------------------------------------ writing

    def expect(self, number: int, rooms: Pieces) -> None:
        """Transaction `number` is about to be committed; a reader may see its row before `add`."""
        self._rows[number] = {room_pk: messages[-1].seq for room_pk, messages in rooms.items()}

    def cancel(self, number: int) -> None:
        """It was not."""
        self._rows.pop(number, None)

    def rewrite(self, number: int) -> None:
        """A transaction is about to put the quarantined messages into this row, in place of what it holds."""
        self._rewritten.add(number)

    def add(self, number: int, rooms: Pieces, keys: Iterable[Key], weights: Mapping[int, int] = {}) -> None:
        """It was committed. `weights`: by room what `weigh` says, where that is known."""
        if not rooms:
            return
        new = self._new
        for room_pk, messages in rooms.items():
            if new.add(room_pk, messages, weights.get(room_pk) or weigh(messages)):
                self._names[messages[0].room] = room_pk
            self.facts += len(messages)
        new.keys.update(keys)
        new.last = number

    @property
    def merging(self) -> bool:
        """Whether a segment is being merged."""
        return bool(self._old.last)

    @property
    def bytes(self) -> int:
        """Memory of what is to be merged, and of the keys of what was."""
        new, old = self._new, self._old
        return new.bytes + old.bytes + KEY_BYTES * (len(new.keys) + len(old.keys))

    @property
    def new_bytes(self) -> int:
        """The same of the segment that is not being merged."""
        return self._new.size

    def overdue(self, share: float) -> int:
        """How many messages must be merged now for this share of the segment to be."""
        old = self._old
        return int(min(share, 1) * old.count) - (old.count - old.left)

    @property
    def rows(self) -> int:
        """How many the table has."""
        return len(self._rows)

    def rotate(self) -> None:
        """Close the new segment: it is the one to merge now. The old one must be merged."""
        assert not self._old.rooms
        self._old, self._new = self._new, _Segment()
        self._order = sorted(self._old.rooms, reverse=True)

    def slice(self, most: int) -> dict[int, list[Message]]:
        """The next messages of the segment that is being merged, about so many; those with the lowest row ids first.
        They stay the next ones until they are forgotten: a merge may fail because another process holds the lock."""
        order, rooms = self._order, self._old.rooms
        while order and order[-1] not in rooms:
            order.pop()
        found: dict[int, list[Message]] = {}
        for room_pk in reversed(order):
            if most <= 0:
                break
            messages = rooms.get(room_pk)
            if messages:  # None is left of a room that was read meanwhile.
                found[room_pk] = messages[:most]
                most -= len(messages)
        return found

    def obsolete_upto(self, merged: Pieces) -> int:
        """Up to which transaction rows are of no more use, once these are merged; 0: none is."""

        def done(segment: _Segment) -> bool:
            return all(
                room_pk in merged and merged[room_pk][-1].seq >= rest[-1].seq for room_pk, rest in segment.rooms.items()
            )

        old, new = self._old, self._new
        if not done(old):
            return 0
        return max(old.last, new.last) if done(new) else old.last

    def forget(self, merged: Pieces, upto: int) -> None:
        """These are merged, and rows up to `upto` deleted."""
        for room_pk, messages in merged.items():
            self.quarantined.pop(room_pk, None)
            self.facts -= sum(segment.forget(room_pk, messages[-1].seq) for segment in (self._old, self._new))
            if room_pk not in self:
                self._names.pop(messages[0].room, None)
        if upto:
            self._old = _Segment()
            if upto >= self._new.last:
                self._new = _Segment()
            for number in [number for number in self._rows if number <= upto]:
                del self._rows[number]
            if self._rewritten or self.quarantined:
                self._rewritten = {upto} if self.quarantined else set()
            if self.quarantined:
                self.expect(upto, self.quarantined)

    def quarantine(self, room_pk: int, messages: list[Message]) -> None:
        """The room's log does not take these, which is all there is of it."""
        self.facts -= sum(segment.forget(room_pk, messages[-1].seq) for segment in (self._old, self._new))
        self.quarantined[room_pk] = messages
        self._names[messages[0].room] = room_pk

    def mark_stale(self, rooms: Mapping[str, int]) -> None:
        """The writer can't write. These rooms were being written."""
        self.unsure = True
        self._names = {**self._names, **rooms}

    def begin(self, left: Pieces) -> None:
        """The writer begins, or begins anew, and merges `left`, which is what the table holds. Until it has, whoever
        reads these rooms must look at the table."""
        self.unsure = True
        self._names = {**self._names, **{messages[0].room: room_pk for room_pk, messages in left.items()}}
        self._new, self._old, self.facts, self._order = _Segment(), _Segment(), 0, []
        self.quarantined, self._rows = {}, {}

    def begun(self) -> None:
        """It has: what is not merged is stuck."""
        self._names = {messages[0].room: room_pk for room_pk, messages in self.quarantined.items()}
        self.unsure = False


@contextmanager
def wiping(connection: sqlite3.Connection) -> Iterator[None]:
    """Content that is deleted meanwhile is overwritten, whole pages too, which costs writing the pages once more."""
    connection.execute("PRAGMA secure_delete = ON").close()
    try:
        yield
    finally:
        connection.execute("PRAGMA secure_delete = FAST").close()


def append(connection: sqlite3.Connection, number: int, pieces: Pieces) -> None:
    """Write the row of transaction `number`. Raises UnicodeError for a text that can't be encoded."""
    connection.execute("INSERT INTO tail VALUES (?, ?)", (number, _encode(list(pieces.items()))))


def delete(connection: sqlite3.Connection, upto: int, quarantined: Pieces) -> None:
    """Delete the rows up to `upto`, but for the quarantined. Their texts are in the logs now, to be deleted there one
    day: no other copy may stay in free pages."""
    with wiping(connection):
        connection.execute("DELETE FROM tail WHERE number <= ?", (upto,))
    if quarantined:
        append(connection, upto, quarantined)


def take_out(connection: sqlite3.Connection, number: int, room_pk: int) -> None:
    """Take a room, which is merged, out of a row."""
    for (pieces,) in connection.execute("SELECT messages FROM tail WHERE number = ?", (number,)).fetchall():
        rest = [piece for piece in _decode(pieces) if piece[0] != room_pk]
        connection.execute("UPDATE tail SET messages = ? WHERE number = ?", (_encode(rest), number))


def unmerged(connection: sqlite3.Connection) -> dict[int, list[Message]]:
    """The messages that the table holds and the logs do not, by room, in order."""
    found: dict[int, list[Message]] = {}
    heads: dict[int, int] = {}
    for room_pk, messages in _stored(connection):
        if room_pk not in heads:
            row = connection.execute("SELECT head FROM room WHERE num = ?", (room_pk,)).fetchone()
            heads[room_pk] = row[0] if row else 0
        for message in messages:
            # Each once: a row that was written anew for a room whose log takes nothing has what later rows have, too.
            if message.seq > heads[room_pk]:
                found.setdefault(room_pk, []).append(message)
                heads[room_pk] = message.seq
    return found


def stored_lasts(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, int]:
    """The rooms that the rows with these numbers have messages of, and the last seq of each."""
    found: dict[int, int] = {}
    for (pieces,) in connection.execute(
        "SELECT t.messages FROM json_each(?) AS v CROSS JOIN tail t ON t.number = v.value", (_encode(numbers).decode(),)
    ):
        for room_pk, messages in _decode_seqs(pieces):
            found[room_pk] = max(messages[-1].seq, found.get(room_pk, 0))
    return found


def _stored(connection: sqlite3.Connection) -> Iterator[tuple[int, list[Message]]]:
    for (pieces,) in connection.execute("SELECT messages FROM tail ORDER BY number"):
        yield from _decode(pieces)
