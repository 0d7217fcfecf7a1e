"""How far a room's users have read: noted at once, and told to the others a few times a second at most.

In a group of 50 each read goes to all sessions of all members, and one user may send thousands of them in a write. Of a
user's positions only the highest counts. So the first is told at once, and what comes within EVERY_S after it is one
event at the end of that time: the last position is always told.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import trio

from gochat.actors.delivery_receipts import RecordNow, StartTask
from gochat.actors.room_context import RoomContext
from gochat.actors.subscriber import send_best_effort
from gochat.actors.supervisor import Spec
from gochat.domain import commands
from gochat.domain.receipts import SMALL_ROOM, has_seat, is_small, tells_read
from gochat.domain.record import RoomRecord
from gochat.protocol import replies

#: The least time between two events about one user.
EVERY_S: Final = 0.3
#: Users who are remembered, and who may wait; more are those of a large room, where nobody but they themselves is told.
MOST: Final = 2 * SMALL_ROOM


#: How often a room is looked at that is being rebuilt: half a minute.
MOST_LOOKS: Final = 100


class _Waiting(NamedTuple):
    seq: int
    due: float
    here: bool
    """Whether this node took the read, and tells the others of it."""
    withheld: bool


class ReadReceipts:
    """One room's. It has a task while positions wait."""

    __slots__ = (
        "_journal",
        "_live",
        "_now_ms",
        "_policy",
        "_reads",
        "_record",
        "_runs",
        "_start",
        "_told_at",
        "_waiting",
    )

    def __init__(self, context: RoomContext, record: RecordNow, start: StartTask) -> None:
        self._journal = context.journal
        self._live = context.live
        self._now_ms = context.clock.now_ms
        self._policy = context.rules.contacts
        self._record = record
        self._start = start
        self._reads: dict[str, int] = {}
        """The latest users' positions that were taken, so that repeats cost nothing."""
        self._told_at: dict[str, float] = {}
        """When the latest users were told of, the last time."""
        self._waiting: dict[str, _Waiting] = {}
        self._runs = False
        """Whether there is a task."""

    def take(self, record: RoomRecord, user: str, seq: int) -> None:
        """The user, who has a seat in the room, has read up to `seq`."""
        if self._is_news(user, seq):
            self._journal.note_read(record, user, seq)
            self._tell_in_time(record, user, seq, here=True, withheld=False)

    def hear(self, record: RoomRecord, user: str, seq: int, *, withheld: bool) -> None:
        """The same of a read that another node took, and has noted. The rules are asked here once more: others are
        told only where both nodes let them be. Nodes thin what they tell each other; it is thinned here too, since the
        user's reads may come by several."""
        if self._is_news(user, seq):
            self._tell_in_time(record, user, seq, here=False, withheld=withheld)

    def _is_news(self, user: str, seq: int) -> bool:
        """Whether the user has not been known to have read so far."""
        if seq <= self._reads.get(user, 0):
            return False
        self._reads.pop(user, None)
        self._reads[user] = seq
        if len(self._reads) > MOST:
            del self._reads[next(iter(self._reads))]
        return True

    # ------------------------------------------------------------------------------------------ when it is told

    def _tell_in_time(self, record: RoomRecord, user: str, seq: int, *, here: bool, withheld: bool) -> None:
        now = trio.current_time()
        due = self._told_at.get(user, now - EVERY_S) + EVERY_S
        read = _Waiting(seq, due, here, withheld)
        waits = self._waiting.get(user)
        if waits is not None and waits.seq >= seq:
            return  # A device that lags behind, of a user who had been forgotten.
        if waits is not None and withheld and not waits.withheld:
            # The others are not told of the higher one, so that it can't stand for this one.
            self._tell(record, user, waits, now)
        if due <= now or (waits is None and len(self._waiting) >= MOST):
            self._waiting.pop(user, None)
            self._tell(record, user, read, now)
            return
        self._waiting[user] = read
        if not self._runs:
            self._runs = True
            self._start(Spec(f"read {record.room}", self._tell_later, "temporary", self._given_up))

    def _given_up(self) -> None:
        self._waiting.clear()
        self._runs = False

    async def _tell_later(self) -> None:
        looks = 0
        while self._waiting:
            await trio.sleep_until(min(read.due for read in self._waiting.values()))
            now, record = trio.current_time(), self._record()
            for user, read in list(self._waiting.items()):
                if read.due > now:
                    continue
                if record is None:
                    self._waiting[user] = read._replace(due=now + EVERY_S)
                    continue
                del self._waiting[user]
                if has_seat(record, user):
                    self._tell(record, user, read, now)
            looks = 0 if record is not None else looks + 1
            if looks == MOST_LOOKS:
                self._waiting.clear()  # Lists and pages have the positions.
        self._runs = False

    def _tell(self, record: RoomRecord, user: str, read: _Waiting, now: float) -> None:
        """Tell how far the user has read: those whom they let write, or what is withheld themself alone; and the other
        nodes."""
        self._told_at.pop(user, None)
        self._told_at[user] = now
        if len(self._told_at) > MOST:
            del self._told_at[next(iter(self._told_at))]
        seq, relation = read.seq, record.relation
        if relation is not None:
            shared = tells_read(relation, user, self._policy, self._now_ms())
        else:
            shared = is_small(record) and not self._live.came_after(record.room, user, seq)
        if shared and not read.withheld:
            sessions = self._live.seeing(record.room, seq, hides=record.hides)
        else:
            sessions = list(self._live.users.get(user, ()))
        if record.since:  # Of a private room, where one of the two sees nothing from before.
            sessions = [session for session in sessions if seq >= record.since.get(session.user, 1)]
        send_best_effort(sessions, replies.Read(room=record.room, sender=user, seq=seq))
        if read.here and self._live.ephemera is not None:
            self._live.ephemera.tell(commands.Read(room=record.room, user=user, seq=seq), withheld=not shared)
