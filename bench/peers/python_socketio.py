"""python-socketio on uvicorn with uvloop and httptools, one process, in .build/peers/venv."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers.base import Running
from bench.peers.process import APPS, PYTHON, running, said
from bench.peers.socketio import SocketIO
from bench.server import Cores


def package_version(*packages: str) -> str:
    """The versions of packages in the peers' own environment; empty if one is missing."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    return said([PYTHON, "-c", code, *packages])


class PythonSocketIO(SocketIO):
    name = "python-socketio"

    def missing(self) -> str | None:
        found = package_version("python-socketio", "uvicorn", "uvloop", "httptools", "websockets")
        return None if found else "python-socketio and uvicorn[standard] (PyPI) are not in .build/peers/venv"

    def version(self) -> str:
        return "{}, uvicorn {}".format(*package_version("python-socketio", "uvicorn").split())

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        return running(lambda port: [PYTHON, APPS / "python_socketio_chat.py", str(port)], folder, cores)
