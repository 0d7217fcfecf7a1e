"""The half of a room that tells everybody of a batch: its askers, its listeners, the observers.

Batches that another node decided take the same way as the room's own. Their askers are on that node, and have their
answers from it.
"""

from __future__ import annotations

import logging
from typing import Any

import trio

from gochat.actors.actor import Actor, Registry
from gochat.actors.attempt import Attempt
from gochat.actors.backlog import ForeignBacklog
from gochat.actors.deliveries import Deliveries
from gochat.actors.events import RoomEvents
from gochat.actors.fact_batch import FactBatch, fact_batches
from gochat.actors.live import tell_lag
from gochat.actors.messages import Submit, flush_all
from gochat.actors.relations import tell_states, tell_two
from gochat.actors.room_context import RoomContext
from gochat.domain import commands
from gochat.domain.draft import RecentMessages
from gochat.domain.foreign import ForeignTurn, fold
from gochat.domain.ids import is_dm
from gochat.domain.record import RoomRecord
from gochat.domain.sight import by_setting
from gochat.domain.turn import Outcome, Turn
from gochat.ports.journal import Committed, ForeignBatch

log = logging.getLogger(__name__)

#: Facts other than messages, and messages found by replies, that are known without asking the store.
RECENT_OTHERS = 256


class TellingRoom(Actor[Submit]):
    """Sessions that enter the room hear what comes after `delivered`, and read the log up to it."""

    __slots__ = (
        "_attempt",
        "_backlog",
        "_context",
        "_deliveries",
        "_events",
        "_offset",
        "_private",
        "_recent",
        "_told",
        "delivered",
        "record",
    )

    def __init__(self, room: str, registry: Registry[Any], context: RoomContext) -> None:
        super().__init__(room, context.mailbox, registry)
        self._context = context
        self._private = is_dm(room)
        self._recent = RecentMessages(RECENT_OTHERS)
        self._events: RoomEvents | None = None
        """Made with the first of them."""
        self._deliveries: Deliveries | None = None
        """Made with the first delivery that may not be over at once."""
        self.delivered = -1
        """The last seq whose delivery has begun; -1 before the room is loaded."""
        self.record: RoomRecord | None = None
        self._offset = 0
        """The value of `jumps.offset` when the record's ends were last moved."""
        self._told: RoomRecord | None = None
        """Of a room that has to be rebuilt: the record as far as anybody was told of it."""
        self._attempt: Attempt | None = None
        """Found out about the batch in hand, besides its mail; None: nothing."""
        self._backlog: ForeignBacklog | None = None
        """Told by other nodes before the record was loaded; None: nothing."""

    def _conclude(
        self,
        batch: list[Submit],
        outcomes: list[Outcome],
        turn: Turn | ForeignTurn,
        before: RoomRecord | None,
        done: Committed | None,
    ) -> None:
        """Tell everybody what came of the batch: first the askers, so that the ack of a fact reaches its sender before
        the fact does; then the listeners; then the observers. A fault of one of them is logged, and costs no other.

        A batch of another node takes the same way: its `batch` of mail is empty. `before` is the room before it, where
        that is known."""
        context = self._context
        for mail, outcome in zip(batch, outcomes, strict=True):
            try:
                mail.reply(outcome)
            except Exception:
                log.exception("%s: a command could not be answered", self.address)
        if done is not None and done.facts:
            try:
                self._deliver(done, turn)
            except Exception:
                log.exception("%s: a delivery failed", self.address)
                self.delivered = turn.draft.head
                self.let_catch_up()
        if turn.passes_on:
            self._pass_on(batch, outcomes)
        flush_all(batch)
        if done is not None:
            if turn.hidden or before is None or turn.draft.relation is not before.relation:
                prepared = None if self._attempt is None else self._attempt.prepared
                names = {} if prepared is None else prepared.names
                now_ms = context.clock.now_ms()
                tell_two(context.live, before, turn, batch, context.rules.contacts, now_ms, names, done.commit)
            for observer in context.observers:
                try:
                    observer.recorded(self.address, turn.draft, done.facts, done.commit)
                except Exception:
                    log.exception("%s: an observer failed", self.address)
            if turn.side_records and self._offset:
                context.clock.note(*turn.draft.ends())
        if not batch:
            return  # It was no turn of this room's.
        self._attempt = None
        counts = context.live.counts
        counts.turns += 1
        counts.commands += len(batch)
        self.finish()
        if not turn.draft.head:
            self.evict()

    def _deliver(self, done: Committed, turn: Turn | ForeignTurn) -> None:
        live, record, facts = self._context.live, turn.draft, done.facts
        if self._private and not turn.hidden and not record.since:
            # Nobody comes or goes, and few listen.
            self.delivered = facts[-1].seq
            live.send(FactBatch(self.address, done.commit, facts), live.listeners(self.address))
            return
        if self._deliveries is None:
            self._deliveries = Deliveries(self, live, self._registry.supervisor)
        pieces = by_setting(facts, record.hides) if turn.others else ((facts, record.hides),)
        for piece, veils in pieces:
            for fact_batch in fact_batches(
                self.address, done.commit, piece, turn.hidden, veils=veils, since=record.since
            ):
                self._deliveries.add(fact_batch)

    def _pass_on(self, batch: list[Submit], outcomes: list[Outcome]) -> None:
        if self.record is not None:
            self._make_events().pass_on(self.record, batch, outcomes)

    def _make_events(self) -> RoomEvents:
        if self._events is None:
            self._events = RoomEvents(self._context, lambda: self.record, self._registry.supervisor.start)
        return self._events

    def let_catch_up(self) -> None:
        """Listeners may have missed something: have them read the log. A user from whom the facts are withheld is told
        of none."""
        known = self.record or self._told
        if known is None:
            return  # Never loaded, it has told nothing yet but the lag of batches that it lost.
        withheld = known.relation.withheld if known.relation is not None else None
        for session in self._context.live.may_lag(self.address, withheld):
            session.lag(self.address, self.delivered)

    # ------------------------------------------------------------------------------------------ other nodes

    def hear(self, batch: ForeignBatch, *, audible: bool = True) -> None:
        """Take a batch that another node decided, and tell it as the room's own. Never waits, whatever the room is
        about to do: its own facts are then recorded behind these, or decided again. A batch that is not
        `audible` to anybody here keeps the room in memory no longer than before."""
        if self.record is not None:
            self._tell_foreign(batch, self.record)
            if audible:
                self.last_turn = trio.current_time()
            return
        backlog = self._need_backlog()
        if len(backlog.batches) >= self._context.mailbox:
            self._lose_batches(backlog)
        backlog.batches.append(batch)
        self.go_on()

    def hear_event(self, event: commands.AnyEphemeral, *, withheld: bool) -> None:
        """Pass on an event that another node took, by the rules of this one. Never waits, and may lose it. `withheld`:
        to nobody but its user."""
        if self.record is not None:
            self._make_events().hear(self.record, event, withheld=withheld)
            return
        self._need_backlog().add_event(event, withheld=withheld)
        self.go_on()

    def _need_backlog(self) -> ForeignBacklog:
        if self._backlog is None:
            self._backlog = ForeignBacklog()
        return self._backlog

    def _tell_foreign(self, batch: ForeignBatch, before: RoomRecord | None) -> None:
        """`before`: None where the record was loaded just now, and may hold the batch already."""
        record = self.record
        assert record is not None
        turn = fold(record, batch.facts, batch.side_records, batch.hidden)
        self.record = turn.draft
        if not turn.draft.room_pk:
            turn.draft.room_pk = batch.room_pk
        if batch.raises_guard and self._attempt is not None:
            self._attempt.outdated = True
        self._recent.follow(turn.others)
        self._conclude([], [], turn, before, Committed(batch.commit, batch.facts))

    def _lose_batches(self, backlog: ForeignBacklog) -> None:
        """The room can't be loaded, and batches of other nodes that wait for that are not to pile up: listeners read
        them in the log."""
        if backlog.end > self.delivered:
            self.delivered = backlog.end
            tell_lag(self._context.live, backlog.batches)
        backlog.batches = []

    # ------------------------------------------------------------------------------------------ failures

    def _catch_up_after_failure(self, record: RoomRecord) -> None:
        """An append failed and was recorded all the same. Nobody was told: let everybody catch up."""
        self.delivered = record.head
        if self._told is not None and not self._private:
            self._context.live.move(self._told.members.keys(), record.members.keys())
        self.let_catch_up()

    def _tell_states_after_failure(self, record: RoomRecord) -> None:
        """The relation of two users may have changed without a fact."""
        before, after = None if self._told is None else self._told.relation, record.relation
        if before is None or after is None or before == after:
            return
        context = self._context
        try:
            tell_states(context.live, (), before, after, context.rules.contacts, context.clock.now_ms())
        except Exception:
            log.exception("%s: what is new between two users could not be told", self.address)

    def forget(self) -> None:
        if self.record is not None:
            self._told = self.record
        self.record = self._attempt = None

    def given_up(self) -> None:
        """Recorded facts may not have been told: listeners catch up."""
        if self._backlog is not None:
            self._lose_batches(self._backlog)
        if self.delivered >= 0:
            self.let_catch_up()
