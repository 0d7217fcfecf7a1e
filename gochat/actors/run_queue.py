"""One task that takes the turns of all actors.

An actor with mail goes into the queue and has its turn one tick later. So what one tick brings is one batch for each
room. The journal stands in the same queue and has its turn after theirs, so that what all rooms record is one commit.
A task for each room would cost two switches a turn, which is more than most turns take.
"""

from __future__ import annotations

import logging

import trio

from gochat.ports.ticks import Runnable

log = logging.getLogger(__name__)

#: Turns between two checkpoints: about 1 ms.
SLICE = 50


class RunQueue:
    """A `ports.TurnQueue`. `run` must be running."""

    def __init__(self) -> None:
        self._ready: list[Runnable] = []
        self._work = trio.Event()

    def add(self, entry: Runnable) -> None:
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
