"""A node as its own process: started, looked at from outside, killed, started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from tests import forked
from tests.durability.wire import Address, Link
from tests.tokens import issue_in

ROOT = Path(__file__).parents[2]
#: As many messages as anybody likes, to whomever.
SETTINGS = {"GOCHAT_LIMITS__MESSAGES_PER_S": "0", "GOCHAT_POLICY__STRANGERS": "allow"}
GOCHAT = ("-m", "gochat")
DOORS = ("http", "tcp")
START_S = 60.0


def _forked(
    arguments: list[str], log: int, env: dict[str, str], folder: Path
) -> tuple[forked.Process, trio.abc.ReceiveStream]:
    """The process, and its standard output."""
    output, theirs = os.pipe()
    with open(os.devnull, "rb") as nothing, os.fdopen(theirs):  # noqa: PTH123
        process = forked.Process(arguments, (nothing.fileno(), theirs, log), env=env, cwd=folder)
    return process, trio.lowlevel.FdStream(output)


async def _ended(process: trio.Process | forked.Process) -> int:
    if isinstance(process, trio.Process):
        return await process.wait()
    if process.returncode is None:
        await trio.lowlevel.wait_readable(process)
    return process.wait()


class Served:
    """`gochat serve` on `folder`/data, its log in `folder`/log. May be started again after it ended."""

    def __init__(
        self,
        folder: Path,
        *,
        env: dict[str, str] | None = None,
        program: tuple[str, ...] = GOCHAT,
        nng: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix`: what its command line begins with."""
        folder.mkdir(exist_ok=True)
        self._nng = nng
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.env = env or {}
        self.addresses: dict[str, Address] = {}
        self.up = trio.Event()
        self._program = program
        self._prefix = prefix
        self._process: trio.Process | forked.Process | None = None
        self._output: trio.abc.ReceiveStream

    async def start(self) -> None:
        """Return when it listens."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("GOCHAT_")}
        env = {**own, "PYTHONPATH": str(ROOT), **SETTINGS, **self.env}
        arguments = ["serve", "--data", str(self.data), *(f"--{door}=127.0.0.1:0" for door in DOORS)]
        arguments.append("--nng=tcp://127.0.0.1:0" if self._nng else "--nng=")
        with self.log.open("ab") as log:
            if self._program == GOCHAT and not self._prefix and "LD_PRELOAD" not in self.env:
                self._process, self._output = _forked(arguments, log.fileno(), env, self.folder)
            else:
                self._process = await trio.lowlevel.open_process(
                    [*self._prefix, sys.executable, *self._program, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=self.folder,
                    env=env,
                )
                assert self._process.stdout is not None
                self._output = self._process.stdout
        said = b""
        with trio.fail_after(START_S):
            while len(found := re.findall(rb"(https?|nng\+tcp|tcp)://([\d.]+):(\d+) ?.*\n", said)) < 2 + self._nng:
                data = await self._output.receive_some()
                assert data, self.log.read_text()
                said += data
        self.addresses = {door.decode(): (host.decode(), int(port)) for door, host, port in found}
        self.up.set()

    async def kill(self) -> None:
        """SIGKILL: no handler, no flush, no farewell."""
        self.up = trio.Event()
        await self._end(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended by itself; the exit code."""
        assert self._process is not None
        return await _ended(self._process)

    async def stop(self) -> int:
        """SIGTERM; the exit code. It has 10 s."""
        self.up = trio.Event()
        with trio.fail_after(10):
            return await self._end(signal.SIGTERM)

    async def aclose(self) -> None:
        if self._process is not None:
            with trio.CancelScope(shield=True):
                await self.kill()

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        code = await _ended(process)
        await self._output.aclose()
        return code

    # ------------------------------------------------------------------------------------------ peers

    async def connect(self, transport: str) -> Link:
        """A new connection, as soon as the node is up. Raises Closed when it went down meanwhile."""
        await self.up.wait()
        return await Link.open(transport, self.addresses["tcp" if transport == "tcp" else "http"], self._dial)

    async def _dial(self, host: str, port: int) -> trio.SocketStream:
        return await trio.open_tcp_stream(host, port)

    def token(self, user: str) -> str:
        """Of a user, signed with the node's own secret."""
        return issue_in(self.data, user)

    async def sign_in(self, user: str, transport: str = "tcp") -> Link:
        """The same, signed in."""
        link = await self.connect(transport)
        try:
            await link.hello(self.token(user))
        except BaseException:
            await link.aclose()
            raise
        return link

    # ------------------------------------------------------------------------------------------ from outside

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.returncode is None, self.log.read_text()[-2_000:]
        return self._process.pid

    @property
    def open_files(self) -> int:
        """Sockets and all else; without the database's own files, which each of its few connections opens when it is
        first used."""
        count = 0
        for handle in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                count += self.data not in handle.readlink().parents
            except FileNotFoundError:
                continue  # It was closed meanwhile.
        return count

    @property
    def threads(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/task").iterdir())

    @property
    def rss(self) -> int:
        """Bytes of memory that are the process's own: pages of files that it maps do not count."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
