"""Files that commands write: whole or not at all, with a word now and then of how far it is."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gochat.commands import CommandError

_PROGRESS_S = 1.0


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file, empty and for its owner alone, that takes the name `path` when the block ends well and it is on the
    disk; until then what is there stays. Raises CommandError."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    part = Path(name)
    try:
        yield part
        os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path}: {(error.strerror or 'can not be written').lower()}")


class Progress:
    """How many facts are done: now and then where somebody looks, and at the end."""

    def __init__(self, done: str) -> None:
        """`done` is what they are in the end, such as "exported"."""
        self.count = 0
        self._done = done
        self._shown_at = time.monotonic()
        self._live = sys.stderr.isatty()

    def __call__(self, count: int, goal: int) -> None:
        self.count = count
        if self._live and time.monotonic() - self._shown_at >= _PROGRESS_S:
            self._shown_at = time.monotonic()
            click.echo(f"\r{count:,} of {goal:,} facts", err=True, nl=False)

    def done(self) -> None:
        click.echo(f"{chr(13) if self._live else ''}{self.count:,} facts {self._done}", err=True)
