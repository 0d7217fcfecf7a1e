"""`gochat chat`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from gochat.commands import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from gochat.commands.connection import check_address, connection_options
from gochat.commands.files import note, stdin_descriptor

if TYPE_CHECKING:
    from gochat.client import Chat, TokenSource
    from gochat.client.terminal.console import Console


@click.command()
@click.argument("to", required=False, metavar="[TO]")
@connection_options
def chat(to: str | None, url: str, token: TokenSource | None) -> int:
    """Chat from this terminal.

    A line goes to TO (user:NAME or group:NAME); messages of all your rooms show as they come. Lines that begin with /
    are commands, /help lists them. Users who have not written to you before ask first: accept, or write back. Lost
    connections are made again, and messages that you wrote meanwhile are sent then; /unsent lists them.

    Ctrl-D or /quit leave when everything is sent, Ctrl-C at once. Lines that were not sent are told, and the exit
    status is then 1, or 130 after Ctrl-C.

    \b
    Examples:
      gochat chat user:bob --as ann
      GOCHAT_TOKEN=$(gochat token issue ann) gochat chat group:tea --url wss://chat.example.org/v1/ws
      echo "deployed $VERSION" | gochat chat group:ops --as robot
    """
    if to is not None:
        check_address(to)
    from gochat.client.terminal.console import Console
    from gochat.client.terminal.stdin import Lines
    from gochat.commands.online import online

    stdin = stdin_descriptor()
    present = os.isatty(stdin)
    console: Console | None = None

    async def body(session: Chat) -> None:
        nonlocal console
        console = Console(session, to=to, present=present, say=click.echo, note=note)
        await console.run(Lines(stdin))

    try:
        finished = online(body, url, token)
    finally:
        if console is not None:
            _tell_unsent(console)
    if console is None or finished:
        return EXIT_FAILED if console is not None and _failed(console, present) else EXIT_OK
    return EXIT_INTERRUPTED if console.unsent else EXIT_OK


def _failed(console: Console, present: bool) -> bool:
    """Whether something that was asked for did not happen. A person has seen each refusal and gone on; a script has
    only the exit status."""
    return bool(console.unsent) if present else console.failures > 0


def _tell_unsent(console: Console) -> None:
    from gochat.client.terminal.text import unsent_line
    from gochat.domain.plurals import counted

    if console.unsent:
        note(f"* {counted(len(console.unsent), 'message')} not sent:")
        for draft in console.unsent:
            note(unsent_line(draft))
