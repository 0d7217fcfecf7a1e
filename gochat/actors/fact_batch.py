"""A batch of facts on its way to listeners, and where a room's facts are cut into batches."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from gochat.domain.facts import AnyFact, Closed, Member
from gochat.domain.sight import redact, referenced_seqs, refers_to
from gochat.protocol.codec import Codec

#: Facts of a batch that refer to others, where those may be hidden from some of the listeners: it is encoded for as
#: many different sights, and one more.
REFERRING: Final = 8


class FactBatch(msgspec.Struct, eq=False):
    """Facts of one room, of one transaction, for one set of listeners. Encoded at most once for each codec."""

    room: str
    commit: int
    facts: Sequence[AnyFact]
    added: Collection[str] = ()
    removed: Collection[str] | None = ()
    """Users who hear nothing after this; None when that is everybody."""
    hidden: str | None = None
    """A user of a private room who does not hear these: they were asked, and have not answered."""
    referred: tuple[int, ...] = ()
    """Seqs that the facts refer to, ascending, where those may be hidden from some of the listeners."""
    since: Mapping[str, int] = {}
    """In a private room, where users begin to see it, if that is not the beginning."""
    encoded: dict[Codec, bytes] = {}
    veiled: dict[int, FactBatch] = {}
    """The batch for users who do not see the first so many of `referred`; made when it is needed."""

    @property
    def first(self) -> int:
        return self.facts[0].seq

    @property
    def last(self) -> int:
        return self.facts[-1].seq

    @property
    def size(self) -> int:
        """Bytes of the largest encoding that was made."""
        return max((len(data) for each in (self, *self.veiled.values()) for data in each.encoded.values()), default=0)

    def for_those_since(self, since: int) -> FactBatch:
        """The batch as it is told to whoever came in at that seq and sees nothing from before."""
        count = bisect_left(self.referred, since)
        if not count:
            return self
        found = self.veiled.get(count)
        if found is None:
            found = self.veiled[count] = FactBatch(
                self.room, self.commit, [redact(fact, since - 1) for fact in self.facts], self.added, self.removed
            )
        return found


def fact_batches(
    room: str,
    commit: int,
    facts: Sequence[AnyFact],
    hidden: Mapping[int, str] = {},
    *,
    veils: bool = False,
    since: Mapping[str, int] = {},
) -> list[FactBatch]:
    """Cut a batch where the set of listeners changes: before an `added`, after a `removed`, a `left`, a `closed`, and
    in a private room where one of the two begins or ceases to hear. `hidden`: who does not, by seq. `veils`: what the
    facts refer to may be hidden from some; then few of them that do are in one batch, for it is encoded once more
    for each. `since`: of a private room, see FactBatch."""
    if hidden:
        cut = []
        for user, group in itertools.groupby(facts, key=lambda fact: hidden.get(fact.seq)):
            cut.append(FactBatch(room, commit, list(group), hidden=user))
    else:
        cut = _cut_at_members(room, commit, facts)
    if not veils:
        return cut
    cut = [piece for fact_batch in cut for piece in _few_referring(fact_batch)]
    for fact_batch in cut:
        fact_batch.referred, fact_batch.since = referenced_seqs(fact_batch.facts), since
    return cut


def _few_referring(fact_batch: FactBatch) -> list[FactBatch]:
    """The batch in pieces with few facts that refer to others. Users who come hear from the first
    piece on, users who go hear up to the last."""
    pieces: list[list[AnyFact]] = [[]]
    few = 0
    for fact in fact_batch.facts:
        few += refers_to(fact) is not None
        if few > REFERRING:
            pieces.append([])
            few = 1
        pieces[-1].append(fact)
    if len(pieces) == 1:
        return [fact_batch]
    cut = [FactBatch(fact_batch.room, fact_batch.commit, piece, hidden=fact_batch.hidden) for piece in pieces]
    cut[0].added, cut[-1].removed = fact_batch.added, fact_batch.removed
    return cut


def _cut_at_members(room: str, commit: int, facts: Sequence[AnyFact]) -> list[FactBatch]:
    if all(type(fact) is not Member and type(fact) is not Closed for fact in facts):
        return [FactBatch(room, commit, facts)]
    cut: list[FactBatch] = []
    begin = 0
    added: Collection[str] = ()
    for index, fact in enumerate(facts):
        if isinstance(fact, Member) and fact.change == "added":
            if index > begin:
                cut.append(FactBatch(room, commit, facts[begin:index], added))
            begin, added = index, fact.users
        elif isinstance(fact, Closed) or (isinstance(fact, Member) and fact.change in ("removed", "left")):
            removed = None if isinstance(fact, Closed) else fact.users
            cut.append(FactBatch(room, commit, facts[begin : index + 1], added, removed))
            begin, added = index + 1, ()
    if begin < len(facts):
        cut.append(FactBatch(room, commit, facts[begin:], added))
    return cut
