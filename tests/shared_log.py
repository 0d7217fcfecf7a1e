"""A node's journal whose rooms another node decides in, too. It keeps the promises of `ports.Journal` about other
nodes, over one store.

Each room has a log of batches, and one after the other is recorded. `decide_elsewhere` puts a batch of the other node
into it, before the batches of this node that wait. Those are then recorded behind it, with other seqs, or overtaken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
import trio

from gochat.domain.facts import AnyFact, Delete, Edit, Message, Reaction
from gochat.domain.record import RoomRecord
from gochat.domain.side_records import AnySideRecord, Related, Sanctioned
from gochat.errors import Full, StoreError
from gochat.ports.journal import AppendResult, Committed, ForeignBatch, Journal, OnForeign, OnRecorded, Overtaken


class Entry(msgspec.Struct, eq=False):
    record: RoomRecord
    """As it was when the batch was decided."""
    facts: Sequence[AnyFact]
    side_records: Sequence[AnySideRecord]
    done: OnRecorded | None
    """None: the other node's."""
    hidden: Mapping[int, str] = {}
    overtaken: bool = False

    @property
    def guards(self) -> bool:
        """Whether others would decide otherwise after it."""
        plain = Message | Edit | Delete | Reaction
        beside = any(isinstance(entry, Related | Sanctioned) for entry in self.side_records)
        return beside or bool(self.hidden) or not all(isinstance(fact, plain) for fact in self.facts)


class SharedLog:
    """See the module. All that it does not define is the recording journal's."""

    def __init__(self, inner: Journal) -> None:
        self._inner = inner
        self._heard: OnForeign = lambda batch: None
        self._logs: dict[str, deque[Entry]] = {}
        self._last: dict[str, AnyFact] = {}
        self._foreign: dict[str, set[int]] = {}
        """The seqs of what the other node decided, by room."""
        self.guards: dict[str, int] = {}
        """How many batches were recorded after which the other node would decide otherwise, by room."""
        self._told = trio.Event()
        self.held = False
        """Whether batches wait, of both nodes."""
        self.silent = False
        """Whether batches are recorded and not told; then nobody can ask the log, either."""
        self._untold: list[tuple[Entry, AppendResult]] = []
        self.before_load: Callable[[str], Awaitable[None]] | None = None
        """Is called with the room before one is loaded: it may wait, or raise StoreError."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def listen(self, heard: OnForeign) -> None:
        self._heard = heard

    def coming(self, room: str) -> bool:
        return any(entry.done is None for entry in self._logs.get(room, ()))

    async def barrier(self, rooms: Collection[str] | None = None) -> None:
        if self.silent:
            raise StoreError("the log can't be asked")
        await self._wait_told(rooms)

    async def _wait_told(self, rooms: Collection[str] | None) -> None:
        while any(self.coming(room) for room in (self._logs if rooms is None else rooms)):
            await self._told.wait()

    async def load(self, room: str) -> RoomRecord:
        if self.before_load is not None:
            await self.before_load(room)
        record = await self._inner.load(room)
        await self._wait_told([room])
        return record

    def append(
        self,
        record: RoomRecord,
        facts: Sequence[AnyFact],
        side_records: Sequence[AnySideRecord],
        done: OnRecorded,
        hidden: Mapping[int, str] = {},
        expected: Mapping[int, int] = {},
    ) -> None:
        log = self._logs.setdefault(record.room, deque())
        log.append(Entry(record, facts, side_records, done, hidden))
        if len(log) == 1 and not self.held:
            try:
                self._record(log[0])
            except (StoreError, Full):
                log.pop()
                raise

    def decide_elsewhere(
        self,
        record: RoomRecord,
        facts: Sequence[AnyFact],
        side_records: Sequence[AnySideRecord] = (),
        hidden: Mapping[int, str] = {},
    ) -> None:
        """The other node has decided these, over a record that holds all that is recorded."""
        log = self._logs.setdefault(record.room, deque())
        entry = Entry(record, facts, side_records, None, hidden)
        place = 0 if self.held else min(1, len(log))
        while place < len(log) and log[place].done is None:
            place += 1
        log.insert(place, entry)
        if len(log) == 1 and not self.held:
            self._record(entry)

    def release(self) -> None:
        """Let the batches that wait be recorded."""
        self.held = False
        for log in list(self._logs.values()):
            if log:
                self._record(log[0])

    def speak(self) -> None:
        """Tell what was recorded in silence."""
        self.silent = False
        untold, self._untold = self._untold, []
        for entry, result in untold:
            self._ended(entry, result)

    # ------------------------------------------------------------------------------------------ one batch

    def _record(self, entry: Entry) -> None:
        if entry.overtaken:
            trio.lowlevel.current_trio_token().run_sync_soon(self._ended, entry, Overtaken())
            return
        room, base = entry.record.room, entry.record.head
        last = self._last.get(room)
        between = 0 if last is None else max(0, last.seq - base)
        if last is not None and between and (entry.done is None or self._are_foreign(room, base, last.seq)):
            moved = [(fact.seq + between, max(fact.ts, last.ts), fact) for fact in entry.facts]
            entry.facts = [msgspec.structs.replace(fact, seq=seq, ts=ts) for seq, ts, fact in moved]
            entry.hidden = {seq + between: user for seq, user in entry.hidden.items()}
        self._inner.append(entry.record, entry.facts, entry.side_records, lambda result: self._ended(entry, result))

    def _are_foreign(self, room: str, after: int, upto: int) -> bool:
        return self._foreign.get(room, set()).issuperset(range(after + 1, upto + 1))

    def _ended(self, entry: Entry, result: AppendResult) -> None:
        if self.silent:
            self._untold.append((entry, result))
            return
        room, log = entry.record.room, self._logs[entry.record.room]
        assert log.popleft() is entry
        if isinstance(result, Committed) and entry.facts:
            self._last[room] = entry.facts[-1]
            if entry.done is None:
                self._foreign.setdefault(room, set()).update(fact.seq for fact in entry.facts)
        if isinstance(result, Committed) and entry.guards:
            self.guards[room] = self.guards.get(room, 0) + 1
            for waiting in log:
                waiting.overtaken |= (waiting.done is None) != (entry.done is None)
        if log:
            self._record(log[0])
        else:
            del self._logs[room]
        try:
            if entry.done is not None:
                entry.done(Committed(result.commit, entry.facts) if isinstance(result, Committed) else result)
            elif not entry.overtaken:  # Else the other node decides it again, which is nothing to this one.
                assert isinstance(result, Committed), result
                batch = ForeignBatch(
                    room, result.commit, entry.facts, entry.side_records, entry.hidden, 0, entry.guards
                )
                self._heard(batch)
        finally:
            self._told.set()
            self._told = trio.Event()
