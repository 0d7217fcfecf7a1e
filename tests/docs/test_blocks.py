"""Every shell block of the README and of docs/howto is run: here, by another test, or not, with the reason."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import trio

from tests import forked
from tests.docs.pages import HOWTO, README, ROOT, Block, blocks
from tests.durability.process import Served
from tests.programs import needs

#: A block is named by its page and by a text that no other of the page has. In the order in which they are run:
#: beside a node that serves,
BESIDE = [
    ("rules.md", "gochat policy test"),
    ("rules.md", "kill -HUP"),
    ("data.md", "gochat room export group:tea tea.sqlite"),
    ("data.md", "gochat backup"),
    ("data.md", "gochat room expire"),
    ("data.md", "gochat user export ann ann.sqlite\n"),
    ("troubleshooting.md", "gochat doctor"),
    ("troubleshooting.md", "readyz"),
    ("tokens.md", "gochat token inspect"),
]
#: while it is stopped,
STOPPED = [
    ("data.md", "gochat room import"),
    ("data.md", "gochat-2026-02-03.db\n"),
    ("data.md", "--data drill"),
    ("run.md", "gochat restore"),
    ("data.md", "gochat user delete"),
    ("data.md", "gochat user release"),
]
#: and those that end with a node that serves.
SERVING = [("README.md", "gochat serve"), ("run.md", "gochat serve"), ("tokens.md", "gochat serve")]

KEY_PAIR = "tests/docs/test_tokens_page.py::test_a_token_signed_with_the_key_of_the_page_is_accepted"
LINK = "tests/browser/test_chat.py::test_a_link_signs_in_once_and_leaves_the_address"
TALK = "tests/cluster/test_up.py::test_nodes_talk_and_go_on_without_one_that_was_killed"
JOIN = "tests/cluster/test_commands.py::test_a_folder_that_held_something_needs_a_backup"
#: Blocks that other tests run: file and function.
ELSEWHERE = {
    ("README.md", "--as fay"): "tests/test_readme.py::test_a_first_chat",
    ("README.md", "python3 -c"): "tests/test_readme.py::test_the_bare_socket_and_curl",
    ("README.md", "/v1/me"): "tests/test_readme.py::test_the_bare_socket_and_curl",
    ("README.md", "gochat link"): LINK,
    ("page.md", "gochat link"): LINK,
    ("client.md", "client.py"): "tests/docs/test_client_page.py::test_nothing_is_lost_and_nothing_comes_twice",
    ("client.md", "main.mjs"): "tests/docs/test_client_page.py::test_nothing_is_lost_and_nothing_comes_twice",
    ("javascript.md", "chat.mjs"): "tests/docs/test_javascript_page.py::test_nothing_is_lost_and_nothing_comes_twice",
    ("tokens.md", "genpkey"): KEY_PAIR,
    ("tokens.md", "sh sign.sh"): KEY_PAIR,
    ("install.md", "make dist"): "tests/deploy/conftest.py::dist",
    ("install.md", "/opt/gochat"): "tests/deploy/test_wheel.py::test_it_installs_outside_the_checkout",
    ("install.md", "gochat.pyz"): "tests/deploy/test_zipapp.py::test_the_line_of_the_page",
    ("install.md", "/usr/local/bin"): "tests/deploy/test_onefile.py::test_the_lines_of_the_page",
    ("install.md", "/etc/gochat"): "tests/deploy/test_service.py::test_the_lines_of_the_page_and_then_the_units_own",
    ("cluster.md", "gochat cluster up"): TALK,
    ("cluster.md", "--as ann"): TALK,
    ("cluster.md", "gochat cluster create"): JOIN,
    ("cluster.md", "gochat backup"): JOIN,
    ("cluster.md", "--from"): JOIN,
    ("cluster.md", "gochat cluster status"): "tests/cluster/test_commands.py::test_status_of_a_cluster_without_nodes",
    ("chat.md", "--as ann"): "tests/client/screen/test_display.py::test_two_people_at_their_terminals",
    ("rest.md", ""): "tests/http/rest/test_howto.py::test_every_line_runs_at_the_first_try",
}  # fmt: skip
#: Blocks that no test runs, and why.
NOT_RUN = {
    ("install.md", "systemctl status"): "needs a systemd that runs; the other blocks have such lines of gochat",
    (
        "install.md",
        "docker build",
    ): "needs an engine and an image from elsewhere; the file is linted, and what it copies "
    "is built by tests/deploy/test_container.py",
    ("notify.md", "gochat notify test"): "needs a receiver: tests/docs/test_notify_page.py runs that of the page",
    ("chat.md", "echo "): "a pipe into `gochat chat`, as tests/deploy/program.py has one",
    ("README.md", "make run"): "installs packages, and then runs what tests/demo/test_command.py runs",
    ("README.md", "make test"): "is this very suite",
    ("README.md", "wss://chat.example.org"): "needs another machine; with a local URL it is run by test_a_first_chat",
}

SHELL = [block for page in [README, *sorted(HOWTO.glob("*.md"))] for block in blocks(page) if block.language == "sh"]


def block(page: str, holds: str) -> str:
    (found,) = [block.text for block in SHELL if block.page == page and holds in block.text]
    return found


def names(block: Block) -> list[str]:
    """The entries of the tables that speak of this block."""
    tables = [*BESIDE, *STOPPED, *SERVING, *ELSEWHERE, *NOT_RUN]
    return [f"{page}: {holds}" for page, holds in tables if block.page == page and holds in block.text]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: f"{block.page}: {block.text.splitlines()[0]}")
def test_a_block_is_run_once_or_it_is_said_why_not(block: Block) -> None:
    assert len(names(block)) == 1


def test_tests_that_are_named_are_there() -> None:
    for where in ELSEWHERE.values():
        file, _, function = where.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ running them


def environment(folder: Path) -> dict[str, str]:
    """With `gochat` on the path; `systemctl` does nothing, since the test stops and starts the node."""
    place = folder / ".venv" / "bin"
    forked.program(place / "gochat")
    (place / "systemctl").write_text("#!/bin/sh\n:\n")
    (place / "systemctl").chmod(0o755)
    return {"PATH": f"{place}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}


async def run(script: str, folder: Path, env: dict[str, str], *, answers: bytes = b"") -> str:
    """The output of the script, which must succeed. `answers` are typed at its terminal."""
    terminal, stdin = os.openpty()
    try:
        os.write(terminal, answers)
        done = await trio.run_process(
            ["sh", "-euc", script],
            cwd=folder,
            env=env,
            check=False,
            stdin=stdin if answers else subprocess.DEVNULL,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
        )
    finally:
        os.close(terminal)
        os.close(stdin)
    told = done.stdout.decode()
    assert done.returncode == 0, f"{script}\n{told}"
    assert "Traceback" not in told, told
    return told


def here(page: str, holds: str, folder: Path) -> str:
    """The block, with this test's folder for backups."""
    return block(page, holds).replace("/mnt/backup", str(folder / "backup"))


async def test_blocks_beside_a_node_and_on_its_data(tmp_path: Path) -> None:
    needs("curl", "sqlite3", "openssl")
    env = environment(tmp_path)
    (tmp_path / "backup").mkdir()
    node = Served(tmp_path)
    with trio.fail_after(180):
        try:
            await node.start()
            port = node.addresses["http"][1]
            await run(TALK.replace("8081", str(node.addresses["tcp"][1])), tmp_path, env)
            told = {}
            for page, holds in BESIDE:
                script = here(page, holds, tmp_path).replace("8080", str(port))
                if holds == "gochat room expire":  # with the settings that stand above it
                    (tmp_path / "new.toml").write_text(
                        next(b.text for b in blocks(HOWTO / page) if b.language == "toml")
                    )
                if holds == "gochat doctor":  # what it finds depends on the machine
                    script = script.replace("gochat doctor ", "gochat doctor || :")
                told[page, holds] = await run(script, tmp_path, env)
            assert "green tea" in told["data.md", "gochat room export group:tea tea.sqlite"]
            assert "[+]" in told["troubleshooting.md", "readyz"] or "ok" in told["troubleshooting.md", "readyz"]
            assert "accepted" in told["tokens.md", "gochat token inspect"]
            assert await node.stop() == 0
        finally:
            await node.aclose()
        assert "the rules for words and links are read again" in node.log.read_text()
        (made,) = (tmp_path / "backup").glob("gochat-*.db")
        shutil.copy(made, tmp_path / "data" / "gochat.db.schema-N")
        made.rename(made.with_name("gochat-2026-02-03.db"))
        (tmp_path / "ann.sqlite").rename(tmp_path / "first.sqlite")
        for page, holds in STOPPED:
            await run(here(page, holds, tmp_path), tmp_path, env, answers=b"y\n")


#: A group, two users who talk, a token in a file and settings: what the blocks suppose to be there.
TALK = """
gochat token issue ann > token.txt
gochat config init my.toml
GOCHAT_TOKEN=$(cat token.txt); export GOCHAT_TOKEN
python3 -c '
import json, os, socket
s = socket.create_connection(("127.0.0.1", 8081))
frames = [
    {"type": "hello", "token": os.environ["GOCHAT_TOKEN"]},
    {"type": "group", "id": 1, "name": "tea", "action": "create", "users": ["bob"]},
    {"type": "send", "id": 2, "to": "group:tea", "body": "green tea is ready"},
]
s.sendall("".join(json.dumps(frame) + "\\n" for frame in frames).encode())
for line in s.makefile():
    if json.loads(line).get("id") == 2: break'
"""


@pytest.mark.parametrize(("page", "holds"), SERVING)
async def test_blocks_that_serve(page: str, holds: str, tmp_path: Path) -> None:
    """The lines before it go well, and the node listens and ends as it should."""
    binds = {"GOCHAT_HTTP__BIND": "127.0.0.1:0", "GOCHAT_TCP__BIND": "127.0.0.1:0", "GOCHAT_NNG__BIND": ""}
    env = environment(tmp_path) | binds
    before, serve, _ = re.split(r"^(.*gochat serve.*)$", block(page, holds), flags=re.MULTILINE)
    with trio.fail_after(60):
        script = before + re.sub(r"(\S*gochat serve)", r"exec \1", serve).replace("8080", "0")
        process = await trio.lowlevel.open_process(
            ["sh", "-euc", script], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said = b""
        while b"tcp://" not in said:
            data = await process.stdout.receive_some()
            assert data, said
            said += data
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        await process.stdout.aclose()
        await process.stderr.aclose()
