"""The command line as a shell sees it: real processes, exit codes, both outputs."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import trio

from gochat import __version__, cli
from gochat.commands import EXIT_CONFIG, EXIT_INTERRUPTED, EXIT_UNREACHABLE, EXIT_USAGE
from tests import forked
from tests.cli.shell import gochat, started


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


def test_an_error_that_quotes_a_file_is_inert() -> None:
    Path("config.toml").write_text('["a\\u001b[2J\\nforged: line"]\n')
    problem, _ = gochat("config", "check", code=EXIT_CONFIG).stderr.splitlines()
    assert "\\x1b[2J\\x0aforged" in problem


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("nonesuch", EXIT_USAGE),
        ("config check none.toml", EXIT_CONFIG),
        ("send user:bob hi --token t --url ws://127.0.0.1:1", EXIT_UNREACHABLE),
    ],
)
def test_an_error_that_finds_no_room_keeps_its_exit_code(words: str, code: int) -> None:
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-m", "gochat", *words.split()]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=full, timeout=60)
    assert (done.returncode, done.stdout) == (code, b"")


def test_every_remark_may_find_no_room() -> None:
    """They go through `files.note`; what click prints itself would end the command by an error of standard error."""
    for file in (Path(__file__).parents[2] / "gochat").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "echo":
                assert not any(given.arg in ("err", "file") for given in call.keywords), (file, call.lineno)


def test_a_reader_that_goes_away_is_no_error(secret: Path) -> None:
    command = [sys.executable, "-m", "gochat", "token", "issue", *["ann"] * 5_000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(30)


INTERRUPTED = BaseExceptionGroup("", [KeyboardInterrupt()])
NESTED = BaseExceptionGroup("", [BaseExceptionGroup("", [INTERRUPTED]), KeyboardInterrupt()])
MIXED = BaseExceptionGroup("", [INTERRUPTED, ValueError()])


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), INTERRUPTED, NESTED])
@pytest.mark.parametrize("flags", [[], ["--debug"]])
def test_ctrl_c_ends_a_command_however_many_nurseries_it_is_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: BaseException, flags: list[str]
) -> None:
    end_with(monkeypatch, raised)
    assert cli.run([*flags, "admin", "suspensions", "--token", "x"]) == EXIT_INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_hides_no_fault_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    end_with(monkeypatch, MIXED)
    with pytest.raises(BaseExceptionGroup) as caught:
        cli.run(["admin", "suspensions", "--token", "x"])
    assert caught.value is MIXED


def end_with(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    """Have a command end so."""

    def asked(*_: object, **__: object) -> int:
        raise raised

    monkeypatch.setattr("gochat.commands.online.asked", asked)


@pytest.mark.parametrize("incomplete", [True, False])
def test_an_operator_is_told_where_lists_may_lack_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], incomplete: bool
) -> None:
    async def nobody() -> AsyncIterator[object]:
        for each in ():
            yield each

    def asked(body: Callable[[object], Awaitable[None]], *_: object, **__: object) -> int:
        chat = SimpleNamespace(welcome=SimpleNamespace(incomplete=incomplete), suspensions=nobody)
        trio.run(body, chat)
        return 0

    monkeypatch.setattr("gochat.commands.online.asked", asked)
    assert cli.run(["admin", "suspensions", "--token", "x"]) == 0
    assert ("something may be missing" in capsys.readouterr().err) is incomplete
