"""`gochat chat`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gochat.commands.connection import check_address, connection_options

if TYPE_CHECKING:
    from gochat.client import Chat


@click.command()
@click.argument("to", required=False, metavar="[TO]")
@connection_options
def chat(to: str | None, url: str, user: str | None, token: str | None) -> None:
    """Chat from this terminal.

    A line goes to TO (user:NAME or group:NAME); messages of all your rooms show as they come. Lines that begin with /
    are commands, /help lists them. Who has not written to you before asks first: accept, or write back. Ctrl-D, Ctrl-C
    or /quit leave. Lost connections are made again.

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

    present = sys.stdin.isatty()

    async def body(session: Chat) -> None:
        console = Console(session, to=to, present=present, say=click.echo, note=note)
        await console.run(Lines(sys.stdin.fileno()))

    online(body, url, user, token)


def note(line: str) -> None:
    click.echo(line, err=True)
