"""Starts a peer on the servers' core, waits until it accepts connections, and kills it with all that it started."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.faults import Broken, Fault
from bench.peers.base import Running
from bench.server import ROOT, Cores

#: Where `make bench-peers` puts what comes from PyPI and npm.
BUILD = ROOT / ".build" / "peers"
PYTHON = BUILD / "venv" / "bin" / "python"
APPS = Path(__file__).parent / "apps"
_READY_S = 30.0
_SBIN = "/usr/sbin"


def program(name: str) -> str | None:
    """The path of a program; Debian keeps servers out of a user's PATH."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), _SBIN]))


def absent(name: str, package: str) -> str | None:
    """Why a program of a Debian package can't be run; None if it can."""
    return None if program(name) else f"{name} is not installed (Debian package {package})"


def debian_version(package: str) -> str:
    """The version of an installed Debian package; "unknown" on other systems."""
    return said(["dpkg-query", "--show", "--showformat=${Version}", package]) or "unknown"


def said(arguments: Sequence[str | Path], folder: Path | None = None) -> str:
    """The output of a command; nothing if it fails, is not there, or takes more than 10 s."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()
    return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(
    arguments: Callable[[int], Sequence[str | Path]],
    folder: Path,
    cores: Cores,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run what `arguments` says for a port. Raises Broken if it does not listen within 30 s, or has ended by the
    time the block does."""
    port, log = free_port(), folder / "server.log"
    process = _spawn(arguments(port), log, cores, environment or {})
    try:
        _await_port(process, port, log)
        yield Running(process.pid, port)
        if process.poll() is not None:
            raise Broken(f"the server ended with status {process.returncode}; {_tail(log)}")
    except Fault as error:
        if process.poll() is not None:
            raise Broken(f"{error}; the server ended with status {process.returncode}; {_tail(log)}") from None
        error.add_note(_tail(log))
        raise
    finally:
        # It has the group to itself, and its data is thrown away: nothing is gained by asking it politely.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _spawn(
    arguments: Sequence[str | Path], log: Path, cores: Cores, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    # A child starts on its parent's cores: so it is on its own from the first instruction.
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.server)
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                arguments,
                env={**os.environ, **environment},
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError as error:
        raise Broken(f"{arguments[0]} did not start: {error}") from None
    finally:
        os.sched_setaffinity(0, mine)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        if process.poll() is not None:
            raise Broken(f"the server ended with status {process.returncode} before it was ready; {_tail(log)}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise Broken(f"the server did not listen within {_READY_S:.0f} s; {_tail(log)}")
        time.sleep(0.02)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(["the server's last words:", *lines[-10:]])
