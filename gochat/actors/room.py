"""A room: the one place that numbers its facts.

A turn takes all mail that waits, decides it as one batch, records the facts, and only when they are durable answers
the askers and tells the listeners. One append is in flight a room; what comes meanwhile is the next batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import trio

from gochat.actors import knowledge
from gochat.actors.actor import INTERNAL, Actor
from gochat.actors.deliveries import Deliveries
from gochat.actors.live import Live, Stretch, stretches
from gochat.actors.messages import Submit
from gochat.actors.observer import Observer
from gochat.actors.passing import Passing
from gochat.actors.relations import Names, tell_request, tell_states
from gochat.actors.rounds import Rounds
from gochat.actors.supervisor import Spec, Supervisor
from gochat.domain import commands as ask
from gochat.domain.facts import Role
from gochat.domain.ids import is_dm
from gochat.domain.jumps import Jumps
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import RoomRecord
from gochat.domain.sight import by_setting
from gochat.domain.turn import Done, Knowledge, Outcome, RecentKeys, RecentMessages, RoomRules, Turn
from gochat.errors import Denied, Full, StoreError, store_refusal
from gochat.ports import AppendResult, Clash, Committed, Journal, Lookups, Overtaken

log = logging.getLogger(__name__)

#: Keys of the latest sends of all rooms that are known without asking the store: 3 to 6 MB. A repeat usually comes
#: within seconds; a key that was forgotten costs a look into the store.
RECENT_KEYS = 8_192
#: Facts other than messages, and messages found by replies, that are known without asking the store.
RECENT_OTHERS = 256
#: After a failed append, how long until the room is rebuilt if no mail makes it sooner.
REBUILD_S = 0.5


class RoomParts(NamedTuple):
    """What every room of a node shares."""

    journal: Journal
    lookups: Lookups
    live: Live
    supervisor: Supervisor
    rules: RoomRules
    now_ms: Callable[[], int]
    mailbox: int
    rounds: Rounds
    keys: RecentKeys
    """Shared, so that its bound holds for the node however many rooms there are."""
    adds_by_contacts: bool = False
    """Whether users are added to groups only by their contacts."""
    jumps: Jumps | None = None
    """Whether the clock that `now_ms` reads has been set; None: nobody sets it."""
    names: Names | None = None
    """Shown names, as the archive has them; without it the ids are told."""
    observers: tuple[Observer, ...] = ()
    """Hear of each recorded batch, in this order, after the askers and the listeners."""


class RoomActor(Actor[Submit]):
    """See the module. `delivered` is the last seq whose delivery has begun: who enters the room later hears what
    comes after it, and has to read the log up to it."""

    __slots__ = (
        "_deliveries", "_dm", "_flying", "_keys", "_landing", "_members", "_offset", "_parts", "_passing", "_queued",
        "_recent", "record",
    )  # fmt: skip

    lingers = False

    def __init__(self, room: str, parts: RoomParts) -> None:
        super().__init__(room, parts.mailbox)
        self._parts = parts
        self._dm = is_dm(room)
        self._keys = parts.keys
        self._recent = RecentMessages(RECENT_OTHERS)
        self._passing: Passing | None = None
        self._deliveries = Deliveries(room, parts.live, parts.supervisor, self._go_on, self._let_catch_up)
        self.record: RoomRecord | None = None
        self._offset = 0
        """What `jumps.offset` was when the record's ends were last moved."""
        self._members: Mapping[str, Role] | None = None
        """Of a group that has to be rebuilt: who was in it, as far as anybody was told."""
        self._queued = False
        """Whether the next round takes this room."""
        self._flying = False
        """Whether a round's batch is being recorded."""
        self._landing: trio.Event | None = None
        """Set when it is; made by who waits for it."""

    @property
    def delivered(self) -> int:
        """See the class; -1 before the room is loaded."""
        return self._deliveries.delivered

    @property
    def busy(self) -> bool:
        return bool(self._deliveries) or self._flying or self._queued or self._doubtful

    @property
    def _doubtful(self) -> bool:
        """Whether an append failed, and what it left is not known yet: listeners may have to be told of it."""
        return self.record is None and self.delivered >= 0

    @property
    def worthless(self) -> bool:
        """A room without a fact: somebody asked for what is not there."""
        return self.record is None or not self.record.head

    def refuse(self, mail: Submit, denied: Denied) -> None:
        mail.settle(denied)
        mail.ticket.flush()

    async def load(self) -> None:
        try:
            await self._loaded()
        except StoreError:
            self._doubt()
            raise

    async def _loaded(self) -> RoomRecord:
        if self.record is None:
            self.record = await self._parts.journal.load(self.address)
            jumps = self._parts.jumps
            if jumps is not None:
                self._offset = jumps.offset
                if self._offset:
                    self.record.move_ends(jumps.moved)
                    jumps.note(*self.record.ends())
            self._recent.begin(self.record.head)
            if self.delivered < 0:
                self._deliveries.delivered = self.record.head
            elif self.record.head > self.delivered:
                # An append failed and was recorded all the same. Nobody was told: let everybody catch up.
                self._deliveries.delivered = self.record.head
                if self._members is not None:
                    self._parts.live.move(self._members.keys(), self.record.members.keys())
                withheld = self.record.relation.withheld if self.record.relation is not None else None
                for session in self._parts.live.listeners(self.address, withheld):
                    session.lag(self.address, self.record.head)
            self._members = None
        return self.record

    # ------------------------------------------------------------------------------------------ a turn

    def handle_now(self, mail: Submit) -> bool:
        """Leave it to the next round, unless the room's own task is at work or must be."""
        record = self.record
        if self.started or record is None or type(mail.command) not in knowledge.PLAIN:
            return False
        if not knowledge.decides_at_once(record, self._parts.rules.contacts):
            return False
        self.mailbox.put(mail)
        if not self._queued:
            self._queue()
        return True

    def _queue(self) -> None:
        if not self._queued and not self._flying:
            self._queued = True
            self._parts.rounds.add(self)

    def round(self) -> None:
        """One turn without a task of the room's own. What it can't do it leaves to that."""
        self._queued = False
        if self.started or self._flying or self._deliveries.behind:
            return  # The task has the mail, or the landing or the delivery goes on.
        if self.record is None:
            self.start()
            return
        self._batch = batch = self.mailbox.take_nowait()
        try:
            if batch and not self._take_off(self.record, batch):
                self.mailbox.put_back(batch)
                self.start()
        except Exception:
            log.exception("%s: a round crashed", self.address)
            self._after_crash()
            self.start()
        finally:
            self._batch = []

    def _after_crash(self) -> None:
        super()._after_crash()
        self._forget()

    def _take_off(self, record: RoomRecord, batch: list[Submit]) -> bool:
        """Decide the batch and have it recorded. False: it needs more than the record."""
        parts = self._parts
        turn = Turn(record, self._keys, Knowledge(), parts.rules, self._now_ms(record), recent=self._recent)
        outcomes = [self._decide(turn, mail) for mail in batch]
        if turn.draft.relation is not record.relation or turn.unknown:
            return False
        if Denied in map(type, outcomes) and self._may_be_recorded(record, batch, outcomes):
            return False
        if not turn.facts and not turn.beside:
            self._finish(batch, outcomes, turn, None)
            return True
        try:
            parts.journal.append(record, turn.facts, turn.beside, partial(self._landed, batch, outcomes, turn))
        except (StoreError, Full) as error:
            self._fail(batch, error)
            return True
        self._flying = True
        return True

    def _remember(self, clash: Clash) -> None:
        """The store knows keys that had been forgotten."""
        self._keys.remember({(self.address, *place): known for place, known in clash.found.items()})

    def _now_ms(self, record: RoomRecord) -> int:
        """The time of a turn, with the record's ends where that clock has been set to."""
        parts = self._parts
        now_ms, jumps = parts.now_ms(), parts.jumps
        if jumps is not None and jumps.offset != self._offset:
            by, self._offset = jumps.offset - self._offset, jumps.offset
            record.move_ends(lambda at_ms: at_ms + by)
            jumps.note(*record.ends())
        return now_ms

    def _landed(self, batch: list[Submit], outcomes: list[Outcome], turn: Turn, result: AppendResult) -> None:
        """The round's batch is recorded, or is not."""
        self._flying = False
        try:
            if isinstance(result, Committed):
                self.record = turn.draft
                self._keys.remember(turn.fresh_keys)
                self._finish(batch, outcomes, turn, result.commit)
            elif isinstance(result, Clash):
                # The store knows keys that this actor had forgotten: they are answered, the rest is decided again.
                self._remember(result)
                if self._landing is not None:
                    self._batch[:0] = batch  # The task has what came later in hand.
                else:
                    self.mailbox.put_back(batch)
            else:
                self._fail(batch, _as_error(result))
        except Exception:
            log.exception("%s: what was recorded could not be told", self.address)
            self._doubt()
            for mail in batch:
                self.refuse(mail, INTERNAL)
        if self._landing is not None:
            self._landing.set()
            self._landing = None
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self.mailbox.waiting and not self.started:
            self._queue()

    async def turn(self, batch: list[Submit]) -> None:
        await self._deliveries.catch_up()
        if self._flying:
            self._landing = trio.Event()
            await self._landing.wait()
        try:
            record = await self._loaded()
            turn, outcomes, commit = await self._recorded(record, batch)
        except (StoreError, Full) as error:
            self._fail(batch, error)
            return
        mail = self._finish(batch, outcomes, turn, commit)
        if turn.beside or turn.hidden:
            await self._tell_two(record, turn, mail)

    def _finish(
        self, batch: list[Submit], outcomes: list[Outcome], turn: Turn, commit: int | None
    ) -> list[Submit]:  # fmt: skip
        """Answer and tell. Acks go first: the ack of a fact reaches its sender before the fact does."""
        mail = self._settle(batch, outcomes)
        if commit is not None and turn.facts:
            self._deliver(commit, turn)
        if turn.passes_on:
            self._pass_on(mail, outcomes)
        _flush(mail)
        if commit is not None:
            self._tell_observers(turn, commit)
        self.last_turn = trio.current_time()
        counts = self._parts.live.counts
        counts.turns += 1
        if turn.beside and self.record is not None and self._offset and self._parts.jumps is not None:
            self._parts.jumps.note(*self.record.ends())
        counts.commands += len(mail)
        return mail

    def _tell_observers(self, turn: Turn, commit: int) -> None:
        for observer in self._parts.observers:
            try:
                observer.recorded(self.address, turn.draft, turn.facts, commit)
            except Exception:
                log.exception("%s: an observer failed", self.address)

    def _fail(self, batch: list[Submit], error: StoreError | Full) -> None:
        """Nothing of the batch is recorded, as far as is known."""
        if isinstance(error, Full):
            denied = Denied("busy", str(error), retry_after_ms=200)
        else:
            log.error("%s: %s", self.address, error)
            self._doubt()
            denied = store_refusal(error, "the store can't do this now")
        _flush(self._settle(batch, [denied] * len(batch)))

    def given_up(self) -> None:
        """What was recorded may not have been told: whoever listens catches up."""
        super().given_up()
        if self.delivered >= 0:
            self._let_catch_up()

    def _let_catch_up(self) -> None:
        for session in self._parts.live.listeners(self.address):
            session.lag(self.address, self.delivered)

    def _doubt(self) -> None:
        """Rebuild the room from the journal before anything else: with the next mail, or in a moment."""
        self._forget()
        if self._doubtful:
            self._parts.supervisor.start(Spec(f"rebuild {self.address}", self._wake_later, "temporary"))

    def _forget(self) -> None:
        if self.record is not None and not self._dm:
            self._members = self.record.members
        self.record = None

    async def _wake_later(self) -> None:
        await trio.sleep(REBUILD_S)
        if self._doubtful:
            self.start()

    async def _recorded(self, record: RoomRecord, batch: list[Submit]) -> tuple[Turn, list[Outcome], int | None]:
        """Decide the batch and make its facts durable; with the number of the transaction, if there was one."""
        parts, kinds = self._parts, {type(mail.command) for mail in batch}
        while True:
            known, asks = await self._known(record, batch, kinds)
            turn = Turn(record, self._keys, known, parts.rules, self._now_ms(record), asks, self._recent)
            outcomes = [self._decide(turn, mail) for mail in batch]
            try:
                if any(type(outcome) is Denied for outcome in outcomes):
                    await self._look_up_refused(record, batch, outcomes)
                if not turn.facts and not turn.beside:
                    return turn, outcomes, None
                result = await self._append(record, turn)
            except BaseException:
                turn.undo()
                raise
            if not isinstance(result, Clash):
                self.record = turn.draft
                self._keys.remember(turn.fresh_keys)
                if turn.others:
                    self._recent.follow(turn.others)
                return turn, outcomes, result.commit
            # The store knows keys that this actor had forgotten: they are answered, the rest is decided again.
            turn.undo()
            self._remember(result)

    async def _known(
        self, record: RoomRecord, batch: list[Submit], kinds: set[type]
    ) -> tuple[Knowledge, dict[str, SlidingWindow]]:
        """What must be read for this batch; nearly always nothing."""
        parts = self._parts
        known, asks = Knowledge(), dict[str, SlidingWindow]()
        if not kinds.isdisjoint(knowledge.ADDING):
            await knowledge.learn_adds(parts.lookups, batch, parts.now_ms())
        if not kinds <= knowledge.PLAIN or knowledge.names_messages(batch):
            known = await knowledge.gather(
                parts.lookups, record, batch, self._recent, by_contacts=parts.adds_by_contacts
            )  # fmt: skip
        if self._dm and knowledge.may_ask(record, kinds, parts.rules.contacts):
            asks = await knowledge.windows(parts.lookups, batch, parts.now_ms())
        return known, asks

    async def _append(self, record: RoomRecord, turn: Turn) -> Committed | Clash:
        results: list[AppendResult] = []
        answered = trio.Event()

        def done(result: AppendResult) -> None:
            results.append(result)
            answered.set()

        self._parts.journal.append(record, turn.facts, turn.beside, done)
        await answered.wait()
        if isinstance(results[0], StoreError | Overtaken):
            raise _as_error(results[0])
        return results[0]

    def _decide(self, turn: Turn, mail: Submit) -> Outcome:
        command, refusal, flags = mail.command, mail.refusal, mail.flags
        if mail.if_strangers is not None and not turn.are_contacts(command.user):
            command, refusal, flags = mail.if_strangers
        try:
            outcome = turn.decide(command, refusal)
            if flags and isinstance(outcome, Done) and not outcome.duplicate:
                turn.flag(command, outcome.seq, flags)
            return outcome
        except Exception:
            log.exception("%s: a command crashed its decision", self.address)
            return INTERNAL

    def _may_be_recorded(self, record: RoomRecord, batch: list[Submit], outcomes: list[Outcome]) -> bool:
        """Whether something was refused that a recorded key would answer: only the store can tell."""
        return bool(record.head) and any(
            type(outcome) is Denied and isinstance(mail.command, ask.Send) and mail.command.key is not None
            for mail, outcome in zip(batch, outcomes, strict=True)
        )

    async def _look_up_refused(self, record: RoomRecord, batch: list[Submit], outcomes: list[Outcome]) -> None:
        """A recorded key is answered with its ack, whatever would refuse it today. Only refusals pay for looking."""
        asked: dict[tuple[str, str], list[int]] = {}
        for index, (mail, outcome) in enumerate(zip(batch, outcomes, strict=True)):
            command = mail.command
            if isinstance(outcome, Denied) and isinstance(command, ask.Send) and command.key is not None:
                asked.setdefault((command.user, command.key), []).append(index)
        if not asked or not record.head:
            return
        found = await self._parts.lookups.recorded(record, list(asked))
        for place, known in found.items():
            for index in asked[place]:
                outcomes[index] = Done(known.seq, known.ts, True)

    def _settle(self, batch: list[Submit], outcomes: list[Outcome]) -> list[Submit]:
        """Answer everybody. From here on no mail of the batch may be handled again."""
        mail = list(batch)
        batch.clear()
        for each, outcome in zip(mail, outcomes, strict=True):
            try:
                each.settle(outcome)
            except Exception:
                # What is wrong with one answer is its asker's affair: the others of the batch get theirs.
                log.exception("%s: a command could not be answered", self.address)
        return mail

    # ------------------------------------------------------------------------------------------ telling

    def _deliver(self, commit: int, turn: Turn) -> None:
        live = self._parts.live
        record = turn.draft
        if self._dm and not turn.hidden and not record.since:
            # Nobody comes or goes, and those who hear it are few.
            self._deliveries.delivered = turn.draft.head
            live.give(Stretch(self.address, commit, turn.facts), live.listeners(self.address))
            return
        pieces = by_setting(turn.facts, record.hides) if turn.others else ((turn.facts, record.hides),)
        for facts, veils in pieces:
            for stretch in stretches(self.address, commit, facts, turn.hidden, veils=veils, since=record.since):
                self._deliveries.add(stretch)

    async def _tell_two(self, before: RoomRecord, turn: Turn, mail: list[Submit]) -> None:
        parts, after = self._parts, turn.draft.relation
        if before.relation is None or after is None:
            return
        tell_states(parts.live, mail, before.relation, after, parts.rules.contacts, parts.now_ms())
        if turn.hidden:
            try:
                await tell_request(parts.live, turn, parts.names)
            except StoreError as error:
                log.warning("%s: a request is not told now: %s", self.address, error)  # `requests` lists it.

    def _pass_on(self, mail: list[Submit], outcomes: list[Outcome]) -> None:
        """Reads and typing: events without a seq."""
        if self.record is None:
            return
        if self._passing is None:
            parts = self._parts
            self._passing = Passing(parts.journal, parts.live, parts.now_ms, parts.rules.contacts)
        for each, outcome in zip(mail, outcomes, strict=True):
            if isinstance(outcome, Done) and isinstance(each.command, (ask.Read, ask.Typing)):
                self._passing.take(self.record, each.command)


def _flush(mail: list[Submit]) -> None:
    """Let the answers leave. What one session asked in a row leaves together."""
    last = None
    for each in mail:
        if each.origin is None or each.origin is not last:
            try:
                each.ticket.flush()
            except Exception:
                log.exception("an answer could not leave")  # Those of others leave all the same.
            last = each.origin


def _as_error(result: Overtaken | StoreError) -> StoreError:
    """Why nothing was recorded. The room is loaded again either way."""
    return result if isinstance(result, StoreError) else StoreError("facts of another node came first")
