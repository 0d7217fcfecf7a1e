"""When a room whose state was lost is rebuilt, if no mail makes it sooner: in a moment, and ever less often while the
store fails."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from gochat.actors.supervisor import Spec, Supervisor

#: Seconds from a failed append until the room is rebuilt; doubled with each try that fails.
FIRST_S: Final = 0.5
#: And so many at most: a store that is back is noticed within them.
MOST_S: Final = 8.0


class StaleRoom(Protocol):
    """The room that is to be rebuilt."""

    address: str

    @property
    def stale(self) -> bool:
        """Whether it has still to be."""

    def go_on(self) -> None:
        """Try it now."""


class Rebuild:
    """Of one room. It has one task at most, however often the room fails."""

    __slots__ = ("_pause_s", "_room", "_supervisor", "_waits")

    def __init__(self, room: StaleRoom, supervisor: Supervisor) -> None:
        self._room = room
        self._supervisor = supervisor
        self._pause_s = FIRST_S
        self._waits = False
        """Whether there is a task."""

    def start(self) -> None:
        """Have the room rebuilt after the pause, unless that is on its way."""
        if not self._waits:
            self._waits = True
            self._supervisor.start(Spec(f"rebuild {self._room.address}", self._go_on_later, "temporary"))

    def succeeded(self) -> None:
        """The room was rebuilt: the next pause is short again."""
        self._pause_s = FIRST_S

    async def _go_on_later(self) -> None:
        await trio.sleep(self._pause_s)
        self._waits = False
        if self._room.stale:
            self._pause_s = min(2 * self._pause_s, MOST_S)
            self._room.go_on()
