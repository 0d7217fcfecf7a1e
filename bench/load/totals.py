"""The numbers that the processes of a community's load tell each other, and the check that their members got
the same facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.faults import Fault
from bench.load.ledger import Room
from bench.load.shared import shared


class Totals:
    """The numbers that the processes tell each other: see `shared`. One row of each for every process."""

    def __init__(self, processes: int, rooms: int) -> None:
        self.rooms = rooms
        self.sent = [shared(rooms) for _ in range(processes)]
        self.done = [shared(1) for _ in range(processes)]
        self.crcs = [shared(rooms) for _ in range(processes)]
        self.facts = [shared(rooms) for _ in range(processes)]

    def check(self, names: Sequence[str]) -> None:
        """Raises Fault unless the members in all processes got the same facts."""
        for index, name in enumerate(names):
            told = {
                (facts[index], crc[index]) for facts, crc in zip(self.facts, self.crcs, strict=True) if facts[index]
            }
            if len(told) > 1:
                raise Fault(f"{name}: members in different load processes got different facts: {sorted(told)}")


def rooms_here(members: Mapping[str, Sequence[str]], here: Sequence[str]) -> dict[str, Room]:
    """The rooms of a community as a process with these people sees them."""
    mine = set(here)
    return {
        name: Room(index, name, users, sum(user in mine for user in users))
        for index, (name, users) in enumerate(members.items())
    }
