"""`gochat demo` as somebody runs it who sees gochat for the first time."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from operator import contains
from pathlib import Path

import jwt
import pytest

from gochat.commands import EXIT_CONFIG, EXIT_FAILED, EXIT_OK
from gochat.commands import demo as command
from gochat.config import Cluster, Log, Retention, Settings
from gochat.demo import story
from tests import forked

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gochat", "demo"]
FREE = ["--http", "127.0.0.1:0", "--tcp", "", "--nng", ""]


@contextmanager
def demo(folder: Path, *arguments: str, warnings: Sequence[str] = ()) -> Iterator[list[str]]:
    """The lines it prints up to the last; then Ctrl-C ends it. `warnings` is what it complains about, a line each."""
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
        assert process.returncode == EXIT_OK
        said = complaints.splitlines()
        assert len(said) == len(warnings) and all(map(contains, said, warnings)), complaints
    finally:
        process.kill()
        process.communicate()


def redeem(url: str) -> dict[str, object]:
    """The token that the page gets for the link's ticket."""
    found = re.fullmatch(r"http://([\w.]+):(\d+)/(?:admin)?#ticket=(\S+)", url)
    assert found is not None, url
    with closing(HTTPConnection(found[1], int(found[2]), timeout=60)) as connection:
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
        links = [line.split(": ")[1] for line in lines if "/#ticket=" in line]
        assert [redeem(link)["user"] for link in links] == list(story.PEOPLE)
        (operators,) = [line.split(": ")[1] for line in lines if "/admin#ticket=" in line]
        token = str(redeem(operators)["token"])
        assert "admin" in jwt.decode(token, options={"verify_signature": False})["scope"].split()
        (how,) = [line for line in lines if "gochat link" in line]
        assert "--data data-demo --url http://127.0.0.1:" in how
    made = (tmp_path / "data-demo" / "gochat.db").stat().st_ino
    with demo(tmp_path, *FREE) as lines:
        assert sum("/#ticket=" in line for line in lines) == len(story.PEOPLE)
        assert not any("Other machines" in line for line in lines)
    assert (tmp_path / "data-demo" / "gochat.db").stat().st_ino == made


def test_the_settings_of_a_node_for_others_are_not_those_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its secret signs for nobody who is made up, its webhooks hear of none, and its address lets nobody in."""
    monkeypatch.chdir(tmp_path)
    production = "s" * 40
    (tmp_path / "config.toml").write_text(
        f'[auth]\nsecret = "{production}"\n[notify]\nwebhook_url = "https://hooks.example/"\n'
        f'webhook_secret = "whsec_{base64.b64encode(bytes(32)).decode()}"\n[http]\nbind = "0.0.0.0:8080"\n'
    )
    refused = forked.run(["demo"])
    assert refused.returncode == EXIT_CONFIG
    assert "http.bind is 0.0.0.0:8080 (config.toml)" in refused.stderr
    assert "`--http 127.0.0.1:8080` keeps it on this one, `--http 0.0.0.0:8080` lets them in" in refused.stderr
    assert not (tmp_path / "data-demo").exists()

    unused = "without these settings: auth.secret, notify.webhook_url, notify.webhook_secret"
    with demo(
        tmp_path, "--http", "0.0.0.0:0", "--tcp", "", "--nng", "", warnings=[unused, "0.0.0.0:0 without TLS"]
    ) as lines:
        assert any("Other machines reach this demo at 0.0.0.0:0" in line for line in lines)
        (line,) = [line for line in lines if "gochat link" in line]
        command = line[line.index("gochat link") :].split()[1:]
        link = forked.run([*command, "--print"])
        token = str(redeem(link.stdout.strip())["token"])
    own = (tmp_path / "data-demo" / "auth.secret").read_text().strip()
    assert own != production
    assert jwt.decode(token, own, algorithms=["HS256"], audience="gochat")["sub"] == "ann"


def test_a_demo_is_in_no_cluster_and_keeps_its_history() -> None:
    """The settings may be those of the node beside which it is tried."""
    cluster = Cluster(url="redis://127.0.0.1:1", secret="s" * 40, shared_tcp="0.0.0.0:1")
    settings = Settings(cluster=cluster, retention=Retention(group_days=1), log=Log(level="debug"))
    own, unused = command._own(settings)
    assert own == Settings(log=Log(level="debug"))
    assert unused == ["retention.group_days", "cluster.url", "cluster.secret", "cluster.shared_tcp"]


def test_a_port_that_is_taken_is_told_with_the_way_out(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--http", "127.0.0.1:0", "--tcp", "", "--nng", f"tcp://127.0.0.1:{port}"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == EXIT_FAILED
    assert f"nng.bind: can't listen on tcp://127.0.0.1:{port}" in done.stderr
    assert "demo --http 127.0.0.1:0 --tcp '' --nng ''` takes a free one" in done.stderr
    assert "Traceback" not in done.stderr
