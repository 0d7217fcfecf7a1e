"""The server's system calls, counted by `perf` or else by `strace`, if one of them is there and may look.

Counting costs (with strace every call stops the server), so it has a stretch of its own and no other figure is taken
from that.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_EVENT = "raw_syscalls:sys_enter"
_ATTACH_S, _END_S = 10.0, 10.0
_TOTAL = re.compile(r"^100\.00\s+\S+\s+\S+\s+(\d+)\b.*\btotal$", re.MULTILINE)


class Counted(NamedTuple):
    """How many calls there were in how many deliveries; `remark` says why there is no count."""

    calls: int = 0
    deliveries: int = 0
    remark: str = ""


def count_syscalls(pid: int, load: Callable[[], int]) -> Counted:
    """`load` makes the server work and returns the number of deliveries."""
    if not pid:
        return Counted(remark="system calls not counted: the server's process is not known (--pid)")
    tried = [_perf(pid, load) if shutil.which("perf") else "perf is not installed"]
    if isinstance(tried[0], str):
        tried.append(_strace(pid, load) if shutil.which("strace") else "strace is not installed")
    found = tried[-1]
    if isinstance(found, Counted):
        return found
    return Counted(remark=f"system calls not counted: {'; '.join(map(str, tried))}")


def _perf(pid: int, load: Callable[[], int]) -> Counted | str:
    done = subprocess.run(
        ["perf", "stat", "-x", ",", "-e", _EVENT, "-p", str(pid), "sleep", "0.01"], capture_output=True, text=True
    )
    if done.returncode or not done.stderr.split(",")[0].isdigit():
        return "perf may not look"
    with tempfile.NamedTemporaryFile() as output:
        command = ["perf", "stat", "-x", ",", "-o", output.name, "-e", _EVENT, "-p", str(pid)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await(lambda: _opened_events(process.pid) or process.poll() is not None)
            deliveries = load()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_END_S)
        for line in Path(output.name).read_text().splitlines():
            if _EVENT in line and line.split(",")[0].isdigit():
                return Counted(int(line.split(",")[0]), deliveries)
    return "perf counted nothing"


def _opened_events(pid: int) -> bool:
    try:
        return any("perf_event" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _strace(pid: int, load: Callable[[], int]) -> Counted | str:
    with tempfile.NamedTemporaryFile() as output:
        command = ["strace", "-c", "-f", "-o", output.name, "-p", str(pid)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await(lambda: _traced(pid) or process.poll() is not None)
            if process.poll() is not None:
                return "strace may not look"
            deliveries = load()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_END_S)
        total = _TOTAL.search(Path(output.name).read_text())
    return Counted(int(total[1]), deliveries) if total else "strace counted nothing"


def _traced(pid: int) -> bool:
    """Whether every thread has a tracer."""
    return all("TracerPid:\t0" not in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ATTACH_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
