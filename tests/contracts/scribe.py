"""Writes one room's history by the rules, turn by turn, and remembers it as naively as can be: what the suites compare
a store with."""

from __future__ import annotations

from typing import Any

import msgspec

from gochat.domain import commands, facts
from gochat.domain.facts import AnyFact
from gochat.domain.record import RoomRecord
from gochat.domain.side_records import AnySideRecord, Related, Sanctioned
from gochat.domain.turn import Done, Outcome, Prefetched, Turn
from gochat.ports.journal import Committed, Journal
from gochat.ports.lookups import Lookups
from tests.appending import append_to
from tests.policies import OPEN

#: More than any page or replay of these tests asks for.
ALL = 1 << 20


class Scribe:
    """`log` is what was told, in order; `commits` the transaction of each fact."""

    def __init__(self, journal: Journal, lookups: Lookups, record: RoomRecord) -> None:
        self.journal = journal
        self.lookups = lookups
        self.record = record
        self.room = record.room
        self.log: list[AnyFact] = []
        self.commits: list[int] = []
        self.reads: dict[str, int] = {}
        self.now_ms = 1000
        self.rules = OPEN
        self.side_records: list[AnySideRecord] = []

    @classmethod
    async def at(cls, store: Any, room: str) -> Scribe:
        return cls(store.journal, store.lookups, await store.journal.load(room))

    async def decide(self, *wanted: commands.AnyCommand) -> tuple[Turn, list[Outcome]]:
        """The turn that a room would append, and the outcome of each command."""
        lookups, record = self.lookups, self.record
        named = [command for command in wanted if isinstance(command, commands.Edit | commands.Delete | commands.React)]
        prefetched = Prefetched(
            await lookups.targets(record, [command.seq for command in named]),
            await lookups.reacted(record, [(c.seq, c.user, c.emoji) for c in named if isinstance(c, commands.React)]),
            since=await lookups.since(record, [command.user for command in wanted]),
            waiting=frozenset(await lookups.waiting(record)),
        )
        keys = [(c.user, c.key) for c in wanted if isinstance(c, commands.Send) and c.key is not None]
        recorded = await lookups.recorded(record, keys)
        known = {(record.room, *place): where for place, where in recorded.items()}
        turn = Turn(record, known, prefetched, self.rules, self.now_ms)
        return turn, [turn.decide(command) for command in wanted]

    async def turn(self, *wanted: commands.AnyCommand) -> list[Outcome]:
        turn, outcomes = await self.decide(*wanted)
        self.now_ms += 1
        if turn.facts or turn.side_records:
            result = await append_to(self.journal, self.record, turn.facts, turn.side_records)
            assert isinstance(result, Committed)
            turn.draft.room_pk = turn.draft.room_pk or result.room_pk
            self.took(turn, result.commit)
        return outcomes

    def took(self, turn: Turn, commit: int) -> None:
        """The turn's facts were recorded."""
        self.record = turn.draft
        self.side_records += turn.side_records
        self.log += turn.facts
        self.commits += [commit] * len(turn.facts)
        for fact in turn.facts:
            if isinstance(fact, facts.Message):
                self.read(fact.sender, fact.seq)
            elif isinstance(fact, facts.Member) and fact.change == "added":
                for user in fact.users:
                    self.read(user, fact.seq)

    async def made(self, kind: type[Any], user: str = "ann", **fields: Any) -> Done:
        """One command that holds."""
        (outcome,) = await self.turn(kind(room=self.room, user=user, **fields))
        assert isinstance(outcome, Done), outcome
        return outcome

    async def said(self, *bodies: str, user: str = "ann") -> list[int]:
        """Messages of one turn; their seqs."""
        outcomes = await self.turn(*(commands.Send(room=self.room, user=user, body=body) for body in bodies))
        return [outcome.seq for outcome in outcomes if isinstance(outcome, Done)]

    def read(self, user: str, seq: int) -> None:
        self.reads[user] = max(seq, self.reads.get(user, 0))

    # ------------------------------------------------------------------------------------------ what should be so

    @property
    def head(self) -> int:
        return len(self.log)

    def folded(self) -> RoomRecord:
        """The room, rebuilt from its log and from what stands beside it."""
        record = RoomRecord.new(self.room, self.record.room_pk)
        for fact in self.log:
            record.apply(fact)
        for entry in self.side_records:
            if isinstance(entry, Related):
                assert record.relation is not None
                record.relation = record.relation.apply(entry.change)
            elif isinstance(entry, Sanctioned):
                record.sanction(entry)
        relation = record.relation
        if relation is not None and relation.asked is not None:
            seq = relation.of(relation.asked).asked_at or 0
            for _ in [fact for fact in self.log if fact.seq > seq and isinstance(fact, facts.Message)]:
                relation = relation.waits(relation.peer(relation.asked or ""))
            record.relation = relation
        return record

    def state(self, user: str) -> str:
        """The user's relation to the other, in a private room; a declined request counts as declined for ever."""
        assert self.record.relation is not None
        return self.record.relation.state(user, 0, self.rules.contacts)

    def bodies(self) -> dict[int, str]:
        """Present bodies by seq."""
        found: dict[int, str] = {}
        for fact in self.log:
            if isinstance(fact, facts.Message):
                found[fact.seq] = fact.body or ""
            elif isinstance(fact, facts.Edit):
                found[fact.target] = fact.body or ""
            elif isinstance(fact, facts.Delete):
                del found[fact.target]
        return found

    def mentions(self) -> dict[int, list[str] | None]:
        """The users whom messages mention now, by seq."""
        found: dict[int, list[str] | None] = {}
        for fact in self.log:
            if isinstance(fact, facts.Message):
                found[fact.seq] = fact.mentions
            elif isinstance(fact, facts.Edit):
                found[fact.target] = fact.mentions
            elif isinstance(fact, facts.Delete):
                found[fact.target] = None
        return found

    def shown(self, *, edits: bool = False) -> list[AnyFact]:
        """The log as it is shown now; with `edits` an edit tells the present body."""
        bodies, mentions = self.bodies(), self.mentions()
        on: dict[tuple[int, str, str], bool] = {}
        edited: dict[int, int] = {}
        deleted: dict[int, int] = {}
        for fact in self.log:
            if isinstance(fact, facts.Reaction):
                on[fact.target, fact.emoji, fact.sender] = fact.on
            elif isinstance(fact, facts.Edit):
                edited[fact.target] = fact.ts
            elif isinstance(fact, facts.Delete):
                deleted[fact.target] = fact.ts
        counts: dict[int, dict[str, int]] = {}
        for (target, emoji, _), is_on in on.items():
            if is_on and target not in deleted:
                row = counts.setdefault(target, {})
                row[emoji] = row.get(emoji, 0) + 1
        return [self._shown(fact, bodies, mentions, edited, deleted, counts, edits=edits) for fact in self.log]

    def _shown(
        self,
        fact: AnyFact,
        bodies: dict[int, str],
        mentions: dict[int, list[str] | None],
        edited: dict[int, int],
        deleted: dict[int, int],
        counts: dict[int, dict[str, int]],
        *,
        edits: bool,
    ) -> AnyFact:
        if isinstance(fact, facts.Message):
            gone = deleted.get(fact.seq)
            return msgspec.structs.replace(
                fact,
                body=bodies.get(fact.seq),
                edited=None if gone else edited.get(fact.seq),
                deleted=gone,
                reactions=counts.get(fact.seq),
                mentions=mentions[fact.seq],
            )
        if isinstance(fact, facts.Edit):
            seq = fact.target
            body, mentioned = (bodies.get(seq), mentions[seq]) if edits else (None, None)
            return msgspec.structs.replace(fact, body=body, mentions=mentioned)
        return fact

    def mentioned(self, user: str, blocked: str | None = None) -> int:
        """Messages above what the user has read that mention the user, and are not by the user who is `blocked`."""
        read = self.reads.get(user, 0)
        return sum(
            seq > read and user in (users or ()) and self.log[seq - 1].sender != blocked
            for seq, users in self.mentions().items()
        )

    def unread(self, user: str) -> int:
        """Messages of others above what the user has read, that are not deleted."""
        read, bodies = self.reads.get(user, 0), self.bodies()
        return sum(
            isinstance(fact, facts.Message) and fact.seq > read and fact.sender != user and fact.seq in bodies
            for fact in self.log
        )
