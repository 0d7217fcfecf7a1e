"""`gochat demo` as somebody runs it who sees gochat for the first time."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from gochat.commands import EXIT_FAILED, EXIT_OK
from gochat.demo import story

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gochat", "demo"]
FREE = ["--http", "127.0.0.1:0", "--tcp", "", "--nng", ""]


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[list[str]]:
    """The lines it prints up to the last; then Ctrl-C ends it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GOCHAT_")}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=env | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if "Ctrl-C" in line:
                break
        yield lines
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (EXIT_OK, "")
    finally:
        process.kill()
        process.communicate()


def redeem(url: str) -> dict[str, object]:
    """The token that the page gets for the link's ticket."""
    found = re.fullmatch(r"http://([\w.]+):(\d+)/#ticket=(\S+)", url)
    assert found is not None, url
    with closing(HTTPConnection(found[1], int(found[2]), timeout=30)) as connection:
        connection.request(
            "POST", "/v1/tickets", json.dumps({"ticket": found[3]}), {"content-type": "application/json"}
        )
        response = connection.getresponse()
        assert response.status == 200
        answer: dict[str, object] = json.loads(response.read())
        return answer


def test_each_of_the_three_comes_in_by_a_link_and_the_next_start_goes_on(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[log]\nlevel = "info"\n')  # As in a checkout: nobody asked for it here.
    with demo(tmp_path, *FREE) as lines:
        links = [line.split(": ")[1] for line in lines if "#ticket=" in line]
        assert [redeem(link)["user"] for link in links] == list(story.PEOPLE)
        (how,) = [line for line in lines if "gochat link" in line]
        assert "--data data-demo --url http://127.0.0.1:" in how
    made = (tmp_path / "data-demo" / "gochat.db").stat().st_ino
    with demo(tmp_path, *FREE) as lines:
        assert sum("#ticket=" in line for line in lines) == len(story.PEOPLE)
    assert (tmp_path / "data-demo" / "gochat.db").stat().st_ino == made


def test_a_port_that_is_taken_is_told_with_the_way_out(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--http", f"127.0.0.1:{port}", "--tcp", "", "--nng", ""],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == EXIT_FAILED
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--http 127.0.0.1:0" in done.stderr and "Traceback" not in done.stderr
