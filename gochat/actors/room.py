"""A room: the one place that numbers its facts.

A turn takes all mail that waits, decides it as one batch, records the facts, and only when they are durable answers
the askers and tells the listeners (telling.py). One append is in flight for a room; what comes meanwhile is the next
batch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import trio

from gochat.actors import prefetched
from gochat.actors.actor import INTERNAL, Registry
from gochat.actors.attempt import ASSUMED, ASSURED, UNKNOWN, WANTED, Attempt
from gochat.actors.backlog import ForeignBacklog
from gochat.actors.decisions import decide_judged, is_ahead, is_by_state
from gochat.actors.messages import Submit, flush_all
from gochat.actors.phases import APPENDED, LACKING, TRANSITIONS
from gochat.actors.rebuild import Rebuild
from gochat.actors.room_context import RoomContext
from gochat.actors.telling import TellingRoom
from gochat.actors.turn_bounds import MOST_MAIL, within_bounds
from gochat.domain import commands
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import Recorded, RoomRecord
from gochat.domain.turn import Outcome, Turn
from gochat.errors import Denied, Full, StoreError, store_refusal
from gochat.ports.journal import AppendResult, Committed, DuplicateKeys

log = logging.getLogger(__name__)

#: Keys of the latest sends of all rooms that are known without asking the store: 3 to 6 MB. A repeat usually comes
#: within seconds; a key that was forgotten costs a look into the store.
RECENT_KEYS = 8_192
#: Nobody may turn out to ask a stranger.
_NO_ASKS: Mapping[str, SlidingWindow] = {}
#: Batches in a row that other nodes' facts overtook, before the askers are told to come again.
MOST_OVERTAKEN = 5


class RoomActor(TellingRoom):
    """See the module."""

    __slots__ = ("_outcomes", "_rebuild", "_turn")

    def __init__(self, room: str, registry: Registry[RoomActor], context: RoomContext) -> None:
        super().__init__(room, registry, context)
        self._rebuild: Rebuild | None = None
        """Made when it is stale for the first time."""
        self._turn: Turn | None = None
        """The turn of the batch that is being recorded."""
        self._outcomes: list[Outcome] = []
        """And what it decided of each piece of mail."""

    @property
    def stale(self) -> bool:
        """Whether an append failed, and what it left is not known yet: listeners may have to be told of it."""
        return self.record is None and self.delivered >= 0

    @property
    def lacking(self) -> bool:
        return self.stale or self._backlog is not None

    @property
    def busy(self) -> bool:
        return bool(self._deliveries) or self.lacking

    @property
    def evictable(self) -> bool:
        """A room without a fact: somebody asked for what is not there."""
        return self.record is None or not self.record.head

    def refuse(self, mail: Submit, denied: Denied) -> None:
        try:
            mail.reply(denied)
            mail.flush()
        except Exception:
            log.exception("%s: a command could not be answered", self.address)

    # ------------------------------------------------------------------------------------------ preparing

    def is_prepared(self, waiting: list[Submit]) -> bool:
        record = self.record
        if record is None:
            return False
        for mail in waiting:
            if type(mail.command) not in prefetched.PLAIN:
                return False
        relation = record.relation
        return (
            relation is None
            or (relation.one.contact and relation.other.contact)
            or self._context.rules.contacts.strangers != "request"
        )

    async def load(self) -> None:
        if self.record is not None:
            return
        try:
            self.record = record = await self._context.journal.load(self.address)
        except StoreError:
            if self._backlog is not None:
                self._lose_batches(self._backlog)
                self._backlog = None
            self.mark_stale()
            raise
        if self._rebuild is not None:
            self._rebuild.succeeded()
        clock = self._context.clock
        self._offset = clock.offset
        if self._offset:
            record.move_ends(clock.moved)
            clock.note(*record.ends())
        self._recent.begin(record.head)
        backlog, self._backlog = self._backlog or ForeignBacklog(), None
        # Facts of these batches that the record holds are still to be told.
        told = record.head if backlog.begin is None else min(record.head, backlog.begin)
        if 0 <= self.delivered < told:
            self._catch_up_after_failure(record)
        else:
            self.delivered = max(self.delivered, told)
        self._tell_states_after_failure(record)
        self._told = None
        for batch in backlog.batches:
            if not batch.facts or batch.facts[-1].seq > self.delivered:
                self._tell_foreign(batch, None)
                self.last_turn = trio.current_time()
        for event, withheld in backlog.events:
            self.hear_event(event, withheld=withheld)

    async def prefetch(self, batch: list[Submit]) -> None:
        context = self._context
        if context.shared and len(batch) > MOST_MAIL:
            self._leave_for_later(batch, MOST_MAIL)
        attempt = self._need_attempt()
        if attempt.freshness is WANTED:
            await self._hear_others(attempt)
        attempt.outdated = False
        record = self.record
        assert record is not None
        if attempt.refused_keys:
            # A recorded key is answered with its ack, whatever would refuse it today. Only refusals pay for looking.
            self._remember(await context.lookups.recorded(record, list(attempt.refused_keys)))
        attempt.prepared = await prefetched.prepare(
            context.lookups,
            record,
            batch,
            self._recent,
            context.rules.contacts,
            context.clock.now_ms(),
            by_contacts=context.adds_by_contacts,
            names=context.names,
        )

    async def _hear_others(self, attempt: Attempt) -> None:
        """Hear of all that was acknowledged on other nodes. Where that fails it costs no command that does not depend
        on it."""
        try:
            await self._context.journal.barrier()
            attempt.freshness = ASSURED
        except StoreError as error:
            log.warning("%s: answers depend on what other nodes have: %s", self.address, error)
            attempt.freshness, attempt.refusal = UNKNOWN, store_refusal(error, "the store can't do this now")

    def _need_attempt(self) -> Attempt:
        if self._attempt is None:
            self._attempt = Attempt()
        return self._attempt

    def _remember(self, found: Mapping[tuple[str, str], Recorded]) -> None:
        """The store knows keys that had been forgotten."""
        self._context.keys.remember({(self.address, *place): known for place, known in found.items()})

    # ------------------------------------------------------------------------------------------ deciding, recording

    def decide(self, batch: list[Submit]) -> None:
        record, context = self.record, self._context
        assert record is not None
        now_ms = context.clock.now_ms()
        if context.clock.offset != self._offset:
            self._follow_clock(record)
        attempt, prepared = self._attempt, None
        if attempt is not None and attempt.prepared is not None:
            if attempt.outdated:
                self._read_again()
                return
            prepared = attempt.prepared
        if prepared is None:
            turn = Turn(record, context.keys, None, context.rules, now_ms, _NO_ASKS, self._recent)
        else:
            turn = Turn(record, context.keys, prepared.prefetched, context.rules, now_ms, prepared.asks, self._recent)
        outcomes: list[Outcome] = []
        refused = False
        for mail in within_bounds(turn, batch) if context.shared and len(batch) > 1 else batch:
            try:
                if mail.if_strangers is not None or mail.flags:
                    outcome = decide_judged(turn, mail)
                else:
                    outcome = turn.decide(mail.command, mail.refusal)
            except Exception:
                log.exception("%s: a command crashed its decision", self.address)
                outcome = INTERNAL
            outcomes.append(outcome)
            if type(outcome) is Denied:
                refused = True
        if len(outcomes) < len(batch):
            self._leave_for_later(batch, len(outcomes))
        if (turn.unknown and prepared is None) or (refused and self._must_look_up(record, batch, outcomes)):
            turn.undo()
            self._read_again()
            return
        if context.shared and not self._may_share(turn, batch, outcomes):
            return
        if not turn.facts and not turn.side_records:
            self._batch = []  # From here on no mail of it may be handled again.
            self._conclude(batch, outcomes, turn, record, None)
            return
        try:
            context.journal.append(record, turn.facts, turn.side_records, self._on_recorded, turn.hidden, turn.expected)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the askers are answered, and it is logged
            turn.undo()
            self._fail_append(batch, error)
            return
        self._turn, self._outcomes = turn, outcomes
        self.phase = TRANSITIONS[self.phase][APPENDED]

    def _read_again(self) -> None:
        """The records that the batch needs have to be read before it is decided."""
        if self._attempt is not None:
            self._attempt.prepared = None
        self.phase = TRANSITIONS[self.phase][LACKING]

    def _may_share(self, turn: Turn, batch: list[Submit], outcomes: list[Outcome]) -> bool:
        """Whether the turn may be told, where other nodes decide, too. False: its batch is decided again. Outcomes that
        may not be told, since nobody knows what other nodes have, are replaced."""
        attempt = self._attempt
        if (attempt is None or attempt.freshness is ASSUMED) and (
            any(map(is_by_state, batch, outcomes)) or (turn.passes_on and any(map(is_ahead, batch, outcomes)))
        ):
            # Another node may have acknowledged what makes it come out otherwise.
            turn.undo()
            self._need_attempt().freshness = WANTED
            self._read_again()
            return False
        if attempt is not None and attempt.refusal is not None:
            for place, (mail, outcome) in enumerate(zip(batch, outcomes, strict=True)):
                if is_by_state(mail, outcome) or is_ahead(mail, outcome):
                    outcomes[place] = attempt.refusal  # Nothing of such a command is in the turn.
        return True

    def _leave_for_later(self, batch: list[Submit], first: int) -> None:
        """Keep no more than the first of the mail in hand; the rest is in the next turn."""
        self.mailbox.put_back(batch[first:])
        del batch[first:]

    def _put_back(self) -> None:
        """Decide the batch in hand again, in another turn."""
        self.mailbox.put_back(self._batch)
        if self._attempt is not None:
            self._attempt.put_back()
        self.finish()

    def _follow_clock(self, record: RoomRecord) -> None:
        """The clock was set: the record's ends go with it."""
        clock = self._context.clock
        by, self._offset = clock.offset - self._offset, clock.offset
        record.move_ends(lambda at_ms: at_ms + by)
        clock.note(*record.ends())

    def _must_look_up(self, record: RoomRecord, batch: list[Submit], outcomes: list[Outcome]) -> bool:
        """Whether sends were refused whose keys may be recorded: only the store can tell."""
        if not record.head:
            return False
        refused = {
            (mail.command.user, mail.command.key)
            for mail, outcome in zip(batch, outcomes, strict=True)
            if type(outcome) is Denied and isinstance(mail.command, commands.Send) and mail.command.key is not None
        }
        if not refused:
            return False
        attempt = self._need_attempt()
        if refused <= attempt.refused_keys:
            return False
        attempt.refused_keys |= refused
        return True

    def _on_recorded(self, result: AppendResult) -> None:
        """The journal's answer."""
        turn, self._turn = self._turn, None
        outcomes, self._outcomes = self._outcomes, []
        before = self.record
        assert turn is not None and before is not None
        if type(result) is Committed:
            try:
                if result.facts is not turn.facts or turn.draft.head != before.head + len(turn.facts):
                    outcomes = turn.renumber(before, result.facts, outcomes, result.side_records)
                if not turn.draft.room_pk:
                    turn.draft.room_pk = result.room_pk
                self._context.keys.remember(turn.fresh_keys)
                if turn.others:
                    self._recent.follow(turn.others)
            except Exception as error:
                # Recorded it is: the room is rebuilt with it, and the askers come again.
                log.exception("%s: a batch that was recorded could not be taken", self.address)
                self._fail_and_rebuild(self._batch, error)
                return
            self.record = turn.draft
            batch, self._batch = self._batch, []  # From here on no mail of it may be handled again.
            self._conclude(batch, outcomes, turn, before, result)
            return
        turn.undo()
        if isinstance(result, StoreError):
            self._fail_and_rebuild(self._batch, result)
            return
        if isinstance(result, DuplicateKeys):
            # The store knows keys that this room had forgotten: they are answered, the rest is decided again.
            self._remember(result.found)
        else:
            attempt = self._need_attempt()
            attempt.overtaken += 1
            if attempt.overtaken >= MOST_OVERTAKEN:
                self.fail(self._batch, Full("other nodes change the room all the time"))
                return
        self._put_back()

    # ------------------------------------------------------------------------------------------ failures

    def _fail_append(self, batch: list[Submit], error: Exception) -> None:
        """`append` raised it."""
        if isinstance(error, Full) or (isinstance(error, StoreError) and not error.unknown):
            self.fail(batch, error)
        else:
            self._fail_and_rebuild(batch, error)

    def _fail_and_rebuild(self, batch: list[Submit], error: Exception) -> None:
        """The batch was on its way into the store, and what the room knows may be no longer so."""
        if not isinstance(error, StoreError):
            # After any other error the facts may be recorded: the batch must not be tried again as if they were not.
            error = StoreError(f"append failed: {error!r}", unknown=True)
        self.mark_stale()
        self.fail(batch, error)

    def fail(self, batch: list[Submit], error: StoreError | Full) -> None:
        """See Actor. The record stays, unless the caller has dropped it: where something could not be read, or was not
        taken, it is as good as before. A node that is away from its cluster refuses everything, and would load the room
        for each try."""
        self._batch = []
        self._attempt = None
        if isinstance(error, Full):
            denied = Denied("busy", str(error), retry_after_ms=200)
        else:
            log.error("%s: %s", self.address, error)
            denied = store_refusal(error, "the store can't do this now")
        for mail in batch:
            try:
                mail.reply(denied)
            except Exception:
                log.exception("%s: a command could not be answered", self.address)
        flush_all(batch)
        self.finish()
        self.evict()

    def mark_stale(self) -> None:
        """Rebuild the room from the journal before anything else: with the next mail, or in a moment."""
        self.forget()
        if self.stale:
            if self._rebuild is None:
                self._rebuild = Rebuild(self, self._registry.supervisor)
            self._rebuild.start()
