"""The state that a turn works on: a draft of the room, the facts decided so far, and the records beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from gochat.domain import commands, facts
from gochat.domain.facts import AnyFact, HistoryScope, PostRight, Role
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.relationship import ContactPolicy, State
from gochat.domain.side_records import AnySideRecord, Audited, Related
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


class Prefetched(msgspec.Struct):
    """The parts of the log, and of others' relations, that were read for this turn, beside the record."""

    targets: dict[int, Target] = {}
    reacted: dict[tuple[int, str, str], Reacted] = {}
    looked_up: frozenset[int] = frozenset()
    """The seqs that were looked for; those that are not among `targets` are no messages."""
    since: dict[str, int] = {}
    """The seq at which users came into the group, the last time; of those who ask, where it hides what was before."""
    waiting: frozenset[int] = frozenset()
    """The messages of a request that wait and are not deleted, where one of a private room may be."""
    gone: frozenset[str] = frozenset()
    """Those of the users who are to be added that were deleted."""
    unwilling: dict[tuple[str, str], Denied] = {}
    """(who adds, who is added): why the latter can't be added to a group by the former."""
    strangers: set[tuple[str, str]] = set()
    """(who adds, who is added): the latter does not have the former as a contact."""
    left: set[str] = set()
    """Of those that are to be added: who left the group by themselves, and has not been added since."""
    adds: dict[str, SlidingWindow] = {}
    """How many strangers each of those who add may still add; without an entry, any number."""


#: Shared by all turns for which nothing was read; what a turn adds goes into a value of its own.
NOTHING_READ = Prefetched()


class RoomRules(msgspec.Struct, frozen=True):
    """The settings that decisions depend on."""

    add_users: int = 200
    members: int = 100_000
    contacts: ContactPolicy = ContactPolicy()


NO_ROOM = Denied("not_found", "there is no such room")
NOT_MEMBER = Denied("not_member", "you are no longer a member of this room")
NO_MEMBER = Denied("not_found", "that user is not a member of the group")
NO_USER = Denied("not_found", "there is no such user")
NO_MESSAGE = Denied("not_found", "there is no such message")
CHANGED = Denied("conflict", "it has changed since; read it again", rule="if_match")
"""The condition of a command does not hold."""

RANK: dict[Role | None, int] = {None: 0, "member": 1, "moderator": 2, "owner": 3}
_POST_RANK: dict[PostRight, int] = {"members": 1, "moderators": 2, "owner": 3}


def rank(record: RoomRecord, command: commands.AnyCommand) -> int:
    """The rank in the group that the command's user acts with."""
    return RANK["owner"] if command.admin else RANK[record.members.get(command.user)]


def muted(record: RoomRecord, command: commands.AnyCommand, now_ms: int) -> Denied | None:
    """Refuses users who may not say anything in the group for now."""
    if not record.sanctions or command.admin or not record.sanctioned(command.user, "mute", now_ms):
        return None
    until = record.sanctions[command.user, "mute"]
    left_ms = None if until is None else until - now_ms
    return Denied("forbidden", "you are muted in this group", retry_after_ms=left_ms, rule="group.muted")


def may_post(record: RoomRecord, command: commands.AnyCommand, now_ms: int) -> Denied | None:
    """Refuses users who may not write in the group, whose typing is told to nobody either. A private room refuses
    nobody by this: there the relation of the two decides."""
    if record.post != "members" and rank(record, command) < _POST_RANK[record.post]:
        return Denied("forbidden", f"only {record.post} may write here", rule="group.post")
    return muted(record, command, now_ms)


class KnownKeys(Protocol):
    """Keys that are known to be recorded; others may be too."""

    def get(self, place: tuple[str, str, str], /) -> Recorded | None:
        """Where the key of (room, sender, key) is recorded."""


class RecentKeys:
    """The latest `most` keys of all rooms, and up to as many older ones: some 350 bytes each. The store knows every
    key, so forgetting one costs a look there and nothing else. Two generations: forgetting itself costs nothing."""

    __slots__ = ("_most", "_new", "_old")

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: dict[tuple[str, str, str], Recorded] = {}
        self._old: dict[tuple[str, str, str], Recorded] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, place: tuple[str, str, str], /) -> Recorded | None:
        return self._new.get(place) or self._old.get(place)

    def remember(self, keys: Mapping[tuple[str, str, str], Recorded]) -> None:
        """These (room, sender, key) are recorded. A batch may take the new generation past its bound once."""
        new = self._new
        new.update(keys)
        if len(new) >= self._most:
            self._old, self._new = new, {}


class RecentMessages:
    """The seqs of a room that are messages, and not deleted. Above `floor` all are but `others`, so that a message
    costs nothing here; below it, those that were looked up. Both are bounded."""

    __slots__ = ("_alive", "_floor", "_most", "_others")

    def __init__(self, most: int) -> None:
        self._most = most
        self._floor = 1 << 62
        self._others: set[int] = set()
        self._alive: set[int] = set()

    def begin(self, head: int) -> None:
        """Forget everything; what comes after `head` is told by `follow`."""
        self._floor = head
        self._others, self._alive = set(), set()

    def is_message(self, seq: int) -> bool | None:
        """Of a seq up to the head; None: only the store knows."""
        if seq > self._floor:
            return seq not in self._others
        return True if seq in self._alive else None

    def learn(self, seqs: Iterable[int]) -> None:
        """The store has these as messages that are not deleted."""
        if len(self._alive) >= self._most:
            self._alive.clear()
        self._alive.update(seqs)

    def follow(self, recorded: Sequence[AnyFact]) -> None:
        """Facts that were recorded and are no messages."""
        for fact in recorded:
            self._others.add(fact.seq)
            if isinstance(fact, facts.Delete):
                self._others.add(fact.target)
                self._alive.discard(fact.target)
        if len(self._others) > self._most:
            self.begin(recorded[-1].seq)


class Draft:
    """The ground of a turn. Facts are added one by one and applied to `draft` at once."""

    __slots__ = (
        "_asks",
        "_dm",
        "_known_keys",
        "_now_ms",
        "_owns_members",
        "_prefetched",
        "_recent",
        "_rules",
        "_taken",
        "draft",
        "expected",
        "facts",
        "fresh_keys",
        "hidden",
        "others",
        "passes_on",
        "side_records",
        "unknown",
    )

    def __init__(
        self,
        record: RoomRecord,
        known_keys: KnownKeys,
        prefetched: Prefetched | None,
        rules: RoomRules,
        now_ms: int,
        asks: Mapping[str, SlidingWindow] = {},
        recent: RecentMessages | None = None,
    ) -> None:
        """`prefetched`: None where nothing was read. `asks`: how many strangers each sender may still ask; without an
        entry, any number. `recent`: what is known of messages beside `prefetched`; without it, every earlier fact is
        taken for one."""
        self.draft = msgspec.structs.replace(record)  # The same as `RoomRecord.draft`, without a call.
        self.facts: list[AnyFact] = []
        self.side_records: list[AnySideRecord] = []
        self.others: list[AnyFact] = []
        """Those of the facts that are no messages."""
        self.unknown = False
        """Whether something was refused that only the store can tell: decide again with more `prefetched`."""
        self.hidden: dict[int, str] = {}
        """Seqs of facts of a private room that one of the two does not hear: they let the other wait."""
        self.expected: dict[int, int] = {}
        """Conditions: the seq of a fact of this turn, and the seq of the fact that must have given its message the
        present body."""
        self.fresh_keys: dict[tuple[str, str, str], Recorded] = {}
        self.passes_on = False
        """Whether somebody read or typed: that is passed on without a fact."""
        self._known_keys = known_keys
        self._prefetched = NOTHING_READ if prefetched is None else prefetched
        self._rules = rules
        self._now_ms = now_ms
        self._asks = asks
        self._recent = recent
        self._taken: list[tuple[SlidingWindow, int]] = []
        self._dm = record.room.startswith("dm:")
        self._owns_members = False

    def undo(self) -> None:
        """Nothing of the turn came to be: what was taken for it is given back."""
        for window, times in self._taken:
            window.give_back(times)
        self._taken.clear()

    def renumber(
        self,
        record: RoomRecord,
        recorded: Sequence[AnyFact],
        outcomes: Sequence[Outcome],
        side_records: Sequence[AnySideRecord] = (),
    ) -> list[Outcome]:
        """Facts of other nodes came first: they are in `record`, and this turn's were recorded as `recorded`, behind
        them, with the `side_records`. Takes these for its own; returns the outcomes with the seqs and times that hold
        now. No fact that came between can have made another room of it than a longer one: then the turn would not have
        been recorded."""
        draft = self.draft
        first = draft.head - len(self.facts) + 1
        head, ts = (recorded[-1].seq, recorded[-1].ts) if recorded else (record.head, record.ts)
        shift = head - draft.head

        def moved(seq: int, ts: int) -> tuple[int, int]:
            return (seq, ts) if seq < first else (seq + shift, recorded[seq - first].ts)

        draft.head, draft.ts = head, ts
        self.facts = list(recorded)
        self.others = [fact for fact in recorded if type(fact) is not facts.Message]
        self.hidden = {seq + shift: user for seq, user in self.hidden.items()}
        self.fresh_keys = {key: Recorded(*moved(known.seq, known.ts)) for key, known in self.fresh_keys.items()}
        if side_records:
            self._take_moved(side_records)
        told: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome, Done) and outcome.state is not None and outcome.seq < first:
                # The head at which a relation changed: the facts that came first are below it.
                told.append(msgspec.structs.replace(outcome, seq=outcome.seq + shift))
            elif isinstance(outcome, Done):
                seq, ts = moved(outcome.seq, outcome.ts)
                told.append(msgspec.structs.replace(outcome, seq=seq, ts=ts))
            else:
                told.append(outcome)
        return told

    def _take_moved(self, side_records: Sequence[AnySideRecord]) -> None:
        """The side records were recorded as these: a change of the relation with the room's head where it stands."""
        self.side_records = list(side_records)
        changes = [entry for entry in side_records if isinstance(entry, Related)]
        if not changes:
            return
        relation = changes[-1].after
        for fact in self.facts:
            if fact.seq > changes[-1].change.at and isinstance(fact, facts.Message) and fact.seq in self.hidden:
                relation = relation.waits(fact.sender)
        self.draft.relation = relation

    def _present(self, command: commands.AnyCommand) -> Denied | None:
        """Refuses users who are not in the room. A DM's two users always are: others who ask never get here."""
        if self._dm:
            return None
        draft = self.draft
        if command.user in draft.members or (command.admin and draft.head and not draft.closed):
            return None
        return NOT_MEMBER if command.user in draft.former and not draft.closed else NO_ROOM

    def _low(self, command: commands.Command) -> int:
        """The seq up to which the room is hidden from the user who asks."""
        draft = self.draft
        if self._dm:
            return draft.since.get(command.user, 1) - 1
        if draft.history != "since_join" or command.admin:
            return 0
        for fact in reversed(self.others):
            if isinstance(fact, facts.Member) and fact.change == "added" and command.user in fact.users:
                return fact.seq - 1
        since = self._prefetched.since.get(command.user)
        if since is None:
            self.unknown = True
            return draft.head
        return since - 1

    def _has_settings(self, expects: tuple[str, HistoryScope, PostRight] | None) -> bool:
        """Whether the condition of a command holds, if it has one."""
        draft = self.draft
        return expects is None or expects == (draft.title, draft.history, draft.post)

    def _rank(self, command: commands.AnyCommand) -> int:
        return rank(self.draft, command)

    def _muted(self, command: commands.AnyCommand) -> Denied | None:
        return muted(self.draft, command, self._now_ms)

    def _as_it_is(self) -> Done:
        return Done(self.draft.head, self.draft.ts, True)

    def _audit(self, command: commands.AnyCommand, action: str, subject: str | None, **detail: Any) -> None:
        """Moderation leaves a trace."""
        known = {name: value for name, value in detail.items() if value is not None}
        text = msgspec.json.encode(known).decode() if known else None
        self.side_records.append(Audited(self._now_ms, command.user, action, subject, text))

    def _next(self, command: commands.AnyCommand) -> dict[str, Any]:
        draft = self.draft
        return {"room": draft.room, "seq": draft.head + 1, "ts": max(self._now_ms, draft.ts), "sender": command.user}

    def _add(self, fact: AnyFact) -> AnyFact:
        self.draft.apply(fact)
        self.facts.append(fact)
        self.others.append(fact)
        self._hide(fact.seq)
        return fact

    def _hide(self, seq: int) -> None:
        """A user who lets the other of a private room wait hears nothing of the fact."""
        relation = self.draft.relation
        withheld = relation.withheld if relation is not None else None
        if withheld is not None:
            self.hidden[seq] = withheld

    def _members_change(
        self,
        command: commands.AnyCommand,
        users: list[str],
        change: facts.Change,
        role: Role | None = None,
        title: str | None = None,
    ) -> Done:
        self._own_members()
        fact = self._add(facts.Member(**self._next(command), users=users, change=change, role=role, title=title))
        return Done(fact.seq, fact.ts)

    def _own_members(self) -> None:
        if not self._owns_members:
            self.draft.own_members()
            self._owns_members = True
