"""Where a session stands in each room's log, and so what it is given of what happens there. No trio, no I/O.

One law: of each room a client gets the fact after the last one it has, and no other, unless it was told `lag` or
`reset`. A session that keeps up needs only the number of the transaction that its welcome was read at: facts of later
ones are for it. A room for which that is not enough has a position, and the session is *catching up*: it is asked for
each delivery. The twin of this machine is client/positions.py.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

NEW, GREETING, OPEN, CLOSED = range(4)
#: No transaction is ever newer.
NEVER: Final = 1 << 62
#: Facts of one room that are replayed at most, and of all rooms in one `hello` (protocol.md, "resume").
REPLAY_ROOM: Final = 500
REPLAY_ALL: Final = 5000
#: Events kept while a welcome is read; more, and the client is asked to come again.
MAX_EVENTS: Final = 10_000


class Lagging(msgspec.Struct, gc=False):
    """Facts were left out. Nothing comes until the client resumes."""

    told: bool = False
    until: int | None = None
    """Where the user's time in the room ended: the head that is told."""


class Stay(msgspec.Struct, gc=False):
    """A later time of the user in the room, from the fact that added the user."""

    first: int
    until: int | None = None
    """Where it ended; None while it lasts."""


class Replaying(msgspec.Struct):
    """The log is being read to the peer; `after` is the last seq that went out."""

    after: int
    until: int | None = None
    """Where the user's time in the room ended: the last fact to be told of it."""
    stays: list[Stay] = []
    """Later times in the room, each to be read when the one before was. The facts in between are not the user's."""

    def end_stay(self, last: int) -> None:
        """The user's time in the room has ended with seq `last`."""
        if self.stays:
            self.stays[-1].until = last
        else:
            self.until = last

    def begin_stay(self, first: int) -> bool:
        """The user is in the room again. False: as far as this replay knows, the user never left."""
        if (self.stays[-1].until if self.stays else self.until) is None:
            return False
        self.stays.append(Stay(first))
        return True

    def next_stay(self) -> bool:
        """The user's time was read to its end: go on with the next. False: there is none."""
        if not self.stays:
            return False
        stay = self.stays.pop(0)
        self.after, self.until = stay.first - 1, stay.until
        return True


class LiveFrom(msgspec.Struct, gc=False):
    """Live, but a delivery that is still under way may bring facts below `seq`, which went out already."""

    seq: int


Position: TypeAlias = Lagging | Replaying | LiveFrom


class RoomEvent(NamedTuple):
    """An event in a room while the welcome was being read. It counts afterwards, if the welcome does not hold it."""

    kind: Literal["facts", "entered", "left"]
    """Facts of a DM, or a coming into or going out of a group."""
    room: str
    seq: int
    commit: int


class Positions:
    """All rooms of one session."""

    __slots__ = ("catching_up", "events", "missed", "positions", "since", "state")

    def __init__(self) -> None:
        self.state = NEW
        self.since = 0
        """Number of the last transaction that the welcome holds."""
        self.catching_up = True
        """Whether `hears` must be asked for each delivery."""
        self.positions: dict[str, Position] | None = None
        self.events: list[RoomEvent] | None = None
        self.missed: dict[str, int] | None = None
        """Rooms that left facts out while the welcome was read, with the seq of the last of them; None: no room."""

    # ------------------------------------------------------------------------------------------ signing in and out

    def begin_greeting(self) -> None:
        """The welcome is about to be read. From now on notes are taken."""
        self.state = GREETING
        self.events = []

    def note(self, event: RoomEvent) -> bool:
        """Keep what happens while the welcome is read. False: it is too much, and nothing is kept any more."""
        if self.events is None:
            return True
        self.events.append(event)
        if len(self.events) <= MAX_EVENTS:
            return True
        self.forget()
        return False

    def note_lag(self, room: str, head: int) -> bool:
        """Keep that facts up to `head` were left out while the welcome is read. False: see `note`."""
        if self.events is None:
            return True
        if self.missed is None:
            self.missed = {}
        self.missed[room] = max(head, self.missed.get(room, 0))
        if len(self.missed) <= MAX_EVENTS:
            return True
        self.forget()
        return False

    def open(self, commit: int) -> list[RoomEvent]:
        """The welcome is made: hear what is committed after transaction `commit`; with NEVER, nothing. The events that
        the welcome does not hold are the caller's to `catch_up`."""
        events = [event for event in self.events or () if event.commit > commit]
        self.state, self.since, self.events, self.catching_up = OPEN, commit, None, False
        return events

    def forget(self) -> None:
        """The session is over, or about to be."""
        self.positions = self.events = self.missed = None

    # ------------------------------------------------------------------------------------------ what rooms tell

    def hears(self, room: str, first: int, commit: int) -> bool:
        """Whether facts that are being delivered, from seq `first` on and all of one transaction, are for the peer now.
        If not, they come with the replay, or the peer is told that they are missing."""
        if self.state != OPEN:
            return False
        position = self.position(room)
        if position is None:
            return commit > self.since
        if not isinstance(position, LiveFrom) or position.seq > first:
            return False
        # Facts committed before the welcome may be delivered after it; a replay that went up to it left them out.
        if commit > self.since:
            self.put(room, None)
        return True

    def fall_behind(self, room: str) -> bool:
        """Facts could not be taken. Whether that is news."""
        if self.state != OPEN or self.since == NEVER or isinstance(self.position(room), Lagging):
            return False
        self.put(room, Lagging())
        return True

    def enter(self, room: str, first: int) -> None:
        """The user comes into the group with the facts that are delivered now, from `first` on. The room starts with
        these, unless facts up to an earlier removal are still being read: then they come after those."""
        position = self.position(room)
        if not (isinstance(position, Replaying) and position.begin_stay(first)):
            self.put(room, None)

    def leave(self, room: str, last: int) -> None:
        """The user hears nothing of the group after seq `last`, which has been delivered."""
        position = self.position(room)
        if isinstance(position, Replaying):
            position.end_stay(last)
        elif isinstance(position, Lagging):
            position.until = last
        elif position is not None:
            self.put(room, None)

    # ------------------------------------------------------------------------------------------ coming up to the head

    def position(self, room: str) -> Position | None:
        """None: the session keeps up, or has nothing to do with the room."""
        return self.positions.get(room) if self.positions else None

    def put(self, room: str, position: Position | None) -> None:
        """Have the session catch up with the room, or, with None, put it back among those that simply hear it."""
        if position is not None:
            if self.positions is None:
                self.positions = {}
            self.positions[room] = position
        elif self.positions is not None:
            self.positions.pop(room, None)
            if not self.positions:
                self.positions = None
        self.catching_up = self.state != OPEN or self.positions is not None

    def go_on(
        self, room: str, held: int, head: int, until: int | None = None, budget: int = REPLAY_ROOM
    ) -> Replaying | Lagging:
        """The client holds the facts up to `held` of a room whose head is `head`. They are replayed to it if there are
        few, by the bound for one room and by `budget`. `until` is the head where the user's time in the room ended."""
        few = head - held <= min(REPLAY_ROOM, budget)
        position: Replaying | Lagging = Replaying(held, until) if few else Lagging(until=until)
        self.put(room, position)
        return position

    def catch_up(self, event: RoomEvent) -> None:
        """Take in an event that happened while the welcome was read, and is newer."""
        position = self.position(event.room)
        if event.kind == "left":
            if isinstance(position, Replaying):
                position.end_stay(event.seq)
            elif isinstance(position, Lagging):
                position.until = event.seq
        elif position is None or (
            event.kind == "entered" and not (isinstance(position, Replaying) and position.begin_stay(event.seq))
        ):
            self.put(event.room, Replaying(event.seq - 1))

    def take_missed(self) -> dict[str, int]:
        """Rooms that `note_lag` has kept, once; each is the caller's to `catch_up_missed`, before any event."""
        missed, self.missed = self.missed, None
        return missed or {}

    def catch_up_missed(self, room: str, last: int, head: int | None) -> None:
        """Facts up to seq `last` were left out while the welcome was read, which holds the room up to `head`; None: it
        does not say."""
        if self.position(room) is not None:
            return  # It is read up to what the room delivers, or lags.
        if head is None:
            self.put(room, Lagging())
        elif head < last:
            self.go_on(room, head, last)

    # ------------------------------------------------------------------------------------------ replaying

    def is_at(self, room: str, position: Position) -> bool:
        """Whether nothing else has been decided about the room meanwhile."""
        return self.state == OPEN and self.position(room) is position

    def replayed(self, position: Replaying, last: int) -> None:
        """The facts up to seq `last` went out."""
        position.after = last

    def end_replay(self, room: str, position: Replaying, *, delivering: bool) -> None:
        """The log was read up to `goal`. `delivering`: the session is among the listeners of a room that may still
        deliver what was read, or what its last commit brought: below `after` it is passed over, above it is taken,
        whether the welcome held it or not."""
        self.put(room, LiveFrom(position.after + 1) if delivering else None)

    def fail_replay(self, room: str, position: Replaying) -> None:
        """The log can't be read: the client shall resume, if that is still so."""
        if self.is_at(room, position):
            self.put(room, Lagging(until=position.until))

    # ------------------------------------------------------------------------------------------ lagging

    def untold(self) -> list[tuple[str, Lagging]]:
        """The rooms whose lag the peer is to be told of now; each once."""
        rooms = []
        for room, position in (self.positions or {}).items():
            if isinstance(position, Lagging) and not position.told:
                position.told = True
                rooms.append((room, position))
        return rooms

    def lag_head(self, room: str, position: Lagging, head: int) -> int | None:
        """The head that a `lag` tells, of a room whose head is `head`; None where it is not to be told any more: the
        client has resumed the room since. If the session lags again, that is another lag, told by itself."""
        if not self.is_at(room, position):
            return None
        return head if position.until is None else position.until


def goal(position: Replaying, delivered: int | None, head: int | None = None) -> int | None:
    """How far to read before the session may go live: to what the room has begun to deliver; None: read the log's head,
    and ask again with it, and with `delivered` looked up afterwards.

    `delivered` is the last fact that the room has begun to deliver, None where the room is not awake. A replay that has
    read further already goes on to the head, for only there no batch of facts is cut in two. The caller looks at
    `delivered` and acts on the goal in one step, without a checkpoint between.
    """
    if position.until is not None:
        return position.until
    if delivered is not None and 0 <= delivered >= position.after:
        return delivered
    if head is None or (delivered is not None and delivered > head):
        return None
    return head
