"""The clients of docs/howto/nng.md, as they stand there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from gochat.errors import REVOKED
from gochat.node import running
from tests.docs.pages import HOWTO, ROOT, file
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer
from tests.programs import needs
from tests.tokens import issue

PAGE = HOWTO / "nng.md"


async def test_gochat_s_own_client(tmp_path: Path, nursery: trio.Nursery) -> None:
    (tmp_path / "nng_chat.py").write_text(file(PAGE, "nng_chat.py"))
    settings = make_settings(tmp_path / "data", nng={"bind": "tcp://127.0.0.1:0"})
    async with running(settings) as node:
        bob = await Peer.open(node, "tcp", nursery)
        await bob.hello("bob")
        command = [sys.executable, str(tmp_path / "nng_chat.py"), f"nng+tcp://{dict(node.addresses)['nng']}"]
        with trio.fail_after(60):
            process = await trio.lowlevel.open_process(
                command,
                stdout=subprocess.PIPE,
                env={"GOCHAT_TOKEN": issue(node, "ann"), "PYTHONPATH": str(ROOT)},
            )
            assert (await bob.event("message"))["body"] == "hello"
            await bob.ask("send", to="user:ann", body="hello yourself")
            said = b""
            while b"hello yourself" not in said:
                said += await process.stdout.receive_some()
            process.kill()
            await process.wait()
            await process.stdout.aclose()


async def test_the_client_in_python(tmp_path: Path, nursery: trio.Nursery) -> None:
    (tmp_path / "nng_client.py").write_text(file(PAGE, "nng_client.py"))
    settings = make_settings(tmp_path / "data", nng={"bind": "tcp://127.0.0.1:0"})
    async with running(settings) as node:
        bob = await Peer.open(node, "tcp", nursery)
        await bob.hello("bob")
        where = dict(node.addresses)["nng"]
        command = [sys.executable, str(tmp_path / "nng_client.py"), f"tcp://{where}", "user:bob", "hello"]
        with trio.fail_after(60):
            process = await trio.lowlevel.open_process(
                command, stdout=subprocess.PIPE, env={"GOCHAT_TOKEN": issue(node, "ann")}
            )
            assert (await bob.event("message"))["body"] == "hello"
            await bob.ask("send", to="user:ann", body="hello yourself")
            said = b""
            while b"hello yourself" not in said:
                said += await process.stdout.receive_some()
            assert [json.loads(line)["type"] for line in said.splitlines()] == ["ack", "message", "message"]
            process.kill()
            await process.wait()
            await process.stdout.aclose()


async def test_the_client_in_c(tmp_path: Path, nursery: trio.Nursery) -> None:
    needs("cc")
    headers = await trio.run_process(
        ["cc", "-E", "-"], stdin=b"#include <nng/nng.h>", capture_stdout=True, capture_stderr=True, check=False
    )
    if headers.returncode != 0:
        pytest.skip("no nng/nng.h: apt-get install libnng-dev")
    (tmp_path / "nng_client.c").write_text(file(PAGE, "nng_client.c"))
    line = ["cc", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o", "nng_client", "nng_client.c", "-lnng"]
    await trio.run_process(line, cwd=tmp_path)
    settings = make_settings(tmp_path / "data", nng={"bind": "tcp://127.0.0.1:0"})
    async with running(settings) as node:
        bob = await Peer.open(node, "tcp", nursery)
        await bob.hello("bob")
        command = [str(tmp_path / "nng_client"), f"tcp://{dict(node.addresses)['nng']}"]
        with trio.fail_after(60):
            process = await trio.lowlevel.open_process(
                command, stdout=subprocess.PIPE, env={**os.environ, "GOCHAT_TOKEN": issue(node, "ann")}
            )
            while "ann" not in node.live.users:
                await trio.sleep(0.01)
            await bob.ask("send", to="user:ann", body="hello from a stream")
            said = b""
            while b"hello from a stream" not in said:
                said += await process.stdout.receive_some()
            # Its session ends, and so does it.
            (session,) = node.live.users["ann"]
            session.close(REVOKED, "enough")  # type: ignore[attr-defined]
            assert await process.wait() == 1
            await process.stdout.aclose()
