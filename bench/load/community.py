"""The members of each room, and the pairs that write to each other: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from bench.load.acquaint import room_of

_PEERS = 3  # Users with whom one has private talks, on average.
_LEAST = 3


class Community(NamedTuple):
    """`rooms` are group names with their members, the owner first; `pairs` are contacts."""

    users: Sequence[str]
    rooms: dict[str, list[str]]
    pairs: list[tuple[str, str]]

    @classmethod
    def make(cls, users: Sequence[str], groups: Sequence[str], seed: int = 5) -> Community:
        """Sizes by Zipf's law: everybody is in the first group, half of all in the second, a third in the next."""
        rng = random.Random(seed)
        rooms = {
            name: rng.sample(users, min(len(users), max(_LEAST, len(users) // rank)))
            for rank, name in enumerate(groups, 1)
        }
        pairs = {
            tuple(sorted((user, peer)))
            for user in users
            for peer in rng.sample(users, min(len(users), _PEERS // 2 + 1))
            if peer != user
        }
        return cls(users, rooms, [(one, other) for one, other in sorted(pairs)])

    def members(self) -> dict[str, list[str]]:
        """Of every room, private ones too, by the room's id."""
        groups = {f"group:{name}": members for name, members in self.rooms.items()}
        return groups | {room_of(one, other): [one, other] for one, other in self.pairs}
