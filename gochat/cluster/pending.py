"""The entries of one partition that a node has sent and not read back, and when they are tried again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import inf
from typing import Final

import trio

from gochat.cluster.ports import MOST_BYTES, MOST_ENTRIES, Element
from gochat.cluster.refusals import Backoff

#: How long after an error a server is tried again.
RETRY_S: Final = 0.05
#: A server that refuses writes is tried again after pauses that double up to so long.
MOST_RETRY_S: Final = 1.0


class Pending:
    """The entries of one partition that were sent and have not been read back, in their order."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bool] = {}
        """Each with whether it was ever sent: then it may be in the log."""
        self.sent = 0
        """How many of them, from the first, are on their way."""
        self._backoff = Backoff(RETRY_S, MOST_RETRY_S)
        self.again_at = -inf
        """When they are tried again, which the log did not take; on trio's clock."""

    def put_off(self) -> None:
        """The log did not take them, as far as is known."""
        self.again_at = trio.current_time() + self._backoff.pause_s()

    def put_off_no_more(self) -> None:
        self._backoff.reset()
        self.again_at = -inf

    @property
    def has_unsent(self) -> bool:
        return len(self.entries) > self.sent

    def batch(self) -> list[bytes]:
        """The next to be sent, within the bounds of a batch."""
        entries: list[bytes] = []
        size = 0
        for data in islice(self.entries, self.sent, self.sent + MOST_ENTRIES):
            size += len(data)
            if entries and size > MOST_BYTES:
                break
            entries.append(data)
        self.entries.update(dict.fromkeys(entries, True))
        return entries

    def withdraw(self, data: bytes) -> bool:
        """See Broadcast."""
        if self.is_sent(data):
            return False
        del self.entries[data]
        return True

    def is_sent(self, data: bytes) -> bool:
        """See Broadcast."""
        return self.entries.get(data, True)

    def not_sent(self, entries: Sequence[bytes]) -> None:
        """These were the last of those that were to be on their way, and are not."""
        self.sent = max(0, self.sent - len(entries))

    def refuse(self, entries: Sequence[bytes]) -> list[bytes]:
        """The log does not take these. Those that were still pending."""
        self.not_sent(entries)
        return [data for data in entries if self.entries.pop(data, None) is not None]

    def read_back(self, elements: Sequence[Element]) -> int:
        """Take out those that have been read. How many they were."""
        before = len(self.entries)
        for element in elements:
            if element.data in self.entries:
                del self.entries[element.data]
                self.sent = max(0, self.sent - 1)
        return before - len(self.entries)
