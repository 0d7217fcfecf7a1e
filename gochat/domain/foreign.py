"""A batch that another node decided, as it changes a room here.

Nothing is decided again: the log has given the batch its place. It is folded into the room's record, and told to the
same observers as a turn of the room's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gochat.domain.facts import AnyFact, Closed, Member, Message
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import Relation
from gochat.domain.side_records import AnySideRecord, Related, Sanctioned


class ForeignTurn(msgspec.Struct, frozen=True):
    """The parts of a `Turn` that are told, of a batch that was decided elsewhere."""

    draft: RoomRecord
    """The room after the batch, or after later ones that the record held already."""
    facts: Sequence[AnyFact]
    side_records: Sequence[AnySideRecord]
    hidden: Mapping[int, str]
    others: Sequence[AnyFact]
    passes_on: bool = False


def fold(
    record: RoomRecord, facts: Sequence[AnyFact], side_records: Sequence[AnySideRecord], hidden: Mapping[int, str]
) -> ForeignTurn:
    """The batch over `record`, which is not changed. A record that was loaded just now may hold some of it already:
    that is passed over. Raises ValueError where facts are missing in between."""
    draft = record.draft()
    others = [fact for fact in facts if type(fact) is not Message]
    if any(isinstance(fact, Member | Closed) for fact in others):
        draft.own_members()
    for fact in facts:
        if fact.seq > draft.head:
            draft.apply(fact)
    for entry in side_records:
        if isinstance(entry, Sanctioned):
            draft.sanction(entry)
    if draft.relation is not None:
        draft.relation = _related(draft.relation, record.head, facts, side_records, hidden)
    return ForeignTurn(draft, facts, side_records, hidden, others)


def _related(
    relation: Relation,
    head: int,
    facts: Sequence[AnyFact],
    side_records: Sequence[AnySideRecord],
    hidden: Mapping[int, str],
) -> Relation:
    """The relation after the batch: its latest change, and what waits for an answer since then."""
    for entry in side_records:
        if isinstance(entry, Related) and entry.change.n > relation.changes:
            relation, head = entry.after, max(head, entry.change.at)
    for fact in facts:
        if fact.seq > head and isinstance(fact, Message) and fact.seq in hidden:
            relation = relation.waits(fact.sender)
    return relation
