"""The cores of a server that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.affinity import on_all_cores

SLEEPS = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); print(1, flush=True)"


@pytest.fixture
def server() -> Iterator[int]:
    """A process of two threads that may run on one core."""
    with subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for thread in threads(process.pid):
                os.sched_setaffinity(thread, {0})
            yield process.pid
        finally:
            process.kill()


def threads(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


def cores(pid: int) -> list[set[int]]:
    return [os.sched_getaffinity(thread) for thread in threads(pid)]


def test_all_threads_get_all_cores_and_have_their_own_again_afterwards(server: int) -> None:
    assert cores(server) == [{0}, {0}]
    with on_all_cores([server]):
        assert all(found >= os.sched_getaffinity(0) for found in cores(server))
    assert cores(server) == [{0}, {0}]
