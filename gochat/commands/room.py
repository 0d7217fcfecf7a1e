"""`gochat room`: work on a room's log."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from gochat.commands import EXIT_INTERRUPTED, EXIT_OK, CommandError
from gochat.commands.connection import check_address, connection_options

if TYPE_CHECKING:
    from gochat.client import Chat

_PROGRESS_S = 1.0


@click.group()
def room() -> None:
    """Work on a room's log."""


@room.command()
@click.argument("room", metavar="ROOM")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True))
@connection_options
def export(room: str, file: str, url: str, user: str | None, token: str | None) -> int:
    """Write a room's log to FILE as JSON lines; - is standard output.

    Every fact that you may read, up to the last one when the export began, as it is now: edited messages with their
    present text, deleted ones without. FILE is replaced when all of it is there, or not at all.

    \b
    Examples:
      gochat room export group:tea tea.jsonl --as ann
      gochat room export user:bob - --as ann | jq -r .body
    """
    check_address(room)
    from gochat.commands.online import online

    def run(write: Callable[[bytes], object]) -> int:
        async def body(session: Chat) -> None:
            await _export(session, session.room(room), write)

        return EXIT_OK if online(body, url, user, token) else EXIT_INTERRUPTED

    if file == "-":
        code = run(sys.stdout.buffer.write)
        sys.stdout.buffer.flush()
        return code
    with _replacing(Path(file)) as out:
        code = run(out.write)
        if code != EXIT_OK:
            raise click.Abort
    return code


async def _export(session: Chat, room: str, write: Callable[[bytes], object]) -> None:
    from gochat.client.wire import encode_fact

    progress = _Progress()
    goal: int | None = None
    async for page in session.history(room, after=0):
        goal = page.head if goal is None else goal
        entries = [fact for fact in page.entries if fact.seq <= goal]
        write(b"".join(encode_fact(fact) + b"\n" for fact in entries))
        progress.count += len(entries)
        progress.show(goal)
        if page.entries and page.entries[-1].seq >= goal:
            break
    progress.done()


class _Progress:
    """How many facts are written: now and then where somebody looks, and at the end."""

    def __init__(self) -> None:
        self.count = 0
        self._shown_at = time.monotonic()
        self._live = sys.stderr.isatty()

    def show(self, goal: int) -> None:
        if self._live and time.monotonic() - self._shown_at >= _PROGRESS_S:
            self._shown_at = time.monotonic()
            click.echo(f"\r{self.count:,} of {goal:,} facts", err=True, nl=False)

    def done(self) -> None:
        click.echo(f"{chr(13) if self._live else ''}{self.count:,} facts exported", err=True)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the name `path` when it is whole and on the disk; until then what is there stays."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise CommandError(f"{path}: {(error.strerror or 'can not be written').lower()}") from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {(error.strerror or 'can not be written').lower()}") from error
    finally:
        part.unlink(missing_ok=True)
