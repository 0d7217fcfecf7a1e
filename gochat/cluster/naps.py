"""For how long a node leaves the log's next entries where they are, while none of them concerns anybody on it.

A reading costs the same for one entry as for twenty: four threads wake up, and a transaction is written and synced. So
a node whose users have no part in the traffic reads less often, and more together. A message to one of its users may
come meanwhile, and is late by the nap: by a twentieth of the time since the last one, and never by more than MOST_S.
While nobody is signed in there is nobody for whom a message could be late, and naps may be longer: whoever signs in or
reads has the log read first, which ends the nap and keeps the next ones short. That reader waits for all that came
meanwhile to be recorded, so it is the entries that bound such a nap, where many come.
"""

from __future__ import annotations

import math
from typing import Final

import trio

#: A nap at first, right after entries that concerned somebody here, and the longest.
LEAST_S: Final = 0.005
MOST_S: Final = 0.02
#: The longest while nobody is signed in, and below what the store takes for quiet (write/committer.py): it would merge
#: and index after every reading. Each doubling of the nap saves half as much of what an entry costs as the one before:
#: at 2,000/s an eighth from 0.1 to 0.2 s, and a twelfth from there (bench/experiments/034).
MOST_ALONE_S: Final = 0.4
#: So many entries gather during such a nap, going by how fast they came until now, which is some 40 ms of recording:
#: more once, where many begin to come. Fewer than READ_LIMIT (broadcast.py), so that one reading takes them all where
#: entries are short.
MOST_ALONE: Final = 900
#: The share of the time since something concerned somebody here that a nap takes.
SHARE: Final = 0.05


class Naps:
    """To be told of what concerns the node (`concern`), and asked after each reading that left nothing in the log
    (`next_s`)."""

    def __init__(self) -> None:
        self._concerned = False
        """Whether anything did since the last reading."""
        self._last = -math.inf
        """When something did, on trio's clock."""
        self._asked_at = -math.inf
        """When `next_s` was asked last, on trio's clock."""

    def concern(self) -> None:
        """An entry was this node's own, or was told to somebody here: the next may be the answer to it."""
        self._concerned = True

    def shorten(self) -> None:
        """Somebody reads what is here, or signs in: naps are short again."""
        self._last = trio.current_time()

    def next_s(self, *, alone: bool = False, came: int = 0) -> float:
        """How long the next reading may be put off, in seconds; 0: not at all. `alone`: nobody is signed in. `came`:
        how many entries were told since this was asked last."""
        now = trio.current_time()
        took_s, self._asked_at = now - self._asked_at, now
        if self._concerned:
            self._concerned, self._last = False, now
            return 0.0
        nap_s = min(MOST_ALONE_S if alone else MOST_S, SHARE * (now - self._last))
        if alone and came:
            nap_s = min(nap_s, MOST_ALONE * took_s / came)
        return max(LEAST_S, nap_s)
