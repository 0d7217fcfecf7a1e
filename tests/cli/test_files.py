"""Lines of commands that go on, whatever becomes of their output."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from gochat.cli import run
from gochat.commands import EXIT_FAILED, EXIT_USAGE, CommandError, files
from gochat.commands.files import replacing, tell
from tests.cli.shell import gochat

PAGE = 4_096
MISSING = "gochat: a line is missing from standard output: {}\n"


@contextmanager
def full_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard output is a pipe that does not wait, and has no room; its other end."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as stream, os.fdopen(reader, "rb") as end:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PAGE)
        os.set_blocking(writer, False)
        os.write(writer, b"-" * PAGE)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            yield end.fileno()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("line", ["short", PAGE * "x", 8 * PAGE * "x"])
def test_a_line_that_finds_no_room_is_left_out_and_the_next_one_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """Also one that is longer than what Python holds of a file by itself."""
    with full_pipe(monkeypatch) as reader:
        before = descriptors()
        for _ in range(3):
            tell(line)
        assert descriptors() == before
        assert os.read(reader, 2 * PAGE) == b"-" * PAGE
        tell("next")
        tell("and next")
        assert os.read(reader, 2 * PAGE) == b"next\nand next\n"
    assert capsys.readouterr().err == 3 * MISSING.format("write could not complete without blocking")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_disk_that_was_full_gets_the_lines_that_come_when_it_has_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with (
        Path("/dev/full").open("w", encoding="utf-8") as stream,
        Path("log").open("w+", encoding="utf-8") as log,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, name, stream)
        tell("lost", err=name == "stderr")
        os.dup2(log.fileno(), stream.fileno())
        tell("kept", err=name == "stderr")
        assert Path("log").read_text("utf-8") == "kept\n"
    said = MISSING.format("No space left on device") if name == "stdout" else ""
    assert capsys.readouterr() == ("", said)


def test_a_reader_that_has_gone_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_pipe(monkeypatch) as reader, Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), reader)
        before = descriptors()
        for _ in range(3):
            tell("line")
        assert descriptors() == before
    assert capsys.readouterr().err == "gochat: standard output can't be written: Broken pipe\n"


def test_no_error_of_output_ends_a_command_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even where the process has no descriptor left."""

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    with full_pipe(monkeypatch) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(os, "dup", none_left)
            tell("late")
        os.read(reader, 2 * PAGE)
        tell("next")
        assert os.read(reader, 2 * PAGE) == b"late\nnext\n"
    assert capsys.readouterr().err == MISSING.format("write could not complete without blocking")


def test_a_command_whose_output_finds_no_room_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program may have set the pipe that it shares not to wait."""
    with full_pipe(monkeypatch):
        assert run(["--help"]) == EXIT_FAILED
    assert capsys.readouterr().err == (
        "gochat: standard output can't be written: write could not complete without blocking\n"
    )


KILLED = """
import os, signal, sys
from pathlib import Path
from gochat.commands.files import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("secret")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_command_left_goes_a_day_later(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "monday.db")], timeout=60)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with replacing(tmp_path / "monday.db") as part:
        assert left.exists(), "it may be that of another command, which runs"
        two_days_ago = time.time() - 2 * 24 * 3600
        os.utime(left, (two_days_ago, two_days_ago))
        with replacing(tmp_path / "tuesday.db"):
            assert part.exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["monday.db", "tuesday.db"]


def test_a_part_that_is_a_day_old_is_missed_by_its_command_alone(tmp_path: Path) -> None:
    def stand_still() -> None:
        with replacing(tmp_path / "slow.db") as part:
            os.utime(part, (0, 0))
            with replacing(tmp_path / "other.db"):
                pass

    with pytest.raises(CommandError, match="no such file"):
        stand_still()
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


def test_files_of_others_stay(tmp_path: Path) -> None:
    others = [tmp_path / name for name in (".a.part", "a.gochat.part", ".gochat.parts")]
    for file in others:
        file.touch()
        os.utime(file, (0, 0))
    with replacing(tmp_path / "a"):
        pass
    assert all(file.exists() for file in others)


@contextmanager
def late_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> Iterator[None]:
    """Standard input is a pipe that does not wait, into which this is written a little later."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    def write() -> None:
        with os.fdopen(writer, "wb") as end:
            end.write(data)

    later = threading.Timer(0.1, write)
    with os.fdopen(reader, encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stream)
        later.start()
        yield
        later.join()


def test_input_that_does_not_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with late_input(monkeypatch, b"one\ntwo\n"):
        assert files.stdin_text() == "one\ntwo\n"
    with late_input(monkeypatch, b"one\ntwo\n"):
        assert files.stdin_line() == "one"


@pytest.mark.parametrize("words", ["token inspect", "user delete ann", "restore there.db"])
def test_closed_input_is_nobody_to_ask(secret: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("data/gochat.db").touch()
    monkeypatch.setattr(sys, "stdin", None)  # As Python has it after `<&-`.
    assert run([*words.split(), "--data", "data"]) == EXIT_USAGE


def test_input_of_more_than_a_message_is_refused() -> None:
    done = gochat(
        "send", "user:bob", "--token", "t", "--url", "tcp://127.0.0.1:1", stdin="x" * ((1 << 20) + 1), code=EXIT_FAILED
    )
    assert done.stderr == "gochat: standard input has more than 1,048,576 bytes: no server takes as many at once\n"


def test_input_that_can_not_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = os.open(".", os.O_RDONLY)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: folder, buffer=None))
    assert run(["send", "user:bob", "--token", "t"]) == EXIT_FAILED
    os.close(folder)
    assert capsys.readouterr().err == "gochat: standard input can't be read: is a directory\n"
