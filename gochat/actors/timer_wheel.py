"""Deadlines of all sessions in one wheel: no timer, no task and no scope for each session."""

from __future__ import annotations

import logging
import math
from typing import Protocol

import trio

from gochat.looking import next_look

log = logging.getLogger(__name__)

#: A slot of the wheel; how late an entry may be asked.
SLOT_S = 0.25


class Timed(Protocol):
    def check(self, now: float) -> float | None:
        """Do what is due; when to be asked again (trio clock), or None: never."""


class TimerWheel:
    """Each entry is asked at its time, at most a slot late, and not before."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Timed]] = {}
        self._last = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, entry: Timed, at: float) -> None:
        self._slots.setdefault(max(math.ceil(at / SLOT_S), self._last + 1), []).append(entry)

    async def run(self) -> None:
        while True:
            await trio.sleep_until(next_look(trio.current_time(), SLOT_S))
            self.turn(trio.current_time())

    def turn(self, now: float) -> None:
        """Ask all that are due. After a pause of the process all missed slots are due at once."""
        current = math.floor(now / SLOT_S)
        due = [slot for slot in self._slots if slot <= current]
        self._last = max(self._last, current)
        for slot in sorted(due):
            for entry in self._slots.pop(slot):
                try:
                    again = entry.check(now)
                except Exception:
                    log.exception("a deadline crashed")  # The others of its slot must not lose theirs.
                    again = now + 1
                if again is not None:
                    self.add(entry, again)
