"""Commands as processes, for tests: run to their end, or under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from gochat.client import Chat
from gochat.node import Node
from tests import forked
from tests.client.conftest import url

ROOT = Path(__file__).parent.parent.parent


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def environment(server: Node | str, **more: str) -> dict[str, str]:
    """The variables that tell a command which server: of a node also the folder whose secret signs for `--as`, of a
    scripted one a token."""
    if isinstance(server, Node):
        known = {"GOCHAT_URL": url(server), "GOCHAT_NODE__DATA": server.settings.node.data}
    else:
        known = {"GOCHAT_URL": server, "GOCHAT_TOKEN": "abc"}
    return {**os.environ, **known, **more}


async def gochat(node: Node | str, *words: str, text: str = "", **env: str) -> Ran:
    """Run one command to its end."""
    run = partial(forked.run, list(words), stdin=text.encode(), env=environment(node, **env), cwd=ROOT)
    done = await trio.to_thread.run_sync(run)
    return Ran(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that is under way."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.out = ""

    async def prints(self, what: str) -> None:
        assert self.process.stdout is not None
        with trio.fail_after(60):
            while what not in self.out:
                data = await self.process.stdout.receive_some()
                assert data, f"it ended after {self.out!r}"
                self.out += data.decode()

    async def type(self, line: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(line.encode() + b"\n")

    async def ends(self, by: signal.Signals | None = None) -> int:
        if by is not None:
            self.process.send_signal(by)
        with trio.fail_after(60):
            return await self.process.wait()


@asynccontextmanager
async def running(node: Node | str, *words: str) -> AsyncIterator[Running]:
    run = partial(
        trio.run_process,
        [sys.executable, "-m", "gochat", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env=environment(node),
        cwd=ROOT,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(run)
        yield Running(process)
        nursery.cancel_scope.cancel()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


async def notes(chat: Chat, count: int) -> None:
    for number in range(1, count + 1):
        await chat.send("user:ann", f"note {number}", key=f"k{number}")


async def shell(node: Node, line: str) -> Ran:
    with trio.fail_after(60):
        done = await trio.run_process(
            ["sh", "-c", line], capture_stdout=True, capture_stderr=True, check=False, env=environment(node), cwd=ROOT
        )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
