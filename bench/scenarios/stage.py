"""What all scenarios share: where the servers run, and how a stretch of load is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import procfs
from bench.load.loop import Driver
from bench.load.outcome import Length, Outcome
from bench.load.wire import Wire
from bench.server import Cores


class Stage(NamedTuple):
    """Where the servers of a run get their cores and their data, and how gochat is started and spoken to."""

    data: Path
    cores: Cores
    wire: Wire
    program: Sequence[str]


class Stretch(NamedTuple):
    outcome: Outcome
    server_cpu_s: float
    server_rss_mb: float

    @property
    def generator_cpu(self) -> float:
        return self.outcome.cpu_s / self.outcome.seconds

    def cpu_us(self, count: float) -> float:
        """The server's CPU time over `count`, in microseconds."""
        return self.server_cpu_s * 1e6 / count


def measure(driver: Driver, pid: int, length: Length) -> Stretch:
    """Warm up, then measure."""
    driver.drive(length.warm_up())
    cpu_s = procfs.cpu_s(pid)
    outcome = driver.drive(length)
    return Stretch(outcome, procfs.cpu_s(pid) - cpu_s, procfs.rss_bytes(pid) / 1e6)
