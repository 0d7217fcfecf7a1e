"""The traces of a chat, judged from outside: the messages sent, acked and heard, and the history.

Pure: it knows no server and no socket. `violations` names each broken promise in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec


class Fact(NamedTuple):
    """A fact as a client saw it, live or on a page."""

    seq: int
    kind: str
    sender: str
    key: str | None = None
    body: str | None = None

    @property
    def message(self) -> bool:
        return self.kind == "message"


class Name(NamedTuple):
    """The name of a message for ever: one key of one sender in one room."""

    room: str
    sender: str
    key: str


class Evidence(msgspec.Struct):
    """All that the clients know. Rooms are named by their ids."""

    sent: dict[Name, str] = {}
    """Every message that was handed to a socket, with its body."""
    acks: list[tuple[Name, int]] = []
    """Every ack that was read, repeats too, with its seq."""
    given_up: set[Name] = set()
    """Messages whose sender stopped asking before an ack came: in the history once, or not at all."""
    history: dict[str, list[Fact]] = {}
    """Each room's log, paged from the end state."""
    heard: dict[str, dict[str, list[Fact]]] = {}
    """By reader and room, in the order of arrival over all of the reader's connections. A reader starts at seq 1; what
    it paged after a `lag` stands where the gap was."""
    complaints: list[str] = []
    """Faults that a client itself saw, a `reset` for example."""


def violations(evidence: Evidence) -> list[str]:
    """Every broken promise; none: all is well."""
    return [
        *evidence.complaints,
        *_dense(evidence),
        *_nothing_from_nowhere(evidence),
        *_acks_hold(evidence),
        *_once(evidence),
        *_heard_alike(evidence),
    ]


def lost(evidence: Evidence) -> set[Name]:
    """Messages that were acked and are not in their room's history."""
    return {name for name, _ in evidence.acks} - set(_places(evidence))


def _places(evidence: Evidence) -> dict[Name, list[Fact]]:
    places: dict[Name, list[Fact]] = {}
    for room, facts in evidence.history.items():
        for fact in facts:
            if fact.message and fact.key is not None:
                places.setdefault(Name(room, fact.sender, fact.key), []).append(fact)
    return places


def _dense(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        for expected, fact in enumerate(facts, start=1):
            if fact.seq != expected:
                yield f"{room}: seq {fact.seq} stands where {expected} should"
                break


def _nothing_from_nowhere(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        for fact in facts:
            if not fact.message:
                continue
            body = None if fact.key is None else evidence.sent.get(Name(room, fact.sender, fact.key))
            if body is None:
                yield f"{room}:{fact.seq}: nobody sent it: {fact}"
            elif body != fact.body:
                yield f"{room}:{fact.seq}: sent as {body!r}, recorded as {fact.body!r}"


def _acks_hold(evidence: Evidence) -> Iterator[str]:
    places = _places(evidence)
    for name in sorted(lost(evidence)):
        yield f"{name}: acked and lost"
    for name, seq in evidence.acks:
        found = places.get(name)
        if found and all(fact.seq != seq for fact in found):
            yield f"{name}: acked at {seq}, recorded at {found[0].seq}"


def _once(evidence: Evidence) -> Iterator[str]:
    places = _places(evidence)
    for name, facts in places.items():
        if len(facts) > 1:
            yield f"{name}: recorded {len(facts)} times, at {[fact.seq for fact in facts]}"
    acked = {name for name, _ in evidence.acks}
    for name in evidence.sent:
        if name not in acked and name not in evidence.given_up:
            yield f"{name}: repeated until the end, and never acked"


def _heard_alike(evidence: Evidence) -> Iterator[str]:
    for reader, rooms in evidence.heard.items():
        for room, facts in rooms.items():
            history = evidence.history.get(room, [])
            for position, fact in enumerate(facts):
                if position >= len(history):
                    yield f"{reader} heard {room}:{fact.seq}, which is beyond the history's end"
                    break
                if fact != history[position]:
                    yield f"{reader} heard {fact} in {room} where the history has {history[position]}"
                    break
            else:
                if len(facts) < len(history):
                    yield f"{reader} heard {len(facts)} of the {len(history)} facts of {room}"
