"""A session as rooms see it: what it hears, from where on, and what it missed.

Its rules are in `positions`; here is what goes with them: tables to be in, and frames to send.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import trio

from gochat.actors.broadcaster import SendQueue
from gochat.actors.fact_batch import FactBatch
from gochat.actors.user import UserActor
from gochat.connections import Connection
from gochat.errors import SLOW
from gochat.protocol.codec import Codec
from gochat.session.gateway import Gateway
from gochat.session.positions import CLOSED, GREETING, NEVER, OPEN, Lagging, Positions, RoomEvent

Job = Callable[[], Awaitable[None]]


class Listener(Positions, ABC):
    """The rooms' Subscriber. A Session is one, and adds the conversation. It is its positions, and does not hold them:
    `catching_up` and `since` are asked for with each delivery, and stand one attribute nearer so."""

    __slots__ = (
        "_membership",
        "_spacious",
        "actor",
        "codec",
        "connection",
        "device",
        "flush",
        "gateway",
        "groups",
        "id",
        "offer",
        "outbox",
        "send_queue",
        "signed_in_ns",
        "user",
        "watching",
    )

    window: int

    def __init__(self, gateway: Gateway, connection: Connection, codec: Codec) -> None:
        super().__init__()
        self.gateway = gateway
        self.connection = connection
        self.codec = codec
        self.outbox = connection.outbox
        self.offer = connection.outbox.offer
        self.flush = connection.outbox.flush
        self.send_queue: SendQueue | None = None
        self.id = ""
        self.user = ""
        self.actor: UserActor | None = None
        """The user's; None before the session has signed in."""
        self.device: str | None = None
        self.signed_in_ns = 0
        """On the wall clock; 0 before."""
        self.groups: dict[str, None] | None = None
        self.watching: tuple[str, ...] = ()
        self._spacious: trio.Event | None = None
        self._membership: trio.Event | None = None

    def is_over(self) -> bool:
        """Whether it has ended, or is about to."""
        return self.state == CLOSED or self.connection.closing is not None

    @abstractmethod
    def start_job(self, job: Job) -> None:
        """Run something that waits, after the jobs that were started before."""

    @abstractmethod
    def pump(self) -> None:
        """Carry out what waits, as far as may be."""

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

    def send_best_effort(self, data: bytes) -> None:
        outbox = self.outbox
        if self.state == OPEN and self.since != NEVER and outbox.size * 2 <= outbox.limit:
            if self.send_queue is None:
                outbox.try_send(data)
            else:
                outbox.offer(data)  # It leaves with what is queued.

    async def wait_space(self) -> None:
        """Return when the outbox is at most half full, or the session is over."""
        while self.state == OPEN and self.outbox.crowded:
            if self._spacious is None:
                self._spacious = trio.Event()
            await self._spacious.wait()

    def _wake_for_space(self) -> None:
        """The outbox is at most half full again, or the session is over."""
        if self._spacious is not None:
            self._spacious.set()
            self._spacious = None

    # ------------------------------------------------------------------------------------------ from rooms

    def takes(self, fact_batch: FactBatch) -> bool:
        if self.state == GREETING:
            self._note(RoomEvent("facts", fact_batch.room, fact_batch.first, fact_batch.commit))
            return False
        return self.hears(fact_batch.room, fact_batch.first, fact_batch.commit)

    def lag(self, room: str, head: int) -> None:
        if self.state == GREETING:
            self._keep(self.note_lag(room, head))
        elif self.fall_behind(room):
            self.gateway.live.counts.lags += 1
            if not self.outbox.crowded:
                self.tell_lag()

    def tell_lag(self) -> None:
        """Say of every lagging room that it lags, once."""
        for room, position in self.untold():
            self.start_job(partial(self.say_lag, room, position))

    @abstractmethod
    async def say_lag(self, room: str, position: Lagging) -> None:
        """Tell the peer that facts of the room were left out, unless the session is elsewhere by now."""

    def entered(self, fact_batch: FactBatch) -> None:
        if self.state == GREETING:
            self._note(RoomEvent("entered", fact_batch.room, fact_batch.first, fact_batch.commit))
        elif self.state == OPEN and fact_batch.commit > self.since:
            self.enter_group(fact_batch.room, fact_batch.first)
            self.enter(fact_batch.room, fact_batch.first)
            self._membership_changed()

    def left(self, fact_batch: FactBatch) -> None:
        if self.state == GREETING:
            self._note(RoomEvent("left", fact_batch.room, fact_batch.last, fact_batch.commit))
        elif self.state == OPEN and fact_batch.commit > self.since:
            self.leave_group(fact_batch.room)
            self.leave(fact_batch.room, fact_batch.last)
            self._membership_changed()

    def membership(self) -> trio.Event:
        """Is set when the session is next told that its user came into a group or left one, and when it ends."""
        if self._membership is None:
            self._membership = trio.Event()
        return self._membership

    def _membership_changed(self) -> None:
        if self._membership is not None:
            self._membership.set()
            self._membership = None

    def enter_group(self, room: str, since: int) -> None:
        """The user is in the group from seq `since` on. An admin sees all of it."""
        if self.groups is None:
            self.groups = {}
        self.groups[room] = None
        self.gateway.live.enter(room, self, 1 if self.oversees else since)

    @property
    @abstractmethod
    def oversees(self) -> bool:
        """Whether the user reads as if a member of every group from its beginning."""

    def leave_group(self, room: str) -> None:
        """The user is not in the group any more."""
        if self.groups is not None:
            self.groups.pop(room, None)
        self.gateway.live.leave(room, self)

    def _note(self, event: RoomEvent) -> None:
        self._keep(self.note(event))

    def _keep(self, kept: bool) -> None:
        if not kept:
            self.close(SLOW, "too much happened while the welcome was read")

    def leave_all(self) -> None:
        """Out of the tables of rooms, of who watches whom, and of the user's sessions."""
        live, gateway = self.gateway.live, self.gateway
        live.sign_ins.pop(self, None)
        live.presence.left(self.id)
        if gateway.sessions.pop(self.id, None) is not None:
            live.counts.sessions[self.connection.transport] -= 1
        for room in self.groups or ():
            live.leave(room, self)
        self.groups = None
        self.forget()
        self._membership_changed()
        if self.watching:
            live.watches.replace(self, (), oversees=True)
            self.watching = ()
        if self.actor is not None:
            self.actor.leave(self)
