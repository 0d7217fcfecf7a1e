"""A server that runs already: who may speak to it, and that runs leave each other alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.faults import Broken
from bench.load.wire import WEBSOCKET
from bench.remote import Place, Remote
from bench.server import ROOT, Gochat, Running
from bench.tokens import Issuer
from tests.bench.stages import GOCHAT, SHARED


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Issuer]]:
    server = Gochat(WEBSOCKET, tmp_path_factory.mktemp("remote"), SHARED, GOCHAT)
    with server.run() as running:
        yield running, server.issuer


def bench(*arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT), "GOCHAT_BENCH_SECRET": secret},
    )


def url(running: Running) -> str:
    return f"ws://127.0.0.1:{running.address.port}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["dm", "--pairs", "2", "--window", "2", "--messages", "10"],
        ["fanout", "--members", "4", "--messages", "10"],
        ["connect", "--users", "4", "--seconds", "0.2"],
        ["mixed", "--users", "8", "--rooms", "2", "--rate", "40", "--seconds", "0.5"],
        ["history", "--clients", "2", "--stored", "200", "--seconds", "0.2"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_two_runs_one_after_the_other(running: tuple[Running, Issuer], arguments: list[str], tmp_path: Path) -> None:
    server, issuer = running
    for turn in range(2):
        out = tmp_path / f"{turn}.json"
        done = bench(*arguments, "--url", url(server), "--turns", "1", "--out", str(out), secret=issuer.secret)
        assert (done.returncode, done.stderr) == (0, "")
        run = json.loads(out.read_text())
        assert run["measures"][0]["messages"] > 0
        # Its process is not known, so nothing is said of what it takes.
        assert not run["measures"][0].get("server_cpu_us_per_message")
        assert issuer.secret not in out.read_text()


def test_tokens_from_a_file_even_for_the_same_users_again(running: tuple[Running, Issuer], tmp_path: Path) -> None:
    server, issuer = running
    file = tmp_path / "tokens"
    file.write_text("".join(f"t{number} {issuer.token(f't{number}')}\n" for number in range(4)))
    common = ["dm", "--window", "2", "--messages", "10", "--turns", "1", "--url", url(server), "--tokens", str(file)]
    for _ in range(2):
        done = bench(*common, "--pairs", "2")
        assert (done.returncode, done.stderr) == (0, "")
    done = bench(*common, "--pairs", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no figure: 6 users are needed and the file of tokens has 4\n"


def test_with_its_process_named_its_cpu_time_is_measured(running: tuple[Running, Issuer], tmp_path: Path) -> None:
    server, issuer = running
    out = tmp_path / "run.json"
    arguments = ["dm", "--pairs", "2", "--window", "2", "--messages", "50", "--turns", "1", "--pid", str(server.pid)]
    bench(*arguments, "--url", url(server), "--out", str(out), secret=issuer.secret)
    assert json.loads(out.read_text())["measures"][0]["server_cpu_us_per_message"] > 0


@pytest.mark.parametrize(
    ("where", "secret", "said"),
    [
        ("http://h:1", "s", r"give ws://HOST:PORT, tcp"),
        ("ws://h", "s", "give ws://"),
        ("tcp://h:1", "", "needs --secret"),
    ],
)
def test_a_place_that_can_not_be_is_named(where: str, secret: str, said: str) -> None:
    with pytest.raises(Broken, match=said):
        Place.parse(where, "", secret, None, 0)


def test_two_runs_have_other_names() -> None:
    place = Place.parse("tcp://127.0.0.1:1", "http://127.0.0.1:2", "secret", None, 0)
    assert place.http == ("127.0.0.1", 2)
    one, other = Remote(place), Remote(place)
    assert not set(one.names("u", 5)) & set(other.names("u", 5))
    assert one.group("bench") != other.group("bench")


def test_a_server_that_is_not_there_is_named() -> None:
    done = bench("dm", "--url", "tcp://127.0.0.1:1", "--turns", "1", secret="x" * 32)
    assert done.returncode == 1
    assert "no figure: " in done.stderr
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
