"""How many entries of each stream a reading asks a server for.

XREAD has a bound in entries and none in bytes, and the server writes the whole reply before this node sees how long it
is. Entries have a hundred bytes or a million. So the count follows the sizes that were seen: it doubles while all that
was asked for came and took little, and falls where a reply was longer than a node reads.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from gochat.cluster.ports import MOST_BYTES, MOST_ENTRIES, Element

#: As long as nothing is known of their sizes.
FIRST: Final = 4 * MOST_ENTRIES
#: A stream that took no more leaves room for twice as many entries.
_LITTLE: Final = MOST_BYTES // 2


class ReadSize:
    """Of one thread's readings."""

    def __init__(self) -> None:
        self.count = FIRST
        """Of each stream so many entries are asked for."""

    def learn(self, streams: Collection[Sequence[Element]], asked: int, *, is_cut: bool) -> None:
        """`streams`: the entries of each stream that came, where so many of each were asked for. `is_cut`: the reply
        was longer than that; the last stream is the one that was, or all that came of it was known."""
        if is_cut:
            came = len([*streams][-1]) if streams else asked
            self.count = max(1, came // 2)
        elif asked >= self.count and any(len(elements) >= asked for elements in streams) and _take_little(streams):
            self.count *= 2


def _take_little(streams: Collection[Sequence[Element]]) -> bool:
    return all(sum(len(element.data) for element in elements) <= _LITTLE for elements in streams)
