"""A bounded mailbox. It never waits and can only say Full; its actor takes everything at once."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from gochat.errors import Full

T = TypeVar("T")


class MailboxStatistics(NamedTuple):
    waiting: int
    capacity: int
    peak: int
    """The most that ever waited."""
    taken: int
    """How many pieces of mail were handed to the actor."""
    refused: int
    """How many were refused because the mailbox was full."""


class Mailbox(Generic[T]):
    """Mail for one actor, in the order it came."""

    __slots__ = ("_peak", "_refused", "_taken", "capacity", "name", "waiting")

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.waiting: list[T] = []
        """The mail; only to be looked at."""
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

    def put_back(self, mail: list[T]) -> None:
        """Return mail that was taken but not handled, to the front. It counted when it came: never Full."""
        self.waiting[:0] = mail

    def take(self) -> list[T]:
        """Everything that waits, perhaps nothing."""
        mail, self.waiting = self.waiting, []
        count = len(mail)
        self._taken += count
        if count > self._peak:
            self._peak = count
        return mail

    def statistics(self) -> MailboxStatistics:
        peak = max(self._peak, len(self.waiting))
        return MailboxStatistics(len(self.waiting), self.capacity, peak, self._taken, self._refused)
