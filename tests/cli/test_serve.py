"""`gochat serve`: how it starts, what it writes, and how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path

from gochat import __version__
from gochat.commands import EXIT_CONFIG, EXIT_FAILED, EXIT_OK
from tests.cli.shell import gochat


def test_serve_listens_where_the_flags_say_and_ends_well() -> None:
    flags = ["--data", "store", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--nng", ""]
    command = [sys.executable, "-m", "gochat", "serve", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert "http://127.0.0.1:" in ready[0]
    assert "tcp://127.0.0.1:" in ready[1]
    assert process.returncode == EXIT_OK
    assert "Traceback" not in said
    assert Path("store").is_dir()


def test_a_data_folder_that_is_none_is_told_with_the_way_out() -> None:
    Path("taken").touch()
    told = gochat("serve", "--data", "taken", code=EXIT_CONFIG).stderr
    assert told.endswith(
        "gochat: taken: node.data: file exists\n"
        "hint: a node needs a folder of its own that it can write to; --data or node.data name another\n"
    )
    assert "chmod" not in told


def test_serve_ends_with_its_terminal_and_reads_its_files_again_otherwise() -> None:
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gochat", "serve", "--http", "127.0.0.1:0", "--tcp", "", "--nng", ""],
        stdin=inside,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    with process:
        os.close(inside)
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            while "read again" not in process.stderr.readline():
                assert process.poll() is None
            os.close(terminal)
            assert process.wait(20) == EXIT_OK
            assert "SIGHUP: draining" in process.stderr.read()
        finally:
            process.kill()


def test_serve_outlives_the_reader_of_its_output() -> None:
    flags = ["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--nng", ""]
    command = [sys.executable, "-m", "gochat", "serve", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        for line in process.stderr:
            if "standard output can't be written" in line:
                break
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(20) == EXIT_OK
    assert "Traceback" not in said


def served(*flags: str) -> str:
    """The output of a node on standard error from its start to its end."""
    command = [
        sys.executable,
        "-m",
        "gochat",
        "serve",
        "--http",
        "127.0.0.1:0",
        "--tcp",
        "127.0.0.1:0",
        "--nng",
        "",
        *flags,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    return said


def test_the_log_is_json_from_its_first_line() -> None:
    Path("config.toml").write_text(f'[auth]\nsecret = "{"s" * 40}"\ndev = "auto"\n[log]\nformat = "json"\n')
    Path("config.toml").chmod(0o644)
    lines = [json.loads(line) for line in served().splitlines()]
    first, *others = lines
    assert first["message"] == f"gochat {__version__} starts"
    assert (first["data"], first["settings"]) == (str(Path("data").absolute()), "config.toml")
    told = [line["message"] for line in others if line["level"] == "warning"]
    assert any("auth.dev" in line for line in told)
    assert any("config.toml holds a secret (auth.secret)" in line for line in told)
    assert "s" * 40 not in json.dumps(lines)
    taken = socket.create_server(("127.0.0.1", 0))
    done = gochat("serve", "--http", f"127.0.0.1:{taken.getsockname()[1]}", code=EXIT_FAILED)
    taken.close()
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["level"] == "critical"
    assert last["message"].startswith("http.bind: can't listen on 127.0.0.1:")
