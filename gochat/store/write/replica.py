"""Applies a cluster's log: certifies entries in their order, and writes what they bring, in one transaction.

A cycle takes whatever came. Each entry is judged over the database and over those before it in the cycle (`_Cycle`),
then all that holds is written at once, a batch a room: grouping changes nothing. Keys are at first taken to be new: the
tail and the indexes refuse the transaction where one is not, and then each key is looked up. An entry that does not
hold writes nothing that an index could refuse, so its keys are looked up before it is judged for good: its verdict is
the same on nodes that have merged the message of the key and on those that have not. Where SQLite can't take something
all the same, the entries are taken one at a time, and the one that can't be taken is void, as it is on every other
node.

Runs in the writing thread; knows no trio, and nothing of what is in an entry but what the certifier says of it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gochat.domain import facts
from gochat.domain.facts import AnyFact
from gochat.domain.record import Recorded, Target
from gochat.domain.relationship import Relation
from gochat.domain.side_records import AnySideRecord, Related
from gochat.replication import (
    NO_FACTS,
    Applied,
    Certifier,
    Cycle,
    EpochIs,
    GotUpTo,
    NodeIs,
    Piece,
    ReadUpTo,
    Ruling,
    UserNoted,
)
from gochat.store.read import rules
from gochat.store.write import log_state
from gochat.store.write import notes as noted
from gochat.store.write.log_state import PartitionState
from gochat.store.write.logs import Batch
from gochat.store.write.notes import Notes
from gochat.store.write.transaction import Unrecordable, Writer, recorded

log = logging.getLogger(__name__)

#: For so many cycles keys are looked up at once after one was recorded already: that costs everybody's entries a tenth
#: more. Somebody who sends the same keys to two nodes, again and again, must not have them judged twice each time.
WARY: Final = 50
#: Rooms whose heads, times and guards are kept in memory; the others are read when they are needed.
KNOWN: Final = 50_000


class _Room(msgspec.Struct):
    room_pk: int
    """0: nothing of it is recorded."""
    head: int
    ts: int
    guard: int


class _Batch(msgspec.Struct):
    """The facts and records of one room that hold, of all its entries in the cycle."""

    facts: list[AnyFact] = []
    side_records: list[AnySideRecord | EpochIs] = []
    ids: list[int] = []


class LogReplica:
    """Over one writer; after an exception of `follow` other than Unrecordable both are of no more use."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.partitions = log_state.load(writer.connection)
        self.epoch = log_state.epoch(writer.connection)
        self._rooms: dict[str, _Room] = {}
        self._wary = 0
        """For how many cycles keys are looked up at once."""
        self.attempts: list[Cycle[Any]] = []
        """The cycles that `follow` had committed when it raised, and last the one that it was about to commit: the ends
        in the database tell whether that took effect."""

    def holds(self, cycle: Cycle[Any]) -> bool:
        """Whether the database has applied the cycle."""
        return all(
            partition in self.partitions and self.partitions[partition].n >= applied[-1].place[1]
            for partition, applied in cycle.applied.items()
            if applied
        )

    def not_applied(self, news: Mapping[int, Sequence[Piece]]) -> dict[int, list[Piece]]:
        """Those of the entries that are not applied."""
        ends = {partition: state.n for partition, state in self.partitions.items()}
        left = {p: [piece for piece in pieces if piece[0][1] > ends.get(p, 0)] for p, pieces in news.items()}
        return {partition: pieces for partition, pieces in left.items() if pieces}

    def follow(self, certifier: Certifier[Any], news: Mapping[int, Sequence[Piece]]) -> Cycle[Any]:
        """See ReplicaStore."""
        self.attempts = []
        if self._wary:
            self._wary -= 1
        else:
            try:
                return self._follow(certifier, news, looks_up=False)
            except Unrecordable as error:
                log.debug("a key may be recorded already: %s", error)
                self._wary = WARY
        try:
            return self._follow(certifier, news)
        except Unrecordable as error:
            log.error("of the log's entries the database can't take one: %s", error)
        self.attempts = []
        return self._follow_singly(certifier, news)

    def _follow(
        self,
        certifier: Certifier[Any],
        news: Mapping[int, Sequence[Piece]],
        *,
        refused: bool = False,
        looks_up: bool = True,
    ) -> Cycle[Any]:
        """`looks_up`: whether keys are looked up; else they are taken to be new."""
        cycle = _Cycle(self, certifier, self._writer, looks_up=looks_up)
        for partition, pieces in news.items():
            cycle.judge_all(partition, pieces, refused=refused)
        attempt = cycle.told(self._writer.commits + 1)
        self.attempts.append(attempt)
        try:
            self._writer.apply(cycle.batches(), cycle.write_beside)
        except Unrecordable:
            self.attempts.pop()
            raise
        self.partitions.update(cycle.partitions)
        self.epoch = cycle.epoch
        if len(self._rooms) > KNOWN:
            self._rooms.clear()
        self._rooms.update(cycle.rooms)
        return attempt

    def _follow_singly(self, certifier: Certifier[Any], news: Mapping[int, Sequence[Piece]]) -> Cycle[Any]:
        for partition, pieces in news.items():
            for piece in pieces:
                one = {partition: [piece]}
                try:
                    cycle = self._follow(certifier, one)
                except Unrecordable as error:
                    log.error("the entry %s of partition %d is void: %s", piece[0], partition, error)
                    cycle = self._follow(certifier, one, refused=True)
                if cycle.stopped:
                    break
        return together(self.attempts)

    def known(self, room: str) -> _Room:
        """The room as it is recorded. Not to be changed."""
        found = self._rooms.get(room)
        if found is None:
            found = self._rooms[room] = self._read(room)
        return found

    def _read(self, room: str) -> _Room:
        connection, write_buffer = self._writer.connection, self._writer.write_buffer
        row = connection.execute("SELECT num, head, ts, guard FROM room WHERE id = ?", (room,)).fetchone()
        if row is None:
            return _Room(0, *NO_FACTS)
        found = _Room(*row)
        pending = write_buffer.pending([found.room_pk]).get(found.room_pk)
        if pending:
            found.head, found.ts = pending[-1].seq, pending[-1].ts
        return found


def together(cycles: Sequence[Cycle[Any]]) -> Cycle[Any]:
    """Several transactions, one after the other, as one."""
    applied: dict[int, list[Applied[Any]]] = {}
    stopped: dict[int, str] = {}
    for cycle in cycles:
        for partition, each in cycle.applied.items():
            applied.setdefault(partition, []).extend(each)
        stopped.update(cycle.stopped)
    return Cycle(cycles[-1].commit, applied, stopped)


class _Cycle:
    """The effect of one transaction's entries, over what is recorded. Nothing is written before `write_beside`."""

    def __init__(
        self, replica: LogReplica, certifier: Certifier[Any], writer: Writer, *, looks_up: bool = True
    ) -> None:
        self._looks_up = looks_up
        self._replica = replica
        self._certifier = certifier
        self._connection = writer.connection
        self._write_buffer = writer.write_buffer
        self.partitions: dict[int, PartitionState] = {}
        self.rooms: dict[str, _Room] = {}
        """Those that change, as they are after the entries so far."""
        self._batches: dict[str, _Batch] = {}
        self._keys: dict[tuple[str, str, str], facts.Message] | None = None
        """Those of the entries so far; None: nobody has asked for one."""
        self._targets: dict[tuple[str, int], Target | None] = {}
        self._reacted: dict[tuple[str, int, str, str], bool] = {}
        self._relations: dict[str, Relation | None] = {}
        self._guards: dict[str, int] = {}
        self._news: dict[int, list[Piece]] = {}
        self._applied: dict[int, list[Applied[Any]]] = {}
        self._stopped: dict[int, str] = {}
        self._reads: dict[tuple[str, str], int] = {}
        self._got: dict[tuple[str, str], int] = {}
        self._users: dict[str, tuple[str | None, int | None]] = {}
        self._nodes: list[tuple[int, NodeIs]] = []
        self.epoch = replica.epoch

    # ------------------------------------------------------------------------------------------ judging

    def judge_all(self, partition: int, pieces: Sequence[Piece], *, refused: bool) -> None:
        """Take the next entries of a partition. With `refused` the database can take nothing of them."""
        known = self._replica.partitions.get(partition)
        state = self.partitions[partition] = PartitionState() if known is None else known.copy()
        certifier = self._certifier
        view = _View(self, state)
        judge, next_hash, guesses = certifier.judge, certifier.next_hash, not self._looks_up
        applied, taken = self._applied.setdefault(partition, []), 0
        for place, data in pieces:
            n = place[1]
            assert n == state.n + 1, f"entry {n} of partition {partition} does not follow {state.n}"
            ruling = judge(data, n, partition, view)
            if guesses and not ruling.facts:
                self._looks_up = True
                ruling = judge(data, n, partition, view)
                self._looks_up = False
            if refused:
                ruling = certifier.refused(ruling)
            if ruling.stop is not None:
                self._stopped[partition] = ruling.stop
                break
            state.term, state.n = place
            state.hash = hash_ = next_hash(state.hash, data, ruling)
            if ruling.producer is not None:
                state.heard(*ruling.producer)
            taken += 1
            applied.append(Applied(place, ruling, self._take(partition, state, ruling), hash_))
        self._news.setdefault(partition, []).extend(pieces[:taken])

    def _take(self, partition: int, state: PartitionState, ruling: Ruling) -> int:
        """Take what the entry brings. The number of its room."""
        room, new, records = ruling.room, ruling.facts, ruling.side_records
        if not new and not records:
            for note in ruling.noted:
                self._take_note(partition, state, note)
            return self.room(room).room_pk if room else 0
        batch = self._batches.get(room)
        if batch is None:
            batch = self._batches[room] = _Batch()
        if records:
            batch.side_records.extend(records)
            batch.ids.extend(self._certifier.record_numbers(state.n, partition, len(records)))
        if not room:
            return 0
        known = self.rooms.get(room)
        if known is None:
            known = self.rooms[room] = msgspec.structs.replace(self._replica.known(room))
        if not known.room_pk:
            state.rooms += 1
            known.room_pk = self._certifier.room_number(state.rooms, partition)
        if new:
            batch.facts += new
            for fact in new:
                if type(fact) is not facts.Message:
                    self._take_rare(room, fact)
            known.head, known.ts = fact.seq, fact.ts
            if self._keys is not None:
                _add_keys(self._keys, room, new)
        if ruling.raises_guard:
            known.guard = self._guards[room] = state.n
            self._take_relation(room, ruling)
        return known.room_pk

    def _take_rare(self, room: str, fact: AnyFact) -> None:
        if isinstance(fact, facts.Edit):
            target = self._targets[room, fact.target]  # It was asked for when the edit was judged.
            assert target is not None
            target.body, target.edit_seq, target.edit_ts = fact.body, fact.seq, fact.ts
        elif isinstance(fact, facts.Delete):
            target = self._targets[room, fact.target]
            assert target is not None
            target.body, target.delete_seq, target.delete_ts = None, fact.seq, fact.ts
        elif isinstance(fact, facts.Reaction):
            self._reacted[room, fact.target, fact.sender, fact.emoji] = fact.on

    def _take_relation(self, room: str, ruling: Ruling) -> None:
        changed_at, relation = -1, None
        for change in ruling.side_records:
            if isinstance(change, Related):
                relation, changed_at = change.after, change.change.at
        waiting = [
            fact
            for fact in ruling.facts
            if isinstance(fact, facts.Message) and fact.seq in ruling.hidden and fact.seq > changed_at
        ]
        if relation is None and not waiting:
            return
        relation = relation or self._relation_before(room)
        for fact in waiting:
            assert relation is not None
            relation = relation.waits(fact.sender)
        self._relations[room] = relation

    def _relation_before(self, room: str) -> Relation | None:
        """The relation without the facts of the entry that is taken; `_batches` may have some of those already."""
        return self._relations[room] if room in self._relations else self._read_relation(room)

    def _take_note(self, partition: int, state: PartitionState, note: object) -> None:
        if isinstance(note, ReadUpTo):
            self._reads[note.user, note.room] = max(note.seq, self._reads.get((note.user, note.room), 0))
        elif isinstance(note, GotUpTo):
            self._got[note.user, note.room] = max(note.seq, self._got.get((note.user, note.room), 0))
        elif isinstance(note, UserNoted):
            name, seen = self._users.get(note.user, (None, None))
            self._users[note.user] = (
                name if note.name is None else note.name,
                seen if note.last_seen is None else note.last_seen,
            )
        elif isinstance(note, NodeIs):
            if state.nodes.get(note.instance) != "forgotten":
                state.nodes[note.instance] = note.state
                self._nodes.append((partition, note))
        elif isinstance(note, EpochIs) and note.before == self.epoch:
            self.epoch = note.epoch
            # In its place among the records of the site: notices that stand before it are kept in the epoch before.
            site = self._batches.setdefault("", _Batch())
            site.side_records.append(note)
            site.ids.append(0)

    # ------------------------------------------------------------------------------------------ what is recorded

    def room(self, room: str) -> _Room:
        return self.rooms.get(room) or self._replica.known(room)

    def recorded(self, room: str, sender: str, key: str) -> Recorded | None:
        if not self._looks_up:
            return None
        if self._keys is None:
            self._keys = {}
            for name, batch in self._batches.items():
                _add_keys(self._keys, name, batch.facts)
        taken = self._keys.get((room, sender, key))
        if taken is not None:
            return Recorded(taken.seq, taken.ts)
        room_pk = self._replica.known(room).room_pk
        if not room_pk:
            return None
        if self._write_buffer.has((room_pk, sender, key)):
            for message in self._write_buffer.pending([room_pk]).get(room_pk, ()):
                if message.key == key and message.sender == sender:
                    return Recorded(message.seq, message.ts)
        return recorded(self._connection, room_pk, [(sender, key)]).get((sender, key))

    def target(self, room: str, seq: int) -> Target | None:
        if (room, seq) not in self._targets:
            self._targets[room, seq] = self._read_target(room, seq)
        return self._targets[room, seq]

    def _read_target(self, room: str, seq: int) -> Target | None:
        known = self._replica.known(room)
        if seq > known.head:
            batch = self._batches.get(room)
            index = seq - known.head - 1
            fact = batch.facts[index] if batch is not None and index < len(batch.facts) else None
            return Target(author=fact.sender, ts=fact.ts, body=fact.body) if isinstance(fact, facts.Message) else None
        if known.room_pk in self._write_buffer:
            pending = self._write_buffer.pending([known.room_pk])[known.room_pk]
            if seq >= pending[0].seq:
                message = pending[seq - pending[0].seq]
                return Target(author=message.sender, ts=message.ts, body=message.body)
        return rules.targets(self._connection, known.room_pk, [seq]).get(seq)

    def reacted(self, room: str, seq: int, user: str, emoji: str) -> bool:
        place = (room, seq, user, emoji)
        if place not in self._reacted:
            room_pk = self._replica.known(room).room_pk
            found = rules.reacted(self._connection, room_pk, [(seq, user, emoji)])
            self._reacted[place] = bool(found) and found[seq, user, emoji].on
        return self._reacted[place]

    def relation(self, room: str) -> Relation | None:
        if room not in self._relations:
            self._relations[room] = self._read_relation(room)
        return self._relations[room]

    def _read_relation(self, room: str) -> Relation | None:
        room_pk = self._replica.known(room).room_pk
        relation = rules.relation(self._connection, room_pk, room)
        if relation is None or relation.asked is None:
            return relation
        for message in self._write_buffer.pending([room_pk]).get(room_pk, ()):
            relation = relation.waits(message.sender)
        return relation

    # ------------------------------------------------------------------------------------------ writing

    def batches(self) -> list[Batch]:
        return [
            Batch(room, self.rooms[room].room_pk if room else 0, batch.facts, batch.side_records, 0, batch.ids)
            for room, batch in self._batches.items()
        ]

    def write_beside(self, connection: sqlite3.Connection) -> None:
        """Write what is no room's batch, in the transaction that has written those."""
        log_state.save_entries(connection, self._news)
        log_state.save(connection, {p: state for p, state in self.partitions.items() if self._news[p]})
        for partition, node in self._nodes:
            log_state.save_node(connection, partition, node)
        for room, guard in self._guards.items():
            connection.execute("UPDATE room SET guard = ? WHERE num = ?", (guard, self.rooms[room].room_pk))
        if self._reads or self._got or self._users:
            noted.write(connection, Notes(self._numbered(self._reads), self._users, self._numbered(self._got)))

    def _numbered(self, positions: Mapping[tuple[str, str], int]) -> dict[tuple[str, int], int]:
        found = {(user, self.room(room).room_pk): seq for (user, room), seq in positions.items()}
        return {place: seq for place, seq in found.items() if place[1]}

    def told(self, commit: int) -> Cycle[Any]:
        return Cycle(commit, self._applied, self._stopped)


def _add_keys(keys: dict[tuple[str, str, str], facts.Message], room: str, new: Sequence[AnyFact]) -> None:
    for fact in new:
        if isinstance(fact, facts.Message) and fact.key is not None:
            keys[room, fact.sender, fact.key] = fact


class _View:
    """A partition as certification sees it; see replication.Replica."""

    def __init__(self, cycle: _Cycle, state: PartitionState) -> None:
        self._state = state
        self.counter = state.counter
        self.room = cycle.room
        self.recorded = cycle.recorded
        self.target = cycle.target
        self.reacted = cycle.reacted
        self.relation = cycle.relation

    def is_forgotten(self, instance: str) -> bool:
        return self._state.nodes.get(instance) == "forgotten"
