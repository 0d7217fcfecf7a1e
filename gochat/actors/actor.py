"""One actor: an address, a mailbox, and turns that take everything that waits.

An actor costs a task only while it is awake. Going to rest is one step without a checkpoint: the mailbox is empty and
nothing is in flight, so no mail can fall between the resting actor and the next one of the same address.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import trio

from gochat.actors.mailbox import Mailbox
from gochat.actors.supervisor import Spec, Supervisor
from gochat.errors import Denied, Full, StoreError, store_refusal

log = logging.getLogger(__name__)

M = TypeVar("M")
A = TypeVar("A", bound="Actor[Any]")

INTERNAL = Denied("internal", "a fault of the server; it has been logged")


class Actor(ABC, Generic[M]):
    """Subclasses give `load`, `turn` and `refuse`; the rest is the same for all."""

    __slots__ = ("_batch", "_singly", "address", "last_turn", "mailbox", "on_rest", "resting", "start", "started")

    lingers: ClassVar[bool] = True
    """Whether the task stays when the mailbox is empty, or ends until there is mail again."""

    def __init__(self, address: str, capacity: int) -> None:
        self.address = address
        self.mailbox: Mailbox[M] = Mailbox(address, capacity)
        self.last_turn = trio.current_time()
        self.resting = False
        self.started = False
        self.on_rest: Callable[[], None] | None = None
        """Takes the actor's address from it; set by its registry."""
        self.start: Callable[[], None] = _no_registry
        """Starts the actor's task, unless it runs already; set by its registry."""
        self._batch: list[M] = []
        self._singly = 0

    @abstractmethod
    async def load(self) -> None:
        """Rebuild the state, before the first turn and after each crash. A StoreError answers all mail that waits."""

    @abstractmethod
    async def turn(self, batch: list[M]) -> None:
        """Handle the batch, and take each piece out of `batch` once it may not be handled again."""

    async def woken(self) -> None:
        """The mailbox was woken without mail."""

    @abstractmethod
    def refuse(self, mail: M, denied: Denied) -> None:
        """Answer mail that is not handled. Must not raise."""

    def handle_now(self, mail: M) -> bool:
        """Handle the mail at once, in the teller's task, where that keeps the order and awaits nothing. False: it was
        not handled, and goes into the mailbox."""
        return False

    @property
    def worthless(self) -> bool:
        """Whether there is nothing to keep awake for: names that nobody knows must not fill the memory."""
        return False

    @property
    def busy(self) -> bool:
        """Whether something is in flight beside the mailbox."""
        return False

    @property
    def idle(self) -> bool:
        """Whether there is nothing in the mailbox, in hand, or in flight."""
        return not len(self.mailbox) and not self._batch and not self.busy

    def rest(self) -> bool:
        """Ask the actor to end if it is idle. True if it will: from now on its address may be given to a new one."""
        if not self.idle:
            return False
        self.resting = True
        self.mailbox.wake()
        return True

    async def run(self) -> None:
        """The life between two crashes. A crash with mail in hand loses none of it: see `_after_crash`."""
        try:
            await self.load()
        except StoreError as error:
            log.warning("%s can't be loaded: %s", self.address, error)
            self.refuse_all(store_refusal(error, "the room can't be loaded now"))
        except Exception:
            # Mail that waits for a state that can't be built would wait for ever.
            self.refuse_all(INTERNAL)
            raise
        while not self.resting:
            if not self.lingers and not len(self.mailbox):
                self.started = False
                return
            await self.mailbox.wait()
            batch = self._next_batch()
            if not batch:
                await self.woken()
                continue
            try:
                await self.turn(batch)
            except Exception:
                self._after_crash()
                raise
            self._batch = []
            self.last_turn = trio.current_time()
            if self.worthless and self.rest() and self.on_rest is not None:
                self.on_rest()

    def given_up(self) -> None:
        """It crashed too often, and its address is no longer its own."""
        self.refuse_all(INTERNAL)

    def refuse_all(self, denied: Denied) -> None:
        for mail in self.mailbox.take_nowait():
            self.refuse(mail, denied)

    def _next_batch(self) -> list[M]:
        batch = self.mailbox.take_nowait()
        if self._singly and batch:
            self._singly -= 1
            if len(batch) > 1:
                self.mailbox.put_back(batch[1:])
                batch = batch[:1]
        self._batch = batch
        return batch

    def _after_crash(self) -> None:
        """One piece of a batch crashed the turn, but which? Try again one at a time; the one that crashes alone is set
        aside with `internal`."""
        batch, self._batch = self._batch, []
        if len(batch) == 1:
            self.refuse(batch[0], INTERNAL)
        elif batch:
            self._singly = len(batch)
            self.mailbox.put_back(batch)


def _no_registry() -> None:
    raise RuntimeError("an actor without a registry has no task")


class Registry(Generic[A]):
    """Actors by address, started on first mail, ended when idle. Mail goes to an address, never to a kept mailbox."""

    def __init__(self, supervisor: Supervisor, make: Callable[[str], A], most: int) -> None:
        self._supervisor = supervisor
        self._make = make
        self._most = most
        self._actors: dict[str, A] = {}
        self.woken = 0
        self.refused = 0
        """How much mail was refused, because a mailbox was full or too many actors are awake."""

    def __len__(self) -> int:
        return len(self._actors)

    def __iter__(self) -> Iterator[A]:
        return iter(self._actors.values())

    def get(self, address: str) -> A | None:
        """The awake actor of this address."""
        return self._actors.get(address)

    def tell(self, address: str, mail: Any) -> None:
        """Put mail into the actor's mailbox, waking it if it rests. Never waits. Raises Full: nothing was taken."""
        actor = self._actors.get(address)
        if actor is None:
            actor = self._wake(address)
        try:
            if actor.handle_now(mail):
                return
            actor.mailbox.put(mail)
        except Full:
            self.refused += 1
            raise
        actor.start()

    def at(self, address: str) -> A:
        """The actor of this address, woken if it rests. Raises Full."""
        return self._actors.get(address) or self._wake(address)

    def rest_idle(self, before: float) -> int:
        """Let actors rest whose last turn was before that moment of the trio clock; how many will."""
        idle = [actor for actor in self._actors.values() if actor.last_turn < before and actor.rest()]
        for actor in idle:
            del self._actors[actor.address]
        return len(idle)

    def _wake(self, address: str) -> A:
        if len(self._actors) >= self._most:
            self.refused += 1
            raise Full(f"{self._most} actors are awake")
        actor = self._actors[address] = self._make(address)
        actor.on_rest = partial(self._forget, actor)
        actor.start = partial(self._start, actor)
        self.woken += 1
        return actor

    def _forget(self, actor: A) -> None:
        if self._actors.get(actor.address) is actor:
            del self._actors[actor.address]

    def _start(self, actor: A) -> None:
        if actor.started:
            return
        actor.started = True

        def given_up() -> None:
            self._forget(actor)
            actor.given_up()

        self._supervisor.start(Spec(actor.address, actor.run, "temporary", given_up))
