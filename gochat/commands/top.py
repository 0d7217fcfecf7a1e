"""`gochat top`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gochat.commands.chat import fills_screen
from gochat.commands.connection import admin_options

if TYPE_CHECKING:
    from gochat.client import Chat, TokenSource
    from gochat.client.top.reading import Look
    from gochat.protocol.replies import Overview

#: Where the screen is no terminal: the columns of what is printed.
COLUMNS = 100


@click.command()
@click.option(
    "--every",
    type=click.FloatRange(0.5, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the server is asked.",
)
@click.option("--once", is_flag=True, help="Print how the node is doing once, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print an object a line: overview, rates, slow, mailboxes.")
@admin_options
def top(every: float, once: bool, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Watch a running node: rates, refusals, slow sessions, mailboxes, supervisors.

    It takes a token with the scope admin, from GOCHAT_TOKEN; or --as USER on the node's own machine, which signs one.
    It shows nothing that was said, but in reports. Keys: 1 to 9 or Tab for the views, / to find users and rooms, arrows
    and PgDn to scroll, q to quit. NO_COLOR=1 turns colours off. Acts are those of `gochat admin`, and of the page at
    /admin (`gochat link USER --admin`).

    With --json it prints an object every --every seconds; with --once one alone, and the rates in it are those of one
    second.

    \b
    Examples:
      gochat top --as root
      gochat top --as root --once
      gochat top --as root --once --json | jq .rates
    """
    from gochat.commands.online import asked

    if once or as_json:
        return asked(lambda chat: _print(chat, every, once=once, as_json=as_json), url, token, limit_s=None)
    if not fills_screen():
        raise click.UsageError("there is no terminal to draw on: --once prints, and so does --json")

    async def body(chat: Chat) -> None:
        from gochat.client.screen.display import terminal
        from gochat.client.top.screen import Top

        await chat.overview()  # A token without the scope is told so before the screen is taken over.
        with terminal(mouse=False) as display:
            await Top(chat, every).run(display)

    return asked(body, url, token, limit_s=None)


async def _print(chat: Chat, every_s: float, *, once: bool, as_json: bool) -> None:
    import trio

    from gochat.client.top.reading import Wanted, look
    from gochat.commands.online import reader_gone

    wanted = Wanted(view="node")

    async def follow() -> None:
        before = await chat.overview()
        await trio.sleep(min(1.0, every_s))
        while True:
            found = await look(chat, wanted)
            _write(found, before, as_json=as_json)
            if once:
                return
            before = found.overview
            await trio.sleep(every_s)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_drop_events, chat)
        nursery.start_soon(reader_gone)
        await follow()
        nursery.cancel_scope.cancel()


async def _drop_events(chat: Chat) -> None:
    """Nobody reads the events, and they shall not fill the queue."""
    async for _ in chat:
        pass


def _write(found: Look, before: Overview, *, as_json: bool) -> None:
    if as_json:
        from gochat.client.top.figures import rates
        from gochat.client.wire import encode_json

        told = {
            "overview": found.overview,
            "rates": rates(before, found.overview),
            "slow": found.slow,
            "mailboxes": found.mailboxes,
        }
        sys.stdout.buffer.write(encode_json(told) + b"\n")
        sys.stdout.buffer.flush()
        return
    from gochat.client.top.views import Shown, rows
    from gochat.log import inert

    overview = found.overview
    click.echo(f"{inert(overview.node)}, {'ready' if overview.ready else 'NOT READY'}, {inert(overview.server)}")
    for row in rows("node", Shown(found, before, COLUMNS)):
        click.echo("".join(said for _, said in row))
