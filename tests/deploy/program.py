"""A gochat that was installed somewhere, as its users run it: without the checkout, from another folder."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from tests.durability.wire import Address, Link

#: For a first start on a machine that has much else to do.
START_S = 60.0


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Program:
    """`command` is what stands for `gochat` on a command line; it has no environment but `env`. `places` are the
    options that say where the data is, or the settings that do."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        *,
        env: dict[str, str] | None = None,
        places: tuple[str, ...] = ("--data", "data"),
    ) -> None:
        self.command = command
        self.folder = folder
        self.places = places
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "GOCHAT_LIMITS__MESSAGES_PER_S": "0", **(env or {})}
        self.log = folder / "log"

    async def run(self, *arguments: str, text: str = "") -> Ran:
        with trio.fail_after(START_S):
            done = await trio.run_process(
                [*self.command, *arguments],
                stdin=text.encode(),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=self.folder,
                env=self.env,
            )
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.err, ran.err
        return ran

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Running]:
        """A node that listens; SIGTERM ends it, with exit code 0."""
        free = ("--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--nng", "tcp://127.0.0.1:0")
        command = [*self.command, "serve", *self.places, *free]
        async with trio.open_nursery() as nursery:
            with self.log.open("wb") as log:
                run = partial(
                    trio.run_process,
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=self.folder,
                    env=self.env,
                )
                process = await nursery.start(run)
            try:
                said = b""
                with trio.fail_after(START_S):
                    while len(found := re.findall(rb"(http|nng\+tcp|tcp)://([\d.]+):(\d+) ?.*\n", said)) < 3:
                        data = await process.stdout.receive_some()
                        assert data, self.log.read_text()
                        said += data
                yield Running(process, {name.decode(): (host.decode(), int(port)) for name, host, port in found})
            finally:
                process.send_signal(signal.SIGTERM)
        assert process.returncode == 0, self.log.read_text()

    async def chats(self, node: Running) -> None:
        """ann signs in over each transport, writes, and is acked; `gochat chat` shows what was written, over WebSocket
        and nng."""
        token = (await self.run("token", "issue", "ann", *self.places)).out.strip()
        for number, transport in enumerate(("tcp", "ws"), 1):
            link = await Link.open(transport, node.addresses["tcp" if transport == "tcp" else "http"])
            try:
                await link.hello(token)
                await link.send({"type": "send", "id": 1, "to": "user:ann", "body": f"note {number}"})
                with trio.fail_after(60):
                    while (frame := await link.receive()).get("id") != 1:
                        pass
                assert (frame["type"], frame.get("seq")) == ("ack", number), frame
            finally:
                await link.aclose()
        urls = (
            "ws://{}:{}/v1/ws".format(*node.addresses["http"]),
            "nng+tcp://{}:{}".format(*node.addresses["nng+tcp"]),
        )
        for number, url in enumerate(urls, 3):
            ran = await self.run(
                "chat", "user:ann", "--as", "ann", *self.places, "--url", url, text=f"hello {url[:3]}\n"
            )
            assert ran.code == 0, ran.err
            assert f"#{number} ann: hello {url[:3]}" in ran.out


class Running(NamedTuple):
    process: trio.Process
    addresses: dict[str, Address]
