"""A bounded mailbox that hands its one reader everything that waits.

`put` is a plain function: it never waits and can only say Full. A reader woken by the first piece of mail runs a
scheduler tick later, so a burst that arrives within one tick is one batch.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import trio
from outcome import Value

from gochat.errors import Full

T = TypeVar("T")


class MailboxStatistics(NamedTuple):
    waiting: int
    capacity: int
    peak: int
    """The most that ever waited."""
    taken: int
    """How many pieces of mail were handed to the reader."""
    refused: int
    """How many were refused because the mailbox was full."""


class Mailbox(Generic[T]):
    """Mail for one reader, in the order it came."""

    __slots__ = ("_peak", "_reader", "_refused", "_taken", "_woken", "capacity", "name", "waiting")

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.waiting: list[T] = []
        """What waits; only to be looked at."""
        self._reader: trio.lowlevel.Task | None = None
        self._woken = False
        self._peak = self._taken = self._refused = 0

    def __len__(self) -> int:
        return len(self.waiting)

    def put(self, mail: T) -> None:
        """Take the mail, or raise Full and take nothing."""
        waiting = self.waiting
        if len(waiting) >= self.capacity:
            self._refused += 1
            raise Full(f"the mailbox of {self.name} is full ({self.capacity})")
        waiting.append(mail)
        if self._reader is not None:
            self.wake()

    def put_back(self, mail: list[T]) -> None:
        """Return mail that was taken but not handled, to the front. It counted when it came: never Full."""
        self.waiting[:0] = mail
        self.wake()

    def take_nowait(self) -> list[T]:
        """Everything that waits, perhaps nothing."""
        mail, self.waiting = self.waiting, []
        count = len(mail)
        self._taken += count
        if count > self._peak:
            self._peak = count
        return mail

    def wake(self) -> None:
        """Let the reader return from `wait`, mail or not."""
        self._woken = True
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader, Value(None))

    async def wait(self) -> None:
        """Return when there is mail, or when somebody called `wake`. Only one task may wait."""
        if self.waiting or self._woken:
            self._woken = False
            await trio.lowlevel.checkpoint()
            return
        if self._reader is not None:
            raise trio.BusyResourceError(f"the mailbox of {self.name} has a reader")
        self._reader = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._reader = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        self._woken = False

    def statistics(self) -> MailboxStatistics:
        peak = max(self._peak, len(self.waiting))
        return MailboxStatistics(len(self.waiting), self.capacity, peak, self._taken, self._refused)
