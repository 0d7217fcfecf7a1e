"""Two users: what each holds of the other, and what follows from it for who may write.

A relation belongs to the two users' private room and changes only there, so that a block and a message can't pass each
other. Its changes are recorded beside the room's log, not in it: a seq counts only what both may see. `at` is the
room's head when the change was decided; nothing of the blocked user's has a seq above the `at` of a block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from gochat.domain.ids import dm_users
from gochat.errors import Denied

DAY_MS = 86_400_000

Strangers: TypeAlias = Literal["request", "allow", "deny"]
State: TypeAlias = Literal["none", "request", "contact", "blocked", "declined"]
Action: TypeAlias = Literal["add", "remove", "block", "unblock", "accept", "decline"]
Change: TypeAlias = Literal["add", "remove", "block", "unblock", "accept", "decline", "ask", "lapse", "withdraw"]

#: How a message comes to its receiver: as any other; as the answer that makes both contacts; as the first one of a
#: request; as one more that waits; or as any other after a decline that is over, where strangers may write.
Way: TypeAlias = Literal["open", "answer", "ask", "wait", "lapse"]


class ContactPolicy(msgspec.Struct, frozen=True):
    """The settings that rule relations."""

    strangers: Strangers = "request"
    request_messages: int = 3
    decline_ms: int = 30 * DAY_MS


class RelationChange(msgspec.Struct, frozen=True, gc=False):
    """`user` did `change` to the other of the two when the room's head was `at`."""

    n: int
    """1, 2, 3, ... within the room."""
    at: int
    ts: int
    user: str
    change: Change

    def touches(self, peer: str) -> tuple[str, ...]:
        """Those of the user and the `peer` to whom it may have given another state."""
        match self.change:
            case "accept":
                return (self.user, peer)
            case "ask" | "lapse" | "withdraw":
                return (peer,)
        return (self.user,)


class Side(msgspec.Struct, frozen=True, gc=False):
    """How one user stands to the other."""

    contact: bool = False
    blocked_at: int | None = None
    declined_ts: int | None = None
    asked_at: int | None = None
    """The other has asked to write: their messages above this seq wait."""
    asked_ts: int | None = None
    waiting: int = 0
    """How many messages wait."""
    withheld_at: int | None = None
    """Nothing of the room above this seq is told to the user: a request waits, or was declined."""


BLOCKED = Denied("blocked", "one of you has blocked the other", rule="contact.blocked")
NO_STRANGERS = Denied("declined", "only contacts may write to each other here", rule="strangers.deny")
WAITS = Denied("declined", "your request waits for an answer", rule="request.waits")
DECLINED = Denied("declined", "your request was declined", rule="request.declined")
NOT_OPEN = Denied("declined", "you are no contact of theirs: only a new message can ask", rule="request.none")
NO_REQUEST = Denied("not_found", "no request of that user waits")
UNBLOCK_FIRST = Denied("conflict", "you have blocked that user: unblock first")


class Relation(msgspec.Struct, frozen=True):
    """Both sides, and how many changes led here. A value: each change gives a new one."""

    users: tuple[str, str]
    one: Side = Side()
    other: Side = Side()
    changes: int = 0

    def peer(self, user: str) -> str:
        return self.users[1] if user == self.users[0] else self.users[0]

    def of(self, user: str) -> Side:
        return self.one if user == self.users[0] else self.other

    def moved(self, moved: Callable[[int], int]) -> Relation:
        """With the times of declining moved; the same value where there are none."""
        if self.one.declined_ts is self.other.declined_ts is None:
            return self
        one, other = (
            side if side.declined_ts is None else msgspec.structs.replace(side, declined_ts=moved(side.declined_ts))
            for side in (self.one, self.other)
        )
        return msgspec.structs.replace(self, one=one, other=other)

    @property
    def blocked(self) -> bool:
        """Whether either has blocked the other."""
        return self.one.blocked_at is not None or self.other.blocked_at is not None

    @property
    def asked(self) -> str | None:
        """The user who has been asked and has not answered."""
        if self.one.asked_at is not None:
            return self.users[0]
        return self.users[1] if self.other.asked_at is not None else None

    @property
    def withheld(self) -> str | None:
        """The user who hears nothing of the room, until they let the other write."""
        if self.one.withheld_at is not None:
            return self.users[0]
        return self.users[1] if self.other.withheld_at is not None else None

    def state(self, user: str, now_ms: int, policy: ContactPolicy) -> State:
        """The other's state, as the user is told it."""
        side = self.of(user)
        if side.blocked_at is not None:
            return "blocked"
        if side.contact:
            return "contact"
        if side.asked_at is not None:
            return "request"
        return "declined" if _declined(side, now_ms, policy) else "none"

    def apply(self, change: RelationChange) -> Relation:
        """Take the next change; its `n` must be `changes + 1`."""
        if change.n != self.changes + 1:
            raise ValueError(f"{self.users}: change {change.n} does not follow {self.changes}")
        user, peer = change.user, self.peer(change.user)
        mine, theirs = self.of(user), self.of(peer)
        match change.change:
            case "add":
                mine = Side(contact=True, blocked_at=mine.blocked_at)
            case "remove":
                mine = msgspec.structs.replace(mine, contact=False)
            case "block":
                mine = msgspec.structs.replace(mine, blocked_at=change.at)
            case "unblock":
                mine = msgspec.structs.replace(mine, blocked_at=None)
            case "accept":
                mine = Side(contact=True, blocked_at=mine.blocked_at)
                theirs = Side(contact=True, blocked_at=theirs.blocked_at)
            case "decline":
                mine = Side(declined_ts=change.ts, blocked_at=mine.blocked_at, withheld_at=mine.withheld_at)
            case "ask":
                since = change.at if theirs.withheld_at is None else theirs.withheld_at
                mine = msgspec.structs.replace(mine, withheld_at=None)  # A user who asks hears the outcome.
                theirs = Side(asked_at=change.at, asked_ts=change.ts, blocked_at=theirs.blocked_at, withheld_at=since)
            case "withdraw":
                # All that was said stays untold: a receiver who lets the other write now is not told of it either.
                theirs = msgspec.structs.replace(theirs, asked_at=None, asked_ts=None, waiting=0)
            case "lapse":
                theirs = Side(blocked_at=theirs.blocked_at)
        return self._with(user, mine, theirs, change.n)

    def waits(self, sender: str) -> Relation:
        """One more message of the sender's waits."""
        mine, theirs = self.of(sender), self.of(self.peer(sender))
        return self._with(sender, mine, msgspec.structs.replace(theirs, waiting=theirs.waiting + 1), self.changes)

    def _with(self, user: str, mine: Side, theirs: Side, changes: int) -> Relation:
        one, other = (mine, theirs) if user == self.users[0] else (theirs, mine)
        return Relation(self.users, one, other, changes)


def of_room(room: str) -> Relation | None:
    """The relation of a private room's two users before anything changed it; None in one's own room."""
    one, other = dm_users(room)
    return Relation((one, other)) if one != other else None


def way(relation: Relation, sender: str, policy: ContactPolicy, now_ms: int) -> Way | Denied:
    """Whether and how a message of the sender's comes to the other."""
    mine, theirs = relation.one, relation.other
    if mine.blocked_at is not None or theirs.blocked_at is not None:
        return BLOCKED
    if mine.contact and theirs.contact:
        return "open"  # Nearly always. A contact neither asks nor was declined.
    if sender != relation.users[0]:
        mine, theirs = theirs, mine
    if mine.asked_at is not None or mine.declined_ts is not None:
        # They asked. A user who writes back has accepted, also after having declined.
        return "answer"
    if theirs.contact:
        # Nothing is told to whoever let the other wait, even after that was withdrawn: with this they hear the room.
        return "open" if mine.withheld_at is None else "answer"
    if _declined(theirs, now_ms, policy):
        return DECLINED
    if policy.strangers == "allow":
        if mine.withheld_at is not None:
            return "answer"
        return "open" if theirs.withheld_at is None else "lapse"
    if policy.strangers == "deny":
        return NO_STRANGERS
    if theirs.asked_at is None:
        return "ask"
    return "wait" if theirs.waiting < policy.request_messages else WAITS


def change_for(relation: Relation, user: str, action: Action) -> Change | Denied | None:
    """The change that an action makes; None where things are so already."""
    mine = relation.of(user)
    match action:
        case "block":
            return None if mine.blocked_at is not None else "block"
        case "unblock":
            return None if mine.blocked_at is None else "unblock"
        case "remove":
            return "remove" if mine.contact else None
        case "decline":
            if mine.asked_at is not None:
                return "decline"
            return None if mine.declined_ts is not None else NO_REQUEST
    if mine.blocked_at is not None:
        return UNBLOCK_FIRST
    if mine.asked_at is not None:
        return "accept"
    if mine.contact:
        return None
    return "add" if action == "add" else NO_REQUEST


def _declined(side: Side, now_ms: int, policy: ContactPolicy) -> bool:
    return side.declined_ts is not None and now_ms < side.declined_ts + policy.decline_ms
