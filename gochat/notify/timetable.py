"""Rooms that are to be looked at, by time. Pure, and bounded: rooms that do not fit are found in the store later."""

from __future__ import annotations

import heapq
from typing import Final

from gochat.domain.notices import UnseenRoom

#: Rooms that are kept in memory, some 300 bytes each.
MOST_ROOMS: Final = 100_000


class Timetable:
    """One time for each room, the earliest that it was told."""

    def __init__(self, most: int = MOST_ROOMS) -> None:
        self._most = most
        self._rooms: dict[str, tuple[int, UnseenRoom]] = {}
        self._heap: list[tuple[int, str]] = []
        self.overflowed = False
        """Whether a room was left out since this was last set to False."""

    def __len__(self) -> int:
        return len(self._rooms)

    def __contains__(self, room: str) -> bool:
        return room in self._rooms

    def put(self, room: UnseenRoom, at_ms: int) -> None:
        known = self._rooms.get(room.room)
        if known is not None and known[0] <= at_ms:
            return
        if known is None and len(self._rooms) >= self._most:
            self.overflowed = True
            return
        self._rooms[room.room] = at_ms, room
        heapq.heappush(self._heap, (at_ms, room.room))

    @property
    def next_ms(self) -> int | None:
        """The earliest time of all."""
        while self._heap:
            at_ms, name = self._heap[0]
            known = self._rooms.get(name)
            if known is not None and known[0] == at_ms:
                return at_ms
            heapq.heappop(self._heap)  # It was put earlier meanwhile, or taken.
        return None

    def take(self, now_ms: int, most: int) -> list[UnseenRoom]:
        """The rooms whose time has come, at most so many, the earliest first."""
        taken: list[UnseenRoom] = []
        while len(taken) < most:
            at_ms = self.next_ms
            if at_ms is None or at_ms > now_ms:
                break
            _, name = heapq.heappop(self._heap)
            taken.append(self._rooms.pop(name)[1])
        return taken
