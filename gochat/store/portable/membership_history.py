"""The users who were in a room, and its title, as its facts make them: for any point of the log, where the store's own
tables know only the present."""

from __future__ import annotations

from typing import NamedTuple

from gochat.domain.facts import AnyFact, Closed, Group, HistoryScope, Member, PostRight
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.membership import FORMER, Standing, change_of


class Membership(NamedTuple):
    role: Standing
    since_seq: int
    since_ts: int
    left_seq: int | None = None


class MembershipHistory:
    """Fold facts in order with `apply`; messages may be left out, but for the room's first fact."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.memberships: dict[str, Membership] = {}
        self.title = ""
        self.history: HistoryScope = "all"
        self.post: PostRight = "members"
        self.closed = False
        self._present: set[str] = set()
        self._dm = dm_users(room) if is_dm(room) else None

    def apply(self, fact: AnyFact) -> None:
        if fact.seq == 1 and self._dm is not None:
            self.memberships = {user: Membership("member", 1, fact.ts) for user in self._dm}
        if isinstance(fact, Member | Group) and fact.title is not None:
            self.title = fact.title
        if isinstance(fact, Member):
            users, role, begins = change_of(fact, self._present)
            if begins:
                self.memberships.update({user: Membership(role, fact.seq, fact.ts) for user in users})
                self._present.update(users)
            elif role == FORMER:
                self._leave(users, fact.seq)
            else:
                self.memberships.update({user: self.memberships[user]._replace(role=role) for user in users})
        elif isinstance(fact, Group):
            self.history, self.post = fact.history or self.history, fact.post or self.post
        elif isinstance(fact, Closed):
            self.closed = True
            self._leave(list(self._present), fact.seq)

    def _leave(self, users: list[str], seq: int) -> None:
        for user in users:
            self.memberships[user] = self.memberships[user]._replace(role=FORMER, left_seq=seq)
        self._present.difference_update(users)
