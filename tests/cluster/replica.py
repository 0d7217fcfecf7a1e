"""A partition as one node has it, in memory: applies entries in the log's order, and knows what certification asks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gochat.cluster.certify import Judgement, Valid, Void, judge, next_hash
from gochat.cluster.entry import EntryCodec
from gochat.domain import facts
from gochat.domain.facts import AnyFact
from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.relationship import Relation
from gochat.domain.side_records import Related, Sanctioned
from gochat.replication import NO_FACTS, AnyNews, RoomState


class Replica:
    def __init__(self, codec: EntryCodec, partition: int) -> None:
        self._codec = codec
        self.partition = partition
        self.n = 0
        self.hash = b""
        self.forgotten: set[str] = set()
        self.counters: dict[tuple[str, str], int] = {}
        self.records: dict[str, RoomRecord] = {}
        self.guards: dict[str, int] = {}
        self.log: list[AnyFact] = []
        self.side_records: list[AnyNews] = []
        self.hidden: dict[tuple[str, int], str] = {}
        self.keys: dict[tuple[str, str, str], Recorded] = {}
        self.targets: dict[tuple[str, int], Target] = {}
        self.reactions: dict[tuple[str, int, str, str], Reacted] = {}

    def tables(self) -> dict[str, object]:
        """All that follows from the log."""
        return {name: value for name, value in vars(self).items() if name != "_codec"}

    # ------------------------------------------------------------------------------------------ asked by certify

    def counter(self, instance: str, boot: str) -> int:
        return self.counters.get((instance, boot), 0)

    def is_forgotten(self, instance: str) -> bool:
        return instance in self.forgotten

    def room(self, room: str) -> RoomState:
        record = self.records.get(room)
        return NO_FACTS if record is None else RoomState(record.head, record.ts, self.guards.get(room, 0))

    def recorded(self, room: str, sender: str, key: str) -> Recorded | None:
        return self.keys.get((room, sender, key))

    def target(self, room: str, seq: int) -> Target | None:
        return self.targets.get((room, seq))

    def reacted(self, room: str, seq: int, user: str, emoji: str) -> bool:
        known = self.reactions.get((room, seq, user, emoji))
        return known is not None and known.on

    def relation(self, room: str) -> Relation | None:
        return self.record(room).relation

    # ------------------------------------------------------------------------------------------ applying

    def record(self, room: str) -> RoomRecord:
        return self.records.get(room) or RoomRecord.new(room, 1)

    def judge(self, data: bytes) -> Judgement:
        return judge(data, self.n + 1, self.partition, self._codec, self)

    def apply(self, data: bytes, judged: Judgement) -> None:
        """Take the next entry."""
        self.n += 1
        self.hash = next_hash(self.hash, data, judged.verdict)
        entry, verdict = judged
        if entry is None:
            return
        if self.counter(entry.instance, entry.boot) < entry.counter:
            self.counters[entry.instance, entry.boot] = entry.counter
        if isinstance(verdict, Valid):
            self._take(entry.room, verdict)

    def read(self, data: bytes) -> Judgement:
        judged = self.judge(data)
        self.apply(data, judged)
        return judged

    def _take(self, room: str, valid: Valid) -> None:
        self.side_records += valid.side_records
        if not room:
            return
        record = self.records[room] = self.record(room)
        record.own_members()
        for fact in valid.facts:
            record.apply(fact)
            self._take_fact(room, fact)
        self.hidden |= {(room, seq): user for seq, user in valid.hidden.items()}
        self._take_relation(record, valid)
        for change in valid.side_records:
            if isinstance(change, Sanctioned):
                record.sanction(change)
        if valid.raises_guard:
            self.guards[room] = self.n

    def _take_relation(self, record: RoomRecord, valid: Valid) -> None:
        changed_at = -1
        for change in valid.side_records:
            if isinstance(change, Related):
                record.relation, changed_at = change.after, change.change.at
        for fact in valid.facts:
            if isinstance(fact, facts.Message) and fact.seq in valid.hidden and fact.seq > changed_at:
                assert record.relation is not None
                record.relation = record.relation.waits(fact.sender)

    def _take_fact(self, room: str, fact: AnyFact) -> None:
        self.log.append(fact)
        if isinstance(fact, facts.Message):
            self.targets[room, fact.seq] = Target(author=fact.sender, ts=fact.ts, body=fact.body)
            if fact.key is not None:
                place = (room, fact.sender, fact.key)
                assert place not in self.keys, "a key takes effect once"
                self.keys[place] = Recorded(fact.seq, fact.ts)
        elif isinstance(fact, facts.Edit):
            target = self.targets[room, fact.target]
            target.body, target.edit_seq, target.edit_ts = fact.body, fact.seq, fact.ts
        elif isinstance(fact, facts.Delete):
            target = self.targets[room, fact.target]
            target.body, target.delete_seq, target.delete_ts = None, fact.seq, fact.ts
        elif isinstance(fact, facts.Reaction):
            reacted = Reacted(on=fact.on, seq=fact.seq, ts=fact.ts)
            self.reactions[room, fact.target, fact.sender, fact.emoji] = reacted

    # ------------------------------------------------------------------------------------------ asked by a turn

    def copies_of(self, room: str, seqs: Sequence[int]) -> dict[int, Target]:
        """The messages among the seqs, for a turn to change."""
        known = {seq: self.targets.get((room, seq)) for seq in seqs}
        return {seq: msgspec.structs.replace(target) for seq, target in known.items() if target is not None}

    def since(self, room: str, users: set[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for fact in self.log:
            if isinstance(fact, facts.Member) and fact.room == room:
                for user in users.intersection(fact.users):
                    if fact.change == "added":
                        found[user] = fact.seq
                    elif fact.change != "role":
                        found.pop(user, None)
        return found

    def waiting(self, room: str) -> frozenset[int]:
        """The messages of a request that are not deleted."""
        relation = self.record(room).relation
        if relation is None or relation.asked is None:
            return frozenset()
        since = relation.of(relation.asked).asked_at or 0
        alive = {seq for (place, seq), target in self.targets.items() if place == room and target.body is not None}
        return frozenset(seq for seq in alive if seq > since)


def reason(judged: Judgement) -> str:
    """The verdict in a word."""
    verdict = judged.verdict
    return verdict.reason if isinstance(verdict, Void) else type(verdict).__name__
