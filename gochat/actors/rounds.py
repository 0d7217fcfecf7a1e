"""One task that runs the turns of all rooms that need nothing but their record.

A switch to a room's own task and back costs more than most turns do. So a room whose mail can be decided at once goes
into the next round: a tick after the first mail came, so that what one tick brings is one batch a room, and what all
rooms record is one commit.
"""

from __future__ import annotations

from typing import Protocol

import trio

from gochat.actors.sleeper import Sleeper

#: Turns between two checkpoints: about 1 ms.
SLICE = 50


class Ready(Protocol):
    """A room with mail that can be decided at once."""

    def round(self) -> None:
        """Take one turn. Must not raise, nor wait."""


class Rounds:
    """`run` must be running."""

    def __init__(self) -> None:
        self._ready: list[Ready] = []
        self._sleeper = Sleeper()

    def add(self, room: Ready) -> None:
        """Take the room into the next round; it sees to it that it is there once."""
        self._ready.append(room)
        self._sleeper.wake()

    async def run(self) -> None:
        while True:
            if self._ready:
                await trio.lowlevel.checkpoint()
            else:
                await self._sleeper.sleep()
            rooms, self._ready = self._ready, []
            for number, room in enumerate(rooms, 1):
                room.round()
                if number % SLICE == 0:
                    await trio.lowlevel.checkpoint()
