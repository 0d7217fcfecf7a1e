"""Room at the end of SQLite's log file, so that a commit writes over bytes that the file has already.

A commit that makes the file longer has the file system record its new length too, and wait for that in a journal which
all files share: 0.93 instead of 0.74 ms where two processes commit at once, 0.79 instead of 0.71 where one does (ext4
on a virtual disk; bench/experiments/035). SQLite begins the file anew once it has 64 MB, and writes over what is in it
from then on; but after each stop in order the file is a new one, and a small server does not fill it in a day.

The room is zeros. SQLite takes them for what it takes the rest of an older log for, and reads no further: no frame has
page 0, and each must have the two random numbers of the file's head.
"""

from __future__ import annotations

import os
from typing import Final

#: Bytes of the room. One commit in 25 finds none, and the next one pays for making it only if it comes at once.
ROOM: Final = 1 << 20
_ZEROS: Final = bytes(ROOM)
_sync: Final = getattr(os, "fdatasync", os.fsync)


class WalRoom:
    """Of the one connection that writes; used in its thread, between its transactions."""

    def __init__(self, database: str) -> None:
        """`database`: its file, or nothing where it is in memory."""
        self._path = f"{database}-wal" if database else ""
        self._size = 0
        """Of the file when this looked last, with the room."""

    def keep(self) -> None:
        """Make room where the last commits have used up what there was. Never raises: without room a commit is slower,
        and where the disk is full the commits tell."""
        if not self._path:
            return
        try:
            size = os.stat(self._path).st_size  # noqa: PTH116 -- after each commit, and quicker
            if size > self._size:
                self._size = size  # As much as there is, if it can't be made longer.
                self._size = self._lengthen(size)
            elif size < self._size:
                self._size = size  # It was begun anew with a checkpoint: as long as nothing is in it, it needs no room.
        except OSError:
            pass  # See above.

    def _lengthen(self, size: int) -> int:
        # Another descriptor of this file takes no lock away when it is closed, as one of the database would: SQLite
        # locks the database and the file of shared memory, but never this one.
        file = os.open(self._path, os.O_WRONLY)
        try:
            written = os.pwrite(file, _ZEROS, size)
            _sync(file)
        finally:
            os.close(file)
        return size + written
