"""Certification: whether a batch that one node decided still holds where it stands in the log, and as what.

Every node asks this of every entry, at the entry's place, while it records it. The answer follows from the entries
before and from nothing else: no clock, no setting, no counter of the node's own. So all nodes agree without a word, and
a batch that holds is the one that its own rules would decide there (tests/cluster/test_certify_law.py).

A batch was decided on a record that may have been older. It holds if nothing that the decision read has changed. For
that each room has a *guard*: the n of the last entry that changed what other decisions read (members, roles, settings,
sanctions, how two users stand to each other). Messages, edits, deletions and reactions do not raise it: they go past
each other freely, are numbered where they stand, and name messages whose state is looked at here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from gochat.cluster.entry import Entry, EntryCodec, Forged, TooNew, Unfit
from gochat.cluster.ports import PARTITIONS
from gochat.domain import facts
from gochat.domain.facts import AnyFact
from gochat.domain.record import Recorded
from gochat.domain.side_records import Related, Reported, Sanctioned
from gochat.ports.journal import DuplicateKeys
from gochat.replication import AnyNews, Replica, RoomView

#: An entry whose decider was so far behind is void. So the counters of a producer may be forgotten once its last entry
#: is that far back: whatever was recorded of it then, and is put into the log again, is void.
HORIZON: Final = 100_000
#: Side records of an entry are numbered with so many bits (entry.MOST_SIDE_RECORDS).
SIDE_RECORD_BITS: Final = 12
HASH_BYTES: Final = 8


Reason: TypeAlias = Literal[
    "forged", "unfit", "old", "forgotten", "base", "head", "guard", "target", "same", "deleted", "condition"
]


class Valid(msgspec.Struct, frozen=True, gc=False):
    """The batch holds. These are its facts and records, as every node records them."""

    facts: Sequence[AnyFact]
    side_records: Sequence[AnyNews]
    hidden: dict[int, str]
    raises_guard: bool


class Void(msgspec.Struct, frozen=True):
    """Nothing of the entry is recorded. Its node decides the commands again."""

    reason: Reason


class Repeat(msgspec.Struct, frozen=True):
    """The entry stands in the log before; or it begins a term, and holds nothing."""


class Stop(msgspec.Struct, frozen=True):
    """A later release wrote the entry. This node can't go on in the partition: to skip it would be to differ."""

    problem: str


Verdict: TypeAlias = Valid | DuplicateKeys | Void | Repeat | Stop
REPEAT: Final = Repeat()


#: Nobody who knows the cluster's secret wrote it.
FORGED: Final = Void("forged")
#: It was decided more than HORIZON entries ago. It says nothing of its producer, whose counter may have been dropped.
OLD: Final = Void("old")


class Judgement(NamedTuple):
    """An entry and what became of it."""

    entry: Entry | None
    """None where the bytes are no entry, or the marker of a term."""
    verdict: Verdict


def judge(data: bytes, n: int, partition: int, codec: EntryCodec, replica: Replica) -> Judgement:
    """Read the element at `n` and certify it. The counter of its producer rises, whatever the verdict, unless that is
    Repeat, OLD or Stop, or there is no entry."""
    if not data:
        return Judgement(None, REPEAT)
    try:
        entry = codec.decode(data, partition)
    except Forged:
        return Judgement(None, FORGED)
    except TooNew as error:
        return Judgement(None, Stop(str(error)))
    except Unfit:
        return Judgement(None, Void("unfit"))
    return Judgement(entry, certify(entry, n, replica))


def certify(entry: Entry, n: int, replica: Replica) -> Verdict:
    """The verdict on an entry at `n` of its partition. Pure: neither the entry nor the replica is changed."""
    # First of all: what is known of the producer of an old entry depends on how the entries were grouped.
    if entry.base < n - HORIZON:
        return OLD
    if entry.counter <= replica.counter(entry.instance, entry.boot):
        return REPEAT
    if replica.is_forgotten(entry.instance):
        return Void("forgotten")
    if entry.base >= n:
        return Void("base")
    if entry.kind != "room":
        return Valid((), entry.side_records, {}, False)
    room = replica.room(entry.room)
    if entry.base < room.guard:
        return Void("guard")  # The decision read something that has changed since.
    if entry.head > room.head:
        # A record is never newer than the log: a node that knew more has recorded what the log has lost.
        return Void("head")
    found, is_plain = _look_at_facts(entry, replica)
    if found:
        return DuplicateKeys(found)
    if is_plain and not entry.hidden:
        return Valid(_facts_at(entry, room), (), entry.hidden, False)
    reason = _Targets(entry, replica).problem()
    if reason is not None:
        return Void(reason)
    try:
        return _numbered(entry, room, replica)
    except ValueError:
        return Void("unfit")  # Changes of a relation that do not follow those that are recorded.


def _look_at_facts(entry: Entry, replica: Replica) -> tuple[dict[tuple[str, str], Recorded] | None, bool]:
    """Those of the entry's keys that are recorded; and whether it is plain: it names no message and changes nothing
    beside the log. Nearly every one is, and where nothing is hidden there is nothing more to ask about it."""
    found: dict[tuple[str, str], Recorded] | None = None
    is_plain = not entry.side_records
    for fact in entry.facts:
        if type(fact) is not facts.Message:
            is_plain = False
            continue
        if fact.reply_to is not None:
            is_plain = False
        if fact.key is not None:
            known = replica.recorded(entry.room, fact.sender, fact.key)
            if known is not None:
                found = found or {}
                found[fact.sender, fact.key] = known
    return found, is_plain


def raises_guard(entry: Entry) -> bool:
    """Whether the entry changes what decisions of other nodes read. In a private room with a request every fact does:
    how many messages wait, and whether any does, decides what the next one is."""
    return (
        bool(entry.hidden)
        or any(isinstance(fact, facts.GUARDED) for fact in entry.facts)
        or any(isinstance(record, Related | Sanctioned) for record in entry.side_records)
    )


class _Targets:
    """The messages that an entry names, as they are when its facts are taken one after the other."""

    def __init__(self, entry: Entry, replica: Replica) -> None:
        self._entry = entry
        self._replica = replica
        self._bodies: dict[int, tuple[str | None, int]] = {}
        """Of messages that were looked at: the body, None once deleted, and the seq of the fact that gave it."""
        self._reacted: dict[tuple[int, str, str], bool] = {}

    def problem(self) -> Reason | None:
        """Why the entry does not hold. Facts and records are looked at in their order, as the turn decided them."""
        for fact in self._entry.facts:
            reason = self._problem_of(fact)
            if reason is not None:
                return reason
        for record in self._entry.side_records:
            # A report is of the message as it was before this entry, which may delete it after the report.
            if isinstance(record, Reported) and record.user is not None:
                # First of all: what is above the head is not asked for, in the place where it may come to stand.
                target = self._replica.target(self._entry.room, record.seq) if self._is_known(record.seq) else None
                if target is None:
                    return "target"
                if target.body is None:
                    return "deleted"
        return None

    def _problem_of(self, fact: AnyFact) -> Reason | None:
        if isinstance(fact, facts.Message):
            return None if fact.reply_to is None else self._unusable(fact.reply_to)
        if not isinstance(fact, facts.OnMessage):
            return None
        reason = self._unusable(fact.target)
        if reason is not None:
            return reason
        body, since = self._bodies[fact.target]
        if self._entry.expected.get(fact.seq, since) != since:
            return "condition"
        if isinstance(fact, facts.Edit):
            if body == fact.body:
                return "same"
            self._bodies[fact.target] = fact.body, fact.seq
        elif isinstance(fact, facts.Reaction):
            place = (fact.target, fact.sender, fact.emoji)
            if place not in self._reacted:
                self._reacted[place] = self._replica.reacted(self._entry.room, *place)
            if self._reacted[place] == fact.on:
                return "same"
            self._reacted[place] = fact.on
        elif isinstance(fact, facts.Delete):
            self._bodies[fact.target] = None, fact.seq
        return None

    def _is_known(self, seq: int) -> bool:
        """Whether the decider could know the message by this seq. One that it decided itself, in this very batch, is
        numbered here, maybe otherwise: the seq would be somebody else's message."""
        return seq <= self._entry.head

    def _unusable(self, seq: int) -> Reason | None:
        """Why a message may not be named; else its body is among `_bodies`."""
        if not self._is_known(seq):
            return "target"
        if seq not in self._bodies:
            target = self._replica.target(self._entry.room, seq)
            if target is None:
                return "target"
            self._bodies[seq] = target.body, target.edit_seq or seq
        return "deleted" if self._bodies[seq][0] is None else None


def _numbered(entry: Entry, room: RoomView, replica: Replica) -> Valid:
    """The entry as it is recorded: numbered from the room's head, at a time that does not fall. Raises ValueError."""
    shift = room.head - entry.head
    records = entry.side_records
    if records:
        records = [
            msgspec.structs.replace(record, seq=record.seq + shift)
            if isinstance(record, Reported) and record.seq > entry.head
            else record
            for record in _related_anew(entry, shift, replica)
        ]
    return Valid(_facts_at(entry, room), records, _hidden_at(entry, room), raises_guard(entry))


def _facts_at(entry: Entry, room: RoomView) -> Sequence[AnyFact]:
    """The facts as they are recorded."""
    shift, ts = room.head - entry.head, max(entry.ts, room.ts)
    if not shift:
        for fact in entry.facts:
            if fact.ts != ts:
                break
        else:
            return entry.facts
    return [msgspec.structs.replace(fact, seq=fact.seq + shift, ts=ts) for fact in entry.facts]


def _hidden_at(entry: Entry, room: RoomView) -> dict[int, str]:
    """The seqs that are hidden, as they are recorded."""
    shift = room.head - entry.head
    return {seq + shift: user for seq, user in entry.hidden.items()}


def _related_anew(entry: Entry, shift: int, replica: Replica) -> Sequence[AnyNews]:
    """The side records, with changes of the relation made where the entry stands: a block's `at` is the room's head
    there, so that no message of the blocked user's comes above it, however many came before."""
    if not any(isinstance(record, Related) for record in entry.side_records):
        return entry.side_records
    relation = replica.relation(entry.room)
    if relation is None:
        raise ValueError(f"{entry.room} has no relation")
    waiting = [fact for fact in entry.facts if isinstance(fact, facts.Message) and fact.seq in entry.hidden]
    made: list[AnyNews] = []
    for record in entry.side_records:
        if isinstance(record, Related):
            while waiting and waiting[0].seq <= record.change.at:
                relation = relation.waits(waiting.pop(0).sender)
            change = msgspec.structs.replace(record.change, at=record.change.at + shift)
            relation = relation.apply(change)
            record = Related(change, relation)
        made.append(record)
    return made


# ------------------------------------------------------------------------------------------ numbers and hashes


def room_number(k: int, partition: int, above: int = 0) -> int:
    """The number of the partition's room that is created as the `k`th, from 1: the same on every node, and no other
    room's. `above`: a number that is above all that existed before there was a cluster."""
    return above + k * PARTITIONS + partition


def record_numbers(n: int, partition: int, count: int, above: int = 0) -> range:
    """The ids of the reports and audit entries that the entry at `n` brings, one for each of its side records."""
    first = (n << SIDE_RECORD_BITS) * PARTITIONS + partition + above
    return range(first, first + count * PARTITIONS, PARTITIONS)


_HISTORY: Final = hashlib.blake2b(digest_size=HASH_BYTES, person=b"gochat history")
_CODES: Final[dict[type, bytes]] = {Valid: b"v", DuplicateKeys: b"d", Void: b"x", Repeat: b"r"}


def next_hash(before: bytes, data: bytes, verdict: Verdict) -> bytes:
    """The hash of a partition's history up to this element. Nodes that differ in it have recorded different things."""
    kind = type(verdict)
    first = verdict.facts[0].seq if kind is Valid and verdict.facts else 0  # type: ignore[union-attr]
    history = _HISTORY.copy()
    history.update(b"%b%b%b%b" % (before, _CODES[kind], first.to_bytes(8, "big"), data))
    return history.digest()
