"""`gochat tail`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gochat.commands.connection import check_address, connection_options
from gochat.commands.files import note

if TYPE_CHECKING:
    from gochat.client import Chat, Fact, Offline, Online, Reset, TokenSource


@click.command()
@click.argument("rooms", nargs=-1, metavar="[ROOM]...")
@click.option("--json", "as_json", is_flag=True, help="Print each as one JSON object, as the server sends it.")
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    metavar="SEQ",
    help="Begin with this fact of each ROOM, once it is there.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="End after so many facts.")
@connection_options
def tail(
    rooms: tuple[str, ...],
    as_json: bool,
    first: int | None,
    limit: int | None,
    url: str,
    token: TokenSource | None,
) -> None:
    """Print what happens, as it happens.

    Facts of the named rooms, or of all rooms you are in: each once and in order, across reconnects, until interrupted.
    A stranger who wants to write to you shows as a request. News of the connection goes to standard error. It ends,
    too, when the reader of its output has gone, as `| head -1` does.

    \b
    Examples:
      gochat tail --as ann
      gochat tail group:ops --json --as robot | jq -r 'select(.type == "message") | .body'
      gochat tail group:ops --from 1 --limit 100 --json --as robot
    """
    for room in rooms:
        check_address(room)
    if first is not None and not rooms:
        raise click.UsageError("--from counts the facts of a room: name one")
    import trio

    from gochat.client import Offline, Online, Reset
    from gochat.client.terminal.text import fact_line, request_line
    from gochat.client.wire import FACTS, encode_fact, encode_sent
    from gochat.commands.online import online, reader_gone
    from gochat.protocol.replies import Request

    def show(event: Fact | Request, me: str) -> None:
        if as_json:
            line = encode_sent(event) if isinstance(event, Request) else encode_fact(event)
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()
        else:
            click.echo(request_line(event, me) if isinstance(event, Request) else fact_line(event, me))

    async def body(session: Chat) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader_gone)
            await follow(session)
            nursery.cancel_scope.cancel()

    async def follow(session: Chat) -> None:
        wanted = {session.room(room) for room in rooms}
        for room in wanted:
            await _begin(session, room, first)
        left = limit
        async for event in session:
            if isinstance(event, FACTS) and (not wanted or event.room in wanted):
                if first is not None and event.seq < first:
                    continue
                show(event, session.user)
                left = None if left is None else left - 1
                if left == 0:
                    return
            elif isinstance(event, Request) and (not wanted or event.room in wanted):
                show(event, session.user)
            elif isinstance(event, Offline | Online | Reset) and (news := _aside(event, session.user)) is not None:
                note(news)

    online(body, url, token)


def _aside(event: Offline | Online | Reset, me: str) -> str | None:
    """News of the connection, and of facts that were printed before a rollback."""
    from gochat.client import Reset
    from gochat.client.terminal.text import notice, reset_line

    return reset_line(event, me) if isinstance(event, Reset) else notice(event, me)


async def _begin(session: Chat, room: str, first: int | None) -> None:
    """Let the room's facts come from `first` on. Raises Refused where the room can't be read: better than to print
    nothing. Only a room that has that fact is rewound: to ask for more than there is would look like a rollback."""
    from gochat.client.terminal.text import address

    page = await session.page(room, limit=1)
    if first is not None and first <= page.head:
        await session.rewind(room, first - 1)
    elif first is not None and first > page.head + 1:
        note(f"* {address(room, session.user)} ends at #{page.head} so far; waiting")
