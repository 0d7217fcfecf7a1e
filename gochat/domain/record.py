"""A room as its facts made it, and what else a decision must know of the log.

`RoomRecord.apply` is the only way a room changes: folding all facts of a log gives the same record as the live
room has and as the store keeps.
"""

from __future__ import annotations

import msgspec

from gochat.domain.facts import AnyFact, Closed, Group, HistoryScope, Member, PostRight, Role


class RoomRecord(msgspec.Struct, kw_only=True):
    """A room's state at `head`: what a room actor starts from."""

    room: str
    num: int
    """The store's number for the room; assigned at the first load, never given again."""
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

    def draft(self) -> RoomRecord:
        """A copy to try a turn on. Members are shared until `own_members`; nothing else is."""
        return RoomRecord(
            room=self.room, num=self.num, head=self.head, ts=self.ts, title=self.title, history=self.history,
            post=self.post, closed=self.closed, members=self.members, owners=self.owners, former=self.former,
        )  # fmt: skip

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
        if fact.change in ("added", "role"):
            role = fact.role or "member"
            for user in fact.users:
                self.members[user] = role
            if role == "owner":
                self.owners.update(fact.users)
            else:
                self.owners.difference_update(fact.users)
            self.former.difference_update(fact.users)
        else:
            for user in fact.users:
                self.members.pop(user, None)
            self.owners.difference_update(fact.users)
            self.former.update(fact.users)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """Where an idempotency key is recorded."""

    seq: int
    ts: int


class Target(msgspec.Struct, kw_only=True, gc=False):
    """What a rule must know of a message that a command names."""

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
