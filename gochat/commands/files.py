"""Files that commands read and write: standard input and output as clear errors, files whole or not at all, with a word
now and then of how far it is."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from gochat.commands import EXIT_USAGE, CommandError
from gochat.domain.plurals import counted
from gochat.durable import sync_folder

if TYPE_CHECKING:
    from gochat.config import Settings

_PROGRESS_S = 1.0
#: The end of the name of a file that is not complete yet.
_PART = ".gochat.part"
#: The characters of a file's name that its part has: with what is added to them a name is still short enough.
_PREFIX = 50
#: A part that nobody has written to for so long is one that a killed command left.
_LEFT_S = 24 * 3600


def node_database(settings: Settings) -> Path:
    """The database of the node with these settings. Raises CommandError where there is none yet."""
    from gochat.store import folder

    database = folder.database(Path(settings.node.data))
    if not database.is_file():
        raise CommandError(
            f"there is no file {database}", hint="--data, or node.data in the settings, names the folder of a node"
        )
    return database


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file, empty and for its owner alone, that takes the name `path` when the block ends well and it is on the
    disk; until then an older file stays. Files that killed commands left in the folder go, once they are a day old.
    Raises CommandError."""
    if str(path) == "-":
        raise CommandError("this goes to a file, not to standard output", hint="name one", code=EXIT_USAGE)
    _clear(path.parent)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:_PREFIX]}.", suffix=_PART, dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    part = Path(name)
    try:
        yield part
        os.fsync(descriptor)
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Take away parts that no command writes any more: they hold texts that may have been deleted since. Their age
    tells, since a lock could not: one on the part would be in SQLite's way on network folders, and between the hosts
    that share a folder locks are not always seen. A command that stood still for a day and goes on fails at its end,
    for want of its part."""
    with suppress(OSError):  # A folder that can't be read is told of when the new file is made.
        for left in folder.glob(f".*{_PART}"):
            with suppress(OSError):  # Another command took it away, or it is another user's: it is no reason to fail.
                if time.time() - left.stat().st_mtime > _LEFT_S:
                    left.unlink()


def _unwritable(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path}: {(error.strerror or 'can not be written').lower()}")


def tell(line: str, *, err: bool = False, end: str = "\n") -> None:
    """Print a line of a command that goes on. A reader that has gone (`| head -1`) is no reason to end: from then on
    such lines go nowhere. Any other error may pass, as that of a full disk does: this line is left out, or what is
    left of it."""
    stream = sys.stderr if err else sys.stdout
    try:
        print(line, file=stream, end=end, flush=True)
    except OSError as error:
        is_gone = isinstance(error, BrokenPipeError)
        with suppress(OSError):  # Without a free descriptor Python tries once more, with the next line.
            _drop_rest(stream, for_good=is_gone)
        if not err:
            problem = "standard output can't be written" if is_gone else "a line is missing from standard output"
            tell(f"gochat: {problem}: {error.strerror}", err=True)


def _drop_rest(stream: TextIO, *, for_good: bool) -> None:
    """Send nowhere what Python holds of a line, which it would try again to write; `for_good`: and all that comes."""
    descriptor = stream.fileno()
    own = os.dup(descriptor)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
        stream.flush()
        if not for_good:
            os.dup2(own, descriptor)
    finally:
        os.close(own)


def can_ask() -> bool:
    """Whether a person is there who can answer a question: standard input is a terminal, and not closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def stdin_descriptor() -> int:
    """The descriptor of standard input. Raises CommandError where the caller closed it (`<&-`)."""
    if sys.stdin is None:
        raise CommandError("standard input is closed", hint="`< /dev/null` is an empty one", code=EXIT_USAGE)
    return sys.stdin.fileno()


def stdin_text() -> str:
    """All of standard input. Raises CommandError where it is closed, can't be read, or holds more than any message; and
    where it is not UTF-8: with a guessed encoding it would be text that nobody wrote."""
    return _stdin_until(None)


def stdin_line() -> str:
    """The first line of standard input, without its end. Raises CommandError as `stdin_text` does."""
    return _stdin_until(b"\n")


def _stdin_until(end: bytes | None) -> str:
    """Standard input up to its end, or to these bytes if they come before."""
    from gochat.client import ClientError
    from gochat.client.terminal.stdin import LINE_BYTES, read

    descriptor, data = stdin_descriptor(), b""
    while end is None or end not in data:
        try:
            more = read(descriptor)
        except ClientError as error:
            raise CommandError(str(error)) from error
        if not more:
            break
        data += more
        if len(data) > LINE_BYTES:
            raise CommandError(f"standard input has more than {LINE_BYTES:,} bytes: no server takes as many at once")
    return _decoded(data if end is None else data.partition(end)[0])


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CommandError(
            f"standard input is not UTF-8, from byte {error.start + 1} on",
            hint="`iconv -f ENCODING -t UTF-8` converts it",
            code=EXIT_USAGE,
        ) from error


class Share:
    """How much of something is done, in percent: now and then where somebody looks."""

    def __init__(self, done: str) -> None:
        """`done` is the word at the end, like "copied"."""
        self._done = done
        self._shown_at = time.monotonic()
        self._live = sys.stderr.isatty()
        self._shown = False

    def __call__(self, count: int, goal: int) -> None:
        if self._live and time.monotonic() - self._shown_at >= _PROGRESS_S:
            self._shown_at, self._shown = time.monotonic(), True
            note(f"\r{100 * count // max(goal, 1)} % {self._done}", end="")

    def done(self) -> None:
        if self._shown:
            note(f"\r{' ' * 20}\r", end="")


class Progress:
    """How many facts are done: now and then where somebody looks, and at the end."""

    def __init__(self, done: str) -> None:
        """`done` is the word at the end, like "exported"."""
        self.count = 0
        self._done = done
        self._shown_at = time.monotonic()
        self._live = sys.stderr.isatty()

    def __call__(self, count: int, goal: int) -> None:
        self.count = count
        if self._live and time.monotonic() - self._shown_at >= _PROGRESS_S:
            self._shown_at = time.monotonic()
            note(f"\r{count:,} of {goal:,} facts", end="")

    def done(self) -> None:
        note(f"{chr(13) if self._live else ''}{counted(self.count, 'fact')} {self._done}")


def note(line: str, *, end: str = "\n") -> None:
    """Say something that is no part of the output. Whether it can be written changes nothing of what the command does:
    a remark that finds no room is no reason to end, nor to end with another code."""
    tell(line, err=True, end=end)
