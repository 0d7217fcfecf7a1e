"""A look at the mailboxes of a node, for its operators: which of them hold mail, how much, and since when.

A message is not stamped with the time at which it came: that would cost each of them. The age of waiting mail is known
from two sides instead. Mail that was there at an earlier look, in a mailbox from which nothing was taken since, is at
least as old as that look. And no mail is older than the latest turn of its actor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import trio

from gochat.actors.actor import Actor
from gochat.actors.mailbox import MailboxStatistics
from gochat.actors.phases import Phase

#: All actors of a node are looked at, which takes some 10 ms where 200,000 are in memory: at most once in so long,
#: however often it is asked for.
LOOK_S: Final = 1.0


class WaitingMail(NamedTuple):
    """An actor with mail that waits."""

    address: str
    mailbox: MailboxStatistics
    phase: Phase
    age_s: float
    """How long nothing was taken out of the mailbox, as far as it was looked at."""
    turn_s: float
    """How long ago the latest turn ended."""


class _Sight(NamedTuple):
    """An earlier look: how much had been taken out of the mailbox, and when that was first seen."""

    taken: int
    since: float


class MailboxWatch:
    """Remembers its latest look, so that the next one can tell how long mail has waited."""

    def __init__(self) -> None:
        self._seen: dict[str, _Sight] = {}
        self._found: list[WaitingMail] = []
        self._looked_at = float("-inf")

    def look(self, actors: Iterable[Actor[Any]]) -> list[WaitingMail]:
        """The actors whose mailbox holds mail, the fullest mailbox first. Within `LOOK_S` of a look its answer is given
        again. Never waits."""
        now = trio.current_time()
        if now < self._looked_at + LOOK_S:
            return self._found
        seen: dict[str, _Sight] = {}
        found: list[WaitingMail] = []
        for actor in actors:
            if not actor.mailbox.waiting:
                continue
            statistics = actor.mailbox.statistics()
            before = self._seen.get(actor.address)
            since = before.since if before is not None and before.taken == statistics.taken else now
            seen[actor.address] = _Sight(statistics.taken, since)
            found.append(WaitingMail(actor.address, statistics, actor.phase, now - since, now - actor.last_turn))
        found.sort(key=lambda each: (-each.mailbox.waiting, each.address))
        self._seen, self._found, self._looked_at = seen, found, now
        return found
