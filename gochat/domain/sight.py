"""The part of a room that one reader may see: the rule that every path asks, live or from the log.

A reader sees the facts with low < seq <= high. `low` is where a member of a group with `since_join` came in, the last
time; `high` is the head, or where the time of a former member ended. The account of a fact that the reader sees
must not tell of a fact that the reader does not see: `redact` takes those parts away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gochat.domain.facts import AnyFact, Group, Hidden, Message, OnMessage


def refers_to(fact: AnyFact) -> int | None:
    """The seq of the message that the fact is about, or replies to."""
    if isinstance(fact, Message):
        return fact.reply_to
    return fact.target if isinstance(fact, OnMessage) else None


def redact(fact: AnyFact, low: int) -> AnyFact:
    """The fact as it is told to a reader from whom the room is hidden up to `low`. Its own seq is above that."""
    seq = refers_to(fact)
    if seq is None or seq > low:
        return fact
    if isinstance(fact, Message):
        return msgspec.structs.replace(fact, reply_to=None)
    return Hidden(room=fact.room, seq=fact.seq, ts=fact.ts)


def referenced_seqs(facts: Iterable[AnyFact]) -> tuple[int, ...]:
    """The seqs that facts refer to, ascending: each is where what is told of them may differ between readers."""
    return tuple(sorted({seq for seq in map(refers_to, facts) if seq is not None}))


def by_setting(facts: Sequence[AnyFact], hides: bool) -> Iterator[tuple[Sequence[AnyFact], bool]]:
    """The facts of a batch, in order, in pieces; and of each whether `since_join` held when it was decided, as `hides`
    says of the end. Only a change of the setting is recorded, so the first one tells what was before; in a group that
    the batch creates nothing was."""
    begin = 0
    hidden: bool | None = None
    for index, fact in enumerate(facts):
        if isinstance(fact, Group) and fact.history is not None:
            if index > begin:
                yield facts[begin:index], (fact.history == "all") if hidden is None else hidden
            begin, hidden = index, fact.history == "since_join"
    yield facts[begin:], hides
