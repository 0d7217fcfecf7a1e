"""A user of a community: what they sent, what they must get, and how they come back after a connection is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.faults import Fault
from bench.load.client import Client
from bench.load.frames import Seen, Welcome, describe
from bench.load.ledger import Fact
from bench.load.session import Session


class Message:
    """One that was sent; seq 0 is not known yet."""

    __slots__ = ("acked", "frame", "planned", "room", "seen")

    def __init__(self, room: str, frame: bytes, planned: int) -> None:
        self.room = room
        self.frame = frame
        self.planned = planned
        self.acked = 0
        self.seen = 0


class Person:
    __slots__ = (
        "asked",
        "client",
        "dms",
        "epochs",
        "groups",
        "name",
        "next",
        "online",
        "open",
        "sent",
        "session",
        "since",
        "token",
    )

    def __init__(self, client: Client, welcome: Welcome, token: str, groups: Sequence[str], dms: Sequence[str]) -> None:
        """`groups` and `dms` are room ids."""
        self.client = client
        self.name = client.name
        self.token = token
        self.groups = groups
        self.dms = dms
        heads = {place.room: place for place in (*welcome.rooms, *welcome.contacts)}
        self.next = {room: heads[room].head + 1 if room in heads else 1 for room in (*groups, *dms)}
        """The seq that must come next, by room."""
        self.epochs = {room: heads[room].epoch if room in heads else welcome.epoch for room in self.next}
        self.session: Session
        self.online = True
        self.since = 0
        """When the last connection began: what was planned before is not timed, it had to wait for that."""
        self.sent = 0
        self.open: dict[int, Message] = {}
        """Messages that are not both acked and seen."""
        self.asked: dict[int, tuple[str, int]] = {}
        """Pages asked for: the room, and for when that was planned."""

    def acked(self, frame: Seen) -> Message:
        """Raises Fault unless it answers an open message with the seq that its fact has."""
        message = self.open.get(frame.id or 0)
        if message is None or message.acked or message.room != frame.room:
            raise Fault(f"{self.name}: an answer to id {frame.id}, which is not open: {describe(frame)}")
        message.acked = frame.seq
        self._settle(frame.id or 0, message)
        return message

    def wrote(self, fact: Fact) -> None:
        """Got the fact of an own message. Raises Fault where that was not open: recorded twice, or never sent."""
        message = self.open.get(fact.number)
        if message is None or message.seen or message.room != fact.room.name:
            raise Fault(f"{self.name}: message {fact.number} is not open, and is seq {fact.seq} of {fact.room.name}")
        message.seen = fact.seq
        self._settle(fact.number, message)

    def positions(self) -> dict[str, dict[str, Any]]:
        """For `resume`."""
        return {
            room: {"seq": seq - 1, **({"epoch": self.epochs[room]} if self.epochs[room] else {})}
            for room, seq in self.next.items()
        }

    def repeat(self) -> None:
        """Send again what was not acked: the same keys, so nothing is recorded twice."""
        for message in self.open.values():
            if not message.acked:
                self.session.send(message.frame)

    def _settle(self, number: int, message: Message) -> None:
        if message.acked and message.seen:
            if message.acked != message.seen:
                told = f"was acked as seq {message.acked} of {message.room} and is {message.seen}"
                raise Fault(f"{self.name}: message {number} {told}")
            del self.open[number]
