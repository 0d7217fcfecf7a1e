"""A storm of sign-ins: each of a number of places connects, signs in, takes what it is owed, goes, and connects anew.
Closed loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.faults import Fault
from bench.load.book import Book
from bench.load.client import Address
from bench.load.frames import Log, Welcome, decode, describe
from bench.load.loop import Load, Poll
from bench.load.outcome import Supply
from bench.load.session import Session


class Guest(NamedTuple):
    """One who signs in. `resume` is what the `hello` asks for; `missed` gives a log that expects what must be replayed,
    `messages` how many that are; `rooms` is how many the welcome must tell of."""

    name: str
    token: str
    rooms: int
    resume: dict[str, dict[str, object]]
    missed: Callable[[], Log] | None = None
    messages: int = 0


class Storm(Load):
    """`sent` and `delivered` count sign-ins. Guests come in turn."""

    def __init__(self, guests: Sequence[Guest], address: Address, places: int, latency: str) -> None:
        self.sent = 0
        self.delivered = 0
        self._guests = guests
        self._address = address
        self._places = [_Place(self) for _ in range(min(places, len(guests)))]
        self._latency = latency
        self._next = 0
        self._poll: Poll
        self._supply: Supply
        self._book: Book

    def attach(self, poll: Poll) -> None:
        self._poll = poll

    def begin(self, supply: Supply, book: Book) -> None:
        self._supply, self._book = supply, book
        for place in self._places:
            self.fill(place)

    def fill(self, place: _Place) -> None:
        """Let the next guest in, if the stretch is not over."""
        if self._supply.take(1, time.perf_counter_ns()):
            guest = self._guests[self._next]
            self._next = (self._next + 1) % len(self._guests)
            self.sent += 1
            place.open(guest, self._address, self._poll)

    def served(self, began: int) -> None:
        self.delivered += 1
        self._book[self._latency].record(time.perf_counter_ns() - began)

    def complete(self) -> bool:
        return self.delivered == self.sent and all(not place.busy for place in self._places)

    def close(self) -> None:
        for place in self._places:
            place.close()

    def owed(self) -> str:
        names = [place.guest.name for place in self._places if place.busy]
        return f"welcomes or missed messages to {len(names)} users {names[:3]}"


class _Place:
    """Where one guest at a time is."""

    def __init__(self, storm: Storm) -> None:
        self.busy = False
        self.guest: Guest
        self._storm = storm
        self._session: Session
        self._log: Log | None = None

    def open(self, guest: Guest, address: Address, poll: Poll) -> None:
        self.busy, self.guest = True, guest
        self._log = guest.missed() if guest.missed else None
        self._session = Session(address, guest.name, poll, self._welcome, self._frames)
        self._session.connect(guest.token, guest.resume)

    def close(self) -> None:
        if self.busy:
            self._session.close()

    def _welcome(self, welcome: Welcome) -> None:
        if len(welcome.rooms) != self.guest.rooms:
            raise Fault(f"{self.guest.name}: {self.guest.rooms} rooms expected, welcome told of {len(welcome.rooms)}")
        if self._log is None:
            self._leave()

    def _frames(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            frame = decode(payload, self.guest.name)
            if self._log is None or self._log.seen == self.guest.messages:
                raise Fault(f"{self.guest.name}: nothing was to come: {describe(frame)}")
            self._log.check(frame, self.guest.name)
        if self._log is not None and self._log.seen == self.guest.messages:
            self._leave()

    def _leave(self) -> None:
        began = self._session.began
        self._session.close()
        self.busy = False
        self._storm.served(began)
        self._storm.fill(self)
