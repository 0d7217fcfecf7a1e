"""How many messages of one room are unread: those that a list counted, and those that came since. No I/O.

A list tells how many messages of others are unread up to its head, and not which. Messages that come after it are known
by their seqs. So a list that comes late counts up to its head alone, and whatever was read, deleted or edited takes
exactly that away, as far as it came by itself.
"""

from __future__ import annotations

from typing import Final

from gochat.domain.facts import Delete

#: Messages of a room that are known by their seqs, the latest ones; of those before them only the number is known.
MAX_COUNTED: Final = 1_000
#: Deletions that are remembered, for a list that was read before them and comes after them: the latest ones.
MAX_DELETIONS: Final = 50


class Unread:
    """The counts of one room, which begin with those of a list. `read` is the position of the user."""

    __slots__ = ("_counted", "_deletions", "_head", "_mentions", "_since", "read")

    def __init__(self, head: int, read: int, unread: int, mentions: int) -> None:
        self.read = read
        self._head = head
        """Up to here only the numbers are known: `_counted` unread messages, `_mentions` of them mention the user."""
        self._counted = unread
        self._mentions = mentions
        self._since: dict[int, bool] = {}
        """The unread messages above `_head`, by seq: whether they mention the user."""
        self._deletions: dict[int, Delete] = {}
        """By the seqs of the messages that they are about."""

    @property
    def unread(self) -> int:
        return self._counted + len(self._since)

    @property
    def mentions(self) -> int:
        return self._mentions + sum(self._since.values())

    def deletion(self, seq: int) -> Delete | None:
        """The fact that deleted a message, if it came here and is not long ago."""
        return self._deletions.get(seq)

    def came(self, seq: int, mentioned: bool) -> None:
        """A message of somebody else has come. One that was read on another device may come after that was told."""
        if seq <= self.read:
            return
        self._since[seq] = mentioned
        if len(self._since) > MAX_COUNTED:
            self._head = next(iter(self._since))
            self._mentions += self._since.pop(self._head)
            self._counted += 1

    def edited(self, seq: int, mentioned: bool) -> None:
        """A message has a new text."""
        if seq in self._since:
            self._since[seq] = mentioned

    def deleted(self, fact: Delete) -> None:
        """A message is deleted. Messages that came as deleted ones were never counted."""
        self._deletions[fact.target] = fact
        if len(self._deletions) > MAX_DELETIONS:
            del self._deletions[next(iter(self._deletions))]
        if self._since.pop(fact.target, None) is None:
            self._uncount(fact.target)

    def read_to(self, seq: int) -> None:
        """The user has read up to here. How many of the messages up to `_head` are others' is not told; it can't be
        more than there are facts."""
        self.read = max(self.read, seq)
        self._counted = min(self._counted, max(0, self._head - self.read))
        self._mentions = min(self._mentions, self._counted)
        self._since = {at: mentioned for at, mentioned in self._since.items() if at > self.read}

    def listed(self, head: int, read: int, unread: int, mentions: int) -> None:
        """A list has counted the room at `head`, maybe before facts that came here already: these count on top. A list
        that is older than the one before says no more than how far the user has read."""
        if head >= self._head:
            read_before, self.read = self.read, read
            self._head, self._counted, self._mentions = head, unread, mentions
            self._since = {seq: mentioned for seq, mentioned in self._since.items() if seq > head}
            for target, deletion in self._deletions.items():
                if deletion.seq > head:
                    self._uncount(target)
            read = read_before
        self.read_to(read)

    def _uncount(self, seq: int) -> None:
        """One message less, if it is among those that a list counted. Whether it mentioned the user is not known."""
        if self.read < seq <= self._head:
            self._counted = max(0, self._counted - 1)
            self._mentions = min(self._mentions, self._counted)
