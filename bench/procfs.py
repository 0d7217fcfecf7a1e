"""What the kernel says of a process: CPU seconds and resident memory. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of all threads, ended ones too; steps of one tick (10 ms)."""
    # The second field is the program's name in parentheses and may hold spaces; the rest counts from field 3.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_bytes(pid: int) -> int:
    """Resident memory, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def filesystem(path: Path) -> tuple[str, str]:
    """(type, device) of the filesystem that holds `path`."""
    found = ("", "unknown", "unknown")
    real = str(path.resolve()) + "/"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, point, kind = line.split()[:3]
        if real.startswith(point.rstrip("/") + "/") and len(point) >= len(found[0]):
            found = (point, kind, device)
    return found[1], found[2]
