"""Questions to the evidence that several judges ask."""

from __future__ import annotations

from gochat.sim.evidence import Asked, Evidence, Fact, Name


def recorded(evidence: Evidence) -> dict[Name, list[Fact]]:
    places: dict[Name, list[Fact]] = {}
    for room, facts in evidence.history.items():
        for fact in facts:
            if fact.message and fact.key is not None:
                places.setdefault(Name(room, fact.sender, fact.key), []).append(fact)
    return places


def sends_of(evidence: Evidence) -> dict[Name, Asked]:
    return {
        Name(asked.frame["to"], asked.user, asked.frame["key"]): asked
        for asked in evidence.asked
        if asked.kind == "send" and "key" in asked.frame
    }


def first_seen(evidence: Evidence) -> dict[tuple[str, int], float]:
    """When each fact was first acked or heard."""
    seen: dict[tuple[str, int], float] = {}

    def note(room: str, seq: int, at: float) -> None:
        seen[room, seq] = min(at, seen.get((room, seq), at))

    for reader, rooms in evidence.hearings.items():
        for room, hearings in rooms.items():
            for fact, (connection, at) in zip(evidence.heard[reader][room], hearings, strict=True):
                if evidence.served.get((reader, connection)) not in evidence.gone:
                    note(room, fact.seq, at)
    for asked in evidence.asked:
        if asked.reply is not None and asked.reply["type"] == "ack" and not evidence.is_void(asked):
            note(asked.reply["room"], asked.reply["seq"], asked.answered_at)
    return seen
