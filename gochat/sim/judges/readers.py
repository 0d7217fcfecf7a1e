"""Readers: they heard what the history has, all of it that is theirs, and no look showed less than an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gochat.sim.evidence import Evidence, Fact
from gochat.sim.judges import Judge
from gochat.sim.judges.lookups import first_seen


def _heard_alike(evidence: Evidence) -> Iterator[str]:
    for reader, rooms in evidence.heard.items():
        user = evidence.users.get(reader, "")
        for room, facts in rooms.items():
            begin = evidence.begins.get((reader, room), 0)
            yield from _heard_alike_in(reader, user, room, facts, evidence.history.get(room, []), begin)


def _heard_alike_in(
    reader: str, user: str, room: str, facts: list[Fact], history: list[Fact], begin: int
) -> Iterator[str]:
    before = begin
    for fact in facts:
        if fact.seq > len(history):
            yield f"{reader} heard {room}:{fact.seq}, which is beyond the history's end"
            return
        skipped = fact.seq != before + 1
        if skipped and not (fact.seq > before and fact.names(user, "added")):
            yield f"{reader} heard {fact} in {room} after seq {before}"
            return
        if not _alike(fact, history[fact.seq - 1]):
            yield f"{reader} heard {fact} in {room} where the history has {history[fact.seq - 1]}"
            return
        before = fact.seq
    end = _end(room, history, user)
    if before < end:
        yield f"{reader} heard {room} up to {before}, and it goes on to {end}"


def has_heard_all(evidence: Evidence, reader: str) -> bool:
    """Whether the reader has heard its rooms up to where the history ends for it."""
    user = evidence.users.get(reader, "")
    return all(
        (facts[-1].seq if facts else evidence.begins.get((reader, room), 0))
        >= _end(room, evidence.history.get(room, []), user)
        for room, facts in evidence.heard[reader].items()
    )


def _removed_hear_nothing(evidence: Evidence) -> Iterator[str]:
    """After the fact that removed them, users hear nothing of a group until they are in it again; then what was said
    meanwhile may be replayed."""
    for reader, rooms in evidence.hearings.items():
        user = evidence.users[reader]
        for room, hearings in rooms.items():
            history = evidence.history.get(room, [])
            removed, on = None, 0
            for fact, (connection, at) in zip(evidence.heard[reader][room], hearings, strict=True):
                if removed is not None and connection == on and not fact.names(user, "added"):
                    back = next((each.seq for each in history[fact.seq :] if each.names(user, "added")), None)
                    if back is None or at < _asked_at(evidence, room, back):
                        yield f"{reader} was removed at {room}:{removed.seq} and heard {fact}"
                        break
                removed, on = (fact if fact.names(user, "removed", "left") else None), connection


def _asked_at(evidence: Evidence, room: str, seq: int) -> float:
    """When the change of a group was asked for that stands at that seq; 0 where nobody knows."""
    for asked in evidence.asked:
        reply = asked.reply
        if asked.kind == "group" and reply is not None and (reply.get("room"), reply.get("seq")) == (room, seq):
            return asked.at
    return 0.0


def _heard_before_a_reset(evidence: Evidence) -> Iterator[str]:
    """Facts that a reader heard before it had to start anew hold, but for those that only a node had that is gone."""
    for reader, room, connection, fact in evidence.before_resets:
        history = evidence.history.get(room, [])
        if evidence.served.get((reader, connection)) in evidence.gone:
            continue
        if fact.seq > len(history) or not _alike(fact, history[fact.seq - 1]):
            found = history[fact.seq - 1] if fact.seq <= len(history) else None
            yield f"{reader} heard {fact} in {room} before a reset, where the history has {found}"


def _resets_are_due(evidence: Evidence) -> Iterator[str]:
    """A client has to start a room anew only where the log has another epoch, which only a node brings that is put
    out."""
    for reader, room, known, epoch in evidence.resets:
        if not (evidence.gone or evidence.left) or known == epoch:
            yield f"{reader} was told to start {room} anew, of epoch {epoch}, where it knew {known}"


def _end(room: str, history: list[Fact], user: str) -> int:
    """The last seq of a room that the user is told."""
    return _last_told(history, user) if user and room.startswith("group:") else len(history)


def _alike(heard: Fact, recorded: Fact) -> bool:
    """Bodies of edits, and of messages that were changed, are shown as they are when they are shown."""
    if heard.kind == "edit" or heard.shown_late or recorded.shown_late:
        return heard._replace(body=None, shown_late=False) == recorded._replace(body=None, shown_late=False)
    return heard == recorded


def _last_told(history: list[Fact], user: str) -> int:
    end, member = 0, False
    for fact in history:
        if fact.names(user, "added"):
            member = True
        elif member and fact.names(user, "removed", "left"):
            member, end = False, fact.seq
        if member:
            end = fact.seq
    return end


def _reads_never_go_back(evidence: Evidence) -> Iterator[str]:
    """A reading shows everything that the reader was shown before it and, where it `follows`, everything that anybody
    was."""
    seen: dict[str, list[tuple[float, int, str]]] = {}
    for (room, seq), at in first_seen(evidence).items():
        seen.setdefault(room, []).append((at, seq, ""))
    looks = [
        look for look in evidence.looks if evidence.served.get((look.client, look.connection)) not in evidence.gone
    ]
    for look in looks:
        seen.setdefault(look.room, []).append((look.at, look.head, look.client))
    for look in looks:
        history = evidence.history.get(look.room, [])
        if look.head > len(history):
            yield f"{look.client} was shown a head of {look.head} in {look.room}, which ends at {len(history)}"
            continue
        if look.head and history[look.head - 1].names(look.user, "removed", "left"):
            continue  # The room ended there for this reader.
        known = [
            seq for at, seq, client in seen[look.room] if at < look.asked_at and (client == look.client or look.follows)
        ]
        if look.head < max(known, default=0) and not _outside(history, look.user, look.head):
            yield f"{look.client} was shown a head of {look.head} in {look.room} when {max(known)} was known"


def _outside(history: list[Fact], user: str, head: int) -> bool:
    """Whether the user was not in the group at that seq."""
    member = not any(fact.change for fact in history)
    for fact in history[:head]:
        if fact.names(user, "added"):
            member = True
        elif fact.names(user, "removed", "left"):
            member = False
    return not member


JUDGES: Final[tuple[Judge, ...]] = (
    _heard_alike,
    _removed_hear_nothing,
    _heard_before_a_reset,
    _resets_are_due,
    _reads_never_go_back,
)
