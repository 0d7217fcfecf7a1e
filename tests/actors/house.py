"""Rooms over the inline store, for simulated time, with peers that only record. No socket and no thread is in play."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import trio
import trio.testing

from gochat import store as stores
from gochat.actors.actor import Registry
from gochat.actors.broadcaster import SendQueue
from gochat.actors.fact_batch import FactBatch
from gochat.actors.foreign import hear
from gochat.actors.live import SLICE, Live
from gochat.actors.messages import Submit
from gochat.actors.observer import Observer
from gochat.actors.room import RoomActor
from gochat.actors.room_context import RoomContext
from gochat.actors.run_queue import RunQueue
from gochat.actors.subscriber import Outgoing
from gochat.actors.supervisor import Spec, Supervisor
from gochat.actors.timer_wheel import TimerWheel
from gochat.actors.user import UserActor, UserContext
from gochat.domain import commands
from gochat.domain.facts import AnyFact
from gochat.domain.jumps import Jumps
from gochat.domain.limits import UserLimits
from gochat.domain.record import Recorded, RoomRecord
from gochat.domain.side_records import AnySideRecord
from gochat.domain.turn import Outcome, RecentKeys, RoomRules
from gochat.errors import Full, StoreError
from gochat.ports.journal import AppendResult, Committed, ForeignBatch, OnForeign, OnRecorded
from gochat.protocol.codec import LINE_JSON, Codec
from gochat.protocol.replies import Contact, Got, Lag, Read, Request, Typing
from gochat.store import Store
from tests.contracts.scribe import Scribe
from tests.policies import OPEN, NoRules
from tests.shared_log import SharedLog

TEA = "group:tea"
#: Keys that the rooms know without asking the store: few, so that a test can have them forgotten.
KEYS = 256


class Recorder:
    """A session that takes everything, in the table of one user."""

    def __init__(self, house: House, user: str, codec: Codec = LINE_JSON) -> None:
        self.live = house.live
        self.events = house.events
        self.user = user
        self.codec = codec
        self.device = None
        self.since = 0
        self.catching_up = False
        self.window = 1
        self.watching: tuple[str, ...] = ()
        self.full = False
        self.send_queue: SendQueue | None = None
        self.pushes: list[bytes] = []
        self.offers: list[bytes] = []
        self.soft: list[bytes] = []
        self.lags: list[tuple[str, int]] = []
        self.aborted = False
        self.live.users.setdefault(user, {})[self] = None

    @property
    def facts(self) -> list[AnyFact]:
        return [
            msgspec.json.decode(send_queue, type=AnyFact) for data in self.pushes for send_queue in data.splitlines()
        ]

    @property
    def seqs(self) -> list[int]:
        return [fact.seq for fact in self.facts]

    @property
    def told(self) -> list[Any]:
        return [
            msgspec.json.decode(send_queue, type=Read | Got | Typing | Lag | Contact | Request)
            for data in self.soft
            for send_queue in data.splitlines()
        ]

    def takes(self, fact_batch: FactBatch) -> bool:
        return not self.catching_up and fact_batch.commit > self.since

    @property
    def outbox(self) -> Outgoing:
        return self

    def try_send(self, data: bytes) -> bool:
        if self.full:
            return False
        self.events.append(("push", self))
        self.pushes.append(data)
        return True

    def offer(self, data: bytes) -> bool:
        if self.full:
            return False
        self.offers.append(data)
        return True

    def flush(self) -> None:
        offers, self.offers = self.offers, []
        for data in offers:
            self.try_send(data)

    def send_best_effort(self, data: bytes) -> None:
        self.soft.append(data)

    def lag(self, room: str, head: int) -> None:
        self.lags.append((room, head))

    def close(self, number: int, reason: str) -> None:
        self.ended()

    def abort(self) -> None:
        self.aborted = True

    def pump(self) -> None: ...

    def ended(self) -> None:
        self.live.users[self.user].pop(self)

    def entered(self, fact_batch: FactBatch) -> None:
        self.live.enter(fact_batch.room, self)

    def left(self, fact_batch: FactBatch) -> None:
        self.live.leave(fact_batch.room, self)


class Asked:
    """A ticket that remembers its answer."""

    def __init__(self, house: House) -> None:
        self._events = house.events
        self.outcome: Outcome | None = None
        self.flushed = 0

    def reply(self, outcome: Outcome) -> None:
        assert self.outcome is None, "settled twice"
        self.outcome = outcome
        self._events.append(("settle", self))

    def flush(self) -> None:
        assert self.outcome is not None, "flushed before it was settled"
        self.flushed += 1


class Tap:
    """The journal, with a note of what was recorded when; `fails` may raise instead of an append, or after it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.log: dict[str, list[tuple[int, AnyFact]]] = {}
        self.before: list[Exception] = []
        self.after: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(
        self,
        record: RoomRecord,
        facts: Sequence[AnyFact],
        side_records: Sequence[AnySideRecord],
        done: OnRecorded,
        *others: Any,
    ) -> None:
        if self.before:
            error = self.before.pop()
            if isinstance(error, Full):
                raise error
            trio.lowlevel.current_trio_token().run_sync_soon(done, as_told(error))
            return

        def told(result: AppendResult) -> None:
            if isinstance(result, Committed):
                self.log.setdefault(record.room, []).extend((result.commit, fact) for fact in result.facts)
            done(as_told(self.after.pop()) if self.after else result)

        self._inner.append(record, facts, side_records, told, *others)

    def listen(self, heard: OnForeign) -> None:
        def told(batch: ForeignBatch) -> None:
            self.log.setdefault(batch.room, []).extend((batch.commit, fact) for fact in batch.facts)
            heard(batch)

        self._inner.listen(told)


def as_told(error: Exception) -> StoreError:
    """The error by which a journal tells of a fault, whatever it was."""
    return error if isinstance(error, StoreError) else StoreError(f"append failed: {error!r}", unknown=True)


def _now_ns() -> int:
    return int(trio.current_time() * 1e9)


class House:
    def __init__(
        self,
        store: Store,
        run_queue: RunQueue,
        actors: Supervisor,
        rules: RoomRules,
        slice_: int = SLICE,
        observers: Sequence[Observer] = (),
        *,
        shared: bool = False,
        rooms: int = 1000,
    ) -> None:
        self.store = store
        self.archive = store.archive
        self.notices = store.notices
        self.shared = SharedLog(store.journal)
        self.journal = Tap(self.shared)
        self.live = Live(slice_)
        self.events: list[tuple[str, Any]] = []
        """Answers and pushes, in the order they came."""
        self.actors = actors
        self.rules = rules
        self.keys = RecentKeys(KEYS)
        self.run_queue = run_queue
        self.clock = Jumps(_now_ns, _now_ns)
        actors.start(Spec("run queue", self.run_queue.run))
        actors.start(Spec("broadcaster", self.live.broadcaster.run))
        context = RoomContext(
            self.journal,
            store.lookups,
            self.live,
            rules,
            self.clock,
            10_000,
            self.keys,
            observers=tuple(observers),
            shared=shared,
        )
        self.rooms: Registry[RoomActor] = Registry(actors, self.run_queue, partial(RoomActor, context=context), rooms)
        self.journal.listen(partial(hear, self.rooms, self.live, observers=tuple(observers)))

    def ask(self, *wanted: commands.AnyCommand) -> list[Asked]:
        """Put the commands into their rooms' mailboxes: one batch, if they are for one room."""
        asked = []
        for command in wanted:
            asked.append(Asked(self))
            self.rooms.tell(command.room, Submit(command, asked[-1]))
        return asked

    async def outcomes(self, *wanted: commands.AnyCommand) -> list[Outcome]:
        asked = self.ask(*wanted)
        await self.settled()
        return [each.outcome for each in asked if each.outcome is not None]

    async def elsewhere(self, *wanted: commands.AnyCommand) -> list[Outcome]:
        """Another node decides these, of one room, and its batch goes into the room's log: before those that wait
        here."""
        room, guards = wanted[0].room, -1
        while guards != self.shared.guards.get(room, 0):
            guards = self.shared.guards.get(room, 0)
            scribe = Scribe(self.store.journal, self.store.lookups, await self.store.journal.load(room))
            scribe.now_ms, scribe.rules = self.clock.now_ms(), self.rules
            turn, outcomes = await scribe.decide(*wanted)
        if turn.facts or turn.side_records:
            self.shared.decide_elsewhere(scribe.record, turn.facts, turn.side_records, turn.hidden)
        return outcomes

    def forget_keys(self) -> None:
        """Other rooms say so much that no key of these is known any more but to the store."""
        for generation in range(2):
            keys = (("group:elsewhere", "zoe", f"{generation} {number}") for number in range(KEYS))
            self.keys.remember(dict.fromkeys(keys, Recorded(1, 1)))

    async def settled(self) -> None:
        """Return when nothing goes on any more."""
        await trio.sleep(60)

    async def tea(self, *users: str, **fields: Any) -> None:
        await self.outcomes(commands.Create(room=TEA, user="ann", users=users, **fields))
        self.events.clear()

    def say(self, *bodies: str, user: str = "ann", room: str = TEA, **fields: Any) -> list[commands.Send]:
        return [commands.Send(room=room, user=user, body=body, **fields) for body in bodies]


@asynccontextmanager
async def keep_house(
    rules: RoomRules = OPEN,
    slice_: int = SLICE,
    observers: Sequence[Observer] = (),
    *,
    shared: bool = False,
    rooms: int = 1000,
) -> AsyncIterator[House]:
    """`shared`: other nodes decide in these rooms, too. `rooms`: how many may be in memory."""
    run_queue = RunQueue()
    async with stores.open_inline(":memory:", ticks=run_queue) as store, Supervisor("actors") as actors:
        yield House(store, run_queue, actors, rules, slice_, observers, shared=shared, rooms=rooms)


def run(main: Any, *args: Any) -> None:
    """Run it in simulated time."""
    trio.run(partial(main, *args), clock=trio.testing.MockClock(autojump_threshold=0))


def keep_users(house: House, capacity: int = 100, limits: UserLimits | None = None) -> Registry[UserActor]:
    """The house's users, of whom so many find room in memory."""
    journal: Any = house.journal
    context = UserContext(
        house.live, house.rooms, journal, house.clock, TimerWheel(), limits or UserLimits(), NoRules(), 100
    )
    return Registry(house.actors, house.run_queue, partial(UserActor, context=context), capacity)
