"""A room as its facts made it, and what else a decision must know of the log.

`RoomRecord.apply` is the only way a room changes: folding all facts of a log gives the same record as the live
room has and as the store keeps.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gochat.domain import relationship
from gochat.domain.facts import AnyFact, Closed, Group, HistoryScope, Member, PostRight, Role
from gochat.domain.ids import is_dm
from gochat.domain.membership import FORMER, change_of
from gochat.domain.relationship import Relation
from gochat.domain.side_records import Sanctioned, SanctionKind


class RoomRecord(msgspec.Struct, kw_only=True):
    """A room's state at `head`: what a room actor starts from."""

    room: str
    room_pk: int
    """The store's number for the room, which the journal gives, at the latest when the room's first fact is recorded,
    and never gives again. 0: this record was loaded before that."""
    head: int = 0
    ts: int = 0
    """The `ts` of the fact at `head`."""
    title: str = ""
    history: HistoryScope = "all"
    post: PostRight = "members"
    closed: bool = False
    members: dict[str, Role] = {}
    """Present members of a group, with their roles; empty for a DM."""
    owners: set[str] = set()
    """Those of the members who own the group: asked for often, and not to be searched among 100,000."""
    former: set[str] = set()
    """Users who were members and no longer are."""
    since: dict[str, int] = {}
    """Of a private room's users whose id had been another's: the seq at which they came in. Not made by facts."""
    gone: frozenset[str] = frozenset()
    """Those of a private room's users who were deleted. Not made by facts."""
    relation: Relation | None = None
    """Of a private room's two users; None in a group and in one's own room. Not made by facts: see relationship.py."""
    sanctions: dict[tuple[str, SanctionKind], int | None] = {}
    """The users who are muted or banned, and until when; sanctions that are over may still stand here. Not made by
    facts either."""

    @classmethod
    def new(cls, room: str, room_pk: int) -> RoomRecord:
        """A room in which nothing has happened yet."""
        return cls(room=room, room_pk=room_pk, relation=relationship.of_room(room) if is_dm(room) else None)

    def draft(self) -> RoomRecord:
        """A copy to try a turn on. Members are shared until `own_members`, sanctions until `sanction`."""
        return msgspec.structs.replace(self)

    def sanction(self, change: Sanctioned) -> None:
        """Take a mute, a ban, or the end of one."""
        place = (change.user, change.kind)
        self.sanctions = {known: until for known, until in self.sanctions.items() if known != place}
        if change.on:
            self.sanctions[place] = change.until

    def sanctioned(self, user: str, kind: SanctionKind, now_ms: int) -> bool:
        until = self.sanctions.get((user, kind), 0)
        return until is None or until > now_ms

    def ends(self) -> list[int | None]:
        """The times that something here is measured from or lasts until."""
        sides = () if self.relation is None else (self.relation.one, self.relation.other)
        return [*self.sanctions.values(), *(side.declined_ts for side in sides)]

    def move_ends(self, moved: Callable[[int], int]) -> None:
        """Put them where the clock is now that they are compared with."""
        if self.sanctions:
            self.sanctions = {place: None if until is None else moved(until) for place, until in self.sanctions.items()}
        if self.relation is not None:
            self.relation = self.relation.moved(moved)

    @property
    def hides(self) -> bool:
        """Whether something that was said may be hidden from some who hear the room now."""
        return self.history == "since_join" or bool(self.since)

    def own_members(self) -> None:
        """Stop sharing the members with the record this is a draft of; once a turn, for it copies them all."""
        self.members = dict(self.members)
        self.owners = set(self.owners)
        self.former = set(self.former)

    def apply(self, fact: AnyFact) -> None:
        """Take the next fact; its seq must be `head + 1`."""
        if fact.seq != self.head + 1:
            raise ValueError(f"{self.room}: fact {fact.seq} does not follow head {self.head}")
        self.head = fact.seq
        self.ts = fact.ts
        if isinstance(fact, Member):
            self._apply_member(fact)
        elif isinstance(fact, Group):
            self.title = self.title if fact.title is None else fact.title
            self.history = fact.history or self.history
            self.post = fact.post or self.post
        elif isinstance(fact, Closed):
            self.closed = True
            self.former.update(self.members)
            self.members.clear()
            self.owners.clear()

    def _apply_member(self, fact: Member) -> None:
        if fact.title is not None:
            self.title = fact.title
        users, role, _ = change_of(fact, self.members)
        if role == FORMER:
            for user in users:
                del self.members[user]
            self.former.update(users)
        else:
            self.members.update(dict.fromkeys(users, role))
            self.former.difference_update(users)
        if role == "owner":
            self.owners.update(users)
        else:
            self.owners.difference_update(users)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """Where an idempotency key is recorded."""

    seq: int
    ts: int


class Target(msgspec.Struct, kw_only=True, gc=False):
    """A message that a command names, as far as a rule must know it."""

    author: str
    ts: int
    body: str | None
    """None once deleted."""
    edit_seq: int | None = None
    """The fact that gave it its present body, where that is an edit."""
    edit_ts: int | None = None
    delete_seq: int | None = None
    delete_ts: int | None = None


class Reacted(msgspec.Struct, kw_only=True, gc=False):
    """The last reaction fact of one user, one message and one emoji."""

    on: bool
    seq: int
    ts: int
