"""A node's own entries on their way through the log, and how long their senders wait for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec
import trio

from gochat.cluster.broadcast import Broadcast
from gochat.domain.facts import AnyFact
from gochat.errors import StoreError
from gochat.ports.journal import AppendResult, OnRecorded
from gochat.replication import AnyNews

log = logging.getLogger(__name__)

#: How long the sender of a batch waits for it to come back.
DEADLINE_S: Final = 5.0


class Own(msgspec.Struct, eq=False):
    """An entry of this node's that has not been read back."""

    partition: int
    data: bytes
    facts: Sequence[AnyFact]
    """As they were given."""
    side_records: Sequence[AnyNews]
    done: OnRecorded
    deadline: float
    """On trio's clock: DEADLINE_S after it was sent, or never."""

    def tell(self, result: AppendResult) -> None:
        try:
            self.done(result)
        except Exception:
            log.exception("what was recorded could not be handed on")


class OwnEntries:
    """By counter. `run` must be running."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._waiting: dict[int, Own] = {}
        """In the order of their deadlines."""
        self._patient: dict[int, Own] = {}
        """Those that wait for ever."""
        self._settled = trio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._patient)

    def add(self, counter: int, own: Own) -> None:
        entries = self._patient if own.deadline == float("inf") else self._waiting
        entries[counter] = own

    def take(self, counter: int) -> Own | None:
        """The entry was read back. None: nobody waits for it any more, or it came before."""
        found = self._waiting.pop(counter, None)
        if found is None:
            return self._patient.pop(counter, None)
        if not self._waiting:
            self._settled.set()
        return found

    def is_sent(self, counter: int) -> bool:
        """Whether the entry may stand in the log, or come to."""
        own = self._waiting.get(counter) or self._patient.get(counter)
        return own is None or self._broadcast.is_sent(own.partition, own.data)

    def withdraw(self, counter: int) -> bool:
        """Take an entry back that was never sent; its sender is told nothing. False: it may have been."""
        own = self._waiting.get(counter) or self._patient.get(counter)
        if own is None or not self._broadcast.withdraw(own.partition, own.data):
            return False
        self.take(counter)
        return True

    def refuse(self, data: bytes, error: StoreError) -> None:
        """The log does not take the entry: tell its sender."""
        for entries in (self._waiting, self._patient):
            for counter, own in entries.items():
                if own.data == data:
                    self.take(counter)
                    own.tell(error)
                    return

    async def wait_settled(self) -> None:
        """Return when no batch is on its way whose sender waits."""
        while self._waiting:
            self._settled = trio.Event()
            await self._settled.wait()

    async def run(self) -> None:
        """Tell senders of what is late, for ever. A batch that was never sent is taken back; any other may still be
        recorded, and is then told as one of another node's."""
        while True:
            # Until the first of those that wait now: whatever comes meanwhile is late after it.
            first = next(iter(self._waiting.values()), None)
            await trio.sleep_until(trio.current_time() + DEADLINE_S if first is None else first.deadline)
            now = trio.current_time()
            late = []
            for counter, own in self._waiting.items():
                if own.deadline > now:
                    break
                late.append((counter, own))
            for counter, own in late:
                self.take(counter)
                unknown = not self._broadcast.withdraw(own.partition, own.data)
                own.tell(StoreError("the cluster's log does not answer", unknown=unknown))
