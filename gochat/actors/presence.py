"""Ends watches of users who may see each other's presence no more.

The store knows which users may see which others (`Archive.acquainted`). Where a group or a contact ends, the users it
was for are in doubt: nothing is told to them or of them until the store was asked about each pair that is watched now.
One task does that, some pairs at a time, so that the removal of one member costs a large group no more than their own
watches, and its deletion no stretch of the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import trio

from gochat.actors.live import Live
from gochat.errors import StoreError
from gochat.protocol.entries import PresenceEntry
from gochat.protocol.replies import Presence

log = logging.getLogger(__name__)

#: Pairs that are asked for at a time: a few ms of a reading thread.
PAIRS = 50
#: After a failed reading, how long until the next. Users in doubt stay so.
AGAIN_S = 1.0

Sees: TypeAlias = Callable[[str, Sequence[str]], Awaitable[set[str]]]


async def refresh_stale(live: Live, acquainted: Sees, onlookers: Sees) -> None:
    """Settle what is in doubt, for ever. `acquainted`: those of the others whom a user may see; `onlookers`: those who
    may see the user."""
    while True:
        await trio.lowlevel.checkpoint()
        user = await live.next_stale()
        doubt = live.stale[user]
        try:
            await _end_watches_by(live, user, acquainted)
            if doubt.watched:
                await _end_watches_of(live, user, onlookers)
        except StoreError as error:
            log.warning("presence of %s is not told now: %s", user, error)
            await trio.sleep(AGAIN_S)
            continue
        if live.stale[user] is doubt:
            _release(live, user)


async def _end_watches_by(live: Live, user: str, acquainted: Sees) -> None:
    watched = [other for session in live.lookers.get(user, ()) for other in session.watching]
    for others in _pieces(watched, user):
        visible = await acquainted(user, others)
        for other in [other for other in others if other not in visible]:
            live.part(user, other)


async def _end_watches_of(live: Live, user: str, onlookers: Sees) -> None:
    watching = [
        session.user for session in live.watchers.get(user, ()) if session in live.lookers.get(session.user, ())
    ]
    for viewers in _pieces(watching, user):
        seeing = await onlookers(user, viewers)
        for viewer in [viewer for viewer in viewers if viewer not in seeing]:
            live.part(viewer, user)


def _pieces(users: Sequence[str], but: str) -> list[list[str]]:
    found = [user for user in dict.fromkeys(users) if user != but]
    return [found[begin : begin + PAIRS] for begin in range(0, len(found), PAIRS)]


def _release(live: Live, user: str) -> None:
    """The user is in doubt no more: who still watches, or is watched, hears what was held back."""
    stale = live.stale.pop(user)
    if not stale.held:
        return
    live.send_best_effort(live.onlookers(user), Presence(users=[_entry(live, user)]))
    for session in live.lookers.get(user, ()):
        now = [_entry(live, other) for other in session.watching if session in live.watchers.get(other, ())]
        live.send_best_effort([session], Presence(users=[entry for entry in now if entry.user not in live.stale]))


def _entry(live: Live, user: str) -> PresenceEntry:
    online = live.presence.is_online(user)
    return PresenceEntry(user=user, online=online, last_seen=None if online else live.last_seen.get(user))
