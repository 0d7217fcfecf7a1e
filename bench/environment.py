"""Where a figure was measured: without it the figure says nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import procfs
from bench.faults import Broken
from bench.server import ROOT, Checkout, Cores, durable

_PACKAGES = ("trio", "trio-websocket", "msgspec")
_TELL = """
import platform, sqlite3, sys
from importlib.metadata import version
print("python", platform.python_version())
print("sqlite", sqlite3.sqlite_version)
for package in sys.argv[1:]:
    print(package, version(package))
"""


def describe(data: Path, cores: Cores) -> dict[str, str | float | bool]:
    """`data` is the folder in which the servers under test keep their data. To be called before the load begins."""
    kind, device = procfs.filesystem(data)
    found: dict[str, str | float | bool] = {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "load_average": round(os.getloadavg()[0], 2),
        "server_cores": _list(cores.server),
        "load_cores": _list(cores.load),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "python_from": "the system" if sys.base_prefix == "/usr" else "elsewhere",
        "sqlite": sqlite3.sqlite_version,
        "data": f"{kind} on {device}",
        "durable": durable(data),
        "commit": commit(ROOT),
    }
    return found | {package: _version(package) for package in _PACKAGES}


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _list(cores: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cores)))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def commit(root: Path) -> str:
    """The commit of that tree, with "+" where files differ from it; "unknown" without git."""
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def runtime(checkout: Checkout) -> dict[str, str]:
    """The versions with which the server of a checkout runs, by name. Raises Broken where its interpreter fails."""
    done = subprocess.run([checkout.python, "-c", _TELL, *_PACKAGES], capture_output=True, text=True)
    if done.returncode:
        raise Broken(f"{checkout.python} does not run: {done.stderr.strip()}")
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())
