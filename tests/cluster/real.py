"""A real Redis or Valkey server in a process of its own, on a Unix socket, and the things that befall it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from gochat.cluster.link import Link, connector
from tests.programs import needs

PATIENCE_S = 60
COMMON = ("--save", "", "--enable-debug-command", "yes", "--maxmemory-policy", "noeviction", "--loglevel", "warning")


def binary() -> str:
    """The server's program. The tests of the cluster are nothing without it: where it is missing they fail, not skip,
    if CI says that this is a machine that has everything."""
    return shutil.which("valkey-server") or needs("redis-server")


class RealServer:
    def __init__(self, folder: Path, *options: str, sentinel: Path | None = None, prefix: Sequence[str] = ()) -> None:
        """`sentinel`: the configuration of a Sentinel, which is to have its socket at `folder`/s. `prefix`: what its
        command line begins with."""
        self.folder = folder
        self._options = options
        self._sentinel = sentinel
        self._prefix = prefix
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self.env: dict[str, str] = {}
        """Additions to its environment at its next start."""
        self._process: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None

    def keeps_nothing(self) -> None:
        """From the next start on it begins empty: as on a machine whose disk is gone."""
        self._options = ()

    def start(self, *more: str) -> None:
        program = [binary(), *COMMON, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        if self._sentinel is not None:
            program = [binary(), str(self._sentinel), "--sentinel"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *program, *self._options, *more], stdout=log, stderr=log, env={**os.environ, **self.env}
            )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.command("PING")
                return
            except (RedisError, OSError):
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.01)

    def command(self, *command: str | bytes | int) -> Any:
        """Give a command, over a connection of the test's own."""
        if self._link is None:
            self._link = connector(self.url, PATIENCE_S)()
        try:
            return self._link.call(*command)
        except (RedisError, OSError):
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As by `kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._disconnect()
