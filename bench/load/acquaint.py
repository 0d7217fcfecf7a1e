"""Preparations before users write to each other: they are made contacts, and the heads of their rooms are learned."""

from __future__ import annotations

from collections.abc import Sequence

from bench.faults import Fault
from bench.load.client import Client
from bench.load.frames import decode

_WAVE = 100  # Requests in flight; below any sensible window, also where all are of one user.
#: Answers of a server that knows no relations between users: everybody may write to everybody there.
_UNKNOWN = frozenset(("bad_request", "internal", "not_found", "unavailable"))


def befriend(pairs: Sequence[tuple[Client, Client]]) -> bool:
    """Make both of each pair the other's contact, so that nobody's messages wait for an answer. False where the server
    knows nothing of contacts. Raises Fault for any other refusal."""
    asks = [(one, other) for pair in pairs for one, other in (pair, pair[::-1])]
    for start in range(0, len(asks), _WAVE):
        wave = asks[start : start + _WAVE]
        for client, peer in wave:
            client.write(type="contact", id=1, user=peer.name, action="add")
        known = [_answered(client) for client, _ in wave]
        if not all(known):
            return False
    return True


def _answered(client: Client) -> bool:
    while True:
        frame = decode(client.payload(), client.name)
        if frame.type == "error" and frame.code in _UNKNOWN:
            return False
        if frame.type == "error":
            raise Fault(f"{client.name}: contact: {frame.code}: {frame.message}")
        if frame.id is not None:
            return True


def room_of(one: str, other: str) -> str:
    """The private room of two users."""
    return ":".join(["dm", *sorted((one, other))])


def head(client: Client, room: str) -> int:
    """The seq of the room's latest fact; 0 for an empty one."""
    client.write(type="history", id=1, room=room, limit=1)
    while True:
        frame = decode(client.payload(), client.name)
        if frame.type == "error":
            return 0  # A private room that holds nothing yet may not exist for the server.
        if frame.id is not None:
            return frame.head


def settle(clients: Sequence[Client]) -> None:
    """Read what is on its way to them: after a `pong` nothing is that was caused before."""
    for client in clients:
        client.write(type="ping", id=1)
    for client in clients:
        client.replies(1)
