"""Whether a log goes on where a node's record of it ends, and the error where it never will."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gochat.cluster.ports import LEAP, START, Element, Log, Position, Unreadable, ballot_of
from gochat.errors import GochatError

_ANEW: Final = (
    "; this folder can't follow the log any more: make it anew by `gochat cluster join --from BACKUP` into an empty "
    "folder, with a backup of another node. Where all nodes say so, somebody else wrote to the server: empty it "
    "(FLUSHDB of this database) and start them, and they put back what they have"
)
_STRANGE: Final = (
    "partition {0} has an entry {2} right after {1}, where no node has put it: somebody else wrote to the server, or "
    "deleted there. Take that login away, and empty the server (FLUSHDB of this database): the nodes put back what "
    "they have"
)


class Forked(GochatError):
    """The log went on without entries that this node has recorded, or has lost entries that it needs: it can't follow.
    Its folder has to be made anew from a backup of another node's."""

    def __init__(self, partition: int, found: str) -> None:
        super().__init__(f"partition {partition}: {found}{_ANEW}")


def following(end: Position, elements: Sequence[Element]) -> bool:
    """Whether the elements come right after `end`, without a gap."""
    return leading(end, elements) == len(elements)


def leading(end: Position, elements: Sequence[Element]) -> int:
    """How many of the elements, from the first, come right after `end`, without a gap. A repair goes on by a LEAP
    at most: whoever else may write to the server must not use up the terms, which end somewhere, and can't be given
    back."""
    term, n = end
    for count, element in enumerate(elements):
        position = element.position
        n += 1
        if position.n != n:
            return count
        if position.term != term:
            if not (term < position.term and ballot_of(position.term) <= ballot_of(term) + LEAP):
                return count
            term = position.term
    return len(elements)


async def reason_to_stop(shared: Log, partition: int, end: Position) -> GochatError | None:
    """The error to be raised where the log does not go on after `end`, the last entry that a node has recorded; None
    where it does, or ends before. Raises ServerAway.

    A log that has that very entry was never another one: somebody else wrote what comes behind it, in a place that no
    node is given, or deleted something in between. All nodes meet that, and none of their folders is to blame."""
    before = end._replace(n=end.n - 1) if end.n else START
    found = (await shared.read({partition: before}, 2, wait=False)).get(partition, [])
    has_end = bool(found) and found[0].position == end
    after = found[1:] if has_end else found
    if following(end, after[:1]):
        return None
    if has_end:
        places = (f"{place.term}-{place.n}" for place in (end, after[0].position))
        return Unreadable(_STRANGE.format(partition, *places))
    return Forked(partition, f"the log does not go on after {end}")
