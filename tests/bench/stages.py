"""Stages for the tests: the stand-in server, or gochat itself."""

from __future__ import annotations

from pathlib import Path

from bench.load.outcome import Length
from bench.load.wire import WIRES
from bench.scenarios.stage import Stage
from bench.server import Cores

STANDIN = str(Path(__file__).with_name("standin.py"))
GOCHAT = ("-m", "gochat", "serve")
SHORT = Length(0.5, patience_s=5.0)


def standin(folder: Path, transport: str = "tcp", faults: str = "") -> Stage:
    return Stage(folder, Cores.split(), WIRES[transport], (STANDIN, *faults.split()))


def gochat(folder: Path, transport: str = "ws", processes: int = 1) -> Stage:
    return Stage(folder, Cores.split(), WIRES[transport], GOCHAT, processes=processes)
