"""Messages and their changes in the history: none lost, doubled, moved or changed, each where its reply said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gochat.sim.evidence import Evidence, Name
from gochat.sim.judges import Judge
from gochat.sim.judges.lookups import recorded, sends_of


def lost(evidence: Evidence) -> set[Name]:
    """Messages that were acked and are not in their room's history."""
    missing = {name for name, _ in evidence.acks} - set(recorded(evidence))
    if missing and evidence.gone:
        sends = sends_of(evidence)
        missing = {name for name in missing if name not in sends or not evidence.is_void(sends[name])}
    return missing


def _dense(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        for expected, fact in enumerate(facts, start=1):
            if fact.seq != expected:
                yield f"{room}: seq {fact.seq} stands where {expected} should"
                break


def _nothing_from_nowhere(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        for fact in facts:
            if not fact.message or (
                fact.key is None and evidence.sent_once.get(fact.body or "") == (room, fact.sender)
            ):
                continue
            if fact.key is None and fact.shown_late:
                continue  # Its words tell no more which one it was.
            body = None if fact.key is None else evidence.sent.get(Name(room, fact.sender, fact.key))
            if body is None:
                yield f"{room}:{fact.seq}: nobody sent it: {fact}"
            elif body != fact.body and not fact.shown_late:
                yield f"{room}:{fact.seq}: sent as {body!r}, recorded as {fact.body!r}"


def _acks_hold(evidence: Evidence) -> Iterator[str]:
    places, sends = recorded(evidence), sends_of(evidence) if evidence.gone else {}
    for name in sorted(lost(evidence)):
        yield f"{name}: acked and lost"
    for name, seq in evidence.acks:
        found = places.get(name)
        if name in sends and evidence.is_void(sends[name]):
            continue
        if found and all(fact.seq != seq for fact in found):
            yield f"{name}: acked at {seq}, recorded at {found[0].seq}"


def _once(evidence: Evidence) -> Iterator[str]:
    places = recorded(evidence)
    for name, facts in places.items():
        if len(facts) > 1:
            yield f"{name}: recorded {len(facts)} times, at {[fact.seq for fact in facts]}"
    acked = {name for name, _ in evidence.acks}
    for name in evidence.sent:
        if name not in acked and name not in evidence.given_up:
            yield f"{name}: repeated until the end, and never acked"


def _without_a_key_once(evidence: Evidence) -> Iterator[str]:
    places: dict[str, list[int]] = {}
    for facts in evidence.history.values():
        for fact in facts:
            if fact.message and fact.key is None and fact.body is not None and not fact.shown_late:
                places.setdefault(fact.body, []).append(fact.seq)
    for body, seqs in places.items():
        if len(seqs) > 1:
            yield f"{body!r} was sent once and is recorded at {seqs}"
    for asked in evidence.asked:
        if asked.kind == "send" and "key" not in asked.frame and asked.reply is not None and asked.succeeded:
            facts = evidence.history.get(asked.frame["to"], [])
            found = facts[asked.reply["seq"] - 1] if asked.reply["seq"] <= len(facts) else None
            if evidence.is_void(asked) or (
                found is not None and (found.shown_late or found.body == asked.frame["body"])
            ):
                continue
            yield f"{asked.frame['body']!r} was acked at {asked.reply['seq']}, where {found} stands"


def _refused_are_absent(evidence: Evidence) -> Iterator[str]:
    places = recorded(evidence)
    for name, asked in sends_of(evidence).items():
        if asked.refused and name in places:
            yield f"{name}: refused with {asked.reply}, and recorded at {places[name][0].seq}"


def _in_real_time(evidence: Evidence) -> Iterator[str]:
    """A message that was acked stands before every message that was sent later."""
    sends, never = sends_of(evidence), float("inf")
    for room, facts in evidence.history.items():
        latest, later = 0.0, ""
        for fact in facts:
            asked = sends.get(Name(room, fact.sender, fact.key or ""))
            if asked is None:
                continue
            acked_at = asked.answered_at if asked.succeeded and not evidence.is_void(asked) else never
            if acked_at < latest:
                yield f"{room}:{fact.seq} was acked before {later} was sent, which stands before it"
                break
            if asked.at > latest:
                latest, later = asked.at, f"{room}:{fact.seq}"


def _changes_hold(evidence: Evidence) -> Iterator[str]:
    """An edit, a deletion, a reaction that was acked stands at its seq, and the message is as the last of them says."""
    for asked in evidence.asked:
        if asked.kind not in ("edit", "delete", "react") or not asked.succeeded or asked.reply is None:
            continue
        if evidence.is_void(asked):
            continue
        room, seq, target = asked.frame["room"], asked.reply["seq"], asked.frame["seq"]
        facts = evidence.history.get(room, [])
        kind = "reaction" if asked.kind == "react" else asked.kind
        found = facts[seq - 1] if 0 < seq <= len(facts) else None
        if asked.kind == "react" and not asked.frame["on"] and seq == target:
            continue  # There was nothing to take off.
        if found is None or (found.kind, found.target) != (kind, target):
            yield f"{room}: {asked.frame} of {asked.user} was acked at {seq}, where {found} stands"
        elif asked.kind == "delete" and target <= len(facts) and facts[target - 1].body is not None:
            yield f"{room}:{target} was deleted and is shown: {facts[target - 1]}"
    for (room, target), (seq, body) in _last_edits(evidence).items():
        facts = evidence.history.get(room, [])
        shown = facts[target - 1].body if target <= len(facts) else None
        unknown = any(fact.kind == "edit" and fact.target == target and fact.seq > seq for fact in facts)
        if shown is not None and shown != body and not unknown:
            yield f"{room}:{target} was edited at {seq} to {body!r} and shows {shown!r}"


def _last_edits(evidence: Evidence) -> dict[tuple[str, int], tuple[int, str]]:
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for asked in evidence.asked:
        if asked.kind == "edit" and asked.succeeded and asked.reply is not None and not evidence.is_void(asked):
            place = asked.frame["room"], asked.frame["seq"]
            last[place] = max(last.get(place, (0, "")), (asked.reply["seq"], asked.frame["body"]))
    return last


def _time_does_not_fall(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        latest = 0
        for fact in facts:
            if fact.ts < latest:
                yield f"{room}:{fact.seq} is of {fact.ts}, after one of {latest}"
                break
            latest = fact.ts


JUDGES: Final[tuple[Judge, ...]] = (
    _dense,
    _nothing_from_nowhere,
    _acks_hold,
    _once,
    _without_a_key_once,
    _refused_are_absent,
    _in_real_time,
    _changes_hold,
    _time_does_not_fall,
)
