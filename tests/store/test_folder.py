"""One process at a time in a data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gochat.errors import ConfigError
from gochat.store import folder

HOLD = """
import pathlib, sys
from gochat.store import folder
with folder.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def refused(data: Path, told: str) -> None:
    with pytest.raises(folder.FolderInUse, match=told), folder.locked(data):
        raise AssertionError


@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_the_folder_is_taken_until_its_process_ends(
    holder: subprocess.Popen[str], tmp_path: Path, end: signal.Signals | None
) -> None:
    with holder:
        refused(tmp_path, rf"{tmp_path}: node.data: .*\(process {holder.pid}\)")
        if end is not None:
            holder.send_signal(end)
    with folder.locked(tmp_path):
        refused(tmp_path, f"process {os.getpid()}")
    with folder.locked(tmp_path):
        pass


def test_a_folder_that_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"node\.data"):
        folder.make(tmp_path / "file" / "data")
    with pytest.raises(ConfigError, match="can't be locked"), folder.locked(tmp_path / "absent"):
        raise AssertionError
