"""What a turn works on: a draft of the room, the facts decided so far, and what goes beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from gochat.domain import commands as ask
from gochat.domain import facts
from gochat.domain.beside import AnyBeside, Audited
from gochat.domain.facts import AnyFact, Role
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.relationship import ContactPolicy, State
from gochat.errors import Denied


class Done(msgspec.Struct, frozen=True, gc=False):
    """The command holds: its fact is at `seq`. With `duplicate` it did so before this turn."""

    seq: int
    ts: int
    duplicate: bool = False
    state: State | None = None
    """Only of a `Contact`: what the user now holds of the other."""
    asks: bool = False
    """Only of a `Send`: the message waits as a request until its receiver accepts the sender."""


Outcome: TypeAlias = Done | Denied


class Knowledge(msgspec.Struct):
    """What was read of the log, and of others' relations, for this turn, beside the record."""

    targets: dict[int, Target] = {}
    reacted: dict[tuple[int, str, str], Reacted] = {}
    unwilling: dict[tuple[str, str], Denied] = {}
    """(who adds, who is added): why the latter can't be added to a group by the former."""


class RoomRules(msgspec.Struct, frozen=True):
    """The settings that decisions depend on."""

    add_users: int = 200
    members: int = 100_000
    contacts: ContactPolicy = ContactPolicy()


NO_ROOM = Denied("not_found", "there is no such room")
NOT_MEMBER = Denied("not_member", "you are no longer a member of this room")
NO_MESSAGE = Denied("not_found", "there is no such message")

RANK: dict[Role | None, int] = {None: 0, "member": 1, "moderator": 2, "owner": 3}


class KnownKeys(Protocol):
    """Keys that are known to be recorded; others may be too."""

    def get(self, place: tuple[str, str], /) -> Recorded | None: ...


class RecentKeys:
    """The latest `most` keys of a room, and up to as many older ones. Two generations: forgetting costs nothing."""

    __slots__ = ("_most", "_new", "_old")

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: dict[tuple[str, str], Recorded] = {}
        self._old: dict[tuple[str, str], Recorded] = {}

    def get(self, place: tuple[str, str], /) -> Recorded | None:
        return self._new.get(place) or self._old.get(place)

    def remember(self, keys: Mapping[tuple[str, str], Recorded]) -> None:
        if keys:
            self._new.update(keys)
            if len(self._new) >= self._most:
                self._old, self._new = self._new, {}

    def clear(self) -> None:
        self._new, self._old = {}, {}


class Draft:
    """The ground of a turn. Facts are added one by one and applied to `draft` at once."""

    __slots__ = (
        "_asks", "_dm", "_knowledge", "_known_keys", "_now_ms", "_owns_members", "_rules", "_taken",
        "beside", "draft", "facts", "fresh_keys", "hidden", "passes_on",
    )  # fmt: skip

    def __init__(
        self,
        record: RoomRecord,
        known_keys: KnownKeys,
        knowledge: Knowledge,
        rules: RoomRules,
        now_ms: int,
        asks: Mapping[str, SlidingWindow] = {},
    ) -> None:
        """`asks`: how many strangers each sender may still ask; without an entry, any number."""
        self.draft = record.draft()
        self.facts: list[AnyFact] = []
        self.beside: list[AnyBeside] = []
        self.hidden: dict[int, str] = {}
        """Seqs of facts of a private room that one of the two does not hear: they let the other wait."""
        self.fresh_keys: dict[tuple[str, str], Recorded] = {}
        self.passes_on = False
        """Whether somebody read or typed: that is passed on without a fact."""
        self._known_keys = known_keys
        self._knowledge = knowledge
        self._rules = rules
        self._now_ms = now_ms
        self._asks = asks
        self._taken: list[SlidingWindow] = []
        self._dm = record.room.startswith("dm:")
        self._owns_members = False

    def undo(self) -> None:
        """Nothing of the turn came to be: what was taken for it is given back."""
        for window in self._taken:
            window.give_back()
        self._taken.clear()

    def _present(self, command: ask.AnyCommand) -> Denied | None:
        """Refuses who is not in the room. A DM's two users always are: who else asks never gets here."""
        if self._dm:
            return None
        draft = self.draft
        if command.user in draft.members or (command.admin and draft.head and not draft.closed):
            return None
        return NOT_MEMBER if command.user in draft.former and not draft.closed else NO_ROOM

    def _rank(self, command: ask.AnyCommand) -> int:
        return RANK["owner"] if command.admin else RANK[self.draft.members.get(command.user)]

    def _muted(self, command: ask.AnyCommand) -> Denied | None:
        """Refuses who may not say anything in the group for now."""
        draft = self.draft
        if not draft.sanctions or command.admin or not draft.sanctioned(command.user, "mute", self._now_ms):
            return None
        until = draft.sanctions[command.user, "mute"]
        left_ms = None if until is None else until - self._now_ms
        return Denied("forbidden", "you are muted in this group", retry_after_ms=left_ms, rule="group.muted")

    def _as_it_is(self) -> Done:
        return Done(self.draft.head, self.draft.ts, True)

    def _audit(self, command: ask.AnyCommand, action: str, subject: str | None, **detail: Any) -> None:
        """Moderation leaves a trace."""
        known = {name: value for name, value in detail.items() if value is not None}
        text = msgspec.json.encode(known).decode() if known else None
        self.beside.append(Audited(self._now_ms, command.user, action, subject, text))

    def _next(self, command: ask.AnyCommand) -> dict[str, Any]:
        draft = self.draft
        return {"room": draft.room, "seq": draft.head + 1, "ts": max(self._now_ms, draft.ts), "sender": command.user}

    def _add(self, fact: AnyFact) -> AnyFact:
        self.draft.apply(fact)
        self.facts.append(fact)
        self._hide(fact.seq)
        return fact

    def _hide(self, seq: int) -> None:
        """Who lets the other of a private room wait hears nothing of it."""
        relation = self.draft.relation
        withheld = relation.withheld if relation is not None else None
        if withheld is not None:
            self.hidden[seq] = withheld

    def _members_change(
        self, command: ask.AnyCommand, users: list[str], change: facts.Change, role: Role | None = None,
        title: str | None = None,
    ) -> Done:  # fmt: skip
        self._own_members()
        fact = self._add(facts.Member(**self._next(command), users=users, change=change, role=role, title=title))
        return Done(fact.seq, fact.ts)

    def _own_members(self) -> None:
        if not self._owns_members:
            self.draft.own_members()
            self._owns_members = True
