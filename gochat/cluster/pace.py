"""How hard a node works while it waits for others in a repair: hard at first, and wherever something is new; then only
as much as keeps its answers alive and lets it go on soon after the others."""

from __future__ import annotations

from math import inf
from typing import Final

import trio

from gochat.cluster.ports import OFFER_LIFE_S

#: For how long after the last news the node looks often. A failover with all nodes alive takes less.
PROMPT_S: Final = 1.0
#: How often it looks after that. A node that comes may wait for so long until the others have gone on with it.
SLOW_LOOK_S: Final = 0.25
#: How often it then gives an answer anew, which the server writes to its disk and sends to its replicas.
RENEW_OFFER_S: Final = OFFER_LIFE_S / 3


class Pace:
    """Of one repair."""

    def __init__(self) -> None:
        self._sight: object = None
        self._since = -inf
        self._offered: dict[int, tuple[float, int]] = {}
        """By partition, when the latest answer was given, and the highest ballot that the server knew then."""

    def hurry(self) -> None:
        """Something has moved."""
        self._since = trio.current_time()

    def note(self, sight: object) -> None:
        """All that this node goes by in this round: any change of it is news."""
        if sight != self._sight:
            self._sight = sight
            self.hurry()

    @property
    def is_slow(self) -> bool:
        return trio.current_time() - self._since >= PROMPT_S

    def offered(self, partition: int, highest: int) -> None:
        """An answer was given, and the server has said that this is the highest ballot."""
        self._offered[partition] = trio.current_time(), highest

    def highest(self, partition: int) -> int | None:
        """The highest ballot, as of the last answer, where that need not be given anew; None where it does."""
        at, highest = self._offered.get(partition, (-inf, 0))
        return highest if self.is_slow and trio.current_time() - at < RENEW_OFFER_S else None
