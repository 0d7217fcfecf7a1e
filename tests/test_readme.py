"""The README's commands, run as they stand but for ports and folders."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from gochat.auth.secret import make_secret
from gochat.client import connect
from gochat.config import Http, Nng, Settings, Tcp
from gochat.config import Node as NodeSettings
from gochat.node import running
from tests import forked
from tests.e2e.peer import address
from tests.tokens import issue

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GOCHAT = [sys.executable, "-m", "gochat"]


def defaults(data: Path) -> Settings:
    """The settings of a node, but for ports and folder."""
    return Settings(
        node=NodeSettings(data=str(data)), http=Http(bind="127.0.0.1:0"), tcp=Tcp(bind="127.0.0.1:0"), nng=Nng(bind="")
    )


def shell_lines() -> list[str]:
    return [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


def shell_block(holds: str) -> str:
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if holds in block]
    return str(block)


def checkout(folder: Path) -> dict[str, str]:
    """Make `folder` look like the checkout after `make run`; the environment for a shell in it."""
    forked.program(folder / ".venv" / "bin" / "gochat")
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}


async def test_the_bare_socket_and_curl(tmp_path: Path) -> None:
    """Both blocks in one shell, since the one sets the token that the other uses."""
    environment = checkout(tmp_path)
    with trio.fail_after(60):
        async with running(defaults(tmp_path / "data-demo")) as node:
            tcp, http = address(node, "tcp")[1], address(node, "http")[1]
            script = f"set -eu\n{shell_block('python3 -c')}\n{shell_block('curl')}"
            done = await trio.run_process(
                ["sh", "-c", script.replace("8081", str(tcp)).replace("8080", str(http))],
                capture_stdout=True,
                cwd=tmp_path,
                env=environment,
            )
            async with connect(f"tcp://127.0.0.1:{tcp}", token=issue(node, "ann")) as ann:
                assert [(entry.user, entry.last.body) for entry in ann.welcome.requests] == [
                    ("zoe", "hi from a bare socket")
                ]
    *frames, me = map(json.loads, done.stdout.decode().splitlines())
    assert [frame["type"] for frame in frames] == ["welcome", "ack", "message"]
    assert me["user"] == "zoe"


async def test_a_first_chat(tmp_path: Path) -> None:
    """The two `gochat chat` lines: what the one types reaches the other as a request, who answers, and it goes on."""
    commands = [shlex.split(line)[1:] for line in shell_block("gochat chat user:gil --as").splitlines()]
    assert len(commands) == 2
    told = re.search(r"^fay wants to write to you: .*$", README, re.MULTILINE)
    assert told is not None
    with trio.fail_after(60):
        async with running(defaults(tmp_path / "data-demo")) as node, trio.open_nursery() as nursery:
            host, port = address(node, "http")
            url = ["--url", f"ws://{host}:{port}/v1/ws"]
            processes = []
            for command in commands:
                run = partial(
                    trio.run_process,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=tmp_path,
                    env=checkout(tmp_path),
                )
                processes.append(await nursery.start(run, [*GOCHAT, *command, *url]))
            fay, gil = processes
            await prints(gil, "writing to user:fay")
            await prints(fay, "writing to user:gil")
            await fay.stdin.send_all(b"hello\n")
            await prints(gil, told[0])
            await gil.stdin.send_all(b"hello yourself\n")
            await prints(fay, "user:gil #2 gil: hello yourself")
            await fay.stdin.send_all(b"how are you?\n")
            await prints(gil, "user:fay #3 fay: how are you?")
            for process in (fay, gil):
                await process.stdin.aclose()


async def prints(process: trio.Process, what: str) -> None:
    """Return once the process has printed this, after all that was waited for before."""
    seen = ""
    assert process.stdout is not None
    while what not in seen:
        data = await process.stdout.receive_some()
        assert data, seen
        seen += data.decode()


def test_the_other_commands(tmp_path: Path) -> None:
    wanted = [line for line in shell_lines() if re.search(r"^\S*gochat (token|config|doctor)", line)]
    assert len(wanted) == 3
    environment = {"PATH": "/usr/bin:/bin", "GOCHAT_NODE__DATA": str(tmp_path / "data"), "HOME": str(tmp_path)}
    make_secret(tmp_path / "data")  # as the node has that runs
    for line in wanted:
        arguments = shlex.split(line.partition("#")[0])[1:]
        done = subprocess.run(
            [sys.executable, "-m", "gochat", *arguments],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        if "doctor" not in line:  # what it finds depends on the machine
            assert done.returncode == 0, done.stderr


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
