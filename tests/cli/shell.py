"""`gochat` with its exit code, as a test of the command line runs it."""

from __future__ import annotations

import subprocess
import sys

from gochat.commands import EXIT_OK
from tests import forked


def gochat(*arguments: str, stdin: str = "", code: int = EXIT_OK) -> subprocess.CompletedProcess[str]:
    done = forked.run(list(arguments), stdin=stdin.encode())
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done


def started(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The same from Python's start on."""
    line = [sys.executable, "-m", "gochat", *arguments]
    return subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=60)
