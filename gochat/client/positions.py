"""Where a client stands in each room's log, and what it must ask for to have all of it. No I/O.

One law decides which facts the application gets: of each room only the fact that follows the last one, except where the
server itself says that those between can't be had. Everything else here is about asking: a room is *behind* when facts
of it are known or suspected to be missing, and stays so until the server has promised to go on from there.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import msgspec

from gochat.client.wire import Fact, Page
from gochat.domain import ids
from gochat.domain.facts import Closed, Member, Message
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import ContactEntry, ContactState, GroupEntry, RoomEntry
from gochat.protocol.requests import Position

#: Most rooms in one `hello` (protocol.md, "Session"); the others are resumed one by one after `welcome`.
RESUME_ROOMS: Final = 1_000
#: A room this near to its head is resumed, one further away is paged first. The server replays up to 500 facts; the
#: head moves on meanwhile.
RESUME_WITHIN: Final = 250
#: Facts asked for in one page while a room catches up.
PAGE: Final = 200


Ask: TypeAlias = req.Resume | req.History


class State(enum.Enum):
    LIVE = enum.auto()
    BEHIND = enum.auto()
    GONE = enum.auto()
    """The user is not in the room, or the room is closed. A later fact begins a new stay."""


class RoomPosition:
    """One room. `seq` is the last fact handed on."""

    __slots__ = ("asked", "epoch", "head", "no_resume", "promised", "resumed_at", "seq", "state")

    def __init__(self, seq: int, epoch: str | None) -> None:
        self.seq = seq
        self.epoch = epoch
        self.state = State.LIVE
        self.head = seq
        """The latest head that the server told."""
        self.asked: Ask | None = None
        """The request whose answer counts; answers to others are stale."""
        self.promised = False
        """Nothing has contradicted the `resume` that is on its way: no `lag`, and no fact that was passed over."""
        self.resumed_at: int | None = None
        """Where the last `resume` began. To be behind at the same place again means that the fact after it can't be
        had, and only a page can say where the rest begins."""
        self.no_resume = False
        """The server refused `resume`: the user has left the group, or has not yet answered a stranger who asks to
        write. The past is all that can be had."""

    def live(self) -> None:
        """The server goes on from here by itself."""
        self.state = State.LIVE
        self.asked = self.resumed_at = None
        self.no_resume = False


class Reset(msgspec.Struct, kw_only=True):
    """An event of the client: the facts of this room so far belong to another log, or do not connect to those that
    come. Facts go on after `head`; earlier ones are in the room's history."""

    room: str
    epoch: str
    head: int


class Positions:
    """All rooms of one user."""

    def __init__(self) -> None:
        self.user = ""
        self._epoch: str | None = None
        """Of the facts that come live on this connection, as its `welcome` tells. None: that of an older server, or no
        `welcome` has come."""
        self._positions: dict[str, RoomPosition] = {}
        self._behind: dict[str, None] = {}
        self._caught: set[str] = set()
        self._named: set[str] = set()
        self._held: set[str] = set()
        """Rooms that `hold` has begun, until `welcomed` takes the list that names them."""
        self._welcomed = False
        self._returned = False
        """The latest `welcome` was not the first."""

    # ------------------------------------------------------------------------------------------ a connection begins

    def hold(self, room: str, seq: int, epoch: str | None, head: int, now: str | None) -> bool:
        """Go on from the position that an earlier session has left of a room. Called before `welcomed` or `found` take
        the list that tells its `head`, and `now`, its epoch. False where a live fact was first: then it is of no use.

        The list may be some facts older than the position, and is no proof that the log was rolled back: the room is
        resumed wherever the two differ, and the server says what is so."""
        if room in self._positions:
            return False
        place = self._positions[room] = RoomPosition(seq, epoch)
        place.head = max(seq, head)
        if (seq, epoch) != (head, now):
            self._held.add(room)
            self._fall_behind(room, place)
        return True

    def of(self, room: str) -> Position | None:
        """How far the facts of a room were handed on, and the epoch of their log, if it was told."""
        place = self._positions.get(room)
        return None if place is None else Position(place.seq, place.epoch)

    def resume(self, frame_bytes: int) -> dict[str, Position]:
        """The positions for `hello`: as many rooms as one frame holds, those with the latest facts first."""
        named: dict[str, Position] = {}
        room_bytes = frame_bytes * 3 // 4  # the rest of the frame is for the token
        for room, place in reversed(self._positions.items()):
            # 45: the JSON around the two, and a seq of 11 digits.
            room_bytes -= len(room) + len(place.epoch or "") + 45
            if room_bytes < 0 or len(named) == RESUME_ROOMS:
                break
            if place.state is not State.GONE:
                named[room] = Position(place.seq, place.epoch)
        self._named = set(named)
        return named

    def welcomed(self, welcome: replies.Welcome) -> list[Reset]:
        """Take the heads that `welcome` tells. Rooms that were named go on by themselves; a room that is new here
        begins at its head, and a private room that appeared while there was no connection at what its user has read.
        Of a private room that waits for an answer nothing comes: it is left as it is until `opened`.
        """
        self.user, self._epoch = welcome.user, welcome.epoch
        self._caught.clear()
        entries: list[ContactEntry | RoomEntry] = [*welcome.contacts, *welcome.rooms]
        listed = {entry.room: entry for entry in entries}
        waiting = {entry.room for entry in welcome.requests}
        for room, place in self._positions.items():
            if place.state is not State.GONE:
                place.live()
                if room in self._named and room not in waiting:
                    place.epoch = place.epoch or self._epoch  # The server has compared its seq, and goes on from there.
                if room in self._held or not (room in self._named or room in listed or room in waiting):
                    self._fall_behind(room, place)
        told = self._named | self._held
        self._held.clear()
        resets = [self._listed(entry) for room, entry in listed.items() if room not in told]
        self._returned = self._welcomed
        self._welcomed = True
        return [reset for reset in resets if reset is not None]

    def _listed(self, entry: ContactEntry | RoomEntry) -> Reset | None:
        room, epoch, head = entry.room, entry.epoch, entry.head
        place = self._positions.get(room)
        if place is None or place.state is State.GONE:
            missed = self._welcomed and ids.is_dm(room)
            place = self._positions[room] = RoomPosition(min(entry.read, head) if missed else head, epoch)
        elif place.epoch not in (None, epoch) or place.seq > head:
            return self.reset(replies.Reset(room=room, epoch=epoch, head=head))
        place.epoch, place.head = epoch, head
        if place.seq < head:
            self._fall_behind(room, place)
        return None

    def found(self, entry: GroupEntry | ContactState) -> None:
        """A list tells of a room that `welcome` had no space for. It was read a moment ago: of a room that is known
        here it says nothing new."""
        if entry.room is None or entry.head is None or entry.room in self._positions:
            return
        missed = self._returned and ids.is_dm(entry.room)
        place = self._positions[entry.room] = RoomPosition(
            min(entry.read or 0, entry.head) if missed else entry.head, entry.epoch
        )
        place.head = entry.head
        if place.seq < place.head:
            self._fall_behind(entry.room, place)

    # ------------------------------------------------------------------------------------------ what the server says

    def take(self, fact: Fact, full: bool = False) -> bool:
        """Whether this fact is the next of its room and is to be handed on. With `full` the application has no space
        for it: the room falls behind, and is asked for again when there is."""
        room, seq = fact.room, fact.seq
        place = self._positions.get(room)
        if place is None or (place.state is State.GONE and (seq > place.seq or self._is_of_other_log(place))):
            # A room begins with the first fact that comes: its head at `welcome`, or the fact that added the user.
            place = self._positions[room] = RoomPosition(seq - 1, self._epoch)
        is_other = self._is_of_other_log(place)
        if seq <= place.seq and not is_other:
            return False
        if full or is_other or seq > place.seq + 1:
            self._fall_behind(room, place)
            return False
        place.epoch = place.epoch or self._epoch
        self._advance(room, place, fact)
        return True

    def _is_of_other_log(self, place: RoomPosition) -> bool:
        """Whether the facts that come now do not follow those that were handed on: the server has yet to be asked."""
        return place.epoch is not None and self._epoch is not None and place.epoch != self._epoch

    def _follow(self, epoch: str) -> None:
        """The server tells the epoch of a log. No server changes it on a connection; of one that did, what it told last
        would count, and nothing be asked for in vain."""
        if self._epoch is not None:
            self._epoch = epoch

    def lagging(self, lag: replies.Lag) -> Reset | None:
        """Facts were left out. Where it can't be known which, the room starts anew. Over nng a page, which is a reply,
        overtakes a `lag` that waits behind other events: the facts may be here by now, and then the answer to `resume`
        says whether they are of this log."""
        self._follow(lag.epoch)
        place = self._positions.get(lag.room)
        if place is None or place.state is State.GONE or place.epoch not in (None, lag.epoch):
            return self.reset(replies.Reset(room=lag.room, epoch=lag.epoch, head=lag.head))
        place.epoch, place.head = lag.epoch, max(lag.head, place.seq)
        self._fall_behind(lag.room, place)
        return None

    def reset(self, reset: replies.Reset) -> Reset:
        """The room's log is another one: go on from its head. The server is asked to, since it may wait for that."""
        self._follow(reset.epoch)
        self.rewind(reset.room, reset.head, reset.epoch)
        return Reset(room=reset.room, epoch=reset.epoch, head=reset.head)

    def rewind(self, room: str, seq: int, epoch: str | None) -> None:
        """Go on with the fact after `seq`, even if it was handed on before."""
        place = self._positions[room] = RoomPosition(seq, epoch)
        self._fall_behind(room, place)

    def opened(self, room: str) -> None:
        """A private room that may have waited for an answer is live again. Facts that came meanwhile follow those that
        were handed on before; of a room that is new here the waiting messages are history, and it begins with the next
        fact."""
        place = self._positions.get(room)
        if place is not None:
            # The server refused this while the room waited, and may since then wait for it.
            place.no_resume = False
            place.resumed_at = None
            self._fall_behind(room, place)

    # ------------------------------------------------------------------------------------------ catching up

    @property
    def waiting(self) -> bool:
        """Whether there is a room for `next_behind`."""
        return bool(self._behind)

    def next_behind(self) -> str | None:
        """The room that has been behind the longest and that nobody is catching up. The caller now does, by `ask`,
        until that says None; the room is not given out again before."""
        room = next(iter(self._behind), None)
        if room is not None:
            del self._behind[room]
            self._caught.add(room)
        return room

    def ask(self, room: str) -> Ask | None:
        """The next request that makes the room catch up; None when it has. One request at a time for each room."""
        place = self._positions[room]
        if place.state is not State.BEHIND:
            self._caught.discard(room)
            return None
        if place.no_resume or place.resumed_at == place.seq or place.head - place.seq > RESUME_WITHIN:
            place.resumed_at = None
            place.asked = req.History(room=room, after=place.seq, limit=PAGE)
        else:
            place.promised = True
            place.resumed_at = place.seq
            place.asked = req.Resume(room=room, seq=place.seq, epoch=place.epoch)
        return place.asked

    def answered(self, asked: Ask, reply: replies.Ok | Page) -> tuple[list[Fact], Reset | None]:
        """The facts to be handed on now that `asked` was answered. A complete page has all that can be had: a room goes
        on with its first entry even where that is not the next fact."""
        place = self._positions[asked.room]
        if place.asked is not asked:
            return [], None
        if not isinstance(reply, Page):
            if place.promised and place.state is State.BEHIND:
                place.state = State.LIVE
                place.epoch = place.epoch or self._epoch
            return [], None
        self._follow(reply.epoch)
        # Live facts may have come since the page was read: only the seq that was asked about must be in its log.
        began = asked.after if isinstance(asked, req.History) and asked.after is not None else 0
        if place.epoch not in (None, reply.epoch) or began > reply.head:
            return [], self.reset(replies.Reset(room=asked.room, epoch=reply.epoch, head=reply.head))
        place.epoch, place.head = reply.epoch, max(reply.head, place.seq)
        return self._paged(asked.room, place, reply), None

    def _paged(self, room: str, place: RoomPosition, page: Page) -> list[Fact]:
        fresh: list[Fact] = []
        for fact in page.entries:
            if fact.seq == place.seq + 1 or (page.complete and fact.seq > place.seq):
                if place.state is State.GONE:
                    place.state = State.BEHIND  # A page may hold the end of one stay and the beginning of the next.
                self._advance(room, place, fact)
                fresh.append(fact)
        if page.complete and not page.entries:
            place.seq = max(place.seq, page.head)
        if place.no_resume and place.seq >= page.head:
            if ids.is_dm(room):
                place.live()  # Nobody leaves a private room: it waits for an answer, and goes on from here.
            else:
                place.state = State.GONE
        return fresh

    def refused(self, asked: Ask) -> None:
        """The request that `ask` gave was refused for good. A user who may not resume may still be allowed to page."""
        place = self._positions[asked.room]
        if place.asked is not asked:
            return
        if isinstance(asked, req.Resume):
            place.no_resume = True
        elif place.state is State.BEHIND:
            place.state = State.GONE

    # ------------------------------------------------------------------------------------------ shared

    def _advance(self, room: str, place: RoomPosition, fact: Fact) -> None:
        """The fact is handed on. Pages and replays count the reactions to a message as they are now, and the facts of
        these reactions follow it: an application that got both would count each of them twice."""
        if type(fact) is Message and fact.reactions is not None:
            fact.reactions = None
        place.seq = fact.seq
        place.head = max(place.head, fact.seq)
        if isinstance(fact, Closed) or (
            isinstance(fact, Member) and fact.change in ("removed", "left") and self.user in fact.users
        ):
            place.state = State.GONE
        # The rooms of the latest facts stand last: `resume` names those first.
        self._positions[room] = self._positions.pop(room)

    def _fall_behind(self, room: str, place: RoomPosition) -> None:
        place.promised = False
        if place.state is State.LIVE:
            place.state = State.BEHIND
            if room not in self._caught:
                self._behind[room] = None


def room_of(to: str, user: str) -> str:
    """The room that an address means to `user`. Text that is neither is returned as it is, for the server to refuse."""
    return ids.resolve(to, user) or to
