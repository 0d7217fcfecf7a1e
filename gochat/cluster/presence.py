"""The users who are online on each node, and the sessions that give way to newer ones on another.

A node tells of its own sessions (`take_changes`) and hears of the others' (roster.py). Each decides about its own
alone, by a rule that is the same everywhere: of a user's sessions of one device the newest stays, and of all of them
the newest so many. Of two sessions the newer one is that whose node knew of the other when it began, whatever the
clocks say; where neither did, their clocks and then their nodes' instances decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

import trio

from gochat.cluster.news import MOST_CHANGES, EndRow, SessionRow
from gochat.cluster.roster import SILENCE_S, OtherSession, Roster
from gochat.looking import next_look

#: How often it is looked whether nodes are gone.
LOOK_S: Final = 0.5
#: Users of a node that is gone who are dropped in one go: a millisecond or two.
AT_ONCE: Final = 500
#: Users who left this node last whose end may have to be noted. See `went`.
MOST_DEPARTED: Final = 10_000


class ClusterPresence:
    """`ports.Presence` of one node of a cluster. `Soft` gives it the other nodes' news, and tells its own."""

    def __init__(
        self, instance: str, limit: int, *, note: Callable[[str, int], None], now_ms: Callable[[], int]
    ) -> None:
        """`limit`: sessions of one user, on all nodes together. `note` keeps the time a user was last seen."""
        self.roster = Roster(instance, self._changed)
        self._instance = instance
        self._limit = limit
        self._note = note
        self._now_ms = now_ms
        self._tell: Callable[[str, int | None], None] = _nobody
        self._give_way: Callable[[str], None] = _nothing
        self._wake: Callable[[], None] = _never
        self._users: set[str] = set()
        """Those with a session here."""
        self._here: dict[str, dict[int, tuple[str, str | None]]] = {}
        """Of each of them the sessions: since when, the id, and the device."""
        self._sessions: dict[str, tuple[str, int]] = {}
        """Of each session by its id the user, and since when."""
        self._latest = 0
        """The greatest `since` that was given."""
        self._began: dict[tuple[str, int], str | None] = {}
        self._ended: dict[tuple[str, int], None] = {}
        """Sessions that began and ended, and that is still to be told."""
        self._departed: dict[str, tuple[int, float]] = {}

    def listen(self, tell: Callable[[str, int | None], None], give_way: Callable[[str], None]) -> None:
        """`tell` is called when a user came online (None), or went offline at a time, by what other nodes say; `came`
        and `went` return the rest. `give_way` is to end a session of this node, by its id. Neither waits or raises."""
        self._tell = tell
        self._give_way = give_way

    def when_changed(self, wake: Callable[[], None]) -> None:
        """`wake` is called when there is something for `take_changes`."""
        self._wake = wake

    # ------------------------------------------------------------------------------------------ ports.Presence

    def came(self, user: str) -> bool:
        if user in self._users:
            return False
        self._users.add(user)
        self._departed.pop(user, None)
        return not self.roster.has(user)

    def went(self, user: str) -> bool:
        if user not in self._users:
            return False
        self._users.remove(user)
        if not self.roster.has(user):
            return True
        # Where the last sessions on two nodes end at once, each node believes the user to be online on the other. So
        # it is noted later, if the user turns out to have gone there too.
        self._departed.pop(user, None)
        self._departed[user] = self._now_ms(), trio.current_time()
        if len(self._departed) > MOST_DEPARTED:
            del self._departed[next(iter(self._departed))]
        return False

    def is_online(self, user: str) -> bool:
        return user in self._users or self.roster.has(user)

    def entered(self, session: str, user: str, device: str | None) -> None:
        since = max(self._now_ms() * 1000, self._latest + 1, self.roster.newest(user) + 1)
        self._latest = since
        self._here.setdefault(user, {})[since] = session, device
        self._sessions[session] = user, since
        self._began[user, since] = device
        self._wake()
        self._settle(user)

    def left(self, session: str) -> None:
        place = self._sessions.pop(session, None)
        if place is None:
            return
        user, since = place
        sessions = self._here[user]
        del sessions[since]
        if not sessions:
            del self._here[user]
        if place in self._began:
            del self._began[place]  # Nobody was told that it began.
        else:
            self._ended[place] = None
            self._wake()

    def count(self, user: str) -> int:
        return len(self._here.get(user, ())) + sum(1 for _ in self.roster.sessions(user, trio.current_time()))

    # ------------------------------------------------------------------------------------------ to the others

    @property
    def has_changes(self) -> bool:
        return bool(self._began or self._ended)

    def take_changes(self) -> tuple[list[SessionRow], list[EndRow]]:
        """The changes to be told next, within the bounds of a message."""
        began = [SessionRow(*place, device) for place, device in islice(self._began.items(), MOST_CHANGES)]
        for row in began:
            del self._began[row.user, row.since]
        ended = [EndRow(*place) for place in islice(self._ended, MOST_CHANGES)]
        for end in ended:
            del self._ended[end.user, end.since]
        return began, ended

    def going_on(self, rows: Sequence[SessionRow]) -> list[SessionRow]:
        """Those of this node's sessions that have not ended."""
        return [row for row in rows if row.since in self._here.get(row.user, ())]

    def all_sessions(self) -> Iterator[list[SessionRow]]:
        """All sessions of this node that were told of and go on, in parts within the bounds of a message; at least one
        part. Others are still to be told of: their end would never be, if it came first."""
        rows = [
            SessionRow(user, since, device)
            for user, sessions in self._here.items()
            for since, (_, device) in sessions.items()
            if (user, since) not in self._began
        ]
        for begin in range(0, max(1, len(rows)), MOST_CHANGES):
            yield rows[begin : begin + MOST_CHANGES]

    # ------------------------------------------------------------------------------------------ from the others

    def _changed(self, user: str, had: bool, has: bool, at_ms: int) -> None:
        if user in self._here:
            self._settle(user)
        if had == has or user in self._users:
            return
        if has:
            self._tell(user, None)
            return
        at_ms = min(at_ms, self._now_ms())
        departed = self._departed.pop(user, None)
        if departed is not None:
            at_ms = max(at_ms, departed[0])
            self._note(user, at_ms)
        self._tell(user, at_ms)

    def _settle(self, user: str) -> None:
        """Have sessions of this node give way to newer ones elsewhere."""
        elsewhere = list(self.roster.sessions(user, trio.current_time()))
        if not elsewhere:
            return
        here = self._here.get(user, {})
        mine = [OtherSession(since, self._instance, device) for since, (_, device) in here.items()]
        devices: set[str] = set()
        staying = 0
        for since, instance, device in sorted([*elsewhere, *mine], key=lambda each: each[:2], reverse=True):
            replaced = device in devices
            if not replaced:
                staying += 1
                if device is not None:
                    devices.add(device)
            if (replaced or staying > self._limit) and instance == self._instance and since in here:
                self._give_way(here[since][0])

    async def keep_up(self) -> None:
        """Drop the users of nodes that are gone, for ever, within half a second. Time in which this node stood still,
        as a process or a machine that was stopped, is no silence of the others: their news wait to be read."""
        while True:
            due = next_look(trio.current_time(), LOOK_S)
            await trio.sleep_until(due)
            now = trio.current_time()
            if now - due > LOOK_S:
                self.roster.excuse(now - due, now)
            self.roster.find_silent(now)
            more = True
            while more:
                more = self.roster.drop_some(AT_ONCE)
                await trio.lowlevel.checkpoint()
            while self._departed and next(iter(self._departed.values()))[1] <= now - SILENCE_S:
                del self._departed[next(iter(self._departed))]


def _nobody(user: str, last_seen: int | None) -> None:
    """Nobody listens yet."""


def _nothing(session: str) -> None:
    """Nobody listens yet."""


def _never() -> None:
    """Nobody listens yet."""
