"""One actor: an address, a mailbox, and turns that take all mail that waits.

The turns of all actors are taken by one run queue. An actor has a task of its own only while it prepares a turn, which
is when it reads from the store; see `phases`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import trio

from gochat.actors.mailbox import Mailbox
from gochat.actors.phases import FINISHED, IDLE, LACKING, MAIL, PREPARING, TRANSITIONS, TURN, Phase
from gochat.actors.run_queue import RunQueue
from gochat.actors.supervisor import Spec, Supervisor
from gochat.errors import Denied, Full, StoreError, store_refusal

log = logging.getLogger(__name__)

M = TypeVar("M")
A = TypeVar("A", bound="Actor[Any]")

INTERNAL = Denied("internal", "a fault of the server; it has been logged")


class Actor(ABC, Generic[M]):
    """Subclasses say what a turn needs (`is_prepared`, `load`, `prefetch`) and what it does (`decide`).

    A turn that crashes loses no mail: its batch is tried again one piece at a time, after the state was rebuilt, and
    the piece that crashes alone is answered `internal`. The supervisor counts the crashes and pauses between them; an
    actor that crashes too often is given up, and all its mail is refused.
    """

    __slots__ = ("_batch", "_crash", "_registry", "_singly", "address", "held", "last_turn", "mailbox", "phase")

    def __init__(self, address: str, capacity: int, registry: Registry[Any]) -> None:
        self.address = address
        self.mailbox: Mailbox[M] = Mailbox(address, capacity)
        self.phase: Phase = IDLE
        self.held = False
        """Whether turns wait although there is mail, until `release`."""
        self.last_turn = trio.current_time()
        """When the latest turn ended; trio clock."""
        self._registry = registry
        self._batch: list[M] = []
        """The mail in hand: taken out of the mailbox, and not answered yet."""
        self._singly = 0
        """Pieces of mail that are tried one at a time, since their batch crashed."""
        self._crash: Exception | None = None
        """Crashed a turn outside of the actor's own task, and is to be raised in it."""

    def is_prepared(self, waiting: list[M]) -> bool:
        """Whether a batch of this mail can be decided without reading anything. An actor that reads nothing leaves this
        and the next two as they are."""
        return True

    async def load(self) -> None:
        """Rebuild the state, unless it is there. After a StoreError all mail that waits is refused."""

    async def prefetch(self, batch: list[M]) -> None:
        """Read what the batch needs besides the state. Raises StoreError or Full: see `fail`."""

    @abstractmethod
    def decide(self, batch: list[M]) -> None:
        """Decide the batch, in phase DECIDING. The phase afterwards says how the turn goes on: RECORDING, until
        something calls `finish`; PREPARING, where something has to be read first; or whatever `finish` left."""

    def fail(self, batch: list[M], error: StoreError | Full) -> None:
        """`prefetch` failed, or another step after which nothing of the batch is done: answer it, and `finish`."""
        if isinstance(error, Full):
            denied = Denied("busy", str(error), retry_after_ms=200)
        else:
            denied = store_refusal(error, "the store can't do this now")
        for mail in batch:
            self.refuse(mail, denied)
        self.finish()

    @abstractmethod
    def refuse(self, mail: M, denied: Denied) -> None:
        """Answer mail that is not handled. Must not raise."""

    def forget(self) -> None:
        """Drop the state after a crash: `load` rebuilds it."""

    @property
    def evictable(self) -> bool:
        """Whether there is nothing to keep in memory: names that nobody knows must not fill it."""
        return False

    @property
    def lacking(self) -> bool:
        """Whether a turn is wanted although there is no mail: something has to be loaded."""
        return False

    @property
    def busy(self) -> bool:
        """Whether something is in flight besides mail and turns."""
        return False

    @property
    def idle(self) -> bool:
        """Whether there is nothing in the mailbox, in hand, or in flight."""
        return self.phase == IDLE and not self.mailbox.waiting and not self.busy

    # ------------------------------------------------------------------------------------------ turns

    def tell(self, mail: M) -> None:
        """Take the mail; it is handled with the next tick. Never waits. Raises Full: nothing was taken."""
        try:
            self.mailbox.put(mail)
        except Full:
            self._registry.refused += 1
            raise
        if self.phase == IDLE and not self.held:
            self.phase = TRANSITIONS[IDLE][MAIL]
            self._registry.run_queue.add(self)

    def run_turn(self) -> None:
        if self._singly or not self.is_prepared(self.mailbox.waiting):
            self._start_preparing()
            return
        self._batch = batch = self.mailbox.take()
        self.phase = TRANSITIONS[self.phase][TURN]
        try:
            self.decide(batch)
        except Exception as error:  # noqa: BLE001 -- it is raised, and logged, where the supervisor sees it
            self._crash = error
            self._set_aside()
            self._start_preparing()
            return
        if self.phase == PREPARING:
            self._start_task()

    def finish(self) -> None:
        """The batch is answered, or is back in the mailbox: the turn is over, and the next one may begin."""
        self._batch = []
        self.phase = TRANSITIONS[self.phase][FINISHED]
        self.last_turn = trio.current_time()
        if self.mailbox.waiting:
            self.go_on()

    def evict(self) -> None:
        """Leave the memory, if there is nothing to keep and nothing to do."""
        if self.evictable and self.idle:
            self._registry.forget(self)

    def go_on(self) -> None:
        """Let the actor have a turn, mail or not, if it has none already."""
        if self.phase == IDLE and not self.held:
            self.phase = TRANSITIONS[IDLE][MAIL]
            self._registry.run_queue.add(self)

    def release(self) -> None:
        """Let turns be taken again."""
        self.held = False
        if self.mailbox.waiting or self.lacking:
            self.go_on()

    # ------------------------------------------------------------------------------------------ the actor's own task

    def _start_preparing(self) -> None:
        self.phase = TRANSITIONS[self.phase][LACKING]
        self._start_task()

    def _start_task(self) -> None:
        self._registry.supervisor.start(Spec(self.address, self._prepare, "temporary", self._give_up))

    async def _prepare(self) -> None:
        """Read what the turn needs, and decide. Runs once for each turn that must read, and again after a crash."""
        if self._crash is not None:
            crash, self._crash = self._crash, None
            raise crash
        if not self._batch:
            self._batch = self._take()
        batch = self._batch
        while self.phase == PREPARING:
            try:
                if await self._load():
                    await self._prefetch_and_decide(batch)
            except Exception:
                if self.phase != PREPARING:
                    self.phase = TRANSITIONS[self.phase][LACKING]
                self._set_aside()
                raise
        self.evict()

    async def _load(self) -> bool:
        """Whether the state is there now; otherwise all mail is refused."""
        try:
            await self.load()
        except StoreError as error:
            log.warning("%s can't be loaded: %s", self.address, error)
            self._refuse_all(store_refusal(error, "the room can't be loaded now"))
            self.finish()
            return False
        except Exception:
            # Mail that waits for a state that can't be built would wait for ever.
            self._refuse_all(INTERNAL)
            raise
        return True

    async def _prefetch_and_decide(self, batch: list[M]) -> None:
        if not batch:
            self.finish()  # The state was to be rebuilt, and that is all.
            return
        try:
            await self.prefetch(batch)
        except (StoreError, Full) as error:
            self.fail(batch, error)
            return
        self.phase = TRANSITIONS[self.phase][TURN]
        self.decide(batch)

    def _take(self) -> list[M]:
        if not self._singly:
            return self.mailbox.take()
        batch = self.mailbox.take()
        self._singly = min(self._singly, len(batch))
        if self._singly:
            self._singly -= 1
            self.mailbox.put_back(batch[1:])
        return batch[:1]

    def _set_aside(self) -> None:
        """One piece of the batch crashed the turn, but which? They are tried again one at a time; a piece that crashes
        alone is answered `internal`."""
        self.forget()
        batch, self._batch = self._batch, []
        if len(batch) == 1:
            self.refuse(batch[0], INTERNAL)
        elif batch:
            self._singly = len(batch)
            self.mailbox.put_back(batch)

    def _give_up(self) -> None:
        """The supervisor starts the actor's task no more; from now on its address belongs to a new actor."""
        self._registry.forget(self)
        self._refuse_all(INTERNAL)
        self.phase = TRANSITIONS[self.phase][FINISHED]
        self.given_up()

    def given_up(self) -> None:
        """It crashed too often, and all its mail was refused."""

    def _refuse_all(self, denied: Denied) -> None:
        batch, self._batch = self._batch, []
        for mail in [*batch, *self.mailbox.take()]:
            self.refuse(mail, denied)


class Registry(Generic[A]):
    """Actors by address, made when the first mail comes, dropped when idle. Mail goes to an address, and not to a kept
    actor, which may have been dropped; a session may keep its user's, since that stays while it has sessions."""

    def __init__(
        self, supervisor: Supervisor, run_queue: RunQueue, make: Callable[[str, Registry[A]], A], capacity: int
    ) -> None:
        """`supervisor` runs the tasks in which actors prepare; `capacity` bounds the actors in memory."""
        self.supervisor = supervisor
        self.run_queue = run_queue
        self._make = make
        self._capacity = capacity
        self._actors: dict[str, A] = {}
        self.activated = 0
        """How many actors were made."""
        self.refused = 0
        """How much mail was refused, because a mailbox was full or there are too many actors."""

    def __len__(self) -> int:
        return len(self._actors)

    def __iter__(self) -> Iterator[A]:
        return iter(self._actors.values())

    def get(self, address: str) -> A | None:
        """The actor of this address, if it is in memory."""
        return self._actors.get(address)

    def tell(self, address: str, mail: Any) -> None:
        """Give mail to the actor, which is made if it is not in memory. Never waits. Raises Full: nothing was taken."""
        actor = self._actors.get(address)
        if actor is None:
            actor = self._activate(address)
        actor.tell(mail)

    def at(self, address: str) -> A:
        """The actor of this address, made if it is not in memory. Raises Full."""
        return self._actors.get(address) or self._activate(address)

    def forget(self, actor: A) -> None:
        """Drop the actor: the next mail to its address makes a new one."""
        if self._actors.get(actor.address) is actor:
            del self._actors[actor.address]

    def passivate_idle(self, before: float) -> int:
        """Drop idle actors whose last turn was before that moment of the trio clock; how many were dropped. That is one
        step without a checkpoint: no mail can fall between an actor and the next one of the same address."""
        idle = [actor for actor in self._actors.values() if actor.last_turn < before and actor.idle]
        for actor in idle:
            del self._actors[actor.address]
        return len(idle)

    def _activate(self, address: str) -> A:
        if len(self._actors) >= self._capacity:
            self.refused += 1
            raise Full(f"{self._capacity} actors are in memory")
        actor = self._actors[address] = self._make(address, self)
        self.activated += 1
        return actor
