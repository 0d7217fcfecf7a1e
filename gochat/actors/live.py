"""The present listeners of rooms: the live sessions of users and rooms, and how a batch of facts gets to them.

A session that keeps up has no position in a room: it hears the facts that were committed after its welcome. Groups have
a table of their sessions; a private room has none, since its two users do. Sessions that are *catching up* (still
signing in, replaying, lagging) are asked for each batch. A batch is encoded once for each codec, and goes to a session
whole.
"""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import Protocol, TypeVar

import msgspec
import trio

from gochat.actors.broadcaster import Broadcaster, SendQueue, Waiting
from gochat.actors.online import LocalPresence
from gochat.domain.facts import AnyFact, Closed, Member
from gochat.domain.ids import dm_users
from gochat.domain.sight import redact, referenced_seqs, refers_to
from gochat.errors import CLOSES, CODES, SLOW
from gochat.metrics import Counts
from gochat.ports.journal import ForeignBatch
from gochat.ports.presence import Ephemera, Presence
from gochat.protocol import replies
from gochat.protocol.codec import Codec
from gochat.protocol.entries import PresenceEntry

log = logging.getLogger(__name__)

V = TypeVar("V")

#: How many sends are done before others get their turn: about 2 ms. A message waits for some five slices of others on
#: its way.
SLICE = 100
#: To queue costs less than a tenth of a send.
OFFERS_A_SEND = 10
MOST_SEEN, MOST_LARGE = 1_000, 10_000
#: Facts of a batch that refer to others, where those may be hidden from some of the listeners: it is encoded for as
#: many different sights, and one more.
REFERRING = 8


class Outgoing(Protocol):
    """A session's outbox, as rooms see it."""

    def try_send(self, data: bytes) -> bool:
        """Whole frames to the peer, or False: the outbox is full and nothing was taken."""


class Subscriber(Waiting, Protocol):
    """A live session, as rooms see it."""

    @property
    def outbox(self) -> Outgoing: ...

    codec: Codec
    device: str | None
    since: int
    """Number of the last transaction that its welcome holds."""
    user: str
    watching: tuple[str, ...]
    """The users whose presence it was told of."""
    catching_up: bool
    """Whether any room's facts need to be asked for with `takes`."""
    window: int
    """How many of its requests may be unsettled now; set by the user's actor."""

    def pump(self) -> None:
        """The window is larger now: carry out what waits, as far as may be."""

    def takes(self, fact_batch: FactBatch) -> bool:
        """Whether the facts are for this session now; if not, the session sees to it that it gets them in time."""

    def offer(self, data: bytes) -> bool:
        """Queue whole frames, to leave with the next `flush`. False: the outbox is full and nothing was taken."""

    def send_best_effort(self, data: bytes) -> None:
        """Send whole frames; they are dropped when the outbox is over half full."""

    def lag(self, room: str, head: int) -> None:
        """Facts of the room could not be taken: tell the peer as soon as there is space."""

    def close(self, number: int, reason: str) -> None:
        """Close in order, with a number of errors.CLOSES."""

    def ended(self) -> None:
        """It is over: out of all tables."""

    def entered(self, fact_batch: FactBatch) -> None:
        """Its user is in the room from the first of these facts on."""

    def left(self, fact_batch: FactBatch) -> None:
        """Its user is no longer in the room after the last of these facts."""


class FactBatch(msgspec.Struct, eq=False):
    """Facts of one room, of one transaction, for one set of listeners. Encoded at most once for each codec."""

    room: str
    commit: int
    facts: Sequence[AnyFact]
    added: Collection[str] = ()
    removed: Collection[str] | None = ()
    """Users who hear nothing after this; None when that is everybody."""
    hidden: str | None = None
    """A user of a private room who does not hear these: they were asked, and have not answered."""
    referred: tuple[int, ...] = ()
    """Seqs that the facts refer to, ascending, where those may be hidden from some of the listeners."""
    since: Mapping[str, int] = {}
    """In a private room, where users begin to see it, if that is not the beginning."""
    encoded: dict[Codec, bytes] = {}
    veiled: dict[int, FactBatch] = {}
    """The batch for users who do not see the first so many of `referred`; made when it is needed."""

    @property
    def first(self) -> int:
        return self.facts[0].seq

    @property
    def last(self) -> int:
        return self.facts[-1].seq

    @property
    def size(self) -> int:
        """Bytes of the largest encoding that was made."""
        return max((len(data) for each in (self, *self.veiled.values()) for data in each.encoded.values()), default=0)

    def for_those_since(self, since: int) -> FactBatch:
        """The batch as it is told to whoever came in at that seq and sees nothing from before."""
        count = bisect_left(self.referred, since)
        if not count:
            return self
        found = self.veiled.get(count)
        if found is None:
            found = self.veiled[count] = FactBatch(
                self.room, self.commit, [redact(fact, since - 1) for fact in self.facts], self.added, self.removed
            )
        return found


def fact_batches(
    room: str,
    commit: int,
    facts: Sequence[AnyFact],
    hidden: Mapping[int, str] = {},
    *,
    veils: bool = False,
    since: Mapping[str, int] = {},
) -> list[FactBatch]:
    """Cut a batch where the set of listeners changes: before an `added`, after a `removed`, a `left`, a `closed`, and
    in a private room where one of the two begins or ceases to hear. `hidden`: who does not, by seq. `veils`: what the
    facts refer to may be hidden from some; then few of them that do are in one batch, for it is encoded once more
    for each. `since`: of a private room, see FactBatch."""
    if hidden:
        cut = []
        for user, group in itertools.groupby(facts, key=lambda fact: hidden.get(fact.seq)):
            cut.append(FactBatch(room, commit, list(group), hidden=user))
    else:
        cut = _stretches(room, commit, facts)
    if not veils:
        return cut
    cut = [piece for fact_batch in cut for piece in _few_referring(fact_batch)]
    for fact_batch in cut:
        fact_batch.referred, fact_batch.since = referenced_seqs(fact_batch.facts), since
    return cut


def _few_referring(fact_batch: FactBatch) -> list[FactBatch]:
    """The batch in pieces with few facts that refer to others. Users who come hear from the first
    piece on, users who go hear up to the last."""
    pieces: list[list[AnyFact]] = [[]]
    few = 0
    for fact in fact_batch.facts:
        few += refers_to(fact) is not None
        if few > REFERRING:
            pieces.append([])
            few = 1
        pieces[-1].append(fact)
    if len(pieces) == 1:
        return [fact_batch]
    cut = [FactBatch(fact_batch.room, fact_batch.commit, piece, hidden=fact_batch.hidden) for piece in pieces]
    cut[0].added, cut[-1].removed = fact_batch.added, fact_batch.removed
    return cut


def _stretches(room: str, commit: int, facts: Sequence[AnyFact]) -> list[FactBatch]:
    if all(type(fact) is not Member and type(fact) is not Closed for fact in facts):
        return [FactBatch(room, commit, facts)]
    cut: list[FactBatch] = []
    begin = 0
    added: Collection[str] = ()
    for index, fact in enumerate(facts):
        if isinstance(fact, Member) and fact.change == "added":
            if index > begin:
                cut.append(FactBatch(room, commit, facts[begin:index], added))
            begin, added = index, fact.users
        elif isinstance(fact, Closed) or (isinstance(fact, Member) and fact.change in ("removed", "left")):
            removed = None if isinstance(fact, Closed) else fact.users
            cut.append(FactBatch(room, commit, facts[begin : index + 1], added, removed))
            begin, added = index + 1, ()
    if begin < len(facts):
        cut.append(FactBatch(room, commit, facts[begin:], added))
    return cut


class Stale(msgspec.Struct, eq=False):
    """A user who may have ceased to see others; with `watched` others may have ceased to see the user, too."""

    watched: bool
    held: bool = False
    """Whether something was not told because of it."""


class Live:
    """The tables: sessions of each user, sessions in each group, sessions that watch each user."""

    def __init__(
        self,
        slice_: int = SLICE,
        presence: Presence | None = None,
        ephemera: Ephemera | None = None,
    ) -> None:
        """`slice_`: see SLICE. `presence`: who is online on any node; `ephemera`: the way of ephemeral events to the
        other nodes. Both are None where there is no other."""
        self.presence = presence or LocalPresence()
        self.ephemera = ephemera
        self.broadcaster = Broadcaster(slice_)
        self._few = slice_
        self._slice = slice_ * OFFERS_A_SEND
        self.users: dict[str, dict[Subscriber, None]] = {}
        """Of each user who has some, the sessions: the very table of the user's actor, which enters and leaves here."""
        self.groups: dict[str, dict[Subscriber, int]] = {}
        """Each with the seq from which its user sees the group, if that hides what was before."""
        self.watchers: dict[str, dict[Subscriber, None]] = {}
        self.lookers: dict[str, dict[Subscriber, None]] = {}
        """Of each user, the sessions that watch others, but not those of admins, who see everybody."""
        self.stale: dict[str, Stale] = {}
        """Users of whom the store is to be asked who sees whom: see presence.py."""
        self._became_stale = trio.Event()
        self.parted = 0
        """How often somebody ceased to see somebody: a lookup of who may be seen is repeated if this has changed."""
        self.last_seen: dict[str, int] = {}
        """When users went offline, for the latest `MOST_SEEN` of them; the store knows all, a moment later."""
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

    def part(self, user: str, other: str) -> None:
        """The user may not see any more whether the other is there: to them the other goes offline."""
        self.parted += 1
        watching = self.watchers.get(other, {})
        watchers = [session for session in self.lookers.get(user, ()) if session in watching]
        for session in watchers:
            drop(self.watchers, other, session)
        if watchers:
            self.send_best_effort(watchers, replies.Presence(users=[PresenceEntry(user=other, online=False)]))

    def watch(self, session: Subscriber, users: Sequence[str], *, oversees: bool) -> None:
        """The session is told of these users from now on, and of no others. The caller keeps `watching`."""
        for user in session.watching:
            drop(self.watchers, user, session)
        drop(self.lookers, session.user, session)
        for user in users:
            self.watchers.setdefault(user, {})[session] = None
        if users and not oversees:
            self.lookers.setdefault(session.user, {})[session] = None

    def mark_stale(self, user: str, *, watched: bool) -> None:
        """The user may now see less of others, and if `watched`, others may see less of the user."""
        self.parted += 1
        if user in self.lookers or (watched and user in self.watchers):
            old = self.stale.pop(user, None)
            self.stale[user] = Stale(watched or (old is not None and old.watched), old is not None and old.held)
            self._became_stale.set()

    async def next_stale(self) -> str:
        """The user who has been in doubt for longest; waits for one."""
        while not self.stale:
            self._became_stale = trio.Event()
            await self._became_stale.wait()
        return next(iter(self.stale))

    def tell_presence(self, user: str, last_seen: int | None = None) -> None:
        """Tell the users who watch this one that it came, or went at `last_seen`."""
        if user in self.watchers:
            entry = PresenceEntry(user=user, online=last_seen is None, last_seen=last_seen)
            self.send_best_effort(self.onlookers(user), replies.Presence(users=[entry]))

    def onlookers(self, user: str) -> list[Subscriber]:
        """The sessions that may be told of the user now. Sessions that are left out because of a doubt are told when
        it is settled."""
        stale = self.stale.get(user)
        told = []
        for session in self.watchers.get(user, ()):
            own = self.stale.get(session.user)
            if (stale is None and own is None) or session not in self.lookers.get(session.user, ()):
                told.append(session)
            if own is not None:
                own.held = True
        if stale is not None:
            stale.held = True
        return told

    def move(self, before: Set[str], after: Set[str]) -> None:
        """Users came into a group or left it, and no delivery says so: their sessions end, and the welcome decides what
        they hear when they come again."""
        for user in before ^ after:
            if user in before:
                self.mark_stale(user, watched=True)
            for session in list(self.users.get(user, ())):
                session.close(SLOW, "what happened could not be told; connect again")
                session.ended()

    def is_large(self, room: str) -> bool:
        """Whether a delivery takes more than one slice; a DM's never does."""
        return len(self.groups.get(room, ())) > self._slice

    def saw(self, user: str, ts: int) -> None:
        self.last_seen.pop(user, None)
        self.last_seen[user] = ts
        if len(self.last_seen) > MOST_SEEN:
            del self.last_seen[next(iter(self.last_seen))]

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
            self.parted += 1
            for session in [*self.groups.get(fact_batch.room, ()), *self.sign_ins]:
                if session.user in self.lookers:
                    self.mark_stale(session.user, watched=False)  # Each pair that is watched has a watcher.
                session.left(fact_batch)
            return
        for user in fact_batch.removed:
            self.mark_stale(user, watched=True)
            for session in list(self.users.get(user, ())):
                session.left(fact_batch)

    def send_best_effort(self, sessions: Iterable[Subscriber], frame: msgspec.Struct) -> None:
        """An event that may be lost (typing, read, presence)."""
        encoded: dict[Codec, bytes] = {}
        for session in sessions:
            data = encoded.get(session.codec)
            if data is None:
                data = encoded[session.codec] = session.codec.encode(frame)
            session.send_best_effort(data)


def drop(table: dict[str, dict[Subscriber, V]], key: str, session: Subscriber) -> None:
    """Take a session out of a table, and the row with the last one."""
    row = table.get(key)
    if row is not None:
        row.pop(session, None)
        if not row:
            del table[key]


def tell_lag(live: Live, batches: Sequence[ForeignBatch]) -> None:
    """Batches of one room, in their order, are not told here: its listeners are to read them in the log. Nobody is told
    of facts that the user does not hear."""
    facts = [(fact.seq, batch.hidden.get(fact.seq)) for batch in batches for fact in batch.facts]
    if not facts:
        return
    room = batches[0].room
    heads: dict[str, int] = {}
    for session in live.listeners(room):
        if session.user not in heads:
            heads[session.user] = next((seq for seq, hidden in reversed(facts) if hidden != session.user), 0)
        if heads[session.user]:
            session.lag(room, heads[session.user])
