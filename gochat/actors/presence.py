"""The sessions that watch users, and the end of watches where two users may see each other's presence no more.

The store knows which users may see which others (`Archive.acquainted`). Where a group or a contact ends, the users it
was for are in doubt: nothing is told to them or of them until the store was asked about each pair that is watched now.
One task does that, some pairs at a time, so that the removal of one member costs a large group no more than their own
watches, and its deletion no stretch of the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec
import trio

from gochat.actors.subscriber import Subscriber, drop, send_best_effort
from gochat.errors import StoreError
from gochat.ports.presence import Presence
from gochat.protocol import replies
from gochat.protocol.entries import PresenceEntry

log = logging.getLogger(__name__)

#: Pairs that are asked for at a time: a few ms of a reading thread.
PAIRS: Final = 50
#: Users whose last time online is kept in memory.
MOST_SEEN: Final = 1_000
#: After a failed reading, how long until the next. Users in doubt stay so.
AGAIN_S: Final = 1.0

Sees: TypeAlias = Callable[[str, Sequence[str]], Awaitable[set[str]]]


class Stale(msgspec.Struct, eq=False):
    """A user who may have ceased to see others; with `watched` others may have ceased to see the user, too."""

    watched: bool
    held: bool = False
    """Whether something was not told because of it."""


class Watches:
    """The sessions that watch each user, and the states that they were told."""

    def __init__(self) -> None:
        self.watchers: dict[str, dict[Subscriber, None]] = {}
        """Of each user, the sessions that watch the user."""
        self.lookers: dict[str, dict[Subscriber, None]] = {}
        """Of each user, the sessions that watch others, but not those of admins, who see everybody."""
        self.stale: dict[str, Stale] = {}
        """Users of whom the store is to be asked who sees whom: `refresh_stale` does."""
        self._became_stale = trio.Event()
        self.parted = 0
        """How often somebody ceased to see somebody: a lookup of who may be seen is repeated if this has changed."""
        self.last_seen: dict[str, int] = {}
        """When users went offline, for the latest `MOST_SEEN` of them; the store knows all, a moment later."""

    def part(self, user: str, other: str) -> None:
        """The user may not see any more whether the other is there: to them the other goes offline."""
        self.parted += 1
        watching = self.watchers.get(other, {})
        watchers = [session for session in self.lookers.get(user, ()) if session in watching]
        for session in watchers:
            drop(self.watchers, other, session)
        if watchers:
            send_best_effort(watchers, replies.Presence(users=[PresenceEntry(user=other, online=False)]))

    def replace(self, session: Subscriber, users: Sequence[str], *, oversees: bool) -> None:
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

    def tell(self, user: str, last_seen: int | None = None) -> None:
        """Tell the users who watch this one that it came, or went at `last_seen`."""
        if user in self.watchers:
            entry = PresenceEntry(user=user, online=last_seen is None, last_seen=last_seen)
            send_best_effort(self.onlookers(user), replies.Presence(users=[entry]))

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

    def note_last_seen(self, user: str, ts: int) -> None:
        """The user went offline then, Unix time in ms."""
        self.last_seen.pop(user, None)
        self.last_seen[user] = ts
        if len(self.last_seen) > MOST_SEEN:
            del self.last_seen[next(iter(self.last_seen))]


async def refresh_stale(watches: Watches, presence: Presence, acquainted: Sees, onlookers: Sees) -> None:
    """Settle what is in doubt, for ever. `presence`: who is online on any node; `acquainted`: those of the others whom
    a user may see; `onlookers`: those who may see the user."""
    while True:
        await trio.lowlevel.checkpoint()
        user = await watches.next_stale()
        doubt = watches.stale[user]
        try:
            await _end_watches_by(watches, user, acquainted)
            if doubt.watched:
                await _end_watches_of(watches, user, onlookers)
        except StoreError as error:
            log.warning("presence of %s is not told now: %s", user, error)
            await trio.sleep(AGAIN_S)
            continue
        if watches.stale[user] is doubt:
            _release(watches, presence, user)


async def _end_watches_by(watches: Watches, user: str, acquainted: Sees) -> None:
    watched = [other for session in watches.lookers.get(user, ()) for other in session.watching]
    for others in _pieces(watched, user):
        visible = await acquainted(user, others)
        for other in [other for other in others if other not in visible]:
            watches.part(user, other)


async def _end_watches_of(watches: Watches, user: str, onlookers: Sees) -> None:
    watching = [
        session.user for session in watches.watchers.get(user, ()) if session in watches.lookers.get(session.user, ())
    ]
    for viewers in _pieces(watching, user):
        seeing = await onlookers(user, viewers)
        for viewer in [viewer for viewer in viewers if viewer not in seeing]:
            watches.part(viewer, user)


def _pieces(users: Sequence[str], but: str) -> list[list[str]]:
    found = [user for user in dict.fromkeys(users) if user != but]
    return [found[begin : begin + PAIRS] for begin in range(0, len(found), PAIRS)]


def _release(watches: Watches, presence: Presence, user: str) -> None:
    """The user is in doubt no more: who still watches, or is watched, hears what was held back."""
    stale = watches.stale.pop(user)
    if not stale.held:
        return
    send_best_effort(watches.onlookers(user), replies.Presence(users=[_entry(watches, presence, user)]))
    for session in watches.lookers.get(user, ()):
        watched = [other for other in session.watching if session in watches.watchers.get(other, ())]
        known = [_entry(watches, presence, other) for other in watched if other not in watches.stale]
        send_best_effort([session], replies.Presence(users=known))


def _entry(watches: Watches, presence: Presence, user: str) -> PresenceEntry:
    online = presence.is_online(user)
    return PresenceEntry(user=user, online=online, last_seen=None if online else watches.last_seen.get(user))
