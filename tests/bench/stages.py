"""Stages for the tests: the stand-in server, or gochat itself."""

from __future__ import annotations

import os
from pathlib import Path

from bench.load.outcome import Length
from bench.load.wire import WIRES
from bench.scenarios.stage import Stage
from bench.server import Cores

STANDIN = str(Path(__file__).with_name("standin.py"))
GOCHAT = ("-m", "gochat", "serve")
SHORT = Length(0.5, patience_s=5.0)
#: All cores for all: beside other tests none is free, and the system finds the one that is least busy.
SHARED = Cores(*[frozenset(os.sched_getaffinity(0))] * 2)


def standin(folder: Path, transport: str = "tcp", faults: str = "") -> Stage:
    return Stage(folder, SHARED, WIRES[transport], (STANDIN, *faults.split()))


def gochat(folder: Path, transport: str = "ws", processes: int = 1) -> Stage:
    return Stage(folder, SHARED, WIRES[transport], GOCHAT, processes=processes)
