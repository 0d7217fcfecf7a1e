"""One task that takes the turns of all actors.

An actor with mail goes into the queue and has its turn one tick later. So what one tick brings is one batch for each
room, and what all rooms record is one commit. A task for each room would cost two switches a turn, which is more than
most turns take.
"""

from __future__ import annotations

import logging
from typing import Protocol

import trio

log = logging.getLogger(__name__)

#: Turns between two checkpoints: about 1 ms.
SLICE = 50


class Runnable(Protocol):
    """An entry of the queue."""

    def run_turn(self) -> None:
        """Take one turn. Must neither wait nor raise."""


class RunQueue:
    """Entries in the order they came. `run` must be running."""

    def __init__(self) -> None:
        self._ready: list[Runnable] = []
        self._work = trio.Event()

    def add(self, entry: Runnable) -> None:
        """Let the entry have one turn with the next tick. An entry that is added twice has two turns."""
        if not self._ready:
            self._work.set()
        self._ready.append(entry)

    async def run(self) -> None:
        while True:
            if self._ready:
                await trio.lowlevel.checkpoint()
            else:
                self._work = trio.Event()
                await self._work.wait()
            entries, self._ready = self._ready, []
            for number, entry in enumerate(entries, 1):
                try:
                    entry.run_turn()
                except Exception:
                    log.exception("an entry of the run queue crashed")  # The others of the tick have their turns.
                if number % SLICE == 0:
                    await trio.lowlevel.checkpoint()
