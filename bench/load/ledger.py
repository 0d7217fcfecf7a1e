"""Facts of many rooms with many writers, as all their members must see them.

The first member here who gets a fact has it read wholly: its writer, number and body; all others must get the same
bytes. Each member must get each seq of each room once and in order; each writer finds each message once, at the seq of
its ack. Bodies carry the time they were planned for, so that any process can say how long they took.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from typing import TypeAlias

from bench.faults import Fault
from bench.load.frames import Bodies, Seen, describe
from bench.rulebook import Sentences

AnyBodies: TypeAlias = Bodies | Sentences


class Room:
    """`here`: how many of the members are in this process."""

    __slots__ = ("crc", "facts", "here", "index", "members", "name")

    def __init__(self, index: int, name: str, members: Collection[str], here: int) -> None:
        self.index = index
        self.name = name
        self.members = frozenset(members)
        self.here = here
        self.facts = 0
        self.crc = 0
        """Over writers and bodies in the order of their seqs: processes compare what their members got."""


class Fact:
    __slots__ = ("left", "number", "payload", "planned", "room", "seen", "seq")

    def __init__(self, room: Room, seen: Seen, payload: bytes, number: int, planned: int) -> None:
        self.room = room
        self.seq = seen.seq
        self.seen = seen
        self.payload = payload
        self.number = number
        self.planned = planned
        self.left = room.here


def body(bodies: AnyBodies, number: int, planned: int) -> str:
    """Of a writer's message `number`, to go out at `planned`; as it stands in JSON."""
    return f"{planned:016x} {bodies.json(number)}"


class Ledger:
    def __init__(self, rooms: Mapping[str, Room], bodies: AnyBodies) -> None:
        self.rooms = rooms
        self.known: dict[bytes, Fact] = {}
        """Facts that somebody here has and somebody here has not, by their bytes."""
        self._places: dict[tuple[str, int], Fact] = {}
        self._bodies = bodies

    def first(self, seen: Seen, payload: bytes, who: str, expected: int) -> Fact:
        """The fact of bytes that are not known. Raises Fault unless it may be what it says."""
        room = self.rooms.get(seen.room)
        if room is None or seen.sender not in room.members or who not in room.members:
            raise Fault(f"{who}: nothing of {seen.room} by {seen.sender} can come here: {describe(seen)}")
        if seen.seq != expected:
            what = "lost or swapped" if seen.seq > expected else "repeated or swapped"
            raise Fault(f"{who}: seq {expected} of {seen.room} expected, got {describe(seen)}: {what}")
        fact = self._places.get((seen.room, seen.seq))
        if fact is not None:
            # Other bytes than another member's, such as those of a replay: what they say must be the same.
            if (fact.seen.sender, fact.seen.body) != (seen.sender, seen.body):
                raise Fault(
                    f"{who}: seq {seen.seq} of {seen.room} is {describe(seen)}, for others {describe(fact.seen)}"
                )
            return fact
        fact = self._read(room, seen, payload, who)
        room.facts += 1
        room.crc = zlib.crc32(f"{seen.sender} {seen.body}\n".encode(), room.crc)
        self.known[payload] = self._places[seen.room, seen.seq] = fact
        return fact

    def done(self, fact: Fact) -> None:
        """Every member here has it."""
        del self.known[fact.payload], self._places[fact.room.name, fact.seq]

    def check_page(self, entries: list[Seen], room: str, head: int, who: str) -> None:
        """A page of history: dense, and each message one that its writer may have written."""
        before = None
        for entry in entries:
            if entry.seq > head or (before is not None and entry.seq != before + 1):
                raise Fault(f"{who}: a page of {room} has {describe(entry)} after seq {before}, its head is {head}")
            before = entry.seq
            if entry.type == "message" and entry.room == room:
                self._read(self.rooms[room], entry, b"", who)

    def _read(self, room: Room, seen: Seen, payload: bytes, who: str) -> Fact:
        try:
            planned, number = int(seen.body[:16], 16), int(seen.body[17:25])
        except ValueError:
            raise Fault(f"{who}: no body of this load: {describe(seen)}") from None
        if seen.body[17:] != self._bodies[number]:
            raise Fault(f"{who}: seq {seen.seq} of {room.name} has another message's body: {describe(seen)}")
        return Fact(room, seen, payload, number, planned)
