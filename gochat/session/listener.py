"""A session as rooms see it: what it hears, from where on, and what it missed.

A session that keeps up has no state here. See `places` for those that do not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import trio

from gochat.actors.flusher import Line
from gochat.actors.live import Stretch, drop
from gochat.errors import SLOW
from gochat.ports import Connection
from gochat.protocol.codec import Codec
from gochat.session.gateway import Gateway
from gochat.session.places import From, Lagging, Notice, Place, Replaying

NEW, GREETING, OPEN, CLOSED = range(4)
#: Notices kept while a welcome is read; more, and the client is asked to come again.
MOST_NOTICES = 10_000
#: No transaction is ever newer.
NEVER = 1 << 62

Job = Callable[[], Awaitable[None]]


class Listener(ABC):
    """The rooms' Subscriber. A Session is one, and adds the conversation."""

    __slots__ = (
        "_spacious", "apart", "codec", "connection", "device", "flush", "gateway", "groups", "id", "line", "notices",
        "offer", "outbox", "places", "push", "signed_in_ns", "since", "state", "user", "watching",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, connection: Connection, codec: Codec) -> None:
        self.gateway = gateway
        self.connection = connection
        self.codec = codec
        self.outbox = connection.outbox
        self.push = connection.outbox.try_send
        self.offer = connection.outbox.offer
        self.flush = connection.outbox.flush
        self.line: Line | None = None
        self.state = NEW
        self.id = ""
        self.user = ""
        self.device: str | None = None
        self.signed_in_ns = 0
        """On the wall clock; 0 before."""
        self.since = 0
        self.apart = True
        self.places: dict[str, Place] | None = None
        self.notices: list[Notice] | None = None
        self.groups: dict[str, None] | None = None
        self.watching: tuple[str, ...] = ()
        self._spacious: trio.Event | None = None

    def is_over(self) -> bool:
        """Whether it has ended, or is about to."""
        return self.state == CLOSED or self.connection.closing is not None

    @abstractmethod
    def start_job(self, job: Job) -> None:
        """Run something that waits, after the jobs that were started before."""

    @abstractmethod
    def close(self, number: int, reason: str) -> None:
        """Close in order, with a number of errors.CLOSES."""

    @abstractmethod
    def ended(self) -> None:
        """It is over: out of all tables."""

    def abort(self) -> None:
        self.connection.abort()

    def send(self, frame: msgspec.Struct) -> None:
        """An event that must arrive; queued whatever the outbox holds."""
        outbox = self.outbox
        outbox.put(self.codec.encode(frame))
        outbox.flush()

    def reply(self, frame: msgspec.Struct) -> None:
        """The reply to a request; queued whatever the outbox holds."""
        outbox = self.outbox
        outbox.reply(self.codec.encode(frame))
        outbox.flush()

    def push_soft(self, data: bytes) -> None:
        outbox = self.outbox
        if self.state == OPEN and self.since != NEVER and outbox.size * 2 <= outbox.limit:
            if self.line is None:
                outbox.try_send(data)
            else:
                outbox.offer(data)  # It leaves with what is queued.

    async def space(self) -> None:
        """Return when the outbox is at most half full, or the session is over."""
        while self.state == OPEN and self.outbox.size * 2 > self.outbox.limit:
            if self._spacious is None:
                self._spacious = trio.Event()
            await self._spacious.wait()

    def has_space(self) -> None:
        """The outbox is at most half full again, or the session is over."""
        if self._spacious is not None:
            self._spacious.set()
            self._spacious = None

    # ------------------------------------------------------------------------------------------ from rooms

    def takes(self, stretch: Stretch) -> bool:
        if self.state == GREETING:
            self._notice("facts", stretch.room, stretch.first, stretch.commit)
            return False
        if self.state != OPEN:
            return False
        place = self.places.get(stretch.room) if self.places else None
        if place is None:
            return stretch.commit > self.since
        if not isinstance(place, From) or place.seq > stretch.first:
            return False
        # What was committed before the welcome may be delivered after it; who replayed up to it is owed that too.
        if stretch.commit > self.since:
            self.place(stretch.room, None)
        return True

    def place(self, room: str, place: Place | None) -> None:
        """Put the session apart from the room, or back among those who simply hear it."""
        if place is not None:
            if self.places is None:
                self.places = {}
            self.places[room] = place
        elif self.places is not None:
            self.places.pop(room, None)
            if not self.places:
                self.places = None
        self.apart = self.state != OPEN or self.places is not None

    def open(self, commit: int) -> None:
        """The welcome is made: hear what is committed after transaction `commit`; with NEVER, nothing."""
        self.state = OPEN
        self.since = commit
        self.notices = None
        self.apart = False

    def lag(self, room: str, head: int) -> None:
        if self.state != OPEN or (self.places and isinstance(self.places.get(room), Lagging)):
            return
        self.gateway.live.counts.lags += 1
        self.place(room, Lagging())
        outbox = self.outbox
        if outbox.size * 2 <= outbox.limit:
            self.tell_lag()

    def tell_lag(self) -> None:
        """Say of every lagging room that it lags, once."""
        for room, place in list((self.places or {}).items()):
            if isinstance(place, Lagging) and not place.told:
                place.told = True
                self.start_job(partial(self.gateway.say_lag, self, room))

    def entered(self, stretch: Stretch) -> None:
        if self.state == GREETING:
            self._notice("entered", stretch.room, stretch.first, stretch.commit)
        elif self.state == OPEN and stretch.commit > self.since:
            self.enter(stretch.room, stretch.first)
            # Facts that came before an earlier removal are over; the room starts anew with this fact.
            self.place(stretch.room, None)

    def left(self, stretch: Stretch) -> None:
        if self.state == GREETING:
            self._notice("left", stretch.room, stretch.last, stretch.commit)
            return
        if self.state != OPEN or stretch.commit <= self.since:
            return
        self.leave(stretch.room)
        place = self.places.get(stretch.room) if self.places else None
        if isinstance(place, Replaying | Lagging):
            place.until = stretch.last
        elif isinstance(place, From):
            self.place(stretch.room, None)

    def enter(self, room: str, since: int) -> None:
        """The user is in the group from seq `since` on. An admin sees all of it."""
        if self.groups is None:
            self.groups = {}
        self.groups[room] = None
        self.gateway.live.enter(room, self, 1 if self.oversees else since)

    @property
    @abstractmethod
    def oversees(self) -> bool:
        """Whether the user reads as if a member of every group from its beginning."""

    def leave(self, room: str) -> None:
        if self.groups is not None:
            self.groups.pop(room, None)
        self.gateway.live.leave(room, self)

    def _notice(self, kind: str, room: str, seq: int, commit: int) -> None:
        if self.notices is None:
            return
        self.notices.append(Notice(kind, room, seq, commit))
        if len(self.notices) > MOST_NOTICES:
            self.close(SLOW, "too much happened while the welcome was read")
            self.notices = None

    def leave_all(self) -> None:
        """Out of the tables of rooms, of who watches whom, and of the user's sessions."""
        live, gateway = self.gateway.live, self.gateway
        live.greetings.pop(self, None)
        if gateway.sessions.pop(self.id, None) is not None:
            live.counts.sessions[self.connection.transport] -= 1
        for room in self.groups or ():
            live.leave(room, self)
        self.groups = self.places = self.notices = None
        live.watch(self, (), oversees=True)
        self.watching = ()
        if self in live.users.get(self.user, ()):
            drop(live.users, self.user, self)
            if self.user not in live.users:
                gateway.went_offline(self.user)
