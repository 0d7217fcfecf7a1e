"""Starting and stopping the server under test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest

from bench import procfs
from bench.environment import describe
from bench.faults import Broken
from bench.load.wire import WEBSOCKET
from bench.server import Cores, Gochat, data_folder, durable, limit_echo
from bench.tokens import Issuer

STANDIN = str(Path(__file__).with_name("standin.py"))


def gochat(folder: Path, *program: str) -> Gochat:
    return Gochat(WEBSOCKET, folder, Cores.split(), program or (STANDIN,))


def test_the_server_runs_on_cores_of_its_own_and_the_harness_stays_where_it_was(tmp_path: Path) -> None:
    mine = os.sched_getaffinity(0)
    with gochat(tmp_path).run() as running:
        assert os.sched_getaffinity(running.pid) == Cores.split().server
    assert os.sched_getaffinity(0) == mine


def test_settings_of_the_machine_do_not_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOCHAT_STRAY", "1")
    with gochat(tmp_path).run() as running:
        environment = Path(f"/proc/{running.pid}/environ").read_bytes()
    assert b"GOCHAT_LIMITS__MESSAGES_PER_S=1000000" in environment
    assert b"GOCHAT_STRAY" not in environment


def test_the_server_is_gone_afterwards_even_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), limit_echo(tmp_path, Cores.split()) as running:
        raise ZeroDivisionError
    assert not Path(f"/proc/{running.pid}").exists()


def test_the_server_ends_when_the_harness_is_killed(tmp_path: Path) -> None:
    script = """if True:
        import os, signal, sys
        from pathlib import Path
        from bench.server import Cores, limit_echo
        with limit_echo(Path(sys.argv[1]), Cores.split()) as running:
            print(running.address.port, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    port = int(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_does_not_end_well_is_no_server_to_measure(tmp_path: Path) -> None:
    script = tmp_path / "sulky.py"
    script.write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('a backtrace'))\n"
        "print('listening on http://127.0.0.1:1\\nlistening on tcp://127.0.0.1:1', flush=True)\ntime.sleep(30)\n"
    )
    with (
        pytest.raises(Broken, match=r"(?s)ended with status 1; the server's last words:.*a backtrace"),
        gochat(tmp_path, str(script)).run(),
    ):
        pass


def test_the_data_folder_is_new_and_goes_away(tmp_path: Path) -> None:
    parent = tmp_path / "not" / "yet"
    with data_folder(parent) as one, data_folder(parent) as other:
        assert one != other
        (one / "file").write_text("data")
    assert list(parent.iterdir()) == []


def test_memory_is_no_disk() -> None:
    assert durable(Path(__file__)) == (procfs.filesystem(Path(__file__))[0] != "tmpfs")
    assert not durable(Path("/dev/shm"))


def test_the_environment_names_what_a_figure_depends_on(tmp_path: Path) -> None:
    found = describe(tmp_path, Cores(frozenset({0}), frozenset({1, 2})))
    assert (found["server_cores"], found["load_cores"]) == ("0", "1,2")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["load_average"] == pytest.approx(os.getloadavg()[0], abs=1)
    assert {"cpu", "cores", "kernel", "sqlite", "commit", "data", "durable", "trio"} <= found.keys()


def test_a_token_carries_all_claims_that_the_server_asks_for() -> None:
    issuer = Issuer()
    claims = jwt.decode(
        issuer.token("ann"),
        issuer.secret,
        ["HS256"],
        audience="gochat",
        options={"require": ["sub", "iat", "exp", "aud"]},
    )
    assert (claims["sub"], set(claims["scope"].split())) == ("ann", {"chat:read", "chat:write", "groups:write"})
    assert len(issuer.secret) >= 32
    assert issuer.secret != Issuer().secret


def test_cpu_time_and_memory_of_a_process() -> None:
    before = procfs.cpu_s(os.getpid())
    while procfs.cpu_s(os.getpid()) < before + 0.02:
        pass
    held = bytearray(b"x" * 40_000_000)
    grown = procfs.rss_bytes(os.getpid())
    assert grown > len(held)
