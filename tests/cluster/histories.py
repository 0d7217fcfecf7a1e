"""Random histories of one room on several nodes, each of which decides on a replica that is more or less behind.

gochat's own `Turn` decides; certification judges; and where an entry is valid, `Turn` decides the same commands once
more, now at the entry's place in the log. Both must come to the same.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, NamedTuple

import msgspec

from gochat.cluster.certify import Valid
from gochat.cluster.entry import Entry, EntryCodec, partition_of
from gochat.domain import commands
from gochat.domain.draft import RecentMessages
from gochat.domain.ids import is_dm
from gochat.domain.moderation import Flag
from gochat.domain.relationship import ContactPolicy
from gochat.domain.turn import Done, Prefetched, RoomRules, Turn
from tests.cluster.replica import Replica, reason

TEA, DM, OWN = "group:tea", "dm:ann:bob", "dm:ann:ann"
NODES = ("north", "south", "west")
USERS = ("ann", "bob", "cat", "dan", "eve")
CODEC = EntryCodec("c", "a secret")
FLAG = Flag("words.listed", "x", 0, 1)


class Disagreement(AssertionError):
    """Certification let pass what the rules, at that place in the log, would have decided otherwise."""


class Asked(NamedTuple):
    """A command, and whether the rules for words flag its text."""

    command: commands.AnyCommand
    flagged: bool


class Decided(NamedTuple):
    turn: Turn
    accepted: list[Asked]
    """The commands that brought facts or records. Others were refused, or are so already: no entry tells of them."""


def decide(replica: Replica, asked: list[Asked], now_ms: int, rules: RoomRules) -> Decided:
    """A turn, on what is read for it (as actors/prefetched.py reads it)."""
    room = asked[0].command.room
    record = replica.record(room)
    named = [one.command for one in asked if isinstance(one.command, commands.OnMessage)]
    seqs = {command.seq for command in named}
    seqs |= {c.reply_to for c, _ in asked if isinstance(c, commands.Send) and c.reply_to is not None}
    reacted = {
        place[1:]: msgspec.structs.replace(known)
        for command in named
        if isinstance(command, commands.React)
        for place in [(room, command.seq, command.user, command.emoji)]
        if (known := replica.reactions.get(place)) is not None
    }
    prefetched = Prefetched(
        targets=replica.copies_of(room, sorted(seqs)),
        reacted=reacted,
        looked_up=frozenset(seqs),
        since=replica.since(room, {one.command.user for one in asked}),
        waiting=replica.waiting(room),
    )
    recent = RecentMessages(256)
    recent.begin(record.head)
    turn = Turn(record, replica.keys, prefetched, rules, now_ms, {}, recent)
    accepted = []
    for one in asked:
        before = len(turn.facts), len(turn.side_records)
        outcome = turn.decide(one.command)
        if (len(turn.facts), len(turn.side_records)) != before:
            assert isinstance(outcome, Done)
            accepted.append(one)
            if one.flagged and isinstance(one.command, commands.Send | commands.Edit):
                turn.flag(one.command, outcome.seq, [FLAG])
    assert not turn.unknown
    return Decided(turn, accepted)


class Node:
    """A replica that is behind, and what it has sent."""

    def __init__(self, name: str, partition: int) -> None:
        self.name = name
        self.replica = Replica(CODEC, partition)
        self.counter = 0


class History:
    """One random history. `run` raises Disagreement; `counts` says what has happened in it."""

    def __init__(self, seed: int, room: str | None = None) -> None:
        self.random = Random(seed)
        self.room = room or self.random.choice((TEA, TEA, DM, DM, OWN))
        self.rules = RoomRules(
            members=self.random.choice((4, 100_000)),
            contacts=ContactPolicy(
                strangers=self.random.choice(("request", "request", "request", "allow", "deny")), decline_ms=400
            ),
        )
        # Each history has its own mixture, so that in some of them little happens but what is looked for.
        kinds = _ON_DM if is_dm(self.room) else _ON_GROUP
        self.kinds = [commands.Send, *(kind for kind in kinds if self.random.random() < 0.4)]
        self.users = USERS[:2] if is_dm(self.room) else USERS[: self.random.choice((2, 3, 5))]
        self.sizes = self.random.choice(((1,), (1, 1, 2, 3), (2, 3, 5)))
        self.cuts = self.random.random() < 0.8
        """Whether rooms cut a batch before a command that names what is not settled, as they should."""
        partition = partition_of(self.room)
        self.oracle = Replica(CODEC, partition)
        self.nodes = [Node(name, partition) for name in NODES]
        self.log: list[bytes] = []
        self.now_ms = 1_000
        self.counts: Counter[str] = Counter()

    def run(self, steps: int = 60) -> None:
        self._append(b"")
        for _ in range(steps):
            self.now_ms += self.random.choice((0, 1, 5, 50))
            node = self.random.choice(self.nodes)
            chance = self.random.random()
            if chance < 0.35:
                self._catch_up(node, self.random.choice((1, 1, 2, 3, 99)))
            elif chance < 0.38 and len(self.log) > 1:
                self._append(self.random.choice(self.log[1:]))
            else:
                self._decide(node)
        for node in self.nodes:
            while node.replica.n < len(self.log):
                self._catch_up(node, self.random.randint(1, 9))
            if node.replica.tables() != self.oracle.tables():
                raise Disagreement(f"{node.name} is not what the log makes of it")

    # ------------------------------------------------------------------------------------------ steps

    def _catch_up(self, node: Node, entries: int) -> None:
        for data in self.log[node.replica.n :][:entries]:
            node.replica.read(data)

    def _decide(self, node: Node) -> None:
        head = node.replica.record(self.room).head
        asked = [self._command(node.replica) for _ in range(self.random.choice(self.sizes))]
        for place, one in enumerate(asked):
            if self.cuts and _names_above(one.command, head):
                asked = asked[: max(1, place)]
                break
        now_ms = self.now_ms + self.random.choice((0, 0, 0, -30, 30))  # Nodes' clocks differ.
        turn, accepted = decide(node.replica, asked, now_ms, self.rules)
        if not turn.facts and not turn.side_records:
            self.counts["refused"] += 1
            return
        node.counter += 1
        entry = Entry(
            instance=node.name,
            boot="1",
            counter=node.counter,
            room=self.room,
            base=max(0, node.replica.n - self.random.choice((0, 0, 0, 1, 2))),
            head=head,
            ts=now_ms,
            facts=turn.facts,
            side_records=turn.side_records,
            hidden=turn.hidden,
            check=(node.replica.n, node.replica.hash),
        )
        self._append(CODEC.encode(entry), accepted, now_ms)

    def _append(self, data: bytes, accepted: list[Asked] | None = None, now_ms: int = 0) -> None:
        """The entry gets its place, where a node that is behind nothing judges it."""
        oracle = self.oracle
        judged = oracle.judge(data)
        entry, verdict = judged
        self.counts[reason(judged)] += 1
        if not isinstance(verdict, Valid):
            oracle.apply(data, judged)
        elif accepted is None:
            raise Disagreement("an entry was valid a second time")
        else:
            assert entry is not None
            if oracle.record(self.room).head != entry.head:
                self.counts["renumbered"] += 1
            again = decide(oracle, accepted, now_ms, self.rules).turn
            _compare("facts", again.facts, list(verdict.facts))
            _compare("side records", again.side_records, list(verdict.side_records))
            _compare("hidden", again.hidden, verdict.hidden)
            oracle.apply(data, judged)
            _compare("record", again.draft, oracle.record(self.room))
        self.log.append(data)

    # ------------------------------------------------------------------------------------------ commands

    def _command(self, replica: Replica) -> Asked:
        """A command that is not quite senseless to the node: most are by users who are there, about what was said."""
        record = replica.record(self.room)
        kind = commands.Create if not is_dm(self.room) and not record.head else self.random.choice(self.kinds)
        users = self.users
        if record.members and self.random.random() < 0.9:
            users = tuple(sorted(record.members))
        user = "ann" if self.room == OWN else self.random.choice(users)
        admin = not is_dm(self.room) and self.random.random() < 0.3
        said = sorted(seq for place, seq in replica.targets if place == self.room)
        fields = {name: self._field(name, record.head, said) for name in _FIELDS.get(kind, ())}
        command = kind(room=self.room, user=user, admin=admin, **fields)
        return Asked(command, self.random.random() < 0.2)

    def _field(self, name: str, head: int, said: list[int]) -> Any:
        choice = self.random.choice
        if name in ("seq", "reply_to"):
            if name == "reply_to" and self.random.random() < 0.6:
                return None
            above = self.random.random() < (0.1 if self.cuts else 0.5)
            return head + choice((1, 1, 2)) if not said or above else choice(said[-4:])
        match name:
            case "key":
                return choice((None, "k", "l", f"m{self.random.randint(0, 9)}"))
            case "users":
                return tuple(self.random.sample(USERS, choice((1, 1, 2))))
        return choice(_VALUES[name])


_ON_GROUP: tuple[type[Any], ...] = (
    *(commands.Send,) * 4,
    *(commands.Edit,) * 3,
    *(commands.Delete,) * 2,
    *(commands.React,) * 3,
    *(commands.Report,) * 2,
    *(commands.Add,) * 2,
    commands.Remove,
    commands.Create,
    commands.Configure,
    commands.SetRole,
    commands.Leave,
    commands.Mute,
    commands.Unmute,
    commands.Ban,
    commands.Unban,
    commands.Close,
)
_ON_DM: tuple[type[Any], ...] = (
    *(commands.Send,) * 4,
    *(commands.Edit,) * 3,
    *(commands.Delete,) * 2,
    *(commands.React,) * 3,
    *(commands.Contact,) * 3,
    commands.Report,
    commands.Withdraw,
)
_FIELDS: dict[type[Any], tuple[str, ...]] = {
    commands.Send: ("body", "key", "reply_to"),
    commands.Edit: ("seq", "body"),
    commands.Delete: ("seq",),
    commands.React: ("seq", "emoji", "on"),
    commands.Report: ("seq",),
    commands.Create: ("users", "history", "post"),
    commands.Configure: ("title", "history", "post"),
    commands.Add: ("users",),
    commands.Remove: ("users",),
    commands.SetRole: ("member", "role"),
    commands.Mute: ("member", "seconds"),
    commands.Unmute: ("member",),
    commands.Ban: ("member", "seconds"),
    commands.Unban: ("member",),
    commands.Contact: ("action",),
}
_VALUES: dict[str, tuple[Any, ...]] = {
    "body": ("x", "y"),
    "emoji": ("+", "-"),
    "on": (True, False),
    "history": ("all", "all", "since_join"),
    "post": ("members", "members", "moderators"),
    "title": (None, "T", "U"),
    "member": USERS,
    "role": ("member", "moderator", "owner"),
    "seconds": (None, 1),
    "action": ("add", "remove", "block", "unblock", "accept", "decline"),
}


def _names_above(command: commands.AnyCommand, head: int) -> bool:
    seq = command.reply_to if isinstance(command, commands.Send) else getattr(command, "seq", None)
    return seq is not None and seq > head


def _compare(name: str, decided: object, certified: object) -> None:
    if decided != certified:
        raise Disagreement(f"{name}: the rules say {decided}, certification {certified}")
