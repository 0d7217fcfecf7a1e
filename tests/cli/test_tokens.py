"""Tokens and links: issued, inspected, and refused where no node would take them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from gochat.auth.secret import make_secret
from gochat.auth.tokens import unverified
from gochat.commands import EXIT_AUTH, EXIT_CONFIG, EXIT_USAGE
from tests.cli.shell import gochat


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
