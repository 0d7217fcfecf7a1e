"""The clients of docs/howto/nng.md, as they stand there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from gochat.node import running
from tests.docs.pages import HOWTO, blocks, needs
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer
from tests.tokens import issue


def program(language: str) -> str:
    (found,) = [block.text for block in blocks(HOWTO / "nng.md") if block.language.startswith(language)]
    return found


async def test_the_client_in_python(tmp_path: Path, nursery: trio.Nursery) -> None:
    (tmp_path / "nng_client.py").write_text(program("python"))
    settings = make_settings(tmp_path / "data", nng={"bind": "tcp://127.0.0.1:0"})
    async with running(settings) as node:
        bob = await Peer.open(node, "tcp", nursery)
        await bob.hello("bob")
        where = dict(node.addresses)["nng"]
        command = [sys.executable, str(tmp_path / "nng_client.py"), f"tcp://{where}", "user:bob", "hello"]
        with trio.fail_after(30):
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


def test_the_client_in_c_compiles(tmp_path: Path) -> None:
    needs("cc")
    if not Path("/usr/include/nng/nng.h").exists():
        pytest.skip("libnng-dev is not installed")
    (tmp_path / "nng_client.c").write_text(program("c"))
    line = ["cc", "-D_GNU_SOURCE", "-Wall", "-Werror", "-fsyntax-only", str(tmp_path / "nng_client.c")]
    subprocess.run(line, check=True)
