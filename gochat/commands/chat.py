"""`gochat chat`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

import click

from gochat.commands import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from gochat.commands.connection import check_address, connection_options
from gochat.commands.files import can_ask, note, stdin_descriptor

if TYPE_CHECKING:
    from gochat.client import Chat, TokenSource
    from gochat.client.screen.desk import Desk
    from gochat.client.terminal.console import Console
    from gochat.client.unsent import Unsent

#: Terminals that can't place a cursor, by their TERM.
DUMB = ("", "dumb", "unknown")


class Front(Protocol):
    """The part of a chat that is left when it is over."""

    unsent: Unsent


@click.command()
@click.argument("to", required=False, metavar="[TO]")
@click.option("--plain", is_flag=True, help="Lines in, lines out, no screen; so it is in pipes and dumb terminals.")
@click.option(
    "--mouse", is_flag=True, help="The wheel scrolls, a click goes to a room; selecting text then needs Shift."
)
@connection_options
def chat(to: str | None, url: str, token: TokenSource | None, plain: bool, mouse: bool) -> int:
    """Chat from this terminal.

    The screen shows your rooms, with unread messages and presence, and the messages of one of them; TO (user:NAME or
    group:NAME) is the first. Your text goes there. Lines that begin with / are commands, /help lists them and the
    keys. Users who have not written to you before ask first: accept, or write back. Lost connections are made again,
    and messages that you wrote meanwhile are sent then. Texts that are not finished at the end are printed.

    With --plain each line you type goes to TO, and messages of all rooms show as lines.

    Ctrl-D or /quit leave when everything is sent, Ctrl-C (twice, on the full screen) at once. Lines that were not sent
    are told, and the exit status is then 1, or 130 after Ctrl-C. In a pipe it is 130 wherever the input was not read to
    its end, and the line where the reading ended is told. NO_COLOR=1 turns colours off.

    \b
    Examples:
      gochat chat user:bob --as ann
      GOCHAT_TOKEN=$(gochat token issue ann) gochat chat group:tea --url wss://chat.example.org/v1/ws
      echo "deployed $VERSION" | gochat chat group:ops --as robot
    """
    if to is not None:
        check_address(to)
    if plain or not fills_screen():
        return _plain(to, url, token)
    return _full(to, url, token, mouse)


def fills_screen() -> bool:
    """Whether there is a terminal at both ends that a screen can be drawn on."""
    if os.environ.get("TERM", "") in DUMB or (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return False
    return can_ask() and sys.stdout.isatty()


def _full(to: str | None, url: str, token: TokenSource | None, mouse: bool) -> int:
    from gochat.client.screen.desk import Desk
    from gochat.client.screen.display import terminal
    from gochat.client.screen.run import run
    from gochat.commands.online import online

    desk: Desk | None = None

    async def body(session: Chat) -> None:
        nonlocal desk
        with terminal(mouse=mouse) as display:
            desk = Desk(session, to=to, ring=display.ring)
            await run(desk, display)

    try:
        finished = online(body, url, token, confirms=True)
    finally:
        if desk is not None:
            _tell_unsent(desk)
            _tell_unfinished(desk)
    if desk is None or not desk.unsent:
        return EXIT_OK
    return EXIT_INTERRUPTED if not finished or desk.interrupted else EXIT_FAILED


def _plain(to: str | None, url: str, token: TokenSource | None) -> int:
    from gochat.client.terminal.console import Console
    from gochat.client.terminal.stdin import Lines
    from gochat.commands.online import online

    stdin = stdin_descriptor()
    present = os.isatty(stdin)
    console: Console | None = None
    over = False

    async def body(session: Chat) -> None:
        nonlocal console, over
        console = Console(session, to=to, present=present, say=click.echo, note=note)
        await console.run(Lines(stdin))
        over = True  # An interrupt that comes now finds nothing to break off.

    try:
        finished = online(body, url, token, confirms=present) or over
    finally:
        if console is not None:
            _tell_unsent(console)
            if not present and not over:
                _tell_unread(console)
    if finished:
        return EXIT_FAILED if console is not None and _failed(console, present) else EXIT_OK
    if console is None and not present:
        note("* interrupted before the sign-in: nothing of the input was read")
    return EXIT_OK if present and (console is None or not console.unsent) else EXIT_INTERRUPTED


def _tell_unread(console: Console) -> None:
    """Tell a script which part of its input came to nothing: the line that was being carried out, and the rest."""
    from gochat.log import inert

    line = console.in_hand
    if line is not None:
        is_command = line.lstrip().startswith("/") and not line.lstrip().startswith("//")
        what = "was broken off, and may have been done" if is_command else "not sent"
        note(f"* line {console.taken} {what}: {inert(line)}")
    if not console.at_end:
        note(f"* the rest of the input was not read, from line {console.taken + 1} on")


def _failed(console: Console, present: bool) -> bool:
    """Whether something that was asked for did not happen. A person has seen each refusal and gone on; a script has
    only the exit status."""
    return bool(console.unsent) if present else console.failures > 0


def _tell_unsent(front: Front) -> None:
    from gochat.client.terminal.text import unsent_line
    from gochat.domain.plurals import counted

    if front.unsent:
        note(f"* {counted(len(front.unsent), 'message')} not sent:")
        for draft in front.unsent:
            note(unsent_line(draft))


def _tell_unfinished(desk: Desk) -> None:
    from gochat.domain.plurals import counted

    lines = desk.unfinished()
    if lines:
        note(f"* {counted(len(lines), 'text')} not finished:")
        for line in lines:
            note(line)
