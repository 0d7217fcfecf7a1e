"""The command line as a shell sees it: real processes, exit codes, both outputs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import termios
import time
import tomllib
from importlib import metadata
from pathlib import Path

import click
import msgspec
import pytest

from gochat import __version__, cli
from gochat.auth.secret import make_secret
from gochat.auth.tokens import unverified
from gochat.commands import EXIT_AUTH, EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_USAGE
from gochat.commands.exposed import exposed
from gochat.commands.presets import PRESETS
from gochat.config import Auth, Http, Notify, Settings, Tcp, keys
from gochat.config import Node as NodeSettings
from tests import forked
from tests.store.test_newest import old_database


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


def gochat(*arguments: str, stdin: str = "", code: int = EXIT_OK) -> subprocess.CompletedProcess[str]:
    done = forked.run(list(arguments), stdin=stdin.encode())
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done


def started(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The same from Python's start on."""
    line = [sys.executable, "-m", "gochat", *arguments]
    return subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=60)


def test_a_command_that_a_test_forks_is_the_one_that_a_shell_starts(secret: Path) -> None:
    """With what it reads, tells and returns, and where it stands."""
    Path("here").mkdir()
    for arguments, stdin in (
        (["--version"], ""),
        (["bogus"], ""),
        (["config", "show"], ""),
        (["token", "inspect"], "nonsense\n"),
        (["token", "issue", "ann", "--data", "here"], ""),
        (["serve", "--http", "nowhere"], ""),
    ):
        real, done = started(*arguments, stdin=stdin), forked.run(arguments, stdin=stdin.encode())
        assert (done.returncode, done.stdout, done.stderr) == (real.returncode, real.stdout, real.stderr)


def test_help_is_there_at_once() -> None:
    text = started("--help").stdout
    assert all(name in text for name in cli.COMMANDS)
    # Processor time, since the machine may be busy with something else: 200 ms is what all of it may take.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.2


def test_help_loads_no_part_of_the_server() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gochat", "--help"], capture_output=True, text=True, timeout=60
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {"trio", "jwt", "cryptography", "sqlite3", "starlette", "gochat.config", "gochat.node"}


def test_version() -> None:
    told = gochat("--version").stdout
    assert re.fullmatch(rf"gochat {re.escape(__version__)}( \([0-9a-f]{{12}}(-dirty)?\))?\n", told), told


def test_every_part_is_told_with_the_text_of_its_licence() -> None:
    told = gochat("--licenses").stdout
    parts = told.partition("\n\n")[0].splitlines()
    assert parts[0].startswith(f"gochat {__version__}: Apache-2.0")
    listed = {part.partition(" ")[0].lower().replace("_", "-") for part in parts}
    asked = [each for each in metadata.requires("gochat") or () if "extra ==" not in each]
    assert {re.split(r"[^\w-]", each)[0].lower() for each in asked} <= listed
    assert {"cryptography", "cffi"} <= listed  # by an extra of pyjwt, and by that
    for part in parts:
        heading = f"\n==== {part.partition(': ')[0]} ====\n\n"
        assert len(told.partition(heading)[2].partition("\n==== ")[0]) > 100, part
    assert "==== preact" in told


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_says_what_each_command_says_of_itself(name: str) -> None:
    command = cli.gochat.get_command(click.Context(cli.gochat), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(100) == cli.COMMANDS[name].help


def test_no_list_of_commands_cuts_a_sentence_short() -> None:
    for name in cli.COMMANDS:
        group = cli.gochat.get_command(click.Context(cli.gochat), name)
        if isinstance(group, click.Group):
            room = 80 - 6 - max(len(each) for each in group.commands)
            assert [each.get_short_help_str(room) for each in group.commands.values()] == [
                each.get_short_help_str(1_000) for each in group.commands.values()
            ]


WRONG = [["bogus"], ["token", "issue"], ["config", "show", "--nonsense"], ["token", "issue", "a", "--ttl", "x"]]


@pytest.mark.parametrize("arguments", WRONG)
def test_a_wrong_command_line(arguments: list[str]) -> None:
    assert gochat(*arguments, code=EXIT_USAGE).stdout == ""


@pytest.fixture
def secret() -> Path:
    """The secret that a node has made in ./data."""
    make_secret(Path("data"))
    return Path("data/auth.secret")


def test_a_token_is_issued_inspected_and_refused(secret: Path) -> None:
    first, second = gochat("token", "issue", "ann", "bob", "--ttl", "90s", "--scope", "chat:read").stdout.split()
    seen = json.loads(gochat("token", "inspect", "--json", stdin=f"{first}\n").stdout)
    assert (seen["accepted"], seen["reason"], seen["claims"]["sub"]) == (True, None, "ann")
    assert seen["claims"]["exp"] - seen["claims"]["iat"] == 90
    assert seen["claims"]["scope"] == "chat:read"
    assert gochat("token", "inspect", second).stdout.endswith("accepted\n")
    secret.unlink()
    make_secret(Path("data"))
    refused = gochat("token", "inspect", second, code=EXIT_AUTH)
    assert refused.stdout.endswith("refused: the signature is wrong\n")
    assert gochat("token", "inspect", "nonsense", code=EXIT_AUTH).stderr == "gochat: this is not a token\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "issue", "ann"],
        ["chat", "--as", "ann"],
        ["send", "user:bob", "x", "--as", "ann"],
        ["tail", "--as", "ann"],
        ["contact", "list", "--as", "ann"],
        ["admin", "reports", "--as", "ann"],
        ["room", "export", "user:ann", "-", "--as", "ann"],
    ],
)
def test_no_command_makes_a_secret(arguments: list[str]) -> None:
    """The folder is named in full, since the wrong one is what people take for the right one; and the way out."""
    done = gochat(*arguments, code=EXIT_CONFIG)
    assert f"gochat: {Path('data').absolute()}: node.data: there is no such folder\nhint: `gochat serve`" in done.stderr
    Path("data").mkdir()
    assert "there is no secret here" in gochat(*arguments, code=EXIT_CONFIG).stderr
    assert not list(Path("data").iterdir())
    assert "--data" in done.stderr and done.stdout == ""


def test_tokens_of_another_folder(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret.parent.rename("elsewhere")
    token = gochat("token", "issue", "ann", "--data", "elsewhere").stdout
    assert "accepted" in gochat("token", "inspect", "--data", "elsewhere", stdin=token).stdout
    gochat("config", "check", "--data", "elsewhere")
    assert 'node.data = "elsewhere"' in gochat("config", "show", "--data", "elsewhere").stdout
    Path("other.toml").write_text('[node]\ndata = "elsewhere"\n')
    assert "accepted" in gochat("token", "inspect", "--config", "other.toml", stdin=token).stdout
    monkeypatch.setenv("GOCHAT_NODE__DATA", "elsewhere")
    assert "accepted" in gochat("token", "inspect", stdin=token).stdout
    Path("elsewhere/auth.secret").chmod(0o644)
    assert "others may read it" in gochat("config", "check", code=EXIT_CONFIG).stderr
    assert not Path("data").exists()


def test_to_sign_where_the_key_is_elsewhere() -> None:
    Path("config.toml").write_text('[auth]\nalgorithm = "ES256"\nkey_file = "key.pem"\n')
    for arguments in ["token", "issue", "ann"], ["chat", "--as", "ann"]:
        told = gochat(*arguments, code=EXIT_CONFIG).stderr
        assert "auth.key_file: tokens for this node are signed elsewhere" in told
        assert "GOCHAT_TOKEN" in told


@pytest.mark.parametrize(
    "host", ["chat.example", "127.0.0.1.example", "192.0.2.1", "[2001:db8::1]:8080", "localhost@evil.example"]
)
def test_a_local_token_is_not_sent_to_another_machine(secret: Path, host: str) -> None:
    url = ["--url", f"ws://{host}/v1/ws"]
    done = gochat("send", "user:bob", "hi", "--as", "ann", *url, code=EXIT_USAGE)
    assert "gochat token issue USER" in done.stderr or "@" in host
    assert "GOCHAT_TOKEN" in done.stderr or "@" in host
    assert "use one" in gochat("chat", "--as", "ann", "--token", "x", code=EXIT_USAGE).stderr
    assert "--as" in gochat("chat", "--token", "x", "--data", "data", code=EXIT_USAGE).stderr


def test_a_link_needs_a_terminal_or_consent(secret: Path) -> None:
    assert "--print" in gochat("link", "ann", code=EXIT_USAGE).stderr
    text = gochat("link", "ann", "--print").stdout
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/#ticket=[\w.-]+\n", text)
    for given in ("https://chat.example", "https://chat.example/"):
        leads = gochat("link", "root", "--admin", "--print", "--url", given).stdout
        assert leads.startswith("https://chat.example/admin#ticket=")
        assert set(unverified(leads.strip().partition("=")[2])[1]["scope"].split()) > {"admin"}
    told = json.loads(gochat("link", "ann", "--print", "--json", "--url", "https://chat.example", "--ttl", "8h").stdout)
    address, _, ticket = told["url"].partition("#ticket=")
    assert (address, told["user"]) == ("https://chat.example/", "ann")
    assert 590 < told["exp"] - time.time() <= 600
    assert "another type" in gochat("token", "inspect", ticket, code=EXIT_AUTH).stdout
    for url in "chat.example", "ftp://chat.example", "https://chat.example/#x", "https://u:p@chat.example", "https://[":
        assert "--url" in gochat("link", "ann", "--print", "--url", url, code=EXIT_USAGE).stderr
    assert gochat("link", "ann", "--print", "--ttl", "40d", code=EXIT_AUTH).stdout == ""
    secret.unlink()
    assert "no secret here" in gochat("link", "ann", "--print", code=EXIT_CONFIG).stderr


def test_tokens_as_json(secret: Path) -> None:
    lines = gochat("token", "issue", "ann", "bob", "--json").stdout.splitlines()
    assert [json.loads(line)["user"] for line in lines] == ["ann", "bob"]


@pytest.mark.parametrize(
    "arguments", [["Ann"], ["ann", "--ttl", "40d"], ["ann", "--scope", "root"], ["ann", "--name", "x" * 65]]
)
def test_a_token_that_no_node_would_take(secret: Path, arguments: list[str]) -> None:
    done = gochat("token", "issue", *arguments, code=EXIT_AUTH)
    assert done.stdout == ""
    assert done.stderr.startswith("gochat: ")


def test_a_written_config_is_whole_and_good() -> None:
    gochat("config", "init")
    with Path("config.toml").open("rb") as file:
        document = tomllib.load(file)
    found = {f"{section}.{key}": value for section, content in document.items() for key, value in content.items()}
    assert found == {key.path: key.default for key in keys().values()}
    assert "config.toml: ok" in gochat("config", "check").stderr
    done = gochat("config", "init", code=EXIT_FAILED)
    assert "exists" in done.stderr
    assert "hint: " in done.stderr
    gochat("config", "init", "--force")


def test_show_tells_where_a_value_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("other.toml").write_text("[limits]\nwindow = 7\n")
    monkeypatch.setenv("GOCHAT_CONFIG", "other.toml")
    monkeypatch.setenv("GOCHAT_AUTH__SECRET", "s" * 40)
    shown = json.loads(gochat("config", "show", "--json").stdout)
    assert shown["limits.window"] == {"value": 7, "origin": "other.toml"}
    assert shown["auth.secret"] == {"value": "********", "origin": "environment GOCHAT_AUTH__SECRET"}
    assert shown["http.bind"]["origin"] == "default"
    text = gochat("config", "show", "--origin").stdout
    assert 'auth.secret = "********"' in text
    assert "s" * 40 not in text
    # The output is TOML with dotted keys.
    assert tomllib.loads(text)["limits"]["window"] == 7


def test_a_wrong_setting_is_one_line_and_a_hint() -> None:
    Path("config.toml").write_text("[http]\nbnd = 1\n")
    done = gochat("config", "check", code=EXIT_CONFIG)
    problem, hint = done.stderr.splitlines()
    assert problem == "gochat: config.toml: http.bnd: no such key; did you mean http.bind?"
    assert hint.startswith("hint: ")
    assert gochat("serve", code=EXIT_CONFIG).stderr == done.stderr


def test_a_settings_file_in_another_encoding_is_told_so() -> None:
    Path("latin.toml").write_bytes(b"[node]\nname = '\xe9'\n")
    told = gochat("config", "check", "latin.toml", code=EXIT_CONFIG).stderr
    assert "gochat: latin.toml: syntax: is not UTF-8 text, from byte 16 on\n" in told


def test_debug_shows_where() -> None:
    Path("config.toml").write_text("[http]\nbnd = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "gochat", "--debug", "config", "check"], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" in done.stderr
    assert done.returncode != EXIT_OK


def test_an_unknown_name_in_the_environment_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOCHAT_HTP__BIND", "x")
    (line, *_) = gochat("config", "check").stderr.splitlines()
    assert line.startswith("gochat: warning: environment GOCHAT_HTP__BIND")


def test_check_reads_the_key_files() -> None:
    Path("config.toml").write_text('[auth]\nalgorithm = "ES256"\nkey_file = "absent.pem"\n')
    assert "absent.pem" in gochat("config", "check", code=EXIT_CONFIG).stderr
    Path("config.toml").write_text('[http]\ntls_cert = "absent.pem"\ntls_key = "absent.pem"\n')
    assert "absent.pem" in gochat("config", "check", code=EXIT_CONFIG).stderr


def test_check_tells_every_mistake_at_once() -> None:
    Path("words.txt").write_text("/(/\n")
    Path("bad.pem").write_text("no certificate")
    Path("config.toml").write_text(
        """
        [http]
        bind = "192.0.2.1:8080"
        bnd = 1
        tls_cert = "bad.pem"
        tls_key = "bad.pem"
        [tcp]
        bind = "nonsense"
        [auth]
        secret = "short"
        [policy]
        words_file = "absent.txt"
        [limits]
        window = 0
        body_chars = 100000
        [node]
        data = "words.txt"
        [htp]
        """
    )
    done = gochat("config", "check", "--json", code=EXIT_CONFIG)
    told = {row["key"]: row for row in json.loads(done.stdout)}
    assert told.keys() == {
        "http.bind",
        "http.bnd",
        "http.tls_cert",
        "tcp.bind",
        "auth.secret",
        "policy.words_file",
        "limits.window",
        "limits.body_chars",
        "node.data",
        "htp",
    }
    assert told["http.bind"]["problem"] == "192.0.2.1:8080: cannot assign requested address"
    assert told["http.tls_cert"]["problem"].endswith("can't be used (no certificate and key in PEM are in them)")
    assert told["http.bnd"] == {
        "key": "http.bnd",
        "origin": "config.toml",
        "problem": "no such key; did you mean http.bind?",
        "hint": "`gochat config init FILE` writes a file that explains every key",
    }
    text = gochat("config", "check", code=EXIT_CONFIG).stderr
    assert len([line for line in text.splitlines() if line.startswith("gochat: ")]) == len(told)
    assert text.count("writes a file that explains every key") == 1
    # The first line of serve is among them.
    assert gochat("serve", code=EXIT_CONFIG).stderr.splitlines()[0] in text


def test_check_finds_two_listeners_at_one_address_and_a_file_that_is_not_there() -> None:
    Path("config.toml").write_text('[http]\nbind = "127.0.0.1:9999"\n[tcp]\nbind = "127.0.0.1:9999"\n')
    assert "tcp.bind: http.bind listens at 127.0.0.1:9999 already" in gochat("config", "check", code=EXIT_CONFIG).stderr
    done = gochat("config", "check", "none.toml", "--json", code=EXIT_CONFIG)
    assert [row["key"] for row in json.loads(done.stdout)] == ["file"]
    Path("config.toml").write_text("[http\n")
    done = gochat("config", "check", "--json", code=EXIT_CONFIG)
    assert [row["key"] for row in json.loads(done.stdout)] == ["syntax"]
    Path("config.toml").unlink()
    assert json.loads(gochat("config", "check", "--json").stdout) == []


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_defaults_but_for_what_it_says(preset: str) -> None:
    gochat("config", "init", "--preset", preset)
    text = Path("config.toml").read_text()
    shown = json.loads(gochat("config", "show", "--json").stdout)
    changed = {path: row["value"] for path, row in shown.items() if row["value"] != keys()[path].default}
    assert changed == PRESETS[preset].values
    assert all(path in text for path in changed)
    assert "config.toml: ok" in gochat("config", "check").stderr


def test_an_error_that_quotes_a_file_is_inert() -> None:
    Path("config.toml").write_text('["a\\u001b[2J\\nforged: line"]\n')
    problem, _ = gochat("config", "check", code=EXIT_CONFIG).stderr.splitlines()
    assert "\\x1b[2J\\x0aforged" in problem


def test_a_reader_that_goes_away_is_no_error(secret: Path) -> None:
    command = [sys.executable, "-m", "gochat", "token", "issue", *["ann"] * 5_000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(30)


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
    assert json.loads(done.stderr.splitlines()[-1])["level"] == "critical"


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
