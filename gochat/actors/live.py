"""The present listeners of rooms: the live sessions of users and rooms, and how a batch of facts gets to them.

A session that keeps up has no position in a room: it hears the facts that were committed after its welcome. Groups have
a table of their sessions; a private room has none, since its two users do. Sessions that are *catching up* (still
signing in, replaying, lagging) are asked for each batch. A batch is encoded once for each codec, and goes to a session
whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence, Set

import trio

from gochat.actors.broadcaster import Broadcaster, SendQueue
from gochat.actors.fact_batch import FactBatch
from gochat.actors.online import LocalPresence
from gochat.actors.presence import Watches
from gochat.actors.subscriber import Subscriber, drop
from gochat.domain.ids import dm_users
from gochat.errors import CLOSES, CODES, SLOW
from gochat.metrics import Counts
from gochat.ports.journal import ForeignBatch
from gochat.ports.presence import Ephemera, Presence

log = logging.getLogger(__name__)

#: How many sends are done before others get their turn: about 2 ms. A message waits for some five slices of others on
#: its way.
SLICE = 100
#: To queue costs less than a tenth of a send.
OFFERS_A_SEND = 10
#: Groups that are known to be large.
MOST_LARGE = 10_000


class Live:
    """The tables: sessions of each user, sessions in each group."""

    def __init__(self, slice_: int = SLICE) -> None:
        """`slice_`: see SLICE."""
        self.presence: Presence = LocalPresence()
        """Tells who is online on any node."""
        self.ephemera: Ephemera | None = None
        """The way of ephemeral events to the other nodes; None where there is no other."""
        self.watches = Watches()
        self.broadcaster = Broadcaster(slice_)
        self._few = slice_
        self._slice = slice_ * OFFERS_A_SEND
        self.users: dict[str, dict[Subscriber, None]] = {}
        """Of each user who has some, the sessions: the very table of the user's actor, which enters and leaves here."""
        self.groups: dict[str, dict[Subscriber, int]] = {}
        """Each with the seq from which its user sees the group, if that hides what was before."""
        self.large: dict[str, None] = {}
        """Groups that were too large for receipts when a device last confirmed something there, the latest `MOST_LARGE`
        of them, whether they are in memory or not."""
        self.sign_ins: dict[Subscriber, float] = {}
        """Sessions whose welcome is being read, the oldest first, and when that began."""

        self.readings: dict[object, float] = {}
        """Other readings of the log under way, the oldest first."""
        self.counts = Counts([code.name for code in CODES], [close.number for close in CLOSES])

    def listeners(self, room: str, hidden: str | None = None) -> list[Subscriber]:
        """The sessions that hear the room now, in the order they came; those of the user `hidden` do not."""
        if not room.startswith("dm:"):
            return list(self.groups.get(room, ()))
        one, other = dm_users(room)
        users = self.users
        if hidden is None and one != other:
            return [*users.get(one, ()), *users.get(other, ())]
        hearing = [user for user in dict.fromkeys((one, other)) if user != hidden]
        return [session for user in hearing for session in users.get(user, ())]

    def is_heard(self, room: str) -> bool:
        """Whether the room has listeners."""
        if not room.startswith("dm:"):
            return room in self.groups
        one, other = dm_users(room)
        return one in self.users or other in self.users

    def has_listeners(self) -> bool:
        """Whether any room may have listeners: somebody is signed in, or is about to be."""
        return bool(self.users or self.sign_ins or self.readings)

    def may_lag(self, room: str, hidden: str | None = None) -> list[Subscriber]:
        """The sessions that are to know that facts of the room were left out: the listeners, and of a group those, too,
        whose welcome is being read. These know later whether they are listeners."""
        sessions = self.listeners(room, hidden)
        return sessions if room.startswith("dm:") else [*sessions, *self.sign_ins]

    def move(self, before: Set[str], after: Set[str]) -> None:
        """Users came into a group or left it, and no delivery says so: their sessions end, and the welcome decides what
        they hear when they come again."""
        for user in before ^ after:
            if user in before:
                self.watches.mark_stale(user, watched=True)
            for session in list(self.users.get(user, ())):
                session.close(SLOW, "what happened could not be told; connect again")
                session.ended()

    def is_large(self, room: str) -> bool:
        """Whether a delivery takes more than one slice; a DM's never does."""
        return len(self.groups.get(room, ())) > self._slice

    def note_size(self, room: str, large: bool) -> None:
        """See `large`."""
        self.large.pop(room, None)
        if large:
            self.large[room] = None
            if len(self.large) > MOST_LARGE:
                del self.large[next(iter(self.large))]

    def enter(self, room: str, session: Subscriber, since: int = 1) -> None:
        """`since`: the seq at which the session's user came into the group."""
        self.groups.setdefault(room, {})[session] = since

    def seeing(self, room: str, seq: int, *, hides: bool) -> list[Subscriber]:
        """The listeners who may know of that seq, in a group that `hides` what was before they came in."""
        if not hides or room.startswith("dm:"):
            return self.listeners(room)
        return [session for session, since in self.groups.get(room, {}).items() if seq >= since]

    def came_after(self, room: str, user: str, seq: int) -> bool:
        """Whether the user came into the group after that seq, or with it, as far as sessions of theirs say it: what
        was said by then they have neither read nor got."""
        here = self.groups.get(room, {})
        joined = max((here.get(session, 1) for session in self.users.get(user, ())), default=1)
        return seq <= joined > 1

    def leave(self, room: str, session: Subscriber) -> None:
        drop(self.groups, room, session)

    def oldest_reading(self) -> float:
        """When the oldest of the greetings and readings under way began; now, if there is none. A room that had a turn
        since then does not go to rest: readers of its log must still learn from it what was delivered meanwhile."""
        now = trio.current_time()
        return min(next(iter(self.sign_ins.values()), now), next(iter(self.readings.values()), now))

    # ------------------------------------------------------------------------------------------ delivery

    def deliver_now(self, fact_batch: FactBatch) -> SendQueue:
        """Give the batch to all who hear the room, in one go; the line with which it leaves."""
        self.begin(fact_batch)
        sessions = self.listeners(fact_batch.room, fact_batch.hidden)
        self.offer(fact_batch, sessions, self.broadcaster.short, few=len(sessions) <= self._few)
        self.end(fact_batch)
        return self.broadcaster.short

    async def deliver(self, fact_batch: FactBatch) -> SendQueue:
        """The same for a large room: in slices, with a checkpoint between. Sessions that come or go meanwhile get
        each fact once all the same: `takes` knows which facts a newcomer has been given already."""
        self.begin(fact_batch)
        sessions = self.listeners(fact_batch.room)
        here = self.groups.get(fact_batch.room, {})
        send_queue = self.broadcaster.long
        for begin in range(0, len(sessions), self._slice):
            some = sessions[begin : begin + self._slice]
            if begin:
                await trio.lowlevel.checkpoint()
                some = [session for session in some if session in here]
            self.offer(fact_batch, some, send_queue)
        self.end(fact_batch)
        return send_queue

    def begin(self, fact_batch: FactBatch) -> None:
        """Newcomers hear the room from the fact that named them."""
        for user in fact_batch.added:
            for session in self.users.get(user, ()):
                session.entered(fact_batch)

    def offer(
        self, fact_batch: FactBatch, sessions: Sequence[Subscriber], send_queue: SendQueue, *, few: bool = False
    ) -> None:
        """Queue it for each of them that it is for, to leave when it is their turn in line. `few`: a session that
        does not stand in one is sent it at once."""
        if not fact_batch.referred:
            self.send(fact_batch, sessions, send_queue, few=few)
        else:
            for veiled, some in self._veiled(fact_batch, sessions):
                self.send(veiled, some, send_queue, few=few)
        if send_queue.waiting:
            self.broadcaster.wake()

    def _veiled(
        self, fact_batch: FactBatch, sessions: Iterable[Subscriber]
    ) -> Iterable[tuple[FactBatch, list[Subscriber]]]:
        """The batch as each of the sessions may see it, where the facts refer to others that are hidden from some."""
        here = self.groups.get(fact_batch.room, {})
        parted: dict[int, tuple[FactBatch, list[Subscriber]]] = {}
        for session in sessions:
            since = fact_batch.since.get(session.user, 1) if fact_batch.since else here.get(session, 1)
            told = fact_batch.for_those_since(since)
            parted.setdefault(id(told), (told, []))[1].append(session)
        return parted.values()

    def send(
        self,
        fact_batch: FactBatch,
        sessions: Sequence[Subscriber],
        send_queue: SendQueue | None = None,
        *,
        few: bool = False,
    ) -> None:
        """Send the same bytes to each of the sessions that it is for: at once, with whatever waits there, or, given a
        line, as `offer` says. All of them must see what the facts refer to."""
        commit = fact_batch.commit
        encoded = fact_batch.encoded
        short = self.broadcaster.short
        left_out = 0
        for session in sessions:
            try:
                # `catching_up` and `since` are almost always False and small; asking both is cheaper than a call.
                if (session.catching_up or commit <= session.since) and not session.takes(fact_batch):
                    left_out += 1
                    continue
                data = encoded.get(session.codec)
                if data is None:
                    data = encoded[session.codec] = session.codec.encode_all(fact_batch.facts)
                if send_queue is None or (few and session.send_queue is None):
                    taken = session.outbox.try_send(data)
                else:
                    taken = session.offer(data)
                    if session.send_queue is not short and session.send_queue is not send_queue:
                        send_queue.add(session)
                if not taken:
                    session.lag(fact_batch.room, fact_batch.last)
                    left_out += 1
            except Exception:
                # One session's fault must not leave a gap in the others' order.
                log.exception("%s: a delivery to %s failed", fact_batch.room, session.user)
                session.abort()
                left_out += 1
        self.counts.deliveries += (len(sessions) - left_out) * len(fact_batch.facts)

    def end(self, fact_batch: FactBatch) -> None:
        """Users who were removed hear nothing more, and may see the others' presence no more."""
        if fact_batch.removed is None:
            self.watches.parted += 1
            for session in [*self.groups.get(fact_batch.room, ()), *self.sign_ins]:
                if session.user in self.watches.lookers:
                    self.watches.mark_stale(session.user, watched=False)  # Each pair that is watched has a watcher.
                session.left(fact_batch)
            return
        for user in fact_batch.removed:
            self.watches.mark_stale(user, watched=True)
            for session in list(self.users.get(user, ())):
                session.left(fact_batch)


def tell_lag(live: Live, batches: Sequence[ForeignBatch]) -> None:
    """Batches of one room, in their order, are not told here: its listeners are to read them in the log. Nobody is told
    of facts that the user does not hear."""
    facts = [(fact.seq, batch.hidden.get(fact.seq)) for batch in batches for fact in batch.facts]
    if not facts:
        return
    room = batches[0].room
    heads: dict[str, int] = {}
    for session in live.may_lag(room):
        if session.user not in heads:
            heads[session.user] = next((seq for seq, hidden in reversed(facts) if hidden != session.user), 0)
        if heads[session.user]:
            session.lag(room, heads[session.user])
