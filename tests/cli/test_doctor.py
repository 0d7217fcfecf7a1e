"""`gochat doctor`, and the warnings of what is exposed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from gochat.commands import EXIT_CONFIG, EXIT_FAILED, EXIT_OK
from gochat.commands.exposed import exposed
from gochat.config import Auth, Http, Notify, Settings, Tcp, keys
from gochat.config import Node as NodeSettings
from tests.cli.shell import gochat
from tests.store.test_newest import old_database


def test_doctor_finds_this_machine_fit_or_says_why() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    taken_port = taken.getsockname()[1]
    Path("config.toml").write_text(
        '[http]\nbind = "127.0.0.1:0"\n[tcp]\nbind = ""\n[nng]\nbind = "tcp://127.0.0.1:0"\n[limits]\nconnections = 1\n'
    )
    found = json.loads(gochat("doctor", "--json").stdout)
    assert [finding["check"] for finding in found] == [
        "software",
        "key",
        "open files",
        "http.bind",
        "nng.bind",
        "database",
        "disk",
        "clock",
    ]
    assert {finding["status"] for finding in found} <= {"ok", "warn"}
    assert list(Path().iterdir()) == [Path("config.toml")]
    Path("config.toml").write_text(f'[tcp]\nbind = "127.0.0.1:{taken_port}"\n[http]\nbind = "127.0.0.1:0"\n')
    text = gochat("doctor", code=EXIT_FAILED).stdout
    assert f"fail  tcp.bind: 127.0.0.1:{taken_port}: address already in use" in text
    taken.close()


def test_doctor_finds_a_database_that_no_node_would_take() -> None:
    def checked(code: int = EXIT_OK) -> tuple[str, str]:
        found = {each["check"]: each for each in json.loads(gochat("doctor", "--json", code=code).stdout)}
        return found["database"]["status"], found["database"]["detail"]

    Path("config.toml").write_text(
        '[http]\nbind = "127.0.0.1:0"\n[tcp]\nbind = ""\n[nng]\nbind = ""\n[limits]\nconnections = 1\n'
    )
    assert checked() == ("ok", "none yet; the node will make one in its data folder")
    Path("data").mkdir()
    file = Path("data/gochat.db")
    with contextlib.closing(sqlite3.connect(file)) as theirs:
        theirs.execute("CREATE TABLE theirs (x)")
    status, detail = checked(EXIT_FAILED)
    assert (status, "is a database of another program" in detail) == ("fail", True)
    file.write_text("no database, and longer than the header that SQLite looks for at the beginning of its files. " * 9)
    status, detail = checked(EXIT_FAILED)
    assert (status, "file is not a database" in detail) == ("fail", True)
    file.unlink()
    old_database(file)
    before = file.read_bytes()
    status, detail = checked()
    assert (status, "from schema 3 to" in detail) == ("warn", True)
    assert (file.read_bytes(), [each.name for each in Path("data").iterdir()]) == (before, ["gochat.db"])


def test_doctor_is_content_beside_the_node_that_runs_here() -> None:
    Path("config.toml").write_text('[http]\nbind = "127.0.0.1:0"\n[tcp]\nbind = "127.0.0.1:0"\n[nng]\nbind = ""\n')
    with subprocess.Popen([sys.executable, "-m", "gochat", "serve"], stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        http, tcp = (node.stdout.readline().split("://")[1].split()[0] for _ in range(2))
        Path("config.toml").write_text(
            f'[http]\nbind = "{http}"\n[tcp]\nbind = "{tcp}"\n[nng]\nbind = ""\n[limits]\nconnections = 1\n'
        )
        found = {each["check"]: each for each in json.loads(gochat("doctor", "--json").stdout)}
        assert {each["status"] for each in found.values()} <= {"ok", "warn"}
        assert f"(process {node.pid})" in found["http.bind"]["detail"]
        assert f"(process {node.pid})" in found["tcp.bind"]["detail"]
        assert "another gochat works in this folder" in gochat("serve", code=EXIT_CONFIG).stderr
        node.send_signal(signal.SIGTERM)


def test_doctor_notices_a_clock_that_was_set_back_and_a_secret_that_others_read(secret: Path) -> None:
    os.utime(secret, (time.time() + 10_000, time.time() + 10_000))
    secret.chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-m", "gochat", "doctor", "--json"], capture_output=True, text=True, timeout=60
    )
    found = {finding["check"]: finding["status"] for finding in json.loads(done.stdout)}
    assert found["clock"] == "warn"
    assert found["key"] == "fail"
    assert done.returncode == EXIT_FAILED


def test_what_is_exposed_is_told() -> None:
    key = Path("key.pem")
    key.touch(mode=0o600)
    Path("data").mkdir(mode=0o700)
    files = Http(bind="127.0.0.1:0", tls_cert="cert.pem", tls_key="key.pem")
    origins = dict.fromkeys(keys(), "default")
    safe = Settings(http=files)
    assert list(exposed(safe, origins)) == []
    key.chmod(0o640)
    Path("data").chmod(0o755)
    told = "\n".join(exposed(safe, origins))
    assert "key.pem holds a secret (http.tls_key)" in told and "chmod 700 data" in told
    open_ = Settings(http=Http(bind="0.0.0.0:80"), tcp=Tcp(bind="[::]:81"), node=NodeSettings(data="absent"))
    raw, plain = exposed(open_, origins)
    assert "raw TCP has no TLS" in raw and "without TLS" in plain
    pushing = Notify(push=True, push_contact="mailto:ops@chat.example", allow_private=True)
    _, told = exposed(Settings(http=files, notify=pushing, node=NodeSettings(data="absent")), origins)
    assert "notify.push_private = false ends that" in told
    safely = msgspec.structs.replace(pushing, push_private=False)
    assert list(exposed(Settings(http=files, notify=safely, node=NodeSettings(data="absent")), origins)) == [
        "key.pem holds a secret (http.tls_key) and other users of this machine can read it: chmod 600 key.pem"
    ]
    Path("a file").touch(mode=0o644)
    assert list(exposed(Settings(http=files, node=NodeSettings(data="a file")), origins)) == [
        "key.pem holds a secret (http.tls_key) and other users of this machine can read it: chmod 600 key.pem"
    ], "no advice to shut a file that may be the system's"
    by_environment = origins | {"auth.secret": "environment GOCHAT_AUTH__SECRET"}
    assert list(exposed(Settings(auth=Auth(secret="s" * 32), node=NodeSettings(data="absent")), by_environment)) == []
