"""Damaged rooms set apart: a list is read room by room where it can't be read at once, and says which it left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from gochat.errors import Damaged
from gochat.store.health import Health, is_damage

T = TypeVar("T")

#: Exceptions that damage may be met as.
FAULTS: Final = (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, Damaged)

#: Rooms that are left out of one welcome. With more the database is past serving from, and the frame past its bound.
MOST: Final = 1000


class SeparateRooms:
    """The rooms of one reading that can't be read. With `most` 0 there may be none: an unreadable room raises."""

    def __init__(self, health: Health, most: int = MOST) -> None:
        self._health = health
        self._most = most
        self.rooms: dict[str, None] = {}

    def bear(self, error: Exception) -> None:
        """Take note of damage that was met, to go on room by room. Raises anything else."""
        if not self._most or not is_damage(error):
            raise error
        self._health.failed("reading failed", error)

    def read(self, room: str, read: Callable[[], T]) -> T | None:
        """The result of `read`; None where the room is damaged, which is taken note of."""
        try:
            return read()
        except FAULTS as error:
            self.bear(error)
            self.leave_out(room, error)
            return None

    def leave_out(self, room: str, error: Exception) -> None:
        """Raises the error where too many are."""
        if len(self.rooms) >= self._most:
            raise error
        self.rooms[room] = None
