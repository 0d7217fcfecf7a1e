"""A day of a community: people write to groups and to each other, read, type, page back, lose their connection and come
back. Open loop: what they do is planned, and latencies count from the plan.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from bench.faults import Fault
from bench.histogram import Histogram
from bench.load.book import Book
from bench.load.client import Address
from bench.load.fleet import Part
from bench.load.frames import NO_FACTS, Page, Seen, Welcome, decode, describe, read_page
from bench.load.ledger import AnyBodies, Ledger, body
from bench.load.loop import Load, Poll
from bench.load.outcome import Supply
from bench.load.person import Message, Person
from bench.load.session import Session
from bench.load.totals import Totals

#: The actions of people, and how often each is taken.
ACTIONS: Mapping[str, int] = MappingProxyType(
    {"group": 50, "dm": 25, "typing": 10, "read": 10, "history": 3, "reconnect": 2}
)
_AWAY_NS = 1_000_000_000  # How long a connection is lost at most: below what a replay can make good.
_TRIES = 20
_HELD_NS = 1_000_000  # When to look again whether somebody is there.


class Mixed(Load):
    def __init__(
        self,
        people: Sequence[Person],
        ledger: Ledger,
        bodies: AnyBodies,
        address: Address,
        totals: Totals,
        part: Part,
        series: str = "",
        actions: Mapping[str, int] = ACTIONS,
    ) -> None:
        self._people = people
        self._ledger = ledger
        self._bodies = bodies
        self._address = address
        self._totals = totals
        self._part = part
        self._series = series
        self._rng = random.Random(part.index)
        self._kinds, self._weights = list(actions), list(actions.values())
        self._away: list[tuple[int, int, Person]] = []
        self._held: list[int] = []
        self._unsettled: set[Person] = set()
        self._stretch = 0
        self._counts = dict.fromkeys((*actions, "replayed"), 0)
        self._sent = totals.sent[part.index]
        self._supply: Supply
        self._book: Book
        self._deliver: Histogram
        self.sent = 0
        self.delivered = 0

    def attach(self, poll: Poll) -> None:
        for person in self._people:

            def welcome(frame: Welcome, person: Person = person) -> None:
                self._back(person, frame)

            def frames(payloads: list[bytes], person: Person = person) -> None:
                self._take(person, payloads)

            person.session = Session(self._address, person.name, poll, welcome, frames)
            person.session.adopt(person.client)

    def begin(self, supply: Supply, book: Book) -> None:
        self._supply, self._book, self._deliver = supply, book, book["deliver"]
        self._stretch += 1

    def wake(self, now: int) -> int | None:
        held, self._held = self._held, []
        for planned in [*held, *self._supply.due(now)]:
            if self._act(planned):
                self._book["late"].record(time.perf_counter_ns() - planned)
            else:
                self._held.append(planned)
        while self._away and self._away[0][0] <= now:
            _, _, person = heapq.heappop(self._away)
            person.session.connect(person.token, person.positions())
        times = [self._supply.next] if self._supply.next is not None else []
        times += [self._away[0][0]] if self._away else []
        times += [now + _HELD_NS] if self._held else []
        return min(times, default=None)

    def complete(self) -> bool:
        if self._supply.next is not None or self._away or self._held or not self._quiet():
            return False
        totals, mine = self._totals, self._part.index
        totals.done[mine][0] = self._stretch
        if any(done[0] < self._stretch for done in totals.done) or self.delivered != self._expected():
            return False
        for room in self._ledger.rooms.values():
            totals.crcs[mine][room.index], totals.facts[mine][room.index] = room.crc, room.facts
        return True

    def owed(self) -> str:
        late = sorted(person.name for person in self._unsettled)
        return (
            f"{self._expected() - self.delivered} deliveries; acks, pages or a welcome to {len(late)} users {late[:3]}"
        )

    def close(self) -> None:
        for person in self._people:
            person.session.close()

    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    def _expected(self) -> int:
        """Deliveries to people here, if nobody sends any more."""
        return sum(
            room.here * sum(sent[room.index] for sent in self._totals.sent) for room in self._ledger.rooms.values()
        )

    def _quiet(self) -> bool:
        """Whether everybody is connected and has the answers to all they asked."""
        self._unsettled = {person for person in self._unsettled if person.open or person.asked or not person.online}
        return not self._unsettled

    def _act(self, planned: int) -> bool:
        """False: nearly everybody is away; who comes back does it, late."""
        rng = self._rng
        [kind] = rng.choices(self._kinds, self._weights)
        person = next((p for p in (rng.choice(self._people) for _ in range(_TRIES)) if p.online), None)
        if person is None:
            return False
        rooms = person.groups if kind != "dm" else person.dms
        if not rooms:
            kind, rooms = "group", person.groups
        room = rng.choice(rooms)
        self._counts[kind] += 1
        if kind in ("group", "dm"):
            self._send(person, room, planned)
        elif kind == "typing":
            self._ask(person, type="typing", room=room)
        elif kind == "read":
            self._ask(person, type="read", room=room, seq=person.next[room] - 1)
        elif kind == "history":
            number = -1 - len(person.asked) - self._counts["history"]
            person.asked[number] = (room, planned)
            self._unsettled.add(person)
            self._ask(person, type="history", id=number, room=room)
        else:
            self._leave(person)
        return True

    def _ask(self, person: Person, **frame: object) -> None:
        person.session.send(person.session.wire.frame(msgspec.json.encode(frame)))

    def _send(self, person: Person, room: str, planned: int) -> None:
        person.sent = number = person.sent + 1
        text = body(self._bodies, number, planned)
        payload = (
            f'{{"type":"send","id":{number},"to":"{room}","body":"{text}","key":"{self._series}{number}"}}'.encode()
        )
        frame = person.session.wire.frame(payload)
        person.open[number] = Message(room, frame, planned)
        self._unsettled.add(person)
        self._sent[self._ledger.rooms[room].index] += 1
        self.sent += 1
        person.session.send(frame)

    def _leave(self, person: Person) -> None:
        person.session.close()
        person.online = False
        person.asked.clear()
        self._unsettled.add(person)
        back = time.perf_counter_ns() + self._rng.randrange(_AWAY_NS)
        heapq.heappush(self._away, (back, self._counts["reconnect"], person))

    def _back(self, person: Person, welcome: Welcome) -> None:
        now = time.perf_counter_ns()
        self._book["reconnect"].record(now - person.session.began)
        person.online, person.since = True, now
        person.repeat()

    def _take(self, person: Person, payloads: list[bytes]) -> None:
        now, known, name = time.perf_counter_ns(), self._ledger.known, person.name
        for payload in payloads:
            fact = known.get(payload)
            if fact is None:
                seen = decode(payload, name)
                if seen.type != "message":
                    self._other(person, seen, payload, now)
                    continue
                fact = self._ledger.first(seen, payload, name, person.next.get(seen.room, 0))
            room = fact.room.name
            if person.next.get(room) != fact.seq:
                raise Fault(
                    f"{name}: seq {person.next.get(room)} of {room} expected, got seq {fact.seq} again or too early"
                )
            person.next[room] += 1
            self.delivered += 1
            if fact.planned >= person.since:
                self._deliver.record(now - fact.planned)
            else:
                self._counts["replayed"] += 1
            if fact.seen.sender == name:
                person.wrote(fact)
            fact.left -= 1
            if not fact.left:
                self._ledger.done(fact)

    def _other(self, person: Person, seen: Seen, payload: bytes, now: int) -> None:
        if seen.type == "ack":
            message = person.acked(seen)
            if message.planned >= person.since:
                self._book["ack"].record(now - message.planned)
        elif seen.type == "page":
            room, planned = person.asked.pop(seen.id or 0)
            page: Page = read_page(payload, person.name)
            self._ledger.check_page(page.entries, room, page.head, person.name)
            self._book["page"].record(now - planned)
        elif seen.type not in NO_FACTS:
            raise Fault(f"{person.name}: nothing like it was to come: {describe(seen)}")
