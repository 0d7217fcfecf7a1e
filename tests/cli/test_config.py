"""`gochat config`: settings that are written, shown and checked."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gochat.commands import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_USAGE
from gochat.commands.presets import PRESETS
from gochat.config import keys
from tests.cli.shell import gochat


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


def _init_on_a_full_disk(*words: str) -> subprocess.CompletedProcess[str]:
    line = f"ulimit -f 8; PYTHONDONTWRITEBYTECODE=1 {sys.executable} -m gochat config init {' '.join(words)}"
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", [[], ["--force"]])
def test_a_config_is_written_whole_or_not_at_all(words: list[str]) -> None:
    if words:
        Path("config.toml").write_text("[limits]\nwindow = 7\n")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    done = _init_on_a_full_disk(*words)
    assert (done.returncode, done.stderr) == (EXIT_FAILED, "gochat: config.toml: file too large\n")
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_a_config_is_for_its_owner_and_group_and_stays_behind_its_link() -> None:
    Path("real.toml").write_text("")
    Path("real.toml").chmod(0o644)
    Path("config.toml").symlink_to("real.toml")
    gochat("config", "init", "--force")
    assert Path("config.toml").is_symlink()
    assert Path("real.toml").stat().st_mode & 0o777 == 0o640, "a node may read it by its group, and nobody else"
    gochat("config", "init", "new.toml")
    assert Path("new.toml").stat().st_mode & 0o777 == 0o600
    assert "no regular file" in gochat("config", "init", "--force", "/dev/null", code=EXIT_USAGE).stderr


def test_a_config_that_can_not_be_looked_at_is_told() -> None:
    Path("loop.toml").symlink_to("loop.toml")
    done = gochat("config", "init", "loop.toml", code=EXIT_FAILED)
    assert done.stderr == "gochat: loop.toml: too many levels of symbolic links\n"


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
