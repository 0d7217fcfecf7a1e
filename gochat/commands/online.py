"""The frame of all commands that talk to a server: signing in, running, and how they end."""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import click
import trio

from gochat.client import BadToken, BadUrl, Chat, Ended, Refused, TokenSource, Unreachable, connect
from gochat.client.errors import ClientError, raise_alone
from gochat.client.terminal.text import refusal
from gochat.commands import (
    EXIT_AUTH,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TRY_AGAIN,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    CommandError,
)
from gochat.commands.connection import DEFAULT_URL, REPLY_S
from gochat.domain import durations
from gochat.errors import BAD_TOKEN, REVOKED
from gochat.launch import SAME_SIGNAL_S


def online(
    body: Callable[[Chat], Awaitable[None]],
    url: str,
    token: TokenSource | None,
    *,
    limit_s: float | None = None,
    confirms: bool = False,
) -> bool:
    """Sign in and run `body`. False if SIGINT or SIGTERM ended it. With `confirms` others are told that their messages
    have come here.

    Every way to fail becomes a CommandError whose code tells scripts what kind it was.
    """
    source = token.strip() if isinstance(token, str) else token
    if not source:
        raise click.UsageError("who are you? Use --as USER on the server's own machine, or set GOCHAT_TOKEN")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that is not set to UTF-8 shows escapes instead of ending the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        return trio.run(_online, body, url, source, limit_s, confirms)
    except trio.TooSlowError:
        raise CommandError(
            f"{url}: no reply in {limit_s:.0f} s", hint="it may have been done", code=EXIT_UNREACHABLE
        ) from None
    except ClientError as error:
        raise _explained(error, url) from error


def asked(
    body: Callable[[Chat], Awaitable[None]],
    url: str,
    token: TokenSource | None,
    *,
    limit_s: float | None = REPLY_S,
) -> int:
    """Sign in, run `body`, and return the exit code."""
    return EXIT_OK if online(body, url, token, limit_s=limit_s) else EXIT_INTERRUPTED


async def _online(
    body: Callable[[Chat], Awaitable[None]], url: str, token: TokenSource, limit_s: float | None, confirms: bool
) -> bool:
    interrupted_at: float | None = None
    work = trio.CancelScope()

    async def watch_signals(signals: AsyncIterator[int]) -> None:
        nonlocal interrupted_at
        async for _ in signals:
            if interrupted_at is None:
                interrupted_at = trio.current_time()
                work.cancel()
            elif trio.current_time() > interrupted_at + SAME_SIGNAL_S:
                raise KeyboardInterrupt

    try:
        # Signals are watched to the very end: one that is told twice must not break off the end that it began.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as watching:
                watching.start_soon(watch_signals, signals)
                with work, trio.fail_after(float("inf") if limit_s is None else limit_s):
                    async with connect(url, token=token, confirms=confirms) as chat:
                        await body(chat)
                watching.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise_alone(group)
    return interrupted_at is None


async def reader_gone() -> None:
    """Raise BrokenPipeError when the reader of a pipe that is standard output has gone. Otherwise only the next write
    would notice, and a command that waits for something to print would wait on for nobody."""
    descriptor = sys.stdout.fileno()
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        await trio.sleep_forever()
    # Nothing ever comes out of this end: it becomes readable when the other end is closed (poll(2), POLLERR).
    await trio.lowlevel.wait_readable(descriptor)
    raise BrokenPipeError


def _explained(error: ClientError, url: str) -> CommandError:
    match error:
        case BadUrl():
            # Without the URL: it may be bad because it has a token in it.
            return CommandError(str(error), code=EXIT_USAGE)
        case Unreachable():
            hint = "is it running? `gochat serve` starts one on this machine" if url == DEFAULT_URL else ""
            return CommandError(f"can't reach {url}: {error}", hint=hint, code=EXIT_UNREACHABLE)
        case Ended():
            code = EXIT_AUTH if error.number in (BAD_TOKEN, REVOKED) else EXIT_UNREACHABLE
            return CommandError(f"the session is over: {error}", code=code)
        case BadToken() | Refused(code="unauthorized"):
            hint = "`gochat token issue USER` on the server's machine makes a token; set it as GOCHAT_TOKEN"
            return CommandError(str(error), hint=hint, code=EXIT_AUTH)
        case Refused(code="forbidden"):
            return CommandError(refusal(error), code=EXIT_AUTH)
        case Refused(temporary=True):
            return CommandError(str(error), hint=f"try again in {durations.shown(error.wait_s)}", code=EXIT_TRY_AGAIN)
    return CommandError(refusal(error), code=EXIT_FAILED)
