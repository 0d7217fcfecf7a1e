"""Starts the server that is measured, on cores of its own and with a data folder of its own, and stops it.

The harness starts it as a user would, `python -m gochat serve`, with every setting in the environment, so that no
settings file of the machine has a say. SQLite is as it is by default: nothing is made faster for the bench.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import procfs
from bench.faults import Broken, Fault, Gone
from bench.load.client import Address
from bench.load.wire import BARE, NNG, WEBSOCKET, Wire
from bench.tokens import Issuer

ROOT = Path(__file__).resolve().parent.parent


class Checkout(NamedTuple):
    """A source tree whose server is measured, and the interpreter that runs it."""

    root: Path
    python: str

    @classmethod
    def at(cls, root: Path) -> Checkout:
        """A folder with the sources and a `.venv` of its own. Raises Broken where one of them is missing."""
        # The link is not followed: the interpreter finds its packages by the place from which it is started.
        python = root.resolve() / ".venv" / "bin" / "python"
        for wanted in (root / "gochat" / "__main__.py", python):
            if not wanted.exists():
                raise Broken(f"{root} is no checkout with an environment of its own: {wanted} is missing")
        return cls(root.resolve(), str(python))


#: The tree that this harness is part of, run by the interpreter that runs the harness.
HERE = Checkout(ROOT, sys.executable)
_LIBC = ctypes.CDLL(None)
#: Of Linux: the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1
_READY_S = 20.0
_STOP_S = 60.0  # It drains for 10 s, and then has thousands of connections to see off.
_MANY = "1000000"
_ENDED = (0, -signal.SIGTERM)
#: The words that a node says before the address of each listener.
_SAYS = {"ws": "listening on http://", "tcp": "listening on tcp://"}
_SAYS_NNG = {"nng": "listening on nng+tcp://"}
_YARDSTICK_SAYS = "listening on "

#: The rate limit is on, its code runs for every message, and it is set so high that it never acts.
SETTINGS: dict[str, str] = {
    "GOCHAT_LIMITS__MESSAGES_PER_S": _MANY,
    "GOCHAT_POLICY__ADD_BUDGET": "0",
    "GOCHAT_LIMITS__MESSAGE_BURST": _MANY,
    "GOCHAT_LIMITS__READS_PER_S": _MANY,
    "GOCHAT_LIMITS__READ_BURST": _MANY,
}


class Cores(NamedTuple):
    """Which cores the server and the load run on; the same set where there is only one core."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def split(cls, processes: int = 1) -> Cores:
        """One core for the server, others for the load, as many as it has processes if there are so many."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(frozenset(cores[:1]), frozenset(cores[1 : 1 + processes] or cores))


class Running(NamedTuple):
    """A server that is ready. `pid` 0: it runs elsewhere, and what it takes can't be seen."""

    pid: int
    address: Address
    http: tuple[str, int] = ("", 0)
    """Host and port of its REST interface."""


class Gochat:
    """The server under test. Its data outlives `run`, so that it can be started again on what was made before."""

    def __init__(
        self,
        wire: Wire,
        folder: Path,
        cores: Cores,
        program: Sequence[str],
        settings: Mapping[str, str] | None = None,
        checkout: Checkout = HERE,
    ) -> None:
        """`folder` takes the data; `program` is what the interpreter is started with; `settings` go before SETTINGS."""
        self._checkout = checkout
        self.issuer = Issuer()
        self._settings = settings or {}
        self._wire = wire
        self._cores = cores
        self._folder = folder
        self._program = program

    @contextmanager
    def run(self) -> Iterator[Running]:
        # Port 0: a port that was free a moment ago may be another program's by the time the server binds it.
        arguments = ["--data", str(self._folder / "data"), "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]
        # In the environment: a checkout from before it had nng takes no flag of that name.
        nng = self._wire is NNG
        settings = {
            "GOCHAT_NNG__BIND": "tcp://127.0.0.1:0" if nng else "",
            **SETTINGS,
            **self._settings,
            "GOCHAT_AUTH__SECRET": self.issuer.secret,
        }
        log = self._folder / "server.log"
        program = [*self._program, *arguments]
        says = _SAYS | _SAYS_NNG if nng else _SAYS
        words = list(says.values())
        with _process(program, settings, self._cores, log, words, checkout=self._checkout) as pid:
            ports = {name: _port_after(log, words) for name, words in says.items()}
            address = Address("127.0.0.1", ports[self._wire.name], self._wire)
            yield Running(pid, address, ("127.0.0.1", ports["ws"]))

    @property
    def database(self) -> Path:
        """Where the data is while the server does not run."""
        return self._folder / "data" / "gochat.db"

    def names(self, prefix: str, count: int) -> list[str]:
        """User ids for a part of the load; the same each time."""
        return [f"{prefix}{number:04d}" for number in range(count)]

    series = ""
    """The prefix of keys, so that the keys of two runs differ."""

    def group(self, name: str) -> str:
        """A group's name."""
        return name


@contextmanager
def limit_fanout(members: int, folder: Path, cores: Cores, *, single: bool) -> Iterator[Running]:
    """The fan-out yardstick; it serves exactly `members` connections, until the first of them goes."""
    arguments = ["-m", "bench.limit.fanout", "--members", str(members), *(["--single"] if single else [])]
    log = folder / "limit.log"
    with _process(arguments, {}, cores, log, [_YARDSTICK_SAYS], _ENDED) as pid:
        yield Running(pid, Address("127.0.0.1", _port_after(log, _YARDSTICK_SAYS), BARE))


@contextmanager
def limit_echo(folder: Path, cores: Cores) -> Iterator[Running]:
    """The dm yardstick: a naive trio-websocket echo."""
    log = folder / "limit.log"
    with _process(["-m", "bench.limit.echo"], {}, cores, log, [_YARDSTICK_SAYS], _ENDED) as pid:
        yield Running(pid, Address("127.0.0.1", _port_after(log, _YARDSTICK_SAYS), WEBSOCKET, path="/", protocol=""))


@contextmanager
def limit_nng(folder: Path, cores: Cores) -> Iterator[Running]:
    """The yardstick of nng: a bare pynng echo."""
    log = folder / "limit.log"
    with _process(["-m", "bench.limit.nng"], {}, cores, log, [_YARDSTICK_SAYS], _ENDED) as pid:
        yield Running(pid, Address("127.0.0.1", _port_after(log, _YARDSTICK_SAYS), NNG))


@contextmanager
def data_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`, removed afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="gochat-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def durable(folder: Path) -> bool:
    """Whether a flush to this folder reaches a disk."""
    return procfs.filesystem(folder)[0] not in ("tmpfs", "ramfs", "devtmpfs")


@contextmanager
def _process(
    arguments: Sequence[str],
    settings: Mapping[str, str],
    cores: Cores,
    log: Path,
    words: Sequence[str],
    statuses: Collection[int] = (0,),
    checkout: Checkout = HERE,
) -> Iterator[int]:
    """Run the program until the block ends; ready when the log holds all `words`. Raises Broken if it does not
    become ready, dies, or does not end with one of `statuses` after SIGTERM."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GOCHAT_")}
    environment = {**kept, "PYTHONPATH": str(checkout.root), "PYTHONUNBUFFERED": "1", **settings}
    with log.open("wb") as output:
        # A child starts on its parent's cores: so it is on its own from the first instruction.
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores.server)
        try:
            process = subprocess.Popen(
                [checkout.python, *arguments],
                env=environment,
                cwd=log.parent,
                stdout=output,
                stderr=output,
                preexec_fn=partial(_end_with, os.getpid()),
            )
        finally:
            os.sched_setaffinity(0, mine)
    try:
        _await_ready(process, log, words)
        yield process.pid
        _stop(process, log, statuses)
    except Fault as error:
        if isinstance(error, Gone) and _ends(process):
            raise Broken(f"{error}; the server ended with status {process.returncode}; {_tail(log)}") from None
        error.add_note(_tail(log))
        raise
    finally:
        process.kill()
        process.wait()


def _end_with(parent: int) -> None:
    """Have this process be told to stop when the thread ends that started it, which is the harness' main one: one that
    was killed leaves no server behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _stop(process: subprocess.Popen[bytes], log: Path, statuses: Collection[int]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        raise Broken(f"the server did not stop within {_STOP_S:.0f} s of SIGTERM; {_tail(log)}") from None
    if status not in statuses:
        raise Broken(f"the server ended with status {status}; {_tail(log)}")


def _await_ready(process: subprocess.Popen[bytes], log: Path, words: Sequence[str]) -> None:
    deadline = time.monotonic() + _READY_S
    while not all(_after(log, word) for word in words):
        if process.poll() is not None:
            raise Broken(f"the server ended with status {process.returncode} before it was ready; {_tail(log)}")
        if time.monotonic() > deadline:
            raise Broken(f"the server was not ready within {_READY_S:.0f} s; {_tail(log)}")
        time.sleep(0.02)


def _ends(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended, or does so in a moment: its sockets close first."""
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        return False
    return True


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "the server's last words:\n" + "\n".join(lines[-10:])


def _after(log: Path, words: str) -> str:
    """The text that follows the words in a line of the log; empty while no whole line has them."""
    _, _, rest = log.read_text(errors="replace").partition(words)
    line, end, _ = rest.partition("\n")
    return line if end else ""


def _port_after(log: Path, words: str) -> int:
    """The port in the address that follows the words; the log holds that line already."""
    return int(_after(log, words).split(":", 1)[1].split()[0])
