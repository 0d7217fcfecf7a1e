"""A disk that stalls and a clock that is wrong, for one process; see machine.c."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

SOURCE = Path(__file__).with_name("machine.c")
_SWITCHES = struct.Struct("=qq")


class Machine:
    """The ground under one process, if it is started with `env`. The folder `root` must be there by then."""

    def __init__(self, library: Path, root: Path, switches: Path) -> None:
        """`library`: of SOURCE. `switches`: a file to be made."""
        switches.write_bytes(bytes(_SWITCHES.size))
        with switches.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SWITCHES.size)
        self.env = {"LD_PRELOAD": str(library), "MACHINE_ROOT": str(root), "MACHINE_SWITCHES": str(switches)}

    @property
    def stalls(self) -> bool:
        """Whether a writer below the root waits."""
        return bool(self._switches[0])

    @stalls.setter
    def stalls(self, on: bool) -> None:
        self._map[:] = _SWITCHES.pack(on, self.ahead_s)

    @property
    def ahead_s(self) -> int:
        """How far the clock of the day is ahead."""
        return self._switches[1]

    @ahead_s.setter
    def ahead_s(self, seconds: int) -> None:
        self._map[:] = _SWITCHES.pack(self.stalls, seconds)

    @property
    def _switches(self) -> tuple[int, int]:
        stalls, ahead_s = _SWITCHES.unpack(self._map)
        return stalls, ahead_s
