"""The one-file executable in a root folder that holds a C library, zlib and /tmp, and no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from gochat.release import of_checkout
from tests.browser.conftest import Server
from tests.client.screen.pane import Pane
from tests.deploy.program import Program
from tests.docs.pages import ROOT
from tests.docs.test_blocks import block, run
from tests.ports import held_port
from tests.programs import needs

pytestmark = pytest.mark.long

#: The libraries that it links to, and the parts of the same library that Python itself loads. Nothing for names,
#: users, time zones, devices.
LIBRARIES = ("libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libutil.so", "libz.so", "ld-linux")
#: From the start to the first listener, once the file is in the page cache.
READY_S = 2.0


@pytest.fixture
def root(dist: Path, tmp_path: Path) -> Path:
    """The root folder, with the program in it."""
    needs("chroot", "ldconfig")
    if os.geteuid() != 0:
        pytest.skip("only root may change the root folder: run it as root")
    folder = tmp_path / "root"
    known = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    bits = ",x86-64" if os.uname().machine == "x86_64" else ",AArch64"
    for name, kind, path in re.findall(r"^\s+(\S+) \(([^)]*)\) => (\S+)$", known, re.MULTILINE):
        if name.startswith(LIBRARIES) and (bits in kind or name.startswith("ld-linux")):
            place = folder / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(path).resolve(), place)
    for interpreter in Path("/lib64").glob("ld-linux*"):
        (folder / "lib64").mkdir(exist_ok=True)
        shutil.copy(interpreter.resolve(), folder / "lib64" / interpreter.name)
    (folder / "tmp").mkdir()
    shutil.copy(dist / "gochat", folder / "gochat")
    return folder


@pytest.fixture
def program(root: Path) -> Program:
    return Program(
        [shutil.which("chroot") or "", str(root), "/gochat"],
        root.parent,
        places=("--data", "/tmp/data"),
        env={"HOME": "/tmp"},
    )


async def test_it_serves_and_chats_with_nothing_else_of_the_system(program: Program, root: Path) -> None:
    with trio.fail_after(300):
        told = (await program.run("--version")).out
        commit = of_checkout(ROOT).removesuffix("-dirty")
        assert re.fullmatch(r"gochat [\d.]+( \([0-9a-f]{12}(-dirty)?\))?\n", told)
        if commit:
            assert f" ({commit}" in told
        checked = await program.run("doctor", *program.places)
        assert checked.code in (0, 1), checked.err  # which ports are free depends on the machine
        assert {"ok    disk", "ok    clock", "ok    database"} <= {
            line.partition(":")[0] for line in checked.out.splitlines()
        }
        async with program.serving() as node:
            await program.chats(node)
            assert names(node.process.pid) == {("gochat", "/gochat serve")}
        assert [file.name for file in (root / "tmp").iterdir()] == ["data"]  # what it unpacked is gone


def names(pid: int) -> set[tuple[str, str]]:
    """Name and beginning of the command line, as `ps` shows them, of a process, its children, and their threads. nng
    names its own: `nng:task` and the like."""
    listed = subprocess.run(
        ["ps", "-L", "-o", "comm=,args=", "-p", str(pid), "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.split() for line in listed.splitlines()]
    assert len(lines) >= 2
    return {(words[0], " ".join(words[1:3])) for words in lines if not words[0].startswith("nng:")}


async def test_it_starts_in_time(program: Program) -> None:
    """One of several starts, since others may use the machine; where they take all of it, nothing can be said."""
    took: list[float] = []
    with trio.fail_after(300):
        while not took or min(took) >= READY_S:
            if len(took) >= 20 and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
                pytest.skip(f"others use this machine, which took {min(took):.1f} s: run it alone")
            assert len(took) < 20, took
            began = time.perf_counter()
            async with program.serving():
                took.append(time.perf_counter() - began)


async def test_rules_certificates_and_documents_are_inside(program: Program) -> None:
    """The lists of words and suffixes, the emoji, and the page's files are read at the first use."""
    with trio.fail_after(120):
        licences = (await program.run("--licenses")).out
        for part in ("gochat ", "urwid ", "cryptography ", "the page in the browser ", "Python "):
            assert f"\n==== {part}" in licences, part
        assert "GNU LESSER GENERAL PUBLIC LICENSE" in licences
        shown = await program.run("policy", "test", "see https://spam.example/ fool", *program.places)
        assert "Errno" not in shown.err
        async with program.serving() as node:
            for path in ("/docs", "/docs/howto/run", "/docs/search.json", "/docs/api", "/v1/openapi.json"):
                assert (await get(node.addresses["http"], path)).startswith(b"HTTP/1.1 200")


async def get(address: tuple[str, int], path: str) -> bytes:
    async with await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join([data async for data in stream])


#: prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), of Linux 6.3: no memory becomes executable that could be written to.
_WITHOUT_NEW_CODE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def test_it_lives_with_the_hardest_rule_of_the_unit(dist: Path, tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", _WITHOUT_NEW_CODE, str(dist / "gochat")], tmp_path)
    with trio.fail_after(120):
        if (await program.run("--version")).code == 77:
            pytest.skip("the kernel knows this rule from Linux 6.3 on: run it on a newer one")
        async with program.serving() as node:
            await program.chats(node)


async def test_the_lines_of_the_page(dist: Path, tmp_path: Path) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    script = block("install.md", "/usr/local/bin").replace("/usr/local/bin", str(place)).replace("dist/", f"{dist}/")
    env = {"PATH": f"{place}:/usr/bin:/bin", "HOME": str(tmp_path)}
    with trio.fail_after(120):
        said = await run(script.replace("gochat doctor", "gochat doctor || :"), tmp_path, env)  # the machine's ports
    assert said.startswith("gochat ")
    assert "software: Python 3." in said


def test_its_chat_fills_the_screen(dist: Path, tmp_path: Path) -> None:
    needs("tmux")
    with held_port() as port:
        chat_on_screen(dist, Server(tmp_path, port), tmp_path / "tmux")


def chat_on_screen(dist: Path, node: Server, socket: Path) -> None:
    node.start(GOCHAT_POLICY__STRANGERS="allow")
    url = node.url.replace("http", "ws") + "v1/ws"
    env = {"GOCHAT_TOKEN": node.token("ann"), "LANG": "C.UTF-8", "TERM": "screen-256color"}
    try:
        pane = Pane(socket, "chat", 80, 24, [str(dist / "gochat"), "chat", "user:ann", "--url", url], env)
        pane.sees("[ann]", "1  gochat")
        pane.type("note to self")
        pane.sees("#1 <ann> note to self")
        pane.keys(*":thumbs_u", "Tab")
        pane.sees("[ann] 👍")
        pane.keys("C-u", "C-d")
        pane.sees("left: 0")
    finally:
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, check=False)
        node.stop()
