"""Which cores a server's threads may run on, while it runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def on_all_cores(pids: Collection[int]) -> Iterator[None]:
    """Let all threads of these processes run on any core while the block lasts, and after it where they might
    before."""
    before = {pid: os.sched_getaffinity(pid) for pid in pids}
    every = range(os.cpu_count() or 1)
    try:
        for pid in pids:
            _keep(pid, every)
        yield
    finally:
        for pid, cores in before.items():
            _keep(pid, cores)


def _keep(pid: int, cores: Collection[int]) -> None:
    """Twice, since a thread that is started meanwhile has the cores of the one that starts it."""
    for _ in range(2):
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                os.sched_setaffinity(int(task.name), cores)
            except ProcessLookupError:
                continue  # It ended meanwhile.
