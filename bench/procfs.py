"""The kernel's figures for a process: CPU seconds and resident memory. Linux only."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of all threads, ended ones too, as the scheduler counts them: in nanoseconds, where
    /proc/PID/stat has ticks of 10 ms."""
    # clock_getcpuclockid(3): the process' id above the bits that say "what the scheduler counted".
    return time.clock_gettime((~pid << 3) | 2)


class Switches(NamedTuple):
    """Context switches of all threads that there are: `waited` gave the core away, `pushed` had it taken."""

    waited: int
    pushed: int


def switches(pid: int) -> Switches:
    waited = pushed = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            lines = (task / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
        found = dict(line.split(":", 1) for line in lines if "ctxt_switches" in line)
        waited += int(found["voluntary_ctxt_switches"])
        pushed += int(found["nonvoluntary_ctxt_switches"])
    return Switches(waited, pushed)


def waited_s() -> float:
    """How long this process' first thread was ready to run while another had its core, in seconds; 0 where the kernel
    does not tell."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


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
