"""A world of one room and one session, whose positions it drives as `replay` and `sign_in` do.

Each generator yields where those wait, so that anything may happen there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from gochat.session.positions import OPEN, Lagging, Positions, Replaying, RoomEvent, goal
from tests.client.places import DM

PIECE = 3

Job = Iterator[None]


class Batch(NamedTuple):
    """Facts of one transaction, as they are delivered: to one set of listeners."""

    first: int
    last: int
    commit: int
    change: str = ""
    """"added" or "removed": what the first or the last of them does to the user."""


class Lag(NamedTuple):
    head: int


class Restart(NamedTuple):
    """Facts go on after `seq`."""

    seq: int
    why: str
    """"welcome", "resume" or "reset"."""


class World:
    """One room, and one user's session in it. `out` is on its way to the client."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.head = 0
        self.commit = 0
        self.batches: dict[int, Batch] = {}
        """By the seq of their first fact; for a reading of the log."""
        self.member = True
        """As it is recorded."""
        self.in_group = False
        """As the session was told."""
        self.queue: deque[Batch] = deque()
        """Recorded, and not begun to be delivered."""
        self.under_way: Batch | None = None
        """Begun, and not given to the session."""
        self.delivered: int | None = 0
        """None: the room is not awake."""
        self.full = False
        self.machine = Positions()
        self.jobs: deque[Job] = deque()
        self.readings = 0
        self.out: deque[Any] = deque()
        self.ended_at = 0
        self.seen_from = 1

    # ------------------------------------------------------------------------------------------ the room

    def post(self, count: int, change: str = "") -> None:
        if self.delivered is None:
            self.delivered = self.head
        self.commit += 1
        batch = Batch(self.head + 1, self.head + count, self.commit, change)
        self.batches[batch.first] = batch
        self.head = batch.last
        self.queue.append(batch)
        if change:
            self.member = change == "added"
            if not self.member:
                self.ended_at = batch.last

    def begin(self) -> None:
        """The room begins to deliver a batch."""
        if self.under_way is not None or not self.queue:
            return
        batch = self.under_way = self.queue.popleft()
        self.delivered = batch.last
        if batch.change == "added":
            self._entered(batch)

    def hand(self) -> None:
        """The batch that is under way is given to the session, if it is among the listeners."""
        batch, self.under_way = self.under_way, None
        if batch is None:
            return
        machine = self.machine
        listens = self.room == DM or self.in_group
        if listens and not ((machine.catching_up or batch.commit <= machine.since) and not self._takes(batch)):
            if self.full:
                machine.fall_behind(self.room)
                self.tell_lag()
            else:
                self.send(batch.first, batch.last)
        if batch.change == "removed":
            self._left(batch)

    def lose(self) -> None:
        """The room leaves the batch out that is under way, or, where it is not in memory for want of space, what is
        posted now: who hears it is told that it lags."""
        if self.delivered is None:
            self.commit += 1
            self.head += 1
            self.batches[self.head] = Batch(self.head, self.head, self.commit)
            self._lag(self.head)
        elif self.under_way is not None and not self.under_way.change:
            batch, self.under_way = self.under_way, None
            self._lag(batch.last)

    def _lag(self, last: int) -> None:
        machine = self.machine
        if machine.events is not None:
            machine.note_lag(self.room, last)
        elif self.room == DM or self.in_group:
            machine.fall_behind(self.room)
            self.tell_lag()

    def sleep(self) -> None:
        """The room leaves memory: only where nobody depends on what it delivered."""
        if not self.queue and self.under_way is None and not self.readings:
            self.delivered = None

    def send(self, first: int, last: int) -> None:
        self.out.extend(range(first, last + 1))

    def _takes(self, batch: Batch) -> bool:
        if self.machine.events is not None:
            if self.room == DM:
                self.machine.note(RoomEvent("facts", self.room, batch.first, batch.commit))
            return False
        return self.machine.hears(self.room, batch.first, batch.commit)

    def _entered(self, batch: Batch) -> None:
        if self.machine.events is not None:
            self.machine.note(RoomEvent("entered", self.room, batch.first, batch.commit))
        elif self.machine.state == OPEN and batch.commit > self.machine.since:
            self.in_group = True
            self.machine.enter(self.room, batch.first)

    def _left(self, batch: Batch) -> None:
        if self.machine.events is not None:
            self.machine.note(RoomEvent("left", self.room, batch.last, batch.commit))
        elif self.machine.state == OPEN and batch.commit > self.machine.since:
            self.in_group = False
            self.machine.leave(self.room, batch.last)

    # ------------------------------------------------------------------------------------------ the session

    def tell_lag(self) -> None:
        for _, position in self.machine.untold():
            self.jobs.append(self._say_lag(position))

    def _say_lag(self, position: Lagging) -> Job:
        head = self.head if self.delivered is None else self.delivered
        yield
        told = self.machine.lag_head(self.room, position, head)
        if told is not None:
            self.out.append(Lag(told))

    def sign_in(self, held: int | None) -> None:
        """A new connection. Its client holds the facts up to `held`; None: it begins at the welcome's head."""
        self.machine.forget()
        self.machine = Positions()
        self.jobs.clear()
        self.out.clear()
        self.readings = 1
        self.in_group = False
        self.machine.begin_greeting()
        self.jobs.append(self._greet(held))

    def _greet(self, held: int | None) -> Job:
        yield
        member, commit, ended_at = self.member, self.commit, self.ended_at
        head = self.head if member else ended_at
        yield
        machine = self.machine
        events = machine.open(commit)
        self.readings -= 1
        self.out.append(Restart(head if held is None else held, "welcome"))
        if member and self.room != DM:
            self.in_group = True
            if self.delivered is not None and self.delivered > head:
                machine.put(self.room, Replaying(head))
        if held is not None and (head != held or machine.position(self.room) is not None):
            machine.go_on(self.room, held, head, None if member else ended_at)
        for room, last in machine.take_missed().items():
            if room == DM or self.in_group:
                machine.catch_up_missed(room, last, head)
        for event in events:
            if event.kind != "facts":
                self.in_group = event.kind == "entered"
            machine.catch_up(event)
        position = machine.position(self.room)
        if isinstance(position, Replaying):
            self.jobs.append(self._replay(position))
        self.tell_lag()

    def resume(self, seq: int) -> None:
        if self.machine.state == OPEN:
            self.jobs.append(self._resume(seq))

    def _resume(self, seq: int) -> Job:
        while True:
            member, head = self.member, self.head if self.member else self.ended_at
            yield
            if self.room == DM or member == self.in_group:
                break
            yield
        until = None if member else head
        if seq > head:
            self.jobs.append(self._reset(head, until))
            return
        position = self.machine.go_on(self.room, seq, head, until)
        self.out.append(Restart(seq, "resume"))
        if isinstance(position, Replaying):
            self.jobs.append(self._replay(position))
        else:
            self.tell_lag()

    def _reset(self, head: int, until: int | None) -> Job:
        self.out.append(Restart(head, "reset"))
        position = Replaying(head, until)
        self.machine.put(self.room, position)
        yield from self._replay(position)

    def _replay(self, position: Replaying) -> Job:
        machine = self.machine
        self.readings += 1
        while machine.is_at(self.room, position):
            upto = goal(position, self.delivered)
            while upto is None:
                head = self.head
                yield
                upto = goal(position, self.delivered, head)
            if position.after >= upto and not position.next_stay():
                hears = self.room == DM or self.in_group
                machine.end_replay(self.room, position, delivering=hears and self.delivered is not None)
                break
            if position.after >= upto:
                continue
            while self.full:
                yield
            last = min(upto, position.after + PIECE, self.head if self.member else self.ended_at)
            first = position.after + 1
            yield
            if not machine.is_at(self.room, position):
                break
            self.send(first, last)
            machine.replayed(position, last)
        self.readings -= 1

    def work(self) -> None:
        """The oldest job goes on to where it waits next."""
        if self.jobs and next(self.jobs[0], self) is self:
            self.jobs.popleft()
