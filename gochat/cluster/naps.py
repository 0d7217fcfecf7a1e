"""For how long a node leaves the log's next entries where they are, while none of them concerns anybody on it.

A reading costs the same for one entry as for twenty: four threads wake up, and a transaction is written and synced. So
a node whose users have no part in the traffic reads less often, and more together. A message to one of its users may
come meanwhile, and is late by the nap: by a twentieth of the time since the last one, and never by more than MOST_S.
"""

from __future__ import annotations

import math
from typing import Final

import trio

#: A nap at first, right after entries that concerned somebody here, and the longest.
LEAST_S: Final = 0.005
MOST_S: Final = 0.02
#: The share of the time since an entry concerned somebody here that a nap takes.
SHARE: Final = 0.05


class Naps:
    """To be told of what concerns the node (`concern`), and asked after each reading (`next_s`)."""

    def __init__(self) -> None:
        self._concerned = False
        """Whether anything did since the last reading."""
        self._last = -math.inf
        """When something did, on trio's clock."""

    def concern(self) -> None:
        """An entry was this node's own, or was told to somebody here: the next may be the answer to it."""
        self._concerned = True

    def next_s(self) -> float:
        """How long the next reading may be put off, in seconds; 0: not at all."""
        now = trio.current_time()
        if self._concerned:
            self._concerned, self._last = False, now
            return 0.0
        return min(MOST_S, max(LEAST_S, SHARE * (now - self._last)))
