"""Tells the server what this device has: of each room the latest fact, at most once a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from gochat.protocol.requests import AnyRequest, Got

#: Between two confirmations of one room, and rooms that are confirmed at once: a client that was away has many.
EVERY_S: Final = 1.0
AT_ONCE: Final = 20


class Confirmed:
    """`run` must be running for anything to be told. A broken connection loses what was told last: the next fact of
    the room tells it again."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._something = trio.Event()

    def note(self, room: str, seq: int) -> None:
        """This device has the room up to `seq`. Never waits."""
        if seq > self._told.get(room, 0) and seq > self._waiting.get(room, 0):
            self._waiting[room] = seq
            self._something.set()

    def forget(self, room: str) -> None:
        """The room's log is another one, whose seqs may be lower."""
        self._waiting.pop(room, None)
        self._told.pop(room, None)

    async def run(self, post: Callable[[AnyRequest], object]) -> None:
        """Tell it, for ever."""
        while True:
            await self._something.wait()
            for room in list(self._waiting)[:AT_ONCE]:
                seq = self._told[room] = self._waiting.pop(room)
                post(Got(room=room, seq=seq))
            if not self._waiting:
                self._something = trio.Event()
            await trio.sleep(EVERY_S)
