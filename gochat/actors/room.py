"""A room: the one place that numbers its facts.

A turn takes all mail that waits, decides it as one batch, records the facts, and only when they are durable answers
the askers and tells the listeners. One append is in flight a room; what comes meanwhile is the next batch.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import trio

from gochat.actors import knowledge
from gochat.actors.actor import INTERNAL, Actor
from gochat.actors.live import SLICE, Live, Stretch, stretches
from gochat.actors.messages import Submit
from gochat.actors.relations import Names, tell_request, tell_states
from gochat.actors.supervisor import Spec, Supervisor
from gochat.domain import commands as ask
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import RoomRecord
from gochat.domain.turn import Done, Knowledge, Outcome, RecentKeys, RoomRules, Turn
from gochat.errors import Denied, Full, StoreError
from gochat.ports import Clash, Committed, Journal
from gochat.protocol import replies

log = logging.getLogger(__name__)

#: Keys of the latest sends that are known without asking the store. A repeat usually comes within seconds.
RECENT_KEYS = 256
#: Only in rooms up to this size do members hear who reads and who types (protocol.md).
SMALL_ROOM = 50
TYPING_EVERY_MS = 3000
#: After a failed append, how long until the room is rebuilt if no mail makes it sooner.
REBUILD_S = 0.5

#: Events without a seq.
PASSED_ON = frozenset((ask.Read, ask.Typing))


class RoomParts(NamedTuple):
    """What every room of a node shares."""

    journal: Journal
    live: Live
    supervisor: Supervisor
    rules: RoomRules
    now_ms: Callable[[], int]
    mailbox: int
    adds_by_contacts: bool = False
    """Whether users are added to groups only by their contacts."""
    names: Names | None = None
    """Shown names, as the archive has them; without it the ids are told."""


class RoomActor(Actor[Submit]):
    """See the module. `delivered` is the last seq whose delivery has begun: who enters the room later hears what
    comes after it, and has to read the log up to it."""

    __slots__ = ("_deliveries", "_dm", "_keys", "_parts", "_reads", "_typed", "delivered", "record")

    def __init__(self, room: str, parts: RoomParts) -> None:
        super().__init__(room, parts.mailbox)
        self._parts = parts
        self._dm = is_dm(room)
        self._keys = RecentKeys(RECENT_KEYS)
        self._typed: dict[str, int] = {}
        self._reads: dict[str, int] = {}
        self._deliveries: deque[Stretch] = deque()
        self.record: RoomRecord | None = None
        self.delivered = -1

    @property
    def busy(self) -> bool:
        return bool(self._deliveries) or self._doubtful

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
        self.record = None
        await self._loaded()

    async def _loaded(self) -> RoomRecord:
        if self.record is None:
            self.record = await self._parts.journal.load(self.address)
            self._keys.clear()
            if self.delivered < 0:
                self.delivered = self.record.head
            elif self.record.head > self.delivered:
                # An append failed and was recorded all the same. Nobody was told: let everybody catch up.
                self.delivered = self.record.head
                asked = self.record.relation.asked if self.record.relation is not None else None
                for session in self._parts.live.listeners(self.address, asked):
                    session.lag(self.address, self.record.head)
        return self.record

    # ------------------------------------------------------------------------------------------ a turn

    async def turn(self, batch: list[Submit]) -> None:
        try:
            record = await self._loaded()
            turn, outcomes, commit = await self._recorded(record, batch)
        except StoreError as error:
            log.error("%s: %s", self.address, error)
            self._doubt()
            denied = Denied("unavailable", "the store can't do this now", retry_after_ms=1000, unknown=error.unknown)
            mail = self._settle(batch, [denied] * len(batch))
        except Full as full:
            mail = self._settle(batch, [Denied("busy", str(full), retry_after_ms=200)] * len(batch))
        else:
            # Acks go first: the ack of a fact reaches its sender before the fact does.
            mail = self._settle(batch, outcomes)
            if commit is not None:
                self._deliver(commit, turn)
            self._pass_on(mail, outcomes)
            if turn.beside or turn.hidden:
                await self._tell_two(record, turn, mail)
        for each in mail:
            each.ticket.flush()
        counts = self._parts.live.counts
        counts.turns += 1
        counts.commands += len(mail)

    def _doubt(self) -> None:
        """Rebuild the room from the journal before anything else: with the next mail, or in a moment."""
        self.record = None
        if self._doubtful:
            self._parts.supervisor.start(Spec(f"rebuild {self.address}", self._wake_later, "temporary"))

    async def _wake_later(self) -> None:
        await trio.sleep(REBUILD_S)
        self.mailbox.wake()

    async def woken(self) -> None:
        if self._doubtful:
            try:
                await self._loaded()
            except StoreError as error:
                log.warning("%s: %s", self.address, error)
                self._doubt()

    async def _recorded(self, record: RoomRecord, batch: list[Submit]) -> tuple[Turn, list[Outcome], int | None]:
        """Decide the batch and make its facts durable; with the number of the transaction, if there was one."""
        parts, kinds = self._parts, {type(mail.command) for mail in batch}
        while True:
            known, asks = await self._known(record, batch, kinds)
            turn = Turn(record, self._keys, known, parts.rules, parts.now_ms(), asks)
            outcomes = [self._decide(turn, mail) for mail in batch]
            if any(type(outcome) is Denied for outcome in outcomes):
                await self._look_up_refused(record, batch, outcomes)
            if not turn.facts and not turn.beside:
                return turn, outcomes, None
            try:
                result = await self._append(record, turn)
            except BaseException:
                turn.undo()
                raise
            if not isinstance(result, Clash):
                self.record = turn.draft
                self._keys.remember(turn.fresh_keys)
                return turn, outcomes, result.commit
            # The store knows keys that this actor had forgotten: they are answered, the rest is decided again.
            turn.undo()
            self._keys.remember(result.found)

    async def _known(
        self, record: RoomRecord, batch: list[Submit], kinds: set[type]
    ) -> tuple[Knowledge, dict[str, SlidingWindow]]:
        """What must be read for this batch; nearly always nothing."""
        parts = self._parts
        known, asks = Knowledge(), dict[str, SlidingWindow]()
        if not kinds <= knowledge.PLAIN:
            known = await knowledge.gather(parts.journal, record, batch, by_contacts=parts.adds_by_contacts)
        if self._dm and knowledge.may_ask(record, kinds, parts.rules.contacts):
            asks = await knowledge.windows(parts.journal, batch, parts.now_ms())
        return known, asks

    async def _append(self, record: RoomRecord, turn: Turn) -> Committed | Clash:
        try:
            return await self._parts.journal.append(record, turn.facts, turn.beside)
        except (StoreError, Full):
            raise
        except Exception as error:
            # Whatever it was, the facts may be recorded: the batch must not be tried again as if they were not.
            raise StoreError(f"append failed: {error!r}", unknown=True) from error

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

    async def _look_up_refused(self, record: RoomRecord, batch: list[Submit], outcomes: list[Outcome]) -> None:
        """A recorded key is answered with its ack, whatever would refuse it today. Only refusals pay for looking."""
        asked: dict[tuple[str, str], list[int]] = {}
        for index, (mail, outcome) in enumerate(zip(batch, outcomes, strict=True)):
            command = mail.command
            if isinstance(outcome, Denied) and isinstance(command, ask.Send) and command.key is not None:
                asked.setdefault((command.user, command.key), []).append(index)
        if not asked or not record.head:
            return
        found = await self._parts.journal.recorded(record, list(asked))
        for place, known in found.items():
            for index in asked[place]:
                outcomes[index] = Done(known.seq, known.ts, True)

    def _settle(self, batch: list[Submit], outcomes: list[Outcome]) -> list[Submit]:
        """Answer everybody. From here on no mail of the batch may be handled again."""
        mail = list(batch)
        batch.clear()
        for each, outcome in zip(mail, outcomes, strict=True):
            each.settle(outcome)
        return mail

    # ------------------------------------------------------------------------------------------ telling

    def _deliver(self, commit: int, turn: Turn) -> None:
        live = self._parts.live
        for stretch in stretches(self.address, commit, turn.facts, turn.hidden) if turn.facts else ():
            if self._deliveries or live.count(self.address) > SLICE:
                self._deliveries.append(stretch)
                if len(self._deliveries) == 1:
                    self._parts.supervisor.start(Spec(f"deliver {self.address}", self._deliver_queue, "temporary"))
            else:
                self.delivered = stretch.last
                live.deliver_now(stretch)

    async def _deliver_queue(self) -> None:
        while self._deliveries:
            stretch = self._deliveries[0]
            self.delivered = stretch.last
            await self._parts.live.deliver(stretch)
            self._deliveries.popleft()

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
        if PASSED_ON.isdisjoint([type(each.command) for each in mail]):
            return
        for each, outcome in zip(mail, outcomes, strict=True):
            command = each.command
            if type(command) in PASSED_ON and isinstance(outcome, Done) and self._has_seat(command.user):
                if isinstance(command, ask.Read):
                    self._read(command)
                else:
                    self._typing(command.user)

    def _has_seat(self, user: str) -> bool:
        """An admin looks on without one."""
        if self._dm:
            return user in dm_users(self.address)
        return self.record is not None and user in self.record.members

    def _read(self, command: ask.Read) -> None:
        record, user = self.record, command.user
        if record is None:
            return
        seq = min(command.seq, record.head)
        if seq <= self._reads.get(user, 0):
            return
        self._reads.pop(user, None)
        self._reads[user] = seq
        if len(self._reads) > 2 * SMALL_ROOM:
            del self._reads[next(iter(self._reads))]
        self._parts.journal.note_read(record, user, seq)
        live = self._parts.live
        shared = self._small(record) and not self._apart(record)
        sessions = live.listeners(self.address) if shared else list(live.users.get(user, ()))
        live.tell_softly(sessions, replies.Read(room=self.address, sender=user, seq=seq))

    def _typing(self, user: str) -> None:
        now_ms = self._parts.now_ms()
        if self.record is None or not self._small(self.record) or self._apart(self.record):
            return
        if now_ms - self._typed.get(user, -TYPING_EVERY_MS) < TYPING_EVERY_MS:
            return
        self._typed[user] = now_ms
        live = self._parts.live
        others = [session for session in live.listeners(self.address) if session.user != user]
        live.tell_softly(others, replies.Typing(room=self.address, sender=user))

    def _apart(self, record: RoomRecord) -> bool:
        """Whether the two users of a private room are to learn nothing of each other."""
        relation = record.relation
        return relation is not None and (relation.blocked or relation.asked is not None)

    def _small(self, record: RoomRecord) -> bool:
        return self._dm or len(record.members) <= SMALL_ROOM
