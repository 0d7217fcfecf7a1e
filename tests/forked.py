"""Runs `gochat` as processes that are forked from one that has imported everything: 10 ms and not 350 ms a start.

A test sees a process as a shell starts one, with its own descriptors, environment and exit code; only the time
that Python takes to start is saved. Commands whose start is the subject, or that need a terminal of their own or a
library that is loaded before Python, are started as usual.

A server process waits for requests on a socket, whose other end a test process holds. A request carries the command
line, the environment, the working folder, and four descriptors: the command's standard files, and a pipe that is told
the command's process id and, when it has ended, its wait status. The server ends when the test process does.

Shells ask it too: `program` writes a `gochat` that takes a request to a second socket, which has a name, and is from
then on what its process is: it passes signals on and ends as the command does (forked_client.py, 20 ms).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
CLIENT = Path(__file__).with_name("forked_client.py")
#: In a command's environment: a module that plants a fault (`plant()`) before the command begins.
PLANT = "TESTS_PLANT"
#: The command line, the environment and the folder, as JSON.
_REQUEST_BYTES = 1 << 18
_FILES = 4
_NUMBER = struct.Struct("i")
#: Threads that start when pynng is imported would not be there after a fork.
_LEFT_OUT = ("gochat.__main__", "gochat.client.nng", "gochat.transports.nng", "gochat.transports.rep_context")


#: The name of the socket at which the server listens for shells, in Linux's abstract namespace.
_NAME = f"gochat-tests-{os.getpid()}"


# ------------------------------------------------------------------------------------------------ in a test


class Process:
    """`gochat` under way."""

    def __init__(
        self,
        arguments: Sequence[str],
        files: tuple[int, int, int],
        *,
        env: dict[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> None:
        """`files`: descriptors of the command's standard files, which remain the caller's."""
        request = {"arguments": [*arguments], "env": {**(env or os.environ)}, "cwd": os.fspath(cwd or Path.cwd())}
        self._told, theirs = os.pipe()
        try:
            socket.send_fds(_server(), [json.dumps(request).encode()], [*files, theirs])
        finally:
            os.close(theirs)
        self.pid = self._read()
        assert self.pid, "the server has ended"
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def fileno(self) -> int:
        """A descriptor that can be read once the process has ended."""
        return self._told

    def wait(self, timeout: float = 60.0) -> int:
        """Its exit code, as subprocess tells it. Raises subprocess.TimeoutExpired."""
        if self._code is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired("gochat", timeout)
            status = self._read()
            assert status is not None, "the server has ended"
            self._code = os.waitstatus_to_exitcode(status)
            os.close(self._told)
        return self._code

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _read(self) -> int | None:
        data = os.read(self._told, _NUMBER.size)
        return int(_NUMBER.unpack(data)[0]) if data else None


def program(path: Path) -> Path:
    """Make `path` a program that is `gochat`, for as long as this test process lives."""
    _server()
    line = f'exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(CLIENT))} {_NAME} "$@"'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def run(
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    cwd: str | Path | None = None,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """`gochat` with these arguments, to its end; its output as text. Raises subprocess.TimeoutExpired."""
    (their_in, to), (out, their_out), (err, their_err) = (os.pipe() for _ in range(3))
    with contextlib.ExitStack() as ours:
        try:
            process = Process(arguments, (their_in, their_out, their_err), env=env, cwd=cwd)
        finally:
            for descriptor in (their_in, their_out, their_err):
                os.close(descriptor)
            source, *sinks = [
                ours.enter_context(os.fdopen(each, mode, buffering=0))
                for each, mode in ((to, "wb"), (out, "rb"), (err, "rb"))
            ]
        deadline = time.monotonic() + timeout
        texts = _exchange(source, stdin, sinks, deadline)
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise subprocess.TimeoutExpired(["gochat", *arguments], timeout, *texts) from None
    return subprocess.CompletedProcess(["gochat", *arguments], code, *map(_text, texts))


def _text(data: bytes) -> str:
    """As subprocess reads text."""
    return io.TextIOWrapper(io.BytesIO(data)).read()


def _exchange(source: Any, stdin: bytes, sinks: list[Any], deadline: float) -> list[bytes]:
    """Write `stdin`, and read the sinks to their ends, or for as long as there is time."""
    told = dict.fromkeys(sinks, b"")
    os.set_blocking(source.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_WRITE)
        for sink in sinks:
            selector.register(sink, selectors.EVENT_READ)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fileobj is source:
                    with contextlib.suppress(BrokenPipeError):
                        stdin = stdin[source.write(stdin) or 0 :]
                        if stdin:
                            continue
                    selector.unregister(source)
                    source.close()
                elif data := key.fileobj.read(1 << 16):  # type: ignore[union-attr]
                    told[key.fileobj] += data
                else:
                    selector.unregister(key.fileobj)
    return list(told.values())


@functools.cache
def _server() -> socket.socket:
    """The socket of this process's server, which is started at the first command."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as shells:
        shells.bind(f"\0{_NAME}")
        shells.listen(64)  # From now on: the server takes a while to start.
        given = [theirs.fileno(), shells.fileno()]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", *map(str, given)],
            pass_fds=given,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the tests.
        )

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


# ------------------------------------------------------------------------------------------------ the server


def _serve(requests: socket.socket, shells: socket.socket) -> None:
    """Fork a process for each request until the other end is closed."""
    import gochat

    for module in pkgutil.walk_packages(gochat.__path__, "gochat."):
        if module.name not in _LEFT_OUT:
            importlib.import_module(module.name)
    from gochat.http.page import page_routes

    page_routes(())  # is read and compressed once in a process
    gc.collect()
    gc.freeze()
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(shells, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    _ended(selector, key)
                elif key.fileobj is shells:
                    with shells.accept()[0] as shell:
                        _started(shell, selector, (shell.fileno(),))
                elif not _started(requests, selector):
                    return _end_all(selector)


def _started(requests: socket.socket, selector: selectors.BaseSelector, more: Sequence[int] = ()) -> bool:
    """Take a request and start its process, without the descriptors in `more`; False where there will be none any
    more."""
    asked, files, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, _FILES)
    if not asked:
        return False
    pid = os.fork()
    if not pid:
        mine = [each for key in selector.get_map().values() for each in (key.fd, *(key.data or ())[1:])]
        _become(json.loads(asked), files, [*mine, *more])
    for descriptor in files[:-1]:
        os.close(descriptor)
    os.write(files[-1], _NUMBER.pack(pid))
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, files[-1]))
    return True


def _end_all(selector: selectors.BaseSelector) -> None:
    """The tests were cut short: nothing that they started goes on."""
    for key in selector.get_map().values():
        if key.data is not None:
            os.kill(key.data[0], signal.SIGKILL)


def _ended(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, told = key.data
    selector.unregister(key.fileobj)
    os.close(key.fd)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(told, _NUMBER.pack(status))
    os.close(told)


def _become(request: dict[str, Any], files: list[int], others: list[int]) -> NoReturn:
    """Be the command. `others`: descriptors that it must not have."""
    for descriptor in (*others, files[-1]):
        os.close(descriptor)
    for place, descriptor in enumerate(files[:-1]):
        os.dup2(descriptor, place)
        os.close(descriptor)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = ["gochat", *request["arguments"]]
    if PLANT in os.environ:
        importlib.import_module(os.environ.pop(PLANT)).plant()
    from gochat.cli import main

    try:
        main()
    except SystemExit as end:
        assert isinstance(end.code, int)
        code = end.code
    except BaseException:  # noqa: BLE001 -- nothing is above
        sys.excepthook(*sys.exc_info())
        code = 1
    # As Python ends, but for taking all modules apart, which costs more than most commands.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))
